// Maps over the pixels of images, read where they lie: any strides, so that a permuted or an expanded one
// needs no copy.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit {

// [B,H,W] or [B,H,W,N], or with sources, [B,S,H,W] or [B,S,H,W,N]. Strides in elements; 0 for what a map has
// not.
template <typename T>
struct MapView {
  const T* data;
  int64_t image, source, row, column, channel;
};

template <typename T>
WARPKIT_HD const T* row_of(const MapView<T>& map, int64_t image, int64_t row) {
  return map.data + image * map.image + row * map.row;
}

template <typename T>
WARPKIT_HD const T* row_of(const MapView<T>& map, int64_t image, int64_t source, int64_t row) {
  return row_of(map, image, row) + source * map.source;
}

// Whether a row's pixels, of so many numbers each, lie side by side: walks may then take steps for constants.
template <typename T>
WARPKIT_HD bool is_packed(const MapView<T>& map, int64_t numbers) {
  return map.column == numbers && (map.channel == 1 || numbers == 1);
}

}  // namespace warpkit
