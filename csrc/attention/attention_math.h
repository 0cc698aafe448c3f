// The formulas of attention over sources, one copy for host and device.
#pragma once

#include "common/host_device.h"

namespace warpkit::attention {

// The score of a source that is left out.
template <typename A>
WARPKIT_HD A left_out() {
  return -static_cast<A>(__builtin_huge_val());
}

// What the exponentials are divided by, as a factor; 0 where no source takes part, so that alpha is zero.
template <typename A>
WARPKIT_HD A inverse_of_sum(A sum) {
  return sum == A(0) ? A(0) : A(1) / sum;
}

// The exponent of a source's weight; 0 where `largest` is that of no source, as left_out - left_out is NaN.
template <typename A>
WARPKIT_HD A exponent(A score, A largest) {
  return score == left_out<A>() ? left_out<A>() : score - largest;
}

// The gradient of a score times scale: what its x_s and its query are multiplied by.
template <typename A>
WARPKIT_HD A score_gradient(A scale, A alpha, A alpha_gradient, A delta) {
  return scale * (alpha * (alpha_gradient - delta));
}

}  // namespace warpkit::attention
