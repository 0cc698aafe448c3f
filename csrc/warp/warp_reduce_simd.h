// The inner loops of warp_reduce on the CPU, one copy a SIMD level: call them through reduce_rows.
#pragma once

#include "warp/warp_simd.h"

namespace warpkit::warping {

template <typename T>
struct ReduceJob {
  Sizes sizes;
  FlowView flow;
  const T* features;
  Strides in;
  const Accumulator<T>* weights;  // null: 1
  Strides weights_strides;
  Accumulator<T> factor;
  T* out;  // channels-last where `in` is, otherwise contiguous
  Strides out_strides;
};

// Bytes that a task of reduce_rows needs, aligned to 64.
template <typename A>
int64_t reduce_scratch(const Sizes& sizes) {
  constexpr int64_t kSample = 4 * (sizeof(void*) + sizeof(A)), kPlaces = 4 * kBlock * sizeof(int64_t);
  const int64_t each = sizeof(Block<A>) + sizeof(A) * kBlock + kPlaces + kSample;
  return sizes.sources * each + 1024;
}

// Rows are counted over batch and height.
#define WARPKIT_REDUCE_SIMD(T, suffix)                                                                  \
  WARPKIT_DECLARE_SIMD(void, reduce_rows_##suffix, const ReduceJob<T>& job, int64_t begin, int64_t end, \
                       void* scratch)                                                                   \
  inline void reduce_rows(const ReduceJob<T>& job, int64_t begin, int64_t end, void* scratch) {         \
    WARPKIT_SELECT(reduce_rows_##suffix)(job, begin, end, scratch);                                     \
  }
WARPKIT_REDUCE_SIMD(float, float)
WARPKIT_REDUCE_SIMD(double, double)
WARPKIT_REDUCE_SIMD(Half, half)
WARPKIT_REDUCE_SIMD(BFloat16, bfloat16)
#undef WARPKIT_REDUCE_SIMD

}  // namespace warpkit::warping
