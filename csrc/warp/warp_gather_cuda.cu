// The repeatable gradient of features on the GPU: pixels are sorted by the cell of the source that they read
// (a stable sort), and each pixel of the source sums the rows of the four cells round it in that order.
// Channels side by side: a group of lanes takes a pixel of the source, finds as many rows as it has lanes
// side by side and adds them 16 bytes a lane. Channel planes: a thread a pixel.
#include "common/sort_cuda.h"
#include "warp/warp_cell_cuda.h"

namespace warpkit::warping {

namespace {

// Cells of an image of a source: those whose corner (x + 1, y + 1) lies within one pixel of the frame.
__host__ __device__ inline int64_t cells_across(const Sizes& sizes) { return sizes.in_width + 1; }
__host__ __device__ inline int64_t cells_of_image(const Sizes& sizes) {
  return (sizes.in_height + 1) * cells_across(sizes);
}

// keys[pixel]: the number of the cell that it reads, over all images and sources; past the last one: none.
template <typename A, typename Key>
__global__ void __launch_bounds__(kThreads) number_cells(Extent sizes, FlowView flow, Key* keys) {
  const int64_t total = count_pixels(sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(sizes, index);
    const Cell<A> cell = find_cell<A>(sizes, flow, place);
    const int64_t image = place.image * sizes.sources + place.source;
    keys[index] = static_cast<Key>(cell.taps ? image * cells_of_image(sizes) +
                                                   int64_t(cell.y + 1) * cells_across(sizes) + (cell.x + 1)
                                             : sizes.batch * sizes.sources * cells_of_image(sizes));
  }
}

template <typename T>
struct GatherJob {
  Extent sizes;
  FlowView flow;
  Rows<T> rows;
  const int64_t *starts, *order;
  T* out;
  Strides out_strides;
};

// A pixel of the source, and the sorted pixels that read it: those of the cells whose second row it lies in
// (`above`), then those of the cells whose first row it lies in.
struct Readers {
  Place place;
  int64_t above_begin, above, below_begin, below;
};

template <typename T>
__device__ __forceinline__ Readers find_readers(const GatherJob<T>& job, int64_t index) {
  const Extent& sizes = job.sizes;
  const int64_t line = sizes.by_in_width.quotient(index), x = index - line * sizes.in_width;
  const int64_t image_source = sizes.by_in_height.quotient(line), y = line - image_source * sizes.in_height;
  const int64_t image = sizes.by_sources.quotient(image_source);
  const int64_t* above = job.starts + image_source * cells_of_image(sizes) + y * cells_across(sizes) + x;
  const int64_t* below = above + cells_across(sizes);
  return {{image, image_source - image * sizes.sources, y, x},
          above[0],
          above[2] - above[0],
          below[0],
          below[2] - below[0]};
}

// The row of the entry'th reader with the weight by which it read; false where that is zero.
template <typename T>
__device__ __forceinline__ bool find_reader(const GatherJob<T>& job, const Readers& readers, int64_t entry,
                                            RowPlace<Accumulator<T>>* row) {
  using A = Accumulator<T>;
  const bool above = entry < readers.above;
  const int64_t at = above ? readers.above_begin + entry : readers.below_begin + (entry - readers.above);
  const Place place = find_place(job.sizes, job.order[at]);
  const Cell<A> cell = find_cell<A>(job.sizes, job.flow, place);
  const A weight =
      tap_weight(cell.right, cell.down, (cell.x == readers.place.column ? 0 : 1) | (above ? 2 : 0));
  *row = find_row(job.rows, place);
  row->first_factor *= weight;
  row->second_factor *= weight;
  return weight != A(0);
}

template <typename T, int kVector>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) gather_channels_last(GatherJob<T> job, int lanes) {
  using A = Accumulator<T>;
  const Extent& sizes = job.sizes;
  const int channels = static_cast<int>(sizes.channels);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, within = lane % lanes, leader = lane - within;
  const unsigned group = (lanes == kWarp ? kAllLanes : (1u << lanes) - 1u) << leader;
  const int64_t total = sizes.batch * sizes.sources * sizes.in_height * sizes.in_width;
  const int64_t stride = int64_t(gridDim.x) * kThreads / lanes;
  const int64_t out_channel = kVector > 1 ? 1 : job.out_strides.channel;
  for (int64_t index = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / lanes; index < total;
       index += stride) {
    const Readers readers = find_readers(job, index);
    const int64_t count = readers.above + readers.below;
    T* out = job.out + offset_of(job.out_strides, readers.place);
    for (int first = 0; first < channels; first += lanes * kVector) {
      const int c = first + within * kVector;
      A sum[kVector] = {};
      for (int64_t from = 0; from < count; from += lanes) {
        RowPlace<A> mine = {0, 0, A(0), A(0)};
        const bool found = from + within < count && find_reader(job, readers, from + within, &mine);
        unsigned left = (__ballot_sync(group, found) & group) >> leader;
        for (; left != 0; left &= left - 1) {
          const RowPlace<A> row = take_row(job.rows, mine, leader + __ffs(static_cast<int>(left)) - 1, group);
          if (c >= channels) continue;
          A value[kVector];
          load_row(job.rows, row, c, value);
#pragma unroll
          for (int k = 0; k < kVector; ++k) sum[k] += value[k];
        }
      }
      if (c >= channels) continue;
      Pack<T, kVector> result;
#pragma unroll
      for (int k = 0; k < kVector; ++k) result.value[k] = narrow<T>(sum[k]);
      store_pack(out + c * out_channel, result);
    }
  }
}

constexpr int kPlanes = 8;  // channels that a thread sums at a time

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) gather_planar(GatherJob<T> job) {
  using A = Accumulator<T>;
  const Extent& sizes = job.sizes;
  const int64_t total = sizes.batch * sizes.sources * sizes.in_height * sizes.in_width;
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Readers readers = find_readers(job, index);
    const int64_t count = readers.above + readers.below;
    T* out = job.out + offset_of(job.out_strides, readers.place);
    for (int64_t c = int64_t(blockIdx.y) * kPlanes; c < sizes.channels; c += int64_t(gridDim.y) * kPlanes) {
      A sum[kPlanes] = {};
      for (int64_t entry = 0; entry < count; ++entry) {
        RowPlace<A> row;
        if (!find_reader(job, readers, entry, &row)) continue;
#pragma unroll
        for (int k = 0; k < kPlanes; ++k) {
          if (c + k >= sizes.channels) break;
          A value[1];
          load_row(job.rows, row, c + k, value);
          sum[k] += value[0];
        }
      }
#pragma unroll
      for (int k = 0; k < kPlanes; ++k) {
        if (c + k < sizes.channels) out[(c + k) * job.out_strides.channel] = narrow<T>(sum[k]);
      }
    }
  }
}

// Pixels sorted by cell.
template <typename A, typename Key>
Sorted sort_cells(const Sizes& sizes, const FlowView& flow, const Tensor& like, cudaStream_t stream) {
  constexpr ScalarType kKey = sizeof(Key) == 4 ? ScalarType::Int : ScalarType::Long;
  const int64_t total = count_pixels(sizes);
  Tensor keys = make_tensor(like, {total}, kKey);
  if (total > 0) {
    number_cells<A, Key><<<blocks_for(total, kThreads), kThreads, 0, stream>>>(
        sizes, flow, static_cast<Key*>(keys.mutable_data_ptr()));
    check_launch();
  }
  return sort_keys(keys, sizes.batch * sizes.sources * cells_of_image(sizes), stream);
}

template <typename T>
void gather_as(const std::vector<RowTerm>& terms, const Tensor& features, const Tensor& grid,
               const std::optional<Tensor>& visible, Tensor& out) {
  using A = Accumulator<T>;
  const Sizes sizes = find_sizes(features, grid);
  const cudaStream_t stream = current_stream(features);
  const FlowView flow = view_flow(grid, visible);
  const int64_t images = sizes.batch * sizes.sources, channels = sizes.channels;
  const int64_t pixels = images * sizes.in_height * sizes.in_width;
  if (pixels == 0 || channels == 0) return;
  const bool narrow_keys = images * cells_of_image(sizes) < (int64_t(1) << 31);
  const auto [order, starts] = narrow_keys ? sort_cells<A, int32_t>(sizes, flow, grid, stream)
                                           : sort_cells<A, int64_t>(sizes, flow, grid, stream);
  const GatherJob<T> job = {sizes,
                            flow,
                            view_rows<T>(terms),
                            static_cast<const int64_t*>(starts.const_data_ptr()),
                            static_cast<const int64_t*>(order.const_data_ptr()),
                            static_cast<T*>(out.mutable_data_ptr()),
                            image_strides(out)};
  constexpr int kVector = 16 / sizeof(T);
  if (!is_channels_last(out)) {
    const dim3 shape(blocks_for(pixels, kThreads), slices_for(channels, kPlanes));
    gather_planar<T><<<shape, kThreads, 0, stream>>>(job);
  } else if (takes_vectors(job.rows, channels) && takes_vectors(job.out, job.out_strides, channels)) {
    const int lanes = lanes_for(channels / kVector);
    gather_channels_last<T, kVector>
        <<<blocks_for(pixels * lanes, kThreads), kThreads, 0, stream>>>(job, lanes);
  } else {
    const int lanes = lanes_for(channels);
    gather_channels_last<T, 1><<<blocks_for(pixels * lanes, kThreads), kThreads, 0, stream>>>(job, lanes);
  }
  check_launch();
}

}  // namespace

void gather_rows(const std::vector<RowTerm>& terms, const Tensor& features, const Tensor& grid,
                 const std::optional<Tensor>& visible, Tensor& out) {
  with_type(features, [&](auto kind) { gather_as<decltype(kind)>(terms, features, grid, visible, out); });
}

}  // namespace warpkit::warping
