// The inner loops of warping on the CPU, one copy a SIMD level: call them through WARPKIT_SELECT.
#pragma once

#include "common/half.h"
#include "common/simd.h"
#include "warp/warp.h"

namespace warpkit::warping {

template <typename T>
struct ForwardJob {
  Sizes sizes;
  FlowView flow;
  const T* features;
  Strides in;
  T* out;  // channels-last where `in` is, otherwise contiguous
  Strides out_strides;
};

// Rows are counted over batch, sources and height.
#define WARPKIT_WARP_SIMD(T, suffix) \
  WARPKIT_DECLARE_SIMD(void, warp_rows_##suffix, const ForwardJob<T>& job, int64_t begin, int64_t end)
WARPKIT_WARP_SIMD(float, float)
WARPKIT_WARP_SIMD(double, double)
WARPKIT_WARP_SIMD(Half, half)
WARPKIT_WARP_SIMD(BFloat16, bfloat16)
#undef WARPKIT_WARP_SIMD

#define WARPKIT_WARP_CALLS(T, suffix)                                           \
  inline void warp_rows(const ForwardJob<T>& job, int64_t begin, int64_t end) { \
    WARPKIT_SELECT(warp_rows_##suffix)(job, begin, end);                        \
  }
WARPKIT_WARP_CALLS(float, float)
WARPKIT_WARP_CALLS(double, double)
WARPKIT_WARP_CALLS(Half, half)
WARPKIT_WARP_CALLS(BFloat16, bfloat16)
#undef WARPKIT_WARP_CALLS

}  // namespace warpkit::warping
