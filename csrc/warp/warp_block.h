// Where a block of pixels reads: shared by the forward and backward loops. Included by *_simd.cpp files
// alone, once a SIMD level.
#pragma once

#include "warp/warp_math.h"
#include "warp/warp_simd.h"

namespace warpkit::warping {
namespace WARPKIT_SIMD {
namespace {

// A row of output pixels: its place in the batch and in each tensor.
struct Row {
  int64_t image, source, row;
};

inline Row find_row(const Sizes& sizes, int64_t index) {
  const int64_t image_source = index / sizes.height;
  return {image_source / sizes.sources, image_source % sizes.sources, index % sizes.height};
}

inline int64_t offset_of(const Strides& strides, const Row& row) {
  return row.image * strides.image + row.source * strides.source + row.row * strides.row;
}

// Coordinates of a block in type C; what lies past the row's end or is not visible is out of reach.
template <typename C, typename G>
void load_coordinates(const FlowView& flow, const Row& row, int64_t begin, int count, C (&x)[kBlock],
                      C (&y)[kBlock]) {
  constexpr C kNowhere = C(2e6);
  const int64_t step = flow.grid_strides.column, to_y = flow.grid_strides.channel;
  const G* grid = static_cast<const G*>(flow.grid) + offset_of(flow.grid_strides, row) + begin * step;
  if (step == 2 && to_y == 1) {
    for (int j = 0; j < count; ++j)
      x[j] = static_cast<C>(grid[2 * j]), y[j] = static_cast<C>(grid[2 * j + 1]);
  } else {
    for (int j = 0; j < count; ++j)
      x[j] = static_cast<C>(grid[j * step]), y[j] = static_cast<C>(grid[j * step + to_y]);
  }
  for (int j = count; j < kBlock; ++j) x[j] = y[j] = kNowhere;
  if (flow.visible == nullptr) return;
  const unsigned char* visible =
      flow.visible + offset_of(flow.visible_strides, row) + begin * flow.visible_strides.column;
  if (flow.visible_strides.column == 1) {
    for (int j = 0; j < count; ++j) x[j] = visible[j] ? x[j] : kNowhere;
  } else {
    for (int j = 0; j < count; ++j) x[j] = visible[j * flow.visible_strides.column] ? x[j] : kNowhere;
  }
}

template <typename C, typename G, typename A>
void find_block_in(const Sizes& sizes, const FlowView& flow, const Row& row, int64_t begin, int count,
                   Block<A>& block) {
  alignas(64) C x[kBlock], y[kBlock];
  load_coordinates<C, G>(flow, row, begin, count, x, y);
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  const C in_width = static_cast<C>(width), in_height = static_cast<C>(height);
  for (int j = 0; j < kBlock; ++j) {
    const bool good = usable(x[j]) & usable(y[j]);
    const Taps<C> across = make_taps(to_pixel(x[j], in_width), width),
                  down = make_taps(to_pixel(y[j], in_height), height);
    const bool any = good & across.any & down.any;
    block.any[j] = any;
    block.x[j] = any ? across.first : 0;
    block.y[j] = any ? down.first : 0;
    block.step_x[j] = any ? across.step : 0;
    block.step_y[j] = any ? down.step : 0;
    block.weight[0][j] = static_cast<A>(down.weight[0] * across.weight[0]);
    block.weight[1][j] = static_cast<A>(down.weight[0] * across.weight[1]);
    block.weight[2][j] = static_cast<A>(down.weight[1] * across.weight[0]);
    block.weight[3][j] = static_cast<A>(down.weight[1] * across.weight[1]);
  }
}

template <typename A>
void find_block(const Sizes& sizes, const FlowView& flow, const Row& row, int64_t begin, int count,
                Block<A>& block) {
  flow.wide ? find_block_in<double, double>(sizes, flow, row, begin, count, block)
            : find_block_in<A, float>(sizes, flow, row, begin, count, block);
}

// Coefficients of a block's pixels of one source; 1 where there are none.
template <typename A>
void load_coefficients(const A* map, const Strides& strides, const Row& row, int64_t begin, int count,
                       A factor, A (&out)[kBlock]) {
  for (int j = 0; j < kBlock; ++j) out[j] = factor;
  if (map == nullptr) return;
  const A* from = map + offset_of(strides, row) + begin * strides.column;
  for (int j = 0; j < count; ++j) out[j] = factor * from[j * strides.column];
}

inline int least(int64_t a, int64_t b) { return static_cast<int>(a < b ? a : b); }

}  // namespace
}  // namespace WARPKIT_SIMD
}  // namespace warpkit::warping
