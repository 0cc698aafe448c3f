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
  Sizes sizes;
  FlowView flow;
  const T* features;
  Strides in;
  T* out;
  Strides out_strides;
};

// What a pixel reads: the first tap's place, which steps it takes to the others, and their weights.
template <typename A>
struct Read {
  int64_t first;
  int bits;  // 1: anything, 2: a step to the right, 4: a step down
  A weight[4];
};

template <typename A, typename G>
__device__ __forceinline__ Read<A> find_read(const Sizes& sizes, const FlowView& flow, const Strides& in,
                                             const Place& place) {
  using C = Wider<A, G>;
  Read<A> read = {0, 0, {A(0), A(0), A(0), A(0)}};
  C x, y;
  if (!load_point<C, G>(flow, place, &x, &y)) return read;
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  const Taps<C> across = make_taps(to_pixel(x, static_cast<C>(width)), width);
  const Taps<C> down = make_taps(to_pixel(y, static_cast<C>(height)), height);
  if (!(across.any & down.any)) return read;
  read.bits = 1 | (across.step ? 2 : 0) | (down.step ? 4 : 0);
  read.first =
      place.image * in.image + place.source * in.source + down.first * in.row + across.first * in.column;
  read.weight[0] = static_cast<A>(down.weight[0] * across.weight[0]);
  read.weight[1] = static_cast<A>(down.weight[0] * across.weight[1]);
  read.weight[2] = static_cast<A>(down.weight[1] * across.weight[0]);
  read.weight[3] = static_cast<A>(down.weight[1] * across.weight[1]);
  return read;
}

template <typename A>
__device__ __forceinline__ A mix(const A (&weight)[4], A a, A b, A c, A d) {
  return fma(weight[3], d, fma(weight[2], c, fma(weight[1], b, weight[0] * a)));
}

// `lanes` (a power of two) share a pixel, kVector channels each at a time.
template <typename T, typename G, int kVector>
__global__ void __launch_bounds__(kThreads) warp_channels_last(ForwardJob<T> job, int lanes) {
  using A = Accumulator<T>;
  const int lane = threadIdx.x % kWarp, groups = kWarp / lanes, group = lane / lanes, within = lane % lanes;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                out_channel = kVector > 1 ? 1 : job.out_strides.channel;
  for (int64_t begin = int64_t(blockIdx.x) * kThreads + threadIdx.x - lane; begin < total; begin += stride) {
    Read<A> mine = {0, 0, {A(0), A(0), A(0), A(0)}};
    int64_t mine_out = 0;
    if (begin + lane < total) {
      const Place place = find_place(job.sizes, begin + lane);
      mine = find_read<A, G>(job.sizes, job.flow, job.in, place);
      mine_out = offset_of(job.out_strides, place);
    }
    for (int step = 0; step < kWarp; step += groups) {
      const int from = step + group;
      Read<A> read;
      read.first = __shfl_sync(kAllLanes, mine.first, from);
      read.bits = __shfl_sync(kAllLanes, mine.bits, from);
      for (int k = 0; k < 4; ++k) read.weight[k] = __shfl_sync(kAllLanes, mine.weight[k], from);
      T* out = job.out + __shfl_sync(kAllLanes, mine_out, from);
      if (begin + from >= total) continue;
      const int64_t right = read.bits & 2 ? job.in.column : 0, below = read.bits & 4 ? job.in.row : 0;
      const T* tap = job.features + read.first;
      for (int64_t c = int64_t(within) * kVector; c < job.sizes.channels; c += int64_t(lanes) * kVector) {
        Pack<T, kVector> result;
        if (read.bits) {
          const T* at = tap + c * in_channel;
          const Pack<T, kVector> a = load_pack<kVector>(at), b = load_pack<kVector>(at + right),
                                 d = load_pack<kVector>(at + below),
                                 e = load_pack<kVector>(at + below + right);
#pragma unroll
          for (int k = 0; k < kVector; ++k) {
            result.value[k] = narrow<T>(
                mix(read.weight, widen(a.value[k]), widen(b.value[k]), widen(d.value[k]), widen(e.value[k])));
          }
        } else {
#pragma unroll
          for (int k = 0; k < kVector; ++k) result.value[k] = narrow<T>(A(0));
        }
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
    const int64_t right = read.bits & 2 ? job.in.column : 0, below = read.bits & 4 ? job.in.row : 0;
    const T* tap = job.features + read.first;
    T* out = job.out + offset_of(job.out_strides, place);
    for (int64_t c = blockIdx.y; c < job.sizes.channels; c += gridDim.y) {
      A value = A(0);
      if (read.bits) {
        const T* at = tap + c * job.in.channel;
        value = mix(read.weight, widen(at[0]), widen(at[right]), widen(at[below]), widen(at[below + right]));
      }
      out[c * job.out_strides.channel] = narrow<T>(value);
    }
  }
}

template <typename T, typename G>
void launch_forward(const ForwardJob<T>& job, bool channels_last, bool vectors, cudaStream_t stream) {
  const int64_t total = count_pixels(job.sizes), channels = job.sizes.channels;
  if (total == 0 || channels == 0) return;
  const unsigned blocks = blocks_for(total);
  constexpr int kVector = 16 / sizeof(T);
  if (channels_last && vectors) {
    warp_channels_last<T, G, kVector><<<blocks, kThreads, 0, stream>>>(job, lanes_for(channels / kVector));
  } else if (channels_last) {
    warp_channels_last<T, G, 1><<<blocks, kThreads, 0, stream>>>(job, lanes_for(channels));
  } else {
    constexpr int64_t kChannels = 16;  // a thread
    const int64_t slices = (channels + kChannels - 1) / kChannels, most = 65535;
    const dim3 shape(blocks, static_cast<unsigned>(slices < most ? slices : most));
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
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return warp_as<float>(features, grid, visible);
    case ScalarType::Double:
      return warp_as<double>(features, grid, visible);
    case ScalarType::Half:
      return warp_as<__half>(features, grid, visible);
    case ScalarType::BFloat16:
      return warp_as<__nv_bfloat16>(features, grid, visible);
    default:
      STD_TORCH_CHECK(false, "features: expected float32, float64, bfloat16 or float16");
  }
  return features;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp", TORCH_BOX(&warp)); }

}  // namespace warpkit::warping
