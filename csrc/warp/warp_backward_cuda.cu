// How the GPU warps backward. The grid's gradient has one writer a pixel. The features' gradient is a scatter
// with vector reductions into float32, or, where it must be repeatable, a gather: pixels are sorted by the
// cell of the source that they read (a stable sort), and each pixel of the source sums the four cells round
// it in that order.
#include <torch/csrc/stable/library.h>

#include <array>
#include <tuple>

#include "warp/warp_cuda.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

namespace {

// The cell of the source that a pixel reads: columns x, x + 1 and rows y, y + 1, some of which may lie
// outside the frame; right and down are the weights of the second ones. Unlike in forward, taps of weight
// zero belong to it: the gradient of the grid needs them.
template <typename A>
struct Cell {
  int32_t x, y;
  int taps;  // bits of the taps in the frame: (y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1); 0: reads
             // nothing
  A right, down;
};

template <typename A, typename G>
__device__ __forceinline__ Cell<A> find_cell(const Sizes& sizes, const FlowView& flow, const Place& place) {
  using C = Wider<A, G>;
  Cell<A> cell = {-1, -1, 0, A(0), A(0)};
  C x, y;
  if (!load_point<C, G>(flow, place, &x, &y)) return cell;
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  const C column = to_pixel(x, static_cast<C>(width)), row = to_pixel(y, static_cast<C>(height));
  if (!inside_frame(column, width) || !inside_frame(row, height)) return cell;
  const C left = floor(column), top = floor(row);
  cell.x = static_cast<int32_t>(left);
  cell.y = static_cast<int32_t>(top);
  cell.right = static_cast<A>(column - left);
  cell.down = static_cast<A>(row - top);
  const int columns = (cell.x >= 0 ? 1 : 0) | (cell.x + 1 < width ? 2 : 0);
  cell.taps = (cell.y >= 0 ? columns : 0) | (cell.y + 1 < height ? columns << 2 : 0);
  return cell;
}

template <typename A>
__device__ __forceinline__ A tap_weight(A right, A down, int tap) {
  return (tap & 2 ? down : A(1) - down) * (tap & 1 ? right : A(1) - right);
}

template <typename T>
struct BackwardJob {
  Sizes sizes;
  FlowView flow;
  const T* features;
  Strides in;
  const T* gradient;
  Strides gradient_strides;
  Accumulator<T>* sums;  // the features' gradient; null: not wanted
  Strides sums_strides;
  void* grid_gradient;  // [B,S,H,W,2], contiguous; null: not wanted
};

__device__ __forceinline__ void add_four(float* at, float a, float b, float c, float d) {
#if __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(at)), "f"(a),
               "f"(b), "f"(c), "f"(d)
               : "memory");
#else
  atomicAdd(at, a);
  atomicAdd(at + 1, b);
  atomicAdd(at + 2, c);
  atomicAdd(at + 3, d);
#endif
}

// Adds weight * value to the sums at `at`, which are side by side.
template <typename A, int kVector>
__device__ __forceinline__ void add_pack(A* at, A weight, const A (&value)[kVector]) {
  if constexpr (std::is_same_v<A, float> && kVector % 4 == 0) {
#pragma unroll
    for (int k = 0; k < kVector; k += 4) {
      add_four(at + k, weight * value[k], weight * value[k + 1], weight * value[k + 2],
               weight * value[k + 3]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < kVector; ++k) atomicAdd(at + k, weight * value[k]);
  }
}

// How one channel's sum changes with the column and the row of the point. A row or column of weight zero
// stays out of the slope across it, so that its NaN does not enter.
template <typename A>
__device__ __forceinline__ void add_slopes(A right, A down, A gradient, A a, A b, A c, A d, A* by_column,
                                           A* by_row) {
  const A above = (A(1) - down) * (b - a), below = down > A(0) ? down * (d - c) : A(0);
  const A before = (A(1) - right) * (c - a), after = right > A(0) ? right * (d - b) : A(0);
  *by_column = fma(gradient, above + below, *by_column);
  *by_row = fma(gradient, before + after, *by_row);
}

template <typename G, typename A>
__device__ __forceinline__ void store_grid_gradient(void* grid_gradient, const Sizes& sizes, int64_t index,
                                                    A by_column, A by_row) {
  G* out = static_cast<G*>(grid_gradient) + 2 * index;
  out[0] = static_cast<G>(by_column * pixels_per_ndc(static_cast<A>(sizes.in_width)));
  out[1] = static_cast<G>(by_row * pixels_per_ndc(static_cast<A>(sizes.in_height)));
}

// As warp_channels_last walks.
template <typename T, typename G, int kVector>
__global__ void __launch_bounds__(kThreads) backward_channels_last(BackwardJob<T> job, int lanes) {
  using A = Accumulator<T>;
  const int lane = threadIdx.x % kWarp, groups = kWarp / lanes, group = lane / lanes, within = lane % lanes;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                sums_channel = kVector > 1 ? 1 : job.sums_strides.channel,
                gradient_channel = kVector > 1 ? 1 : job.gradient_strides.channel;
  for (int64_t begin = int64_t(blockIdx.x) * kThreads + threadIdx.x - lane; begin < total; begin += stride) {
    Cell<A> mine = {-1, -1, 0, A(0), A(0)};
    int64_t mine_in = 0, mine_sums = 0, mine_gradient = 0;
    if (begin + lane < total) {
      const Place place = find_place(job.sizes, begin + lane);
      mine = find_cell<A, G>(job.sizes, job.flow, place);
      mine_in = place.image * job.in.image + place.source * job.in.source + mine.y * job.in.row +
                mine.x * job.in.column;
      mine_sums = place.image * job.sums_strides.image + place.source * job.sums_strides.source +
                  mine.y * job.sums_strides.row + mine.x * job.sums_strides.column;
      mine_gradient = offset_of(job.gradient_strides, place);
    }
    for (int step = 0; step < kWarp; step += groups) {
      const int from = step + group;
      const int taps = __shfl_sync(kAllLanes, mine.taps, from);
      const A right = __shfl_sync(kAllLanes, mine.right, from),
              down = __shfl_sync(kAllLanes, mine.down, from);
      const int64_t in_at = __shfl_sync(kAllLanes, mine_in, from),
                    sums_at = __shfl_sync(kAllLanes, mine_sums, from),
                    gradient_at = __shfl_sync(kAllLanes, mine_gradient, from);
      A by_column = A(0), by_row = A(0);
      if (taps) {
        for (int64_t c = int64_t(within) * kVector; c < job.sizes.channels; c += int64_t(lanes) * kVector) {
          const Pack<T, kVector> packed =
              load_pack<kVector>(job.gradient + gradient_at + c * gradient_channel);
          A gradient[kVector];
#pragma unroll
          for (int k = 0; k < kVector; ++k) gradient[k] = widen(packed.value[k]);
          if (job.sums != nullptr) {
#pragma unroll
            for (int tap = 0; tap < 4; ++tap) {
              const A weight = tap_weight(right, down, tap);
              if (!(taps >> tap & 1) || weight == A(0)) continue;
              const int64_t at =
                  sums_at + (tap & 1 ? job.sums_strides.column : 0) + (tap & 2 ? job.sums_strides.row : 0);
              add_pack<A, kVector>(job.sums + at + c * sums_channel, weight, gradient);
            }
          }
          if (job.grid_gradient != nullptr) {
            Pack<T, kVector> value[4];
#pragma unroll
            for (int tap = 0; tap < 4; ++tap) {
              const int64_t at = in_at + (tap & 1 ? job.in.column : 0) + (tap & 2 ? job.in.row : 0);
              if (taps >> tap & 1) {
                value[tap] = load_pack<kVector>(job.features + at + c * in_channel);
              } else {
#pragma unroll
                for (int k = 0; k < kVector; ++k) value[tap].value[k] = narrow<T>(A(0));
              }
            }
#pragma unroll
            for (int k = 0; k < kVector; ++k) {
              add_slopes(right, down, gradient[k], widen(value[0].value[k]), widen(value[1].value[k]),
                         widen(value[2].value[k]), widen(value[3].value[k]), &by_column, &by_row);
            }
          }
        }
      }
      if (job.grid_gradient == nullptr) continue;
      for (int distance = lanes / 2; distance > 0; distance /= 2) {
        by_column += __shfl_xor_sync(kAllLanes, by_column, distance);
        by_row += __shfl_xor_sync(kAllLanes, by_row, distance);
      }
      if (within == 0 && begin + from < total) {
        store_grid_gradient<G>(job.grid_gradient, job.sizes, begin + from, by_column, by_row);
      }
    }
  }
}

template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) backward_planar(BackwardJob<T> job) {
  using A = Accumulator<T>;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(job.sizes, index);
    const Cell<A> cell = find_cell<A, G>(job.sizes, job.flow, place);
    A by_column = A(0), by_row = A(0);
    if (cell.taps) {
      const T* features = job.features + place.image * job.in.image + place.source * job.in.source +
                          cell.y * job.in.row + cell.x * job.in.column;
      const T* from = job.gradient + offset_of(job.gradient_strides, place);
      const int64_t sums_at = place.image * job.sums_strides.image + place.source * job.sums_strides.source +
                              cell.y * job.sums_strides.row + cell.x * job.sums_strides.column;
      for (int64_t c = 0; c < job.sizes.channels; ++c) {
        const A gradient = widen(from[c * job.gradient_strides.channel]);
        A value[4];
#pragma unroll
        for (int tap = 0; tap < 4; ++tap) {
          const bool inside = cell.taps >> tap & 1;
          const A weight = tap_weight(cell.right, cell.down, tap);
          if (job.sums != nullptr && inside && weight != A(0)) {
            const int64_t at =
                sums_at + (tap & 1 ? job.sums_strides.column : 0) + (tap & 2 ? job.sums_strides.row : 0);
            atomicAdd(job.sums + at + c * job.sums_strides.channel, weight * gradient);
          }
          const int64_t at = (tap & 1 ? job.in.column : 0) + (tap & 2 ? job.in.row : 0);
          value[tap] =
              job.grid_gradient != nullptr && inside ? A(widen(features[at + c * job.in.channel])) : A(0);
        }
        add_slopes(cell.right, cell.down, gradient, value[0], value[1], value[2], value[3], &by_column,
                   &by_row);
      }
    }
    if (job.grid_gradient != nullptr)
      store_grid_gradient<G>(job.grid_gradient, job.sizes, index, by_column, by_row);
  }
}

// ---- the repeatable gradient of features
// ------------------------------------------------------------------------

// Cells of an image of a source: those whose corner (x + 1, y + 1) lies within one pixel of the frame.
__host__ __device__ inline int64_t cells_across(const Sizes& sizes) { return sizes.in_width + 1; }
__host__ __device__ inline int64_t cells_of_image(const Sizes& sizes) {
  return (sizes.in_height + 1) * cells_across(sizes);
}

// keys[pixel]: the number of the cell that it reads, over all images and sources; past the last one: none.
template <typename A, typename G>
__global__ void __launch_bounds__(kThreads) number_cells(Sizes sizes, FlowView flow, int64_t* keys) {
  const int64_t total = count_pixels(sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(sizes, index);
    const Cell<A> cell = find_cell<A, G>(sizes, flow, place);
    const int64_t image = place.image * sizes.sources + place.source;
    keys[index] =
        cell.taps ? image * cells_of_image(sizes) + int64_t(cell.y + 1) * cells_across(sizes) + (cell.x + 1)
                  : sizes.batch * sizes.sources * cells_of_image(sizes);
  }
}

// starts[cell]: how many of the sorted keys are smaller.
__global__ void __launch_bounds__(kThreads)
    find_starts(const int64_t* keys, int64_t total, int64_t cells, int64_t* starts) {
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t cell = int64_t(blockIdx.x) * kThreads + threadIdx.x; cell <= cells; cell += stride) {
    int64_t low = 0, high = total;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (keys[middle] < cell) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    starts[cell] = low;
  }
}

template <typename T>
struct GatherJob {
  Sizes sizes;
  FlowView flow;
  const T* gradient;
  Strides gradient_strides;
  const int64_t *starts, *order;
  T* out;
  Strides out_strides;
};

// `lanes` share a pixel of the source, a channel each at a time.
template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) gather_gradient(GatherJob<T> job, int lanes) {
  using A = Accumulator<T>;
  const Sizes& sizes = job.sizes;
  const int within = threadIdx.x % lanes;
  const int64_t total = sizes.batch * sizes.sources * sizes.in_height * sizes.in_width;
  const int64_t stride = int64_t(gridDim.x) * kThreads / lanes;
  for (int64_t index = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / lanes; index < total;
       index += stride) {
    const int64_t line = index / sizes.in_width, x = index - line * sizes.in_width;
    const int64_t image_source = line / sizes.in_height, y = line - image_source * sizes.in_height;
    const int64_t image = image_source / sizes.sources, source = image_source - image * sizes.sources;
    T* out = job.out + offset_of(job.out_strides, Place{image, source, y, x});
    for (int64_t c = within; c < sizes.channels; c += lanes) {
      A sum = A(0);
      for (int above = 1; above >= 0;
           --above) {  // the cells whose second row, then whose first row, is this pixel's
        const int64_t first =
            image_source * cells_of_image(sizes) + (y + 1 - above) * cells_across(sizes) + x;
        const int64_t end = job.starts[first + 2];
        for (int64_t at = job.starts[first]; at < end; ++at) {
          const Place place = find_place(sizes, job.order[at]);
          const Cell<A> cell = find_cell<A, G>(sizes, job.flow, place);
          const A weight = tap_weight(cell.right, cell.down, (cell.x == x ? 0 : 1) | (above ? 2 : 0));
          if (weight == A(0)) continue;
          const A gradient =
              widen(job.gradient[offset_of(job.gradient_strides, place) + c * job.gradient_strides.channel]);
          sum += weight * gradient;
        }
      }
      out[c * job.out_strides.channel] = narrow<T>(sum);
    }
  }
}

// (values, indices) of a stable sort of [N] int64, ascending.
std::tuple<Tensor, Tensor> sort_stably(const Tensor& keys) {
  using torch::stable::detail::from;
  std::array<StableIValue, 4> stack{from(keys), from(std::optional<bool>(true)), from(int64_t(-1)),
                                    from(false)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  return {torch::stable::detail::to<Tensor>(stack[0]), torch::stable::detail::to<Tensor>(stack[1])};
}

template <typename T, typename G>
void gather(const BackwardJob<T>& job, const Tensor& like, T* out, const Strides& out_strides,
            cudaStream_t stream) {
  const Sizes& sizes = job.sizes;
  const int64_t total = count_pixels(sizes), cells = sizes.batch * sizes.sources * cells_of_image(sizes);
  Tensor keys = make_tensor(like, {total}, ScalarType::Long);
  Tensor starts = make_tensor(like, {cells + 1}, ScalarType::Long);
  if (total > 0) {
    number_cells<Accumulator<T>, G><<<blocks_for(total), kThreads, 0, stream>>>(
        sizes, job.flow, static_cast<int64_t*>(keys.mutable_data_ptr()));
    check_launch();
  }
  const auto [sorted, order] = sort_stably(keys);
  find_starts<<<blocks_for(cells + 1), kThreads, 0, stream>>>(
      static_cast<const int64_t*>(sorted.const_data_ptr()), total, cells,
      static_cast<int64_t*>(starts.mutable_data_ptr()));
  check_launch();
  const int64_t pixels = sizes.batch * sizes.sources * sizes.in_height * sizes.in_width;
  if (pixels == 0 || sizes.channels == 0) return;
  const int lanes = lanes_for(sizes.channels);
  const GatherJob<T> gather_job = {sizes,
                                   job.flow,
                                   job.gradient,
                                   job.gradient_strides,
                                   static_cast<const int64_t*>(starts.const_data_ptr()),
                                   static_cast<const int64_t*>(order.const_data_ptr()),
                                   out,
                                   out_strides};
  gather_gradient<T, G><<<blocks_for(pixels * lanes), kThreads, 0, stream>>>(gather_job, lanes);
  check_launch();
}

// ---- both
// -------------------------------------------------------------------------------------------------------

template <typename T, typename G>
void launch_backward(const BackwardJob<T>& job, bool channels_last, bool vectors, cudaStream_t stream) {
  const int64_t total = count_pixels(job.sizes), channels = job.sizes.channels;
  if (total == 0 || (job.sums == nullptr && job.grid_gradient == nullptr)) return;
  constexpr int kVector = 16 / sizeof(T);
  if (channels_last && vectors) {
    backward_channels_last<T, G, kVector>
        <<<blocks_for(total), kThreads, 0, stream>>>(job, lanes_for(channels / kVector));
  } else if (channels_last) {
    backward_channels_last<T, G, 1><<<blocks_for(total), kThreads, 0, stream>>>(job, lanes_for(channels));
  } else {
    backward_planar<T, G><<<blocks_for(total), kThreads, 0, stream>>>(job);
  }
  check_launch();
}

template <typename T>
std::tuple<Tensor, Tensor> backward_as(const Tensor& gradient, const Tensor& features, const Tensor& grid,
                                       const std::optional<Tensor>& visible, bool features_wanted,
                                       bool grid_wanted, bool deterministic) {
  using A = Accumulator<T>;
  constexpr ScalarType kSums = std::is_same_v<A, double> ? ScalarType::Double : ScalarType::Float;
  const Sizes sizes = find_sizes(features, grid);
  const cudaStream_t stream = current_stream(features);
  Tensor features_gradient = make_tensor(features, {0}), sums = features_gradient;
  Tensor grid_gradient = make_tensor(grid, {0});
  BackwardJob<T> job = {sizes,
                        view_flow(grid, visible),
                        static_cast<const T*>(features.const_data_ptr()),
                        image_strides(features),
                        static_cast<const T*>(gradient.const_data_ptr()),
                        image_strides(gradient),
                        nullptr,
                        {},
                        nullptr};
  const bool scatter = features_wanted && !deterministic;
  if (features_wanted) features_gradient = make_image(features, sizes.in_height, sizes.in_width);
  if (scatter) {
    sums = features_gradient;
    if constexpr (!std::is_same_v<A, T>) sums = make_image(features, sizes.in_height, sizes.in_width, kSums);
    torch::stable::zero_(sums);
    job.sums = static_cast<A*>(sums.mutable_data_ptr());
    job.sums_strides = image_strides(sums);
  }
  if (grid_wanted) {
    grid_gradient = make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width, int64_t(2)});
    job.grid_gradient = grid_gradient.mutable_data_ptr();
  }
  const bool last = is_channels_last(features);
  const bool vectors = last && takes_vectors(job.features, job.in, sizes.channels) &&
                       takes_vectors(job.gradient, job.gradient_strides, sizes.channels);
  job.flow.wide ? launch_backward<T, double>(job, last, vectors, stream)
                : launch_backward<T, float>(job, last, vectors, stream);
  if (features_wanted && deterministic) {
    T* out = static_cast<T*>(features_gradient.mutable_data_ptr());
    const Strides strides = image_strides(features_gradient);
    job.flow.wide ? gather<T, double>(job, grid, out, strides, stream)
                  : gather<T, float>(job, grid, out, strides, stream);
  }
  if constexpr (!std::is_same_v<A, T>) {
    if (scatter) torch::stable::copy_(features_gradient, sums);
  }
  return {features_gradient, grid_gradient};
}

std::tuple<Tensor, Tensor> warp_backward(const Tensor& gradient, const Tensor& features, const Tensor& grid,
                                         const std::optional<Tensor>& visible, bool features_wanted,
                                         bool grid_wanted, bool deterministic) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  STD_TORCH_CHECK(gradient.device() == features.device() && gradient.dim() == features.dim() &&
                      gradient.scalar_type() == features.scalar_type(),
                  "gradient: expected the device, dimensions and dtype of features");
  for (int64_t k = 0; k < features.dim(); ++k) {
    const int64_t from_end = features.dim() - k;
    STD_TORCH_CHECK(gradient.size(k) == (from_end <= 2 ? grid.size(4 - from_end) : features.size(k)),
                    "gradient: expected the shape of warp's output");
  }
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  const auto run = [&](auto kind) {
    return backward_as<decltype(kind)>(gradient, features, grid, visible, features_wanted, grid_wanted,
                                       deterministic);
  };
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return run(float());
    case ScalarType::Double:
      return run(double());
    case ScalarType::Half:
      return run(__half());
    case ScalarType::BFloat16:
      return run(__nv_bfloat16());
    default:
      STD_TORCH_CHECK(false, "features: expected float32, float64, bfloat16 or float16");
  }
  return {features, grid};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp_backward", TORCH_BOX(&warp_backward)); }

}  // namespace warpkit::warping
