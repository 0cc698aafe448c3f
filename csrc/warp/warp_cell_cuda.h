// What the gradients of warping on the GPU share: the cell that a pixel reads, and the row vector that it
// hands back. Include from .cu files only.
#pragma once

#include "warp/warp_cuda.h"
#include "warp/warp_reduce_tensors.h"
#include "warp/warp_rows_cuda.h"

namespace warpkit::warping {

// The cell of the source that a pixel reads: columns x, x + 1 and rows y, y + 1, some of which may lie
// outside the frame; right and down are the weights of the second ones. Unlike in forward, taps of weight
// zero belong to it: the gradient of the grid needs them.
template <typename A>
struct Cell {
  int32_t x, y;
  int taps;  // bits of the taps in the frame: (y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1); 0: reads
             // nothing
  A right, down;
};

template <typename A, typename G>
__device__ __forceinline__ Cell<A> find_cell(const Sizes& sizes, const FlowView& flow, const Place& place) {
  using C = Wider<A, G>;
  Cell<A> cell = {-1, -1, 0, A(0), A(0)};
  C x, y;
  if (!load_point<C, G>(flow, place, &x, &y)) return cell;
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  const C column = to_pixel(x, static_cast<C>(width)), row = to_pixel(y, static_cast<C>(height));
  if (!inside_frame(column, width) || !inside_frame(row, height)) return cell;
  const C left = floor(column), top = floor(row);
  cell.x = static_cast<int32_t>(left);
  cell.y = static_cast<int32_t>(top);
  cell.right = static_cast<A>(column - left);
  cell.down = static_cast<A>(row - top);
  const int columns = (cell.x >= 0 ? 1 : 0) | (cell.x + 1 < width ? 2 : 0);
  cell.taps = (cell.y >= 0 ? columns : 0) | (cell.y + 1 < height ? columns << 2 : 0);
  return cell;
}

template <typename A>
__device__ __forceinline__ A tap_weight(A right, A down, int tap) {
  return (tap & 2 ? down : A(1) - down) * (tap & 1 ? right : A(1) - right);
}

// find_cell in the type that the grid asks for.
template <typename A>
__device__ __forceinline__ Cell<A> find_cell(const Sizes& sizes, const FlowView& flow, const Place& place) {
  return flow.wide ? find_cell<A, double>(sizes, flow, place) : find_cell<A, float>(sizes, flow, place);
}

// RowTerm as kernels see it.
template <typename T>
struct Term {
  const T* image;  // null: no such term
  Strides strides;
  const Accumulator<T>* coefficient;  // null: ones
  Strides coefficient_strides;
  Accumulator<T> factor;
};

template <typename T>
struct Rows {
  Term<T> first, second;
};

template <typename T>
__device__ __forceinline__ Accumulator<T> coefficient_at(const Term<T>& term, const Place& place) {
  return term.coefficient == nullptr
             ? term.factor
             : term.factor * term.coefficient[offset_of(term.coefficient_strides, place)];
}

// What a pixel's row vector is made of: where its images' channels begin, and what they are multiplied by.
template <typename A>
struct RowPlace {
  int64_t first, second;
  A first_factor, second_factor;
};

template <typename T>
__device__ __forceinline__ RowPlace<Accumulator<T>> find_row(const Rows<T>& rows, const Place& place) {
  using A = Accumulator<T>;
  const bool two = rows.second.image != nullptr;
  return {offset_of(rows.first.strides, place), two ? offset_of(rows.second.strides, place) : 0,
          coefficient_at(rows.first, place), two ? coefficient_at(rows.second, place) : A(0)};
}

template <typename T>
__device__ __forceinline__ RowPlace<Accumulator<T>> take_row(const Rows<T>& rows,
                                                             const RowPlace<Accumulator<T>>& mine, int lane,
                                                             unsigned mask = kAllLanes) {
  RowPlace<Accumulator<T>> row = {__shfl_sync(mask, mine.first, lane), 0,
                                  __shfl_sync(mask, mine.first_factor, lane), Accumulator<T>(0)};
  if (rows.second.image != nullptr) {
    row.second = __shfl_sync(mask, mine.second, lane);
    row.second_factor = __shfl_sync(mask, mine.second_factor, lane);
  }
  return row;
}

// kVector channels of a row vector, from channel c on; side by side where there are more than one.
template <typename T, int kVector>
__device__ __forceinline__ void load_row(const Rows<T>& rows, const RowPlace<Accumulator<T>>& row, int64_t c,
                                         Accumulator<T> (&value)[kVector]) {
  const Pack<T, kVector> first =
      load_pack<kVector>(rows.first.image + row.first + c * (kVector > 1 ? 1 : rows.first.strides.channel));
#pragma unroll
  for (int k = 0; k < kVector; ++k) value[k] = row.first_factor * widen(first.value[k]);
  if (rows.second.image == nullptr) return;
  const Pack<T, kVector> second = load_pack<kVector>(rows.second.image + row.second +
                                                     c * (kVector > 1 ? 1 : rows.second.strides.channel));
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    value[k] = fma(row.second_factor, widen(second.value[k]), value[k]);
  }
}

template <typename T>
Term<T> view_term(const RowTerm& term) {
  return {static_cast<const T*>(term.image.const_data_ptr()), image_strides(term.image),
          term.coefficient ? static_cast<const Accumulator<T>*>(term.coefficient->const_data_ptr()) : nullptr,
          map_strides(term.coefficient), static_cast<Accumulator<T>>(term.factor)};
}

// Both must outlive the view.
template <typename T>
Rows<T> view_rows(const std::vector<RowTerm>& terms) {
  return {view_term<T>(terms.at(0)), terms.size() > 1 ? view_term<T>(terms[1]) : Term<T>{}};
}

// Whether every pixel's row vector can be loaded 16 bytes at a time.
template <typename T>
bool takes_vectors(const Rows<T>& rows, int64_t channels) {
  return takes_vectors(rows.first.image, rows.first.strides, channels) &&
         (rows.second.image == nullptr || takes_vectors(rows.second.image, rows.second.strides, channels));
}

}  // namespace warpkit::warping
