// The inner loop of resize_flow on the CPU, one copy a SIMD level: call it through add_row.
#pragma once

#include <cstdint>

#include "common/simd.h"

namespace warpkit::flow {

// Sums over rows, one a column: of what is visible, and of displacements.
struct ColumnSums {
  double *visible, *x, *y;
};

// A row of a flow, with the steps from column to column and from x to y.
template <typename T>
struct FlowRow {
  const T* grid;
  int64_t column, channel;
  const unsigned char* seen;  // null: everywhere
  int64_t seen_column;
};

// Adds a row of a flow, weighted: minus its samples' places (place_x[j], place_y), where seen.
#define WARPKIT_RESIZE_SIMD(T, suffix)                                                              \
  WARPKIT_DECLARE_SIMD(void, add_row_##suffix, const FlowRow<T>& row, int64_t width, double weight, \
                       const double* place_x, double place_y, const ColumnSums& sums)               \
  inline void add_row(const FlowRow<T>& row, int64_t width, double weight, const double* place_x,   \
                      double place_y, const ColumnSums& sums) {                                     \
    WARPKIT_SELECT(add_row_##suffix)(row, width, weight, place_x, place_y, sums);                   \
  }
WARPKIT_RESIZE_SIMD(float, float)
WARPKIT_RESIZE_SIMD(double, double)
#undef WARPKIT_RESIZE_SIMD

}  // namespace warpkit::flow
