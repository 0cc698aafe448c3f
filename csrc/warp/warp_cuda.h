// What the GPU's walks of warping share: feature types, 16-byte packs, and where a pixel of the output lies.
// Include from .cu files only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "common/cuda.h"
#include "warp/warp.h"
#include "warp/warp_math.h"

namespace warpkit::warping {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;
template <typename A, typename G>
using Wider = std::conditional_t<std::is_same_v<A, double> || std::is_same_v<G, double>, double, float>;

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ double widen(double value) { return value; }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__device__ __forceinline__ T narrow(Accumulator<T> value) {
  if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(value);
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

// kCount numbers side by side, moved by one instruction.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T value[kCount];
};

template <int kCount, typename T>
__device__ __forceinline__ Pack<T, kCount> load_pack(const T* at) {
  return *reinterpret_cast<const Pack<T, kCount>*>(at);
}
template <typename T, int kCount>
__device__ __forceinline__ void store_pack(T* at, const Pack<T, kCount>& pack) {
  *reinterpret_cast<Pack<T, kCount>*>(at) = pack;
}

// Whether every pixel's channels can be moved 16 bytes at a time.
template <typename T>
bool takes_vectors(const T* data, const Strides& strides, int64_t channels) {
  constexpr int64_t kVector = 16 / sizeof(T);
  return strides.channel == 1 && channels % kVector == 0 && reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
         strides.image % kVector == 0 && strides.source % kVector == 0 && strides.row % kVector == 0 &&
         strides.column % kVector == 0;
}

inline unsigned blocks_for(int64_t threads) {
  const int64_t blocks = (threads + kThreads - 1) / kThreads, most = int64_t(1) << 30;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

// Lanes that share a pixel of so many pieces: a power of two up to a warp.
inline int lanes_for(int64_t pieces) {
  int lanes = 1;
  while (lanes < kWarp && lanes < pieces) lanes *= 2;
  return lanes;
}

// A pixel of the output.
struct Place {
  int64_t image, source, row, column;
};

__host__ __device__ inline int64_t count_pixels(const Sizes& sizes) {
  return sizes.batch * sizes.sources * sizes.height * sizes.width;
}

__device__ __forceinline__ Place find_place(const Sizes& sizes, int64_t index) {
  const int64_t row = index / sizes.width, image_source = row / sizes.height,
                image = image_source / sizes.sources;
  return {image, image_source - image * sizes.sources, row - image_source * sizes.height,
          index - row * sizes.width};
}

__device__ __forceinline__ int64_t offset_of(const Strides& strides, const Place& place) {
  return place.image * strides.image + place.source * strides.source + place.row * strides.row +
         place.column * strides.column;
}

// The flow at a pixel; false where it is not visible or not usable.
template <typename C, typename G>
__device__ __forceinline__ bool load_point(const FlowView& flow, const Place& place, C* x, C* y) {
  if (flow.visible != nullptr && !flow.visible[offset_of(flow.visible_strides, place)]) return false;
  const G* grid = static_cast<const G*>(flow.grid) + offset_of(flow.grid_strides, place);
  *x = static_cast<C>(grid[0]);
  *y = static_cast<C>(grid[flow.grid_strides.channel]);
  return usable(*x) & usable(*y);
}

}  // namespace warpkit::warping
