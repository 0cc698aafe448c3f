// How the GPU warps backward. The grid's gradient has one writer a pixel. The features' gradient is a scatter
// with vector reductions into float32, or, where it must be repeatable, a gather (warp_gather_cuda.cu).
#include <torch/csrc/stable/library.h>

#include "warp/warp_cell_cuda.h"

namespace warpkit::warping {

namespace {

template <typename T>
struct BackwardJob {
  Extent sizes;
  FlowView flow;
  const T* features;
  Strides in;
  Rows<T> rows;
  Accumulator<T>* sums;  // the features' gradient; null: not wanted
  Strides sums_strides;
  void* grid_gradient;  // [B,S,H,W,2], contiguous; null: not wanted
  bool add_to_grid;     // rather than overwrite it
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

template <typename T>
__device__ __forceinline__ void store_grid_gradient(const BackwardJob<T>& job, int64_t index,
                                                    Accumulator<T> by_column, Accumulator<T> by_row) {
  using A = Accumulator<T>;
  by_column *= pixels_per_ndc(static_cast<A>(job.sizes.in_width));
  by_row *= pixels_per_ndc(static_cast<A>(job.sizes.in_height));
  const auto store = [&](auto* out) {
    out += 2 * index;
    out[0] = (job.add_to_grid ? out[0] : 0) + by_column;
    out[1] = (job.add_to_grid ? out[1] : 0) + by_row;
  };
  job.flow.wide ? store(static_cast<double*>(job.grid_gradient))
                : store(static_cast<float*>(job.grid_gradient));
}

// Where a cell's first tap lies.
template <typename A>
__device__ __forceinline__ int64_t tap_offset(const Strides& strides, const Place& place,
                                              const Cell<A>& cell) {
  return place.image * strides.image + place.source * strides.source + cell.y * strides.row +
         cell.x * strides.column;
}

__device__ __forceinline__ int64_t tap_step(const Strides& strides, int tap) {
  return (tap & 1 ? strides.column : 0) + (tap & 2 ? strides.row : 0);
}

// kSlopes: the grid's gradient is wanted.
template <typename T, int kVector, bool kSlopes>
__global__ void __launch_bounds__(kThreads, kSlopes ? 2 : kBlocks<T>)
    backward_channels_last(BackwardJob<T> job, Share share) {
  using A = Accumulator<T>;
  const Round round(share);
  const Extent& sizes = job.sizes;
  const int channels = static_cast<int>(sizes.channels), sources = static_cast<int>(sizes.sources);
  const int64_t total = count_targets(sizes), stride = round.stride();
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                sums_channel = kVector > 1 ? 1 : job.sums_strides.channel;
  const bool scatters = kSlopes ? job.sums != nullptr : true;  // nothing else to do then
  for (int64_t begin = round.begin(); begin < total; begin += stride) {
    Cell<A> mine = {-1, -1, 0, A(0), A(0)};
    RowPlace<A> mine_row = {0, 0, A(0), A(0)};
    int64_t mine_in = 0, mine_sums = 0, mine_index = 0;
    for (int step = 0; step < round.steps; ++step) {
      for (int first = 0; first < sources; first += round.together) {
        if (step == 0) {
          const int64_t found = begin + round.found();
          const int source = first + round.lane % round.together;
          mine = {-1, -1, 0, A(0), A(0)};
          if (found < total && source < sources) {
            Place place = find_target(sizes, found);
            place.source = source;
            mine = find_cell<A>(sizes, job.flow, place);
            mine_row = find_row(job.rows, place);
            mine_in = tap_offset(job.in, place, mine);
            mine_sums = tap_offset(job.sums_strides, place, mine);
            mine_index = map_index(sizes, place);
          }
        }
        for (int k = 0; k < round.together && first + k < sources; ++k) {
          const int finder = round.finder(step, k);
          const int taps = __shfl_sync(kAllLanes, mine.taps, finder);
          const A right = __shfl_sync(kAllLanes, mine.right, finder),
                  down = __shfl_sync(kAllLanes, mine.down, finder);
          const RowPlace<A> row = take_row(job.rows, mine_row, finder);
          const int64_t sums_at = scatters ? __shfl_sync(kAllLanes, mine_sums, finder) : 0;
          const int64_t in_at = kSlopes ? __shfl_sync(kAllLanes, mine_in, finder) : 0;
          const int64_t index = kSlopes ? __shfl_sync(kAllLanes, mine_index, finder) : 0;
          A by_column = A(0), by_row = A(0);
          for (int c = round.within * kVector; taps != 0 && c < channels; c += round.lanes * kVector) {
            A gradient[kVector];
            load_row(job.rows, row, c, gradient);
            if (scatters) {
#pragma unroll
              for (int tap = 0; tap < 4; ++tap) {
                const A weight = tap_weight(right, down, tap);
                if (!(taps >> tap & 1) || weight == A(0)) continue;
                add_pack<A, kVector>(job.sums + sums_at + tap_step(job.sums_strides, tap) + c * sums_channel,
                                     weight, gradient);
              }
            }
            if constexpr (kSlopes) {
              Pack<T, kVector> value[4];
#pragma unroll
              for (int tap = 0; tap < 4; ++tap) {
                if (taps >> tap & 1) {
                  value[tap] =
                      load_pack<kVector>(job.features + in_at + tap_step(job.in, tap) + c * in_channel);
                } else {
#pragma unroll
                  for (int n = 0; n < kVector; ++n) value[tap].value[n] = narrow<T>(A(0));
                }
              }
#pragma unroll
              for (int n = 0; n < kVector; ++n) {
                add_slopes(right, down, gradient[n], widen(value[0].value[n]), widen(value[1].value[n]),
                           widen(value[2].value[n]), widen(value[3].value[n]), &by_column, &by_row);
              }
            }
          }
          if constexpr (!kSlopes) continue;
          by_column = sum_group(by_column, round.lanes);
          by_row = sum_group(by_row, round.lanes);
          if (round.within == 0 && begin + round.served(step) < total) {
            store_grid_gradient(job, index, by_column, by_row);
          }
        }
      }
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) backward_planar(BackwardJob<T> job) {
  using A = Accumulator<T>;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(job.sizes, index);
    const Cell<A> cell = find_cell<A>(job.sizes, job.flow, place);
    A by_column = A(0), by_row = A(0);
    if (cell.taps) {
      const RowPlace<A> row = find_row(job.rows, place);
      const T* features = job.features + tap_offset(job.in, place, cell);
      A* sums = job.sums + tap_offset(job.sums_strides, place, cell);
      for (int64_t c = blockIdx.y; c < job.sizes.channels; c += gridDim.y) {
        A gradient[1], value[4];
        load_row(job.rows, row, c, gradient);
#pragma unroll
        for (int tap = 0; tap < 4; ++tap) {
          const bool inside = cell.taps >> tap & 1;
          const A weight = tap_weight(cell.right, cell.down, tap);
          if (job.sums != nullptr && inside && weight != A(0)) {
            atomicAdd(sums + tap_step(job.sums_strides, tap) + c * job.sums_strides.channel,
                      weight * gradient[0]);
          }
          value[tap] = job.grid_gradient != nullptr && inside
                           ? A(widen(features[tap_step(job.in, tap) + c * job.in.channel]))
                           : A(0);
        }
        add_slopes(cell.right, cell.down, gradient[0], value[0], value[1], value[2], value[3], &by_column,
                   &by_row);
      }
    }
    if (job.grid_gradient != nullptr) store_grid_gradient(job, index, by_column, by_row);
  }
}

template <typename T, int kVector>
void launch_channels_last(const BackwardJob<T>& job, cudaStream_t stream) {
  const int64_t total = count_targets(job.sizes);
  const Share share = share_sources(lanes_for(job.sizes.channels / kVector), job.sizes.sources, total);
  const unsigned blocks = blocks_for(share, total);
  if (job.grid_gradient != nullptr) {
    backward_channels_last<T, kVector, true><<<blocks, kThreads, 0, stream>>>(job, share);
  } else {
    backward_channels_last<T, kVector, false><<<blocks, kThreads, 0, stream>>>(job, share);
  }
}

template <typename T>
void launch_backward(const BackwardJob<T>& job, bool channels_last, cudaStream_t stream) {
  const int64_t total = count_targets(job.sizes), channels = job.sizes.channels;
  if (total == 0 || job.sizes.sources == 0 || (job.sums == nullptr && job.grid_gradient == nullptr)) return;
  constexpr int kVector = 16 / sizeof(T);
  if (!channels_last) {
    // The grid's gradient is a sum over all channels: one thread's.
    const dim3 shape(blocks_for(count_pixels(job.sizes), kThreads),
                     job.grid_gradient != nullptr ? 1 : slices_for(channels, 16));
    backward_planar<T><<<shape, kThreads, 0, stream>>>(job);
  } else if (takes_vectors(job.features, job.in, channels) && takes_vectors(job.rows, channels)) {
    launch_channels_last<T, kVector>(job, stream);
  } else {
    launch_channels_last<T, 1>(job, stream);
  }
  check_launch();
}

template <typename T>
std::tuple<Tensor, Tensor> backward_as(const std::vector<RowTerm>& terms, const Tensor& features,
                                       const Tensor& grid, const std::optional<Tensor>& visible,
                                       bool features_wanted, bool grid_wanted, bool deterministic,
                                       const std::optional<Tensor>& add_to) {
  const Sizes sizes = find_sizes(features, grid);
  const cudaStream_t stream = current_stream(features);
  Tensor features_gradient = make_tensor(features, {0}), sums = features_gradient;
  Tensor grid_gradient = make_tensor(grid, {0});
  BackwardJob<T> job = {sizes,
                        view_flow(grid, visible),
                        static_cast<const T*>(features.const_data_ptr()),
                        image_strides(features),
                        view_rows<T>(terms),
                        nullptr,
                        {},
                        nullptr,
                        add_to.has_value()};
  const bool scatter = features_wanted && !deterministic, half = sum_type(features) != features.scalar_type();
  if (features_wanted) features_gradient = make_image(features, sizes.in_height, sizes.in_width);
  if (scatter) {
    sums =
        half ? make_image(features, sizes.in_height, sizes.in_width, sum_type(features)) : features_gradient;
    torch::stable::zero_(sums);
    job.sums = static_cast<Accumulator<T>*>(sums.mutable_data_ptr());
    job.sums_strides = image_strides(sums);
  }
  if (grid_wanted) {
    grid_gradient =
        add_to ? *add_to : make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width, 2});
    job.grid_gradient = grid_gradient.mutable_data_ptr();
  }
  launch_backward(job, is_channels_last(features), stream);
  if (features_wanted && deterministic) gather_rows(terms, features, grid, visible, features_gradient);
  if (scatter && half) torch::stable::copy_(features_gradient, sums);
  return {features_gradient, grid_gradient};
}

}  // namespace

std::tuple<Tensor, Tensor> rows_backward(const std::vector<RowTerm>& terms, const Tensor& features,
                                         const Tensor& grid, const std::optional<Tensor>& visible,
                                         bool features_wanted, bool grid_wanted, bool deterministic,
                                         const std::optional<Tensor>& add_to) {
  return with_type(features, [&](auto kind) {
    return backward_as<decltype(kind)>(terms, features, grid, visible, features_wanted, grid_wanted,
                                       deterministic, add_to);
  });
}

namespace {

std::tuple<Tensor, Tensor> warp_backward(const Tensor& gradient, const Tensor& features, const Tensor& grid,
                                         const std::optional<Tensor>& visible, bool features_wanted,
                                         bool grid_wanted, bool deterministic) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  check_gradient(gradient, features, grid);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  return rows_backward({{gradient}}, features, grid, visible, features_wanted, grid_wanted, deterministic);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp_backward", TORCH_BOX(&warp_backward)); }

}  // namespace warpkit::warping
