// Half-precision features: stored as they come, computed in float32.
#pragma once

#include <cstdint>
#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include "common/host_device.h"

namespace warpkit {

#if defined(__CUDACC__)
using Half = __half;
using BFloat16 = __nv_bfloat16;
#else
using Half = _Float16;
struct BFloat16 {
  uint16_t bits;
};
#endif

// What a feature type is computed in.
template <typename T>
struct Wide {
  using Type = float;
};
template <>
struct Wide<double> {
  using Type = double;
};
template <typename T>
using Accumulator = typename Wide<T>::Type;

WARPKIT_HD float widen(float value) { return value; }
WARPKIT_HD double widen(double value) { return value; }
WARPKIT_HD void narrow(float value, float* out) { *out = value; }
WARPKIT_HD void narrow(double value, double* out) { *out = value; }
#if defined(__CUDACC__)
WARPKIT_HD float widen(Half value) { return __half2float(value); }
WARPKIT_HD float widen(BFloat16 value) { return __bfloat162float(value); }
WARPKIT_HD void narrow(float value, Half* out) { *out = __float2half_rn(value); }
WARPKIT_HD void narrow(float value, BFloat16* out) { *out = __float2bfloat16_rn(value); }
#else
WARPKIT_HD float widen(Half value) { return static_cast<float>(value); }
WARPKIT_HD float widen(BFloat16 value) {
  const uint32_t bits = uint32_t(value.bits) << 16;
  float out;
  __builtin_memcpy(&out, &bits, 4);
  return out;
}

WARPKIT_HD void narrow(float value, Half* out) { *out = static_cast<Half>(value); }
WARPKIT_HD void narrow(float value, BFloat16* out) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  out->bits = static_cast<uint16_t>(value == value ? rounded : 0x7fc0u);
}
#endif

}  // namespace warpkit
