// The inner loops of warp_attention on the CPU, one copy a SIMD level: call them through attend_rows.
#pragma once

#include "attention/attention.h"
#include "warp/warp_simd.h"

namespace warpkit::attention {

using warping::Block;
using warping::FlowView;
using warping::kBlock;
using warping::Sizes;
using warping::Strides;

template <typename T>
struct AttentionJob {
  Sizes sizes;
  int64_t value_channels;
  FlowView flow;
  const T *query, *features, *value;  // no value: features, with its strides
  Strides query_strides, in, value_strides;
  bool one_gather;  // value is features
  Accumulator<T> scale;
  T* out;
  Strides out_strides;
};

// What the gradients start from; the job's `out` is the query's gradient, or null where it is not wanted.
template <typename T>
struct WeightsJob {
  AttentionJob<T> attention;
  const T* gradient;
  Strides gradient_strides;
  // alpha and e of attention.h, contiguous [B,S,H,W]
  Accumulator<T>*alpha, *score_gradient;
};

inline int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

// Pixels whose softmax is taken side by side, as far as their samples stay in the first cache.
template <typename A>
int64_t group_size(const Sizes& sizes) {
  constexpr int64_t kMost = 16, kBytes = int64_t(1) << 15;
  const int64_t each = sizes.sources * padded(sizes.channels) * int64_t(sizeof(A));
  return each * kMost <= kBytes ? kMost : each * 4 <= kBytes ? kBytes / each : 4;
}

// Bytes that a task needs, aligned to 64.
template <typename A>
int64_t attention_scratch(const Sizes& sizes, int64_t value_channels) {
  constexpr int64_t kSample = 4 * (sizeof(void*) + sizeof(A)), kPlaces = 4 * kBlock * sizeof(int64_t);
  const int64_t each = sizeof(Block<A>) + 2 * kPlaces + kSample + 2 * kBlock * sizeof(A) + kBlock +
                       (group_size<A>(sizes) * padded(sizes.channels) + 8) * sizeof(A);
  return sizes.sources * each + (padded(sizes.channels) + padded(value_channels)) * sizeof(A) + 4096;
}

// Rows are counted over batch and height.
#define WARPKIT_ATTENTION_SIMD(T, suffix)                                                                  \
  WARPKIT_DECLARE_SIMD(void, attend_rows_##suffix, const AttentionJob<T>& job, int64_t begin, int64_t end, \
                       void* scratch)                                                                      \
  WARPKIT_DECLARE_SIMD(void, weight_rows_##suffix, const WeightsJob<T>& job, int64_t begin, int64_t end,   \
                       void* scratch)                                                                      \
  inline void attend_rows(const AttentionJob<T>& job, int64_t begin, int64_t end, void* scratch) {         \
    WARPKIT_SELECT(attend_rows_##suffix)(job, begin, end, scratch);                                        \
  }                                                                                                        \
  inline void weight_rows(const WeightsJob<T>& job, int64_t begin, int64_t end, void* scratch) {           \
    WARPKIT_SELECT(weight_rows_##suffix)(job, begin, end, scratch);                                        \
  }
WARPKIT_ATTENTION_SIMD(float, float)
WARPKIT_ATTENTION_SIMD(double, double)
WARPKIT_ATTENTION_SIMD(Half, half)
WARPKIT_ATTENTION_SIMD(BFloat16, bfloat16)
#undef WARPKIT_ATTENTION_SIMD

}  // namespace warpkit::attention
