// How the GPU reduces over sources. Channels side by side: groups of lanes take a pixel each and sum its
// sources in registers, 16 bytes a lane, with reads that the warp's lanes found side by side (Share). Channel
// planes: a thread a pixel.
#include "warp/warp_reduce_cuda.h"

#include <torch/csrc/stable/library.h>

#include "warp/warp_cuda.h"

namespace warpkit::warping {

namespace {

template <typename T>
struct ReduceJob {
  using A = Accumulator<T>;
  Extent sizes;
  FlowView flow;
  const T* features;
  Strides in;
  const A* weights;  // null: ones
  Strides weight_strides;
  A factor;
  T* out;
  Strides out_strides;
};

template <typename T>
__device__ __forceinline__ Accumulator<T> weight_at(const ReduceJob<T>& job, const Place& place) {
  return job.weights == nullptr ? job.factor : job.factor * job.weights[offset_of(job.weight_strides, place)];
}

template <typename T, int kVector>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) reduce_channels_last(ReduceJob<T> job, Share share) {
  using A = Accumulator<T>;
  const Round round(share);
  const Extent& sizes = job.sizes;
  const int channels = static_cast<int>(sizes.channels), sources = static_cast<int>(sizes.sources);
  const int64_t total = count_targets(sizes), stride = round.stride();
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                out_channel = kVector > 1 ? 1 : job.out_strides.channel;
  for (int64_t begin = round.begin(); begin < total; begin += stride) {
    Read<A> mine = {0, A(0), A(0)};
    A mine_weight = A(0);
    for (int step = 0; step < round.steps; ++step) {
      for (int c = round.within * kVector, left = channels; left > 0;
           c += round.lanes * kVector, left -= round.lanes * kVector) {
        A sum[kVector] = {};
        for (int first = 0; first < sources; first += round.together) {
          if ((step == 0 && left == channels) || sources > round.together) {
            const int64_t found = begin + round.found();
            const int source = first + round.lane % round.together;
            mine = {0, A(0), A(0)};
            if (found < total && source < sources) {
              Place place = find_target(sizes, found);
              place.source = source;
              mine = find_read<A>(sizes, job.flow, job.in, place);
              if (mine.code & 1) mine_weight = weight_at(job, place);
            }
          }
          for (int k = 0; k < round.together && first + k < sources; ++k) {
            const int finder = round.finder(step, k);
            const Read<A> read = take_read(mine, finder);
            const A weight = __shfl_sync(kAllLanes, mine_weight, finder);
            if (!(read.code & 1) || c >= channels) continue;
            const Blend<A> blend = find_blend(read, job.in);
            A value[kVector];
            sample(job.features + blend.first + c * in_channel, blend, value);
#pragma unroll
            for (int n = 0; n < kVector; ++n) sum[n] = fma(weight, value[n], sum[n]);
          }
        }
        const int64_t pixel = begin + round.served(step);
        if (pixel >= total || c >= channels) continue;
        Pack<T, kVector> result;
#pragma unroll
        for (int n = 0; n < kVector; ++n) result.value[n] = narrow<T>(sum[n]);
        store_pack(job.out + offset_of(job.out_strides, find_target(sizes, pixel)) + c * out_channel, result);
      }
    }
  }
}

constexpr int kPlanes = 8;  // channels that a thread sums at a time

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) reduce_planar(ReduceJob<T> job) {
  using A = Accumulator<T>;
  const Extent& sizes = job.sizes;
  const int64_t total = count_targets(sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t pixel = int64_t(blockIdx.x) * kThreads + threadIdx.x; pixel < total; pixel += stride) {
    Place place = find_target(sizes, pixel);
    T* out = job.out + offset_of(job.out_strides, place);
    for (int64_t c = int64_t(blockIdx.y) * kPlanes; c < sizes.channels; c += int64_t(gridDim.y) * kPlanes) {
      A sum[kPlanes] = {};
      for (place.source = 0; place.source < sizes.sources; ++place.source) {
        const Read<A> read = find_read<A>(sizes, job.flow, job.in, place);
        if (!(read.code & 1)) continue;
        const Blend<A> blend = find_blend(read, job.in);
        const A weight = weight_at(job, place);
        const T* at = job.features + blend.first + c * job.in.channel;
#pragma unroll
        for (int k = 0; k < kPlanes; ++k) {
          if (c + k >= sizes.channels) break;
          A value[1];
          sample(at + k * job.in.channel, blend, value);
          sum[k] = fma(weight, value[0], sum[k]);
        }
      }
#pragma unroll
      for (int k = 0; k < kPlanes; ++k) {
        if (c + k < sizes.channels) out[(c + k) * job.out_strides.channel] = narrow<T>(sum[k]);
      }
    }
  }
}

template <typename T>
void reduce_as(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible,
               const std::optional<Tensor>& weights, double factor, Tensor& out) {
  using A = Accumulator<T>;
  const Sizes sizes = find_sizes(features, grid);
  const cudaStream_t stream = current_stream(features);
  const int64_t total = count_targets(sizes), channels = sizes.channels;
  if (total == 0 || channels == 0) return;
  const ReduceJob<T> job = {sizes,
                            view_flow(grid, visible),
                            static_cast<const T*>(features.const_data_ptr()),
                            image_strides(features),
                            weights ? static_cast<const A*>(weights->const_data_ptr()) : nullptr,
                            map_strides(weights),
                            static_cast<A>(factor),
                            static_cast<T*>(out.mutable_data_ptr()),
                            image_strides(out)};
  constexpr int kVector = 16 / sizeof(T);
  if (!is_channels_last(features)) {
    const dim3 shape(blocks_for(total, kThreads), slices_for(channels, kPlanes));
    reduce_planar<T><<<shape, kThreads, 0, stream>>>(job);
  } else if (takes_vectors(job.features, job.in, channels) &&
             takes_vectors(job.out, job.out_strides, channels)) {
    const Share share = share_sources(lanes_for(channels / kVector), sizes.sources, total);
    reduce_channels_last<T, kVector><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  } else {
    const Share share = share_sources(lanes_for(channels), sizes.sources, total);
    reduce_channels_last<T, 1><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  }
  check_launch();
}

}  // namespace

void reduce_sources(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible,
                    const std::optional<Tensor>& weights, double factor, Tensor& out) {
  with_type(features,
            [&](auto kind) { reduce_as<decltype(kind)>(features, grid, visible, weights, factor, out); });
}

Tensor for_walk(const Tensor& image, const Tensor& features) {
  return with_type(features, [&](auto kind) {
    using T = decltype(kind);
    const auto fits = [](const Tensor& tensor) {
      return takes_vectors(static_cast<const T*>(tensor.const_data_ptr()), image_strides(tensor),
                           tensor.size(tensor.dim() - 3));
    };
    if (!is_channels_last(features) || !fits(features) || fits(image)) return image;
    const Tensor rows = make_tensor(image, {image.size(0), image.size(2), image.size(3), image.size(1)});
    Tensor copy = torch::stable::transpose(torch::stable::transpose(rows, 2, 3), 1, 2);
    torch::stable::copy_(copy, image);
    return copy;
  });
}

namespace {

Tensor warp_reduce(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible,
                   const std::optional<Tensor>& weights, bool mean) {
  check_grid(grid);
  check_visible(visible, grid);
  check_all_sources(features, grid);
  check_weights(weights, features, grid);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_reduced(features, sizes);
  reduce_sources(features, grid, visible, weights, reduce_factor(sizes, mean), out);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp_reduce", TORCH_BOX(&warp_reduce)); }

}  // namespace warpkit::warping
