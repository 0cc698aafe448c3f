// The formulas of warping, one copy for host and device.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit::warping {

// NDC to pixels: the centre of pixel i lies at i.
template <typename T>
WARPKIT_HD T to_pixel(T ndc, T size) {
  return ndc * (size * T(0.5)) + (size - T(1)) * T(0.5);
}

// Whether a coordinate may be read at all; false for NaN and infinity.
template <typename T>
WARPKIT_HD bool usable(T ndc) {
  return (ndc >= T(-1e6)) & (ndc <= T(1e6));
}

// Whether a coordinate in pixels reads any pixel of an axis.
template <typename T>
WARPKIT_HD bool inside_frame(T pixel, int32_t size) {
  return (pixel > T(-1)) & (pixel < static_cast<T>(size));
}

// The two pixels that a coordinate reads along one axis: `first` and first + step, both within the frame, and
// their weights. A pixel outside the frame, or of weight zero, gives way to the other one: both taps then
// name the same pixel and share its weight by halves, which is exact, so that neither needs a branch.
template <typename T>
struct Taps {
  int32_t first;
  int32_t step;  // 0 or 1
  T weight[2];
  bool any;  // false: outside
};

template <typename T>
WARPKIT_HD Taps<T> make_taps(T pixel, int32_t size) {
  Taps<T> taps;
  const bool inside = inside_frame(pixel, size);
  const T at = inside ? pixel : T(0);
  int32_t low = static_cast<int32_t>(at);
  low -= at < static_cast<T>(low);
  const T fraction = at - static_cast<T>(low);
  const bool no_low = low < 0, no_high = (low + 1 >= size) | (fraction == T(0));
  const T half_low = T(0.5) * (T(1) - fraction), half_high = T(0.5) * fraction;
  taps.first = no_low ? 0 : low;
  taps.step = (no_low | no_high) ? 0 : 1;
  taps.weight[0] = no_low ? half_high : no_high ? half_low : T(1) - fraction;
  taps.weight[1] = no_low ? half_high : no_high ? half_low : fraction;
  taps.any = inside;
  return taps;
}

// The same two pixels for the gradient of the coordinate: weights, and slopes (growth of the weights a
// pixel), zero for what lies outside the frame. Where the weight jumps, on a pixel's centre, the slope is
// that of the right-hand side.
template <typename T>
struct SlopeTaps {
  int32_t first;
  int32_t step;  // 0 or 1
  T weight[2];
  T slope[2];
};

template <typename T>
WARPKIT_HD SlopeTaps<T> make_slope_taps(T pixel, int32_t size) {
  SlopeTaps<T> taps;
  const bool inside = inside_frame(pixel, size);
  const T at = inside ? pixel : T(0);
  int32_t low = static_cast<int32_t>(at);
  low -= at < static_cast<T>(low);
  const T fraction = at - static_cast<T>(low);
  const bool no_low = low < 0, no_high = low + 1 >= size;
  taps.first = no_low ? 0 : low;
  taps.step = (no_low | no_high) ? 0 : 1;
  taps.weight[0] = no_low ? T(0) : T(1) - fraction;
  taps.weight[1] = no_high ? T(0) : fraction;
  taps.slope[0] = no_low ? T(0) : T(-1);
  taps.slope[1] = no_high ? T(0) : T(1);
  return taps;
}

// Pixels a unit of NDC.
template <typename T>
WARPKIT_HD T pixels_per_ndc(T size) {
  return size * T(0.5);
}

}  // namespace warpkit::warping
