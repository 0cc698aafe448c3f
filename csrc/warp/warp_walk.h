// How the CPU walks what reads sources where a flow says: rows of the output, and bands of the sources for
// gradients. Not for *_simd.cpp files.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "common/dtypes.h"
#include "common/huge_pages.h"
#include "common/parallel.h"
#include "warp/warp_simd.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

// Calls run(begin, end) for rows 0..rows - 1, in strips: neighbours, which read the same rows of the sources,
// stay on one core as far as all have work. `work` is the numbers touched a row.
template <typename Run>
void walk_rows(int64_t rows, int64_t work, const Run& run) {
  const int64_t most = (int64_t(1) << 18) / std::max<int64_t>(1, work);
  const int64_t strip =
      std::max<int64_t>(1, std::min(most, rows / (4 * int64_t(torch::stable::get_num_threads()))));
  run_tasks((rows + strip - 1) / strip,
            [&](int64_t task) { run(task * strip, std::min((task + 1) * strip, rows)); });
}

// The same with run(begin, end, scratch): `bytes` of scratch a strip, aligned to 64.
template <typename Run>
void walk_rows(int64_t rows, int64_t work, int64_t bytes, const Run& run) {
  walk_rows(rows, work, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<char[]> memory(new char[bytes + 64]);
    void* scratch = memory.get();
    size_t space = bytes + 64;
    run(begin, end, std::align(64, bytes, scratch, space));
  });
}

// An image [B,C,H,W] or [B,S,C,H,W] as a term without coefficients.
template <typename T>
Term<T> whole_image(const Tensor& image) {
  return {static_cast<const T*>(image.const_data_ptr()), image_strides(image), nullptr, {}, 1};
}

// The same, times a coefficient [B,S,H,W] in memory order.
template <typename T>
Term<T> scaled_image(const Tensor& image, const Accumulator<T>* coefficient, const Sizes& sizes) {
  const int64_t pixels = sizes.height * sizes.width;
  return {static_cast<const T*>(image.const_data_ptr()),
          image_strides(image),
          coefficient,
          {sizes.sources * pixels, pixels, 0, sizes.width, 1},
          1};
}

template <typename T>
Terms<T> only_term(const Term<T>& term) {
  return {{term, {}}, 1};
}

// Gradients of features, of the shape of `out`: each task owns a band of rows of one image and source and
// walks every output pixel in order, so that sums do not depend on the number of threads.
template <typename T>
void scatter_bands(const Sizes& sizes, const FlowView& flow, const Terms<T>& terms, Tensor& out) {
  using A = Accumulator<T>;
  if (out.numel() == 0) return;
  T* const data = static_cast<T*>(out.mutable_data_ptr());
  advise_huge_pages(data, out.numel() * sizeof(T));
  const int64_t images = sizes.batch * sizes.sources;
  const int64_t wanted = (torch::stable::get_num_threads() + images - 1) / std::max<int64_t>(images, 1);
  const int64_t band = std::max<int64_t>(8, (sizes.in_height + wanted - 1) / wanted);
  const int64_t bands = (sizes.in_height + band - 1) / band;
  const Strides strides = image_strides(out);
  run_tasks(images * bands, [&](int64_t task) {
    const int64_t image = task / bands / sizes.sources, source = task / bands % sizes.sources;
    const int64_t first = task % bands * band, last = std::min(first + band, sizes.in_height);
    T* to = data + image * strides.image + source * strides.source;
    const bool channels_last = strides.channel == 1 && sizes.channels > 1;
    const int64_t rows = last - first, row_size = sizes.in_width * (channels_last ? sizes.channels : 1);
    const int64_t planes = channels_last ? 1 : sizes.channels;  // runs of `rows` rows, each contiguous
    std::vector<A> vector_of_pixel(terms.count > 1 ? sizes.channels : 0);
    ScatterJob<T> job{sizes, flow,   terms, nullptr, strides.channel,       strides.row, strides.column,
                      image, source, first, last,    vector_of_pixel.data()};
    if constexpr (std::is_same_v<T, A>) {
      for (int64_t k = 0; k < planes; ++k) {
        std::fill_n(to + k * strides.channel + first * strides.row, rows * row_size, T(0));
      }
      job.target = to + first * strides.row;
      scatter(job);
    } else {
      std::vector<A> sums(planes * rows * row_size);
      job.target = sums.data();
      job.channel_stride = channels_last ? 1 : rows * row_size;
      scatter(job);
      for (int64_t k = 0; k < planes; ++k) {
        T* row = to + k * strides.channel + first * strides.row;
        for (int64_t n = 0; n < rows * row_size; ++n) narrow(sums[k * rows * row_size + n], row + n);
      }
    }
  });
}

// The job over all rows.
template <typename T>
void walk_grid(const GridGradientJob<T>& job) {
  const Sizes& sizes = job.sizes;
  walk_rows(sizes.batch * sizes.sources * sizes.height, sizes.width * sizes.channels,
            sizes.channels * sizeof(Accumulator<T>), [&](int64_t begin, int64_t end, void* scratch) {
              grid_rows(job, begin, end, static_cast<Accumulator<T>*>(scratch));
            });
}

}  // namespace warpkit::warping
