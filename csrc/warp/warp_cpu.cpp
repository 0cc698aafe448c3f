// How the CPU walks: strips of output rows over threads.
#include <torch/csrc/stable/library.h>

#include <type_traits>
#include <vector>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "warp/warp_simd.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

namespace {

// Calls run(T()) for the type of features.
template <typename Run>
void with_type(const Tensor& features, const Run& run) {
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return run(float());
    case ScalarType::Double:
      return run(double());
    case ScalarType::Half:
      return run(Half());
    case ScalarType::BFloat16:
      return run(BFloat16());
    default:
      STD_TORCH_CHECK(false, "features: expected float32, float64, bfloat16 or float16");
  }
}

// Rows of a task: neighbours, which read the same rows of the source, stay on one core as far as all have
// work.
int64_t strip_rows(const Sizes& sizes) {
  const int64_t rows = sizes.batch * sizes.sources * sizes.height;
  const int64_t most = (int64_t(1) << 18) / std::max<int64_t>(1, sizes.width * sizes.channels);
  return std::max<int64_t>(1, std::min(most, rows / (4 * torch::stable::get_num_threads())));
}

Tensor warp(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_image(features, sizes.height, sizes.width);
  with_type(features, [&]<typename T>(T) {
    advise_huge_pages(out.const_data_ptr(), out.numel() * sizeof(T));
    const ForwardJob<T> job{sizes,
                            view_flow(grid, visible),
                            static_cast<const T*>(features.const_data_ptr()),
                            image_strides(features),
                            static_cast<T*>(out.mutable_data_ptr()),
                            image_strides(out)};
    const int64_t rows = sizes.batch * sizes.sources * sizes.height;
    if (out.numel() == 0) return;
    const int64_t strip = strip_rows(sizes);
    run_tasks((rows + strip - 1) / strip,
              [&](int64_t task) { warp_rows(job, task * strip, std::min((task + 1) * strip, rows)); });
  });
  return out;
}

// Gradients of features: each task owns a band of rows of one image and source and walks every output pixel
// in order, so that sums do not depend on the number of threads.
template <typename T>
void scatter_bands(const Sizes& sizes, const FlowView& flow, const Tensor& gradient, Tensor& out) {
  using A = Accumulator<T>;
  const int64_t images = sizes.batch * sizes.sources;
  const int64_t wanted = (torch::stable::get_num_threads() + images - 1) / std::max<int64_t>(images, 1);
  const int64_t band = std::max<int64_t>(8, (sizes.in_height + wanted - 1) / wanted);
  const int64_t bands = (sizes.in_height + band - 1) / band;
  const Strides strides = image_strides(out);
  run_tasks(images * bands, [&](int64_t task) {
    const int64_t image = task / bands / sizes.sources, source = task / bands % sizes.sources;
    const int64_t first = task % bands * band, last = std::min(first + band, sizes.in_height);
    T* to = static_cast<T*>(out.mutable_data_ptr()) + image * strides.image + source * strides.source;
    const bool channels_last = strides.channel == 1 && sizes.channels > 1;
    const int64_t rows = last - first, row_size = sizes.in_width * (channels_last ? sizes.channels : 1);
    const int64_t planes = channels_last ? 1 : sizes.channels;  // runs of `rows` rows, each contiguous
    ScatterJob<T> job{sizes,
                      flow,
                      static_cast<const T*>(gradient.const_data_ptr()),
                      image_strides(gradient),
                      nullptr,
                      strides.channel,
                      strides.row,
                      strides.column,
                      image,
                      source,
                      first,
                      last};
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

std::tuple<Tensor, Tensor> warp_backward(const Tensor& gradient, const Tensor& features, const Tensor& grid,
                                         const std::optional<Tensor>& visible, bool features_wanted,
                                         bool grid_wanted,
                                         bool) {  // always deterministic
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  check_gradient(gradient, features, grid);
  const Sizes sizes = find_sizes(features, grid);
  const FlowView flow = view_flow(grid, visible);
  Tensor features_gradient =
      features_wanted ? make_image(features, sizes.in_height, sizes.in_width) : make_tensor(features, {0});
  Tensor grid_gradient = make_tensor(
      grid, grid_wanted ? std::vector<int64_t>{sizes.batch, sizes.sources, sizes.height, sizes.width, 2}
                        : std::vector<int64_t>{0});
  with_type(features, [&]<typename T>(T) {
    if (features_wanted && features_gradient.numel() > 0) {
      advise_huge_pages(features_gradient.const_data_ptr(), features_gradient.numel() * sizeof(T));
      scatter_bands<T>(sizes, flow, gradient, features_gradient);
    }
    if (grid_wanted && grid_gradient.numel() > 0) {
      const GridGradientJob<T> job{sizes,
                                   flow,
                                   static_cast<const T*>(gradient.const_data_ptr()),
                                   image_strides(gradient),
                                   static_cast<const T*>(features.const_data_ptr()),
                                   image_strides(features),
                                   grid_gradient.mutable_data_ptr()};
      const int64_t rows = sizes.batch * sizes.sources * sizes.height;
      const int64_t strip = strip_rows(sizes);
      run_tasks((rows + strip - 1) / strip,
                [&](int64_t task) { grid_rows(job, task * strip, std::min((task + 1) * strip, rows)); });
    }
  });
  return {features_gradient, grid_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("warp", TORCH_BOX(&warp));
  m.impl("warp_backward", TORCH_BOX(&warp_backward));
}

}  // namespace warpkit::warping
