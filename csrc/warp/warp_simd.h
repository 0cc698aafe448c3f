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

// Where gradients of features go: rows first..last - 1 of one image and source, in the type that sums are
// taken in.
template <typename T>
struct ScatterJob {
  Sizes sizes;
  FlowView flow;
  const T* gradient;  // of the output, any strides
  Strides gradient_strides;
  Accumulator<T>* target;  // at row `first`, filled by the caller
  int64_t channel_stride, row_stride, column_stride;
  int64_t image, source, first, last;
};

// Gradients of the grid, contiguous [B,S,H,W,2], in the grid's type.
template <typename T>
struct GridGradientJob {
  Sizes sizes;
  FlowView flow;
  const T* gradient;
  Strides gradient_strides;
  const T* features;
  Strides in;
  void* out;
};

// Rows are counted over batch, sources and height.
#define WARPKIT_WARP_SIMD(T, suffix)                                                                   \
  WARPKIT_DECLARE_SIMD(void, warp_rows_##suffix, const ForwardJob<T>& job, int64_t begin, int64_t end) \
  WARPKIT_DECLARE_SIMD(void, scatter_##suffix, const ScatterJob<T>& job)                               \
  WARPKIT_DECLARE_SIMD(void, grid_rows_##suffix, const GridGradientJob<T>& job, int64_t begin, int64_t end)
WARPKIT_WARP_SIMD(float, float)
WARPKIT_WARP_SIMD(double, double)
WARPKIT_WARP_SIMD(Half, half)
WARPKIT_WARP_SIMD(BFloat16, bfloat16)
#undef WARPKIT_WARP_SIMD

#define WARPKIT_WARP_CALLS(T, suffix)                                                      \
  inline void warp_rows(const ForwardJob<T>& job, int64_t begin, int64_t end) {            \
    WARPKIT_SELECT(warp_rows_##suffix)(job, begin, end);                                   \
  }                                                                                        \
  inline void scatter(const ScatterJob<T>& job) { WARPKIT_SELECT(scatter_##suffix)(job); } \
  inline void grid_rows(const GridGradientJob<T>& job, int64_t begin, int64_t end) {       \
    WARPKIT_SELECT(grid_rows_##suffix)(job, begin, end);                                   \
  }
WARPKIT_WARP_CALLS(float, float)
WARPKIT_WARP_CALLS(double, double)
WARPKIT_WARP_CALLS(Half, half)
WARPKIT_WARP_CALLS(BFloat16, bfloat16)
#undef WARPKIT_WARP_CALLS

}  // namespace warpkit::warping
