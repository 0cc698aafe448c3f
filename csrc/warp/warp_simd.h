// The inner loops of warping on the CPU, one copy a SIMD level: call them through WARPKIT_SELECT.
#pragma once

#include "common/half.h"
#include "common/simd.h"
#include "warp/warp.h"

namespace warpkit::warping {

constexpr int kBlock = 64;  // pixels of a row whose taps are found side by side

// Where a block of pixels reads. Unread pixels name pixel (0, 0) and have any = 0.
template <typename A>
struct Block {
  int32_t x[kBlock], y[kBlock], step_x[kBlock], step_y[kBlock], any[kBlock];
  A weight[4][kBlock];  // of (y, x), (y, x + step), (y + step, x), (y + step, x + step)
};

template <typename T>
struct ForwardJob {
  Sizes sizes;
  FlowView flow;
  const T* features;
  Strides in;
  T* out;  // channels-last where `in` is, otherwise contiguous
  Strides out_strides;
};

// One part of the vector over channels that a pixel gives to the taps of a source: an image of the output's
// size, times factor, times a coefficient of that pixel and source if there is one. Where one image serves
// all sources its source stride is zero.
template <typename T>
struct Term {
  const T* image;
  Strides strides;
  const Accumulator<T>* coefficient;  // null: none
  Strides coefficient_strides;
  Accumulator<T> factor;
};

// The sum of one or two parts. Warping's is its gradient alone.
template <typename T>
struct Terms {
  Term<T> term[2];
  int count;
};

// Where gradients of features go: rows first..last - 1 of one image and source, in the type that sums are
// taken in.
template <typename T>
struct ScatterJob {
  Sizes sizes;
  FlowView flow;
  Terms<T> terms;
  Accumulator<T>* target;  // at row `first`, filled by the caller
  int64_t channel_stride, row_stride, column_stride;
  int64_t image, source, first, last;
  Accumulator<T>* scratch;  // `channels` numbers
};

// Gradients of the grid, contiguous [B,S,H,W,2], in the grid's type, and of one term's coefficients.
template <typename T>
struct GridGradientJob {
  Sizes sizes;
  FlowView flow;
  Terms<T> terms;
  const T* features;
  Strides in;
  void* out;                        // null: not wanted
  bool add;                         // to what `out` holds
  Accumulator<T>* coefficient_out;  // contiguous [B,S,H,W]; null: not wanted
};

// Rows are counted over batch, sources and height.
#define WARPKIT_WARP_SIMD(T, suffix)                                                                        \
  WARPKIT_DECLARE_SIMD(void, warp_rows_##suffix, const ForwardJob<T>& job, int64_t begin, int64_t end)      \
  WARPKIT_DECLARE_SIMD(void, scatter_##suffix, const ScatterJob<T>& job)                                    \
  WARPKIT_DECLARE_SIMD(void, grid_rows_##suffix, const GridGradientJob<T>& job, int64_t begin, int64_t end, \
                       Accumulator<T>* scratch)
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
  inline void grid_rows(const GridGradientJob<T>& job, int64_t begin, int64_t end,         \
                        Accumulator<T>* scratch) {                                         \
    WARPKIT_SELECT(grid_rows_##suffix)(job, begin, end, scratch);                          \
  }
WARPKIT_WARP_CALLS(float, float)
WARPKIT_WARP_CALLS(double, double)
WARPKIT_WARP_CALLS(Half, half)
WARPKIT_WARP_CALLS(BFloat16, bfloat16)
#undef WARPKIT_WARP_CALLS

}  // namespace warpkit::warping
