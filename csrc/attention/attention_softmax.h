// The softmax over sources on the CPU. Included by *_simd.cpp files alone, once a SIMD level.
#pragma once

#include "attention/attention_math.h"
#include "attention/attention_simd.h"
#include "common/lanes.h"

namespace warpkit::attention {
namespace WARPKIT_SIMD {
namespace {

// Constants of exp, with those of splitting x into n ln 2 + r: adding `shift` leaves round(x) in the low
// bits.
template <typename A>
struct Exponential;
template <>
struct Exponential<float> {
  static constexpr float shift = 12582912.0f, lowest = -87.0f;  // 1.5 * 2^23; above, 2^n is normal
  static constexpr float log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr int terms = 7, bias = 127, fraction_bits = 23;
};
template <>
struct Exponential<double> {
  static constexpr double shift = 6755399441055744.0, lowest = -708.0;  // 1.5 * 2^52
  static constexpr double log2_e = 1.4426950408889634, ln2_high = 6.93145751953125e-1,
                          ln2_low = 1.42860682030941723212e-6;
  static constexpr int terms = 13, bias = 1023, fraction_bits = 52;
};

// exp(x) for x <= 0, within an ulp or two; below Exponential::lowest 0, of NaN NaN.
template <typename A>
inline __attribute__((always_inline)) void exp_lanes(const Lanes<A>& x, Lanes<A>& out) {
  using E = Exponential<A>;
  const Lanes<A> zero = {}, within = x >= E::lowest ? x : zero;
  const Lanes<A> shifted = within * E::log2_e + E::shift, n = shifted - E::shift;
  const Lanes<A> r = (within - n * E::ln2_high) - n * E::ln2_low;
  Lanes<A> power = zero + A(1);  // 1 + r (1 + r/2 (1 + r/3 (...)))
#pragma GCC unroll 16
  for (int k = E::terms; k > 0; --k) power = A(1) + (r * (A(1) / A(k))) * power;
  typename LaneTypes<A>::Integers bits;
  __builtin_memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + E::bias) << E::fraction_bits;
  Lanes<A> two_to_n;
  __builtin_memcpy(&two_to_n, &bits, sizeof(bits));
  out = x >= E::lowest ? power * two_to_n : (x < E::lowest ? zero : x);
}

template <typename A>
inline __attribute__((always_inline)) void weight_lanes(const Lanes<A>& score, const Lanes<A>& largest,
                                                        Lanes<A>& out) {
  const Lanes<A> none = Lanes<A>{} + left_out<A>();
  exp_lanes<A>(score == none ? none : score - largest, out);
}

// Scores of one pixel to alpha. `scores` holds whole lanes; those past the last source are left out.
template <typename A>
void softmax_pixel(A* scores, int64_t sources) {
  A largest = left_out<A>();
  for (int64_t s = 0; s < sources; ++s) largest = scores[s] > largest ? scores[s] : largest;
  const Lanes<A> base = Lanes<A>{} + largest;
  Lanes<A> sum = {}, lanes;
  for (int64_t s = 0; s < sources; s += kLanes<A>) {
    load_lanes(scores + s, lanes);
    weight_lanes<A>(lanes, base, lanes);
    store_lanes(lanes, scores + s);
    sum += lanes;
  }
  const A inverse = inverse_of_sum(sum_lanes(sum));
  for (int64_t s = 0; s < sources; ++s) scores[s] *= inverse;
}

// The same for pixels side by side: as many as whole lanes hold `count`.
template <typename A>
void softmax_block(A (*scores)[kBlock], int64_t sources, int count) {
  for (int j = 0; j < count; j += kLanes<A>) {
    Lanes<A> largest = Lanes<A>{} + left_out<A>(), sum = {}, lanes;
    for (int64_t s = 0; s < sources; ++s) {
      load_lanes(&scores[s][j], lanes);
      largest = lanes > largest ? lanes : largest;
    }
    for (int64_t s = 0; s < sources; ++s) {
      load_lanes(&scores[s][j], lanes);
      weight_lanes<A>(lanes, largest, lanes);
      store_lanes(lanes, &scores[s][j]);
      sum += lanes;
    }
    const Lanes<A> zero = {}, inverse = sum == zero ? zero : A(1) / sum;
    for (int64_t s = 0; s < sources; ++s) {
      load_lanes(&scores[s][j], lanes);
      lanes *= inverse;
      store_lanes(lanes, &scores[s][j]);
    }
  }
}

}  // namespace
}  // namespace WARPKIT_SIMD
}  // namespace warpkit::attention
