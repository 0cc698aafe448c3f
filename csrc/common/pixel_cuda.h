// Which pixel of which image a thread has, and where it lies in a map. Include from .cu files only.
#pragma once

#include "common/cuda.h"
#include "common/map_view.h"

namespace warpkit {

struct PixelSplit {
  Divider by_width, by_height;

  PixelSplit(int64_t height, int64_t width) : by_width(width), by_height(height) {}
};

struct Pixel {
  int64_t image, row, column;

  __device__ __forceinline__ Pixel(const PixelSplit& by, int64_t at) {
    const int64_t line = by.by_width.quotient(at);
    image = by.by_height.quotient(line);
    row = line - image * by.by_height.divisor;
    column = at - line * by.by_width.divisor;
  }

  template <typename T>
  __device__ __forceinline__ const T* in(const MapView<T>& map) const {
    return row_of(map, image, row) + column * map.column;
  }
};

}  // namespace warpkit
