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
  const bool inside = (pixel > T(-1)) & (pixel < static_cast<T>(size));
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

}  // namespace warpkit::warping
