// How the GPU warps. Channels side by side: a warp finds the taps of 32 neighbouring pixels, one a lane, then
// groups of lanes take a pixel each and move 16 bytes a lane. Channel planes: a thread a pixel.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "warp/warp_cuda.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

namespace {

template <typename T>
struct ForwardJob {
  Extent sizes;
  FlowView flow;
  const T* features;
  Strides in;
  T* out;
  Strides out_strides;
};

template <typename T, typename G, int kVector>
__global__ void __launch_bounds__(kThreads, kBlocks<T> + 1)
    warp_channels_last(ForwardJob<T> job, Share share) {
  using A = Accumulator<T>;
  const Round round(share);
  const int channels = static_cast<int>(job.sizes.channels);
  const int64_t total = count_pixels(job.sizes), stride = round.stride();
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                out_channel = kVector > 1 ? 1 : job.out_strides.channel;
  for (int64_t begin = round.begin(); begin < total; begin += stride) {
    Read<A> mine = {0, A(0), A(0)};
    int64_t mine_out = 0;
    if (begin + round.found() < total) {
      const Place place = find_place(job.sizes, begin + round.found());
      mine = find_read<A, G>(job.sizes, job.flow, job.in, place);
      mine_out = offset_of(job.out_strides, place);
    }
    for (int step = 0; step < round.steps; ++step) {
      const int finder = round.finder(step, 0);
      const Read<A> read = take_read(mine, finder);
      T* out = job.out + __shfl_sync(kAllLanes, mine_out, finder);
      if (begin + round.served(step) >= total) continue;
      const Blend<A> blend = find_blend(read, job.in);
      const T* tap = job.features + blend.first;
      for (int c = round.within * kVector; c < channels; c += round.lanes * kVector) {
        A value[kVector] = {};
        if (read.code & 1) sample(tap + c * in_channel, blend, value);
        Pack<T, kVector> result;
#pragma unroll
        for (int k = 0; k < kVector; ++k) result.value[k] = narrow<T>(value[k]);
        store_pack(out + c * out_channel, result);
      }
    }
  }
}

template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) warp_planar(ForwardJob<T> job) {
  using A = Accumulator<T>;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(job.sizes, index);
    const Read<A> read = find_read<A, G>(job.sizes, job.flow, job.in, place);
    const Blend<A> blend = find_blend(read, job.in);
    const T* tap = job.features + blend.first;
    T* out = job.out + offset_of(job.out_strides, place);
    for (int64_t c = blockIdx.y; c < job.sizes.channels; c += gridDim.y) {
      A value[1] = {A(0)};
      if (read.code & 1) sample(tap + c * job.in.channel, blend, value);
      out[c * job.out_strides.channel] = narrow<T>(value[0]);
    }
  }
}

template <typename T, typename G>
void launch_forward(const ForwardJob<T>& job, bool channels_last, bool vectors, cudaStream_t stream) {
  const int64_t total = count_pixels(job.sizes), channels = job.sizes.channels;
  if (total == 0 || channels == 0) return;
  constexpr int kVector = 16 / sizeof(T), kChannels = 16;  // of planes, a thread
  if (channels_last && vectors) {
    const Share share = share_sources(lanes_for(channels / kVector), 1, total);
    warp_channels_last<T, G, kVector><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  } else if (channels_last) {
    const Share share = share_sources(lanes_for(channels), 1, total);
    warp_channels_last<T, G, 1><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  } else {
    const dim3 shape(blocks_for(total, kThreads), slices_for(channels, kChannels));
    warp_planar<T, G><<<shape, kThreads, 0, stream>>>(job);
  }
  check_launch();
}

template <typename T>
Tensor warp_as(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible) {
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_image(features, sizes.height, sizes.width);
  const ForwardJob<T> job = {sizes,
                             view_flow(grid, visible),
                             static_cast<const T*>(features.const_data_ptr()),
                             image_strides(features),
                             static_cast<T*>(out.mutable_data_ptr()),
                             image_strides(out)};
  const bool last = is_channels_last(features);
  const bool vectors = last && takes_vectors(job.features, job.in, sizes.channels) &&
                       takes_vectors(job.out, job.out_strides, sizes.channels);
  const cudaStream_t stream = current_stream(features);
  job.flow.wide ? launch_forward<T, double>(job, last, vectors, stream)
                : launch_forward<T, float>(job, last, vectors, stream);
  return out;
}

Tensor warp(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  return with_type(features, [&](auto kind) { return warp_as<decltype(kind)>(features, grid, visible); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp", TORCH_BOX(&warp)); }

}  // namespace warpkit::warping
