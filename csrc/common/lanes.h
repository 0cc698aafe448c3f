// Numbers side by side: 64 bytes of them at every SIMD level, so that sums have one order. Included by
// *_simd.cpp files alone, once a SIMD level.
#pragma once

#include "common/half.h"

namespace warpkit {

template <typename A>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  typedef float Values __attribute__((vector_size(64)));
  typedef int32_t Integers __attribute__((vector_size(64)));
};
template <>
struct LaneTypes<double> {
  typedef double Values __attribute__((vector_size(64)));
  typedef int64_t Integers __attribute__((vector_size(64)));
};
template <typename A>
using Lanes = typename LaneTypes<A>::Values;

template <typename A>
constexpr int kLanes = 64 / sizeof(A);

// Loads kLanes numbers, widened.
WARPKIT_HD void load_lanes(const float* from, Lanes<float>& to) { __builtin_memcpy(&to, from, sizeof(to)); }
WARPKIT_HD void load_lanes(const double* from, Lanes<double>& to) { __builtin_memcpy(&to, from, sizeof(to)); }
WARPKIT_HD void load_lanes(const BFloat16* from, Lanes<float>& to) {
  typedef uint16_t Bits __attribute__((vector_size(32)));
  typedef uint32_t WideBits __attribute__((vector_size(64)));
  Bits bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  const WideBits wide = __builtin_convertvector(bits, WideBits) << 16;
  __builtin_memcpy(&to, &wide, sizeof(to));
}
WARPKIT_HD void load_lanes(const Half* from, Lanes<float>& to) {
  alignas(64) float wide[16];
  for (int l = 0; l < 16; ++l) wide[l] = static_cast<float>(from[l]);
  __builtin_memcpy(&to, wide, sizeof(to));
}

// Stores kLanes numbers, narrowed.
WARPKIT_HD void store_lanes(const Lanes<float>& from, float* to) {
  __builtin_memcpy(to, &from, sizeof(from));
}
WARPKIT_HD void store_lanes(const Lanes<double>& from, double* to) {
  __builtin_memcpy(to, &from, sizeof(from));
}
template <typename T>
WARPKIT_HD void store_lanes(const Lanes<float>& from, T* to) {
  alignas(64) float wide[16];
  __builtin_memcpy(wide, &from, sizeof(from));
  for (int l = 0; l < 16; ++l) narrow(wide[l], to + l);
}

// Halves added to halves, in registers.
WARPKIT_HD float sum_lanes(const Lanes<float>& lanes) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  Eight low, high;
  __builtin_memcpy(&low, &lanes, 32);
  __builtin_memcpy(&high, reinterpret_cast<const char*>(&lanes) + 32, 32);
  low += high;
  Four first, second;
  __builtin_memcpy(&first, &low, 16);
  __builtin_memcpy(&second, reinterpret_cast<const char*>(&low) + 16, 16);
  first += second;
  return (first[0] + first[2]) + (first[1] + first[3]);
}
WARPKIT_HD double sum_lanes(const Lanes<double>& lanes) {
  typedef double Four __attribute__((vector_size(32)));
  Four low, high;
  __builtin_memcpy(&low, &lanes, 32);
  __builtin_memcpy(&high, reinterpret_cast<const char*>(&lanes) + 32, 32);
  low += high;
  return (low[0] + low[2]) + (low[1] + low[3]);
}

}  // namespace warpkit
