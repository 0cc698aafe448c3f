// Compiled once a SIMD level; no standard library here (common/simd.h says why).
#include "flow/resize_flow_simd.h"

namespace warpkit::flow {
namespace WARPKIT_SIMD {
namespace {

constexpr int kBlock = 64;  // columns

// Coordinates are told apart, and flags made weights, in a block of their own: what is left are plain loops.
template <typename T>
void add(const FlowRow<T>& row, int64_t width, double weight, const double* place_x, double place_y,
         const ColumnSums& sums) {
  alignas(64) double x[kBlock], y[kBlock], counts[kBlock];
  for (int64_t begin = 0; begin < width; begin += kBlock) {
    const int count = static_cast<int>(width - begin < kBlock ? width - begin : kBlock);
    const T* __restrict from = row.grid + begin * row.column;
    if (row.column == 2 && row.channel == 1) {
      for (int j = 0; j < count; ++j) {
        x[j] = static_cast<double>(from[2 * j]) - place_x[begin + j];
        y[j] = static_cast<double>(from[2 * j + 1]) - place_y;
      }
    } else {
      for (int j = 0; j < count; ++j) {
        x[j] = static_cast<double>(from[j * row.column]) - place_x[begin + j];
        y[j] = static_cast<double>(from[j * row.column + row.channel]) - place_y;
      }
    }
    for (int j = 0; j < count; ++j) counts[j] = weight;
    if (row.seen != nullptr) {
      alignas(64) unsigned char seen[kBlock];
      const unsigned char* __restrict flags = row.seen + begin * row.seen_column;
      if (row.seen_column == 1) {
        for (int j = 0; j < count; ++j) seen[j] = flags[j];
      } else {
        for (int j = 0; j < count; ++j) seen[j] = flags[j * row.seen_column];
      }

      // a selection, not a product: what is not visible may hold NaN
      for (int j = 0; j < count; ++j) {
        const bool visible = seen[j] != 0;
        counts[j] = visible ? weight : 0.0;
        x[j] = visible ? x[j] : 0.0;
        y[j] = visible ? y[j] : 0.0;
      }
    }
    double* __restrict to_visible = sums.visible + begin, * __restrict to_x = sums.x + begin, * __restrict to_y = sums.y + begin;
    for (int j = 0; j < count; ++j) {
      to_visible[j] += counts[j];
      to_x[j] += weight * x[j];
      to_y[j] += weight * y[j];
    }
  }
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix)                                                                   \
  void add_row_##suffix(const FlowRow<T>& row, int64_t width, double weight, const double* place_x, \
                        double place_y, const ColumnSums& sums) {                                   \
    add(row, width, weight, place_x, place_y, sums);                                                \
  }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::flow
