#include "common/simd.h"

#include <cstdlib>
#include <cstring>

namespace warpkit {

namespace {

SimdLevel detect() {
  SimdLevel level = SimdLevel::baseline;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) level = SimdLevel::avx2;
  if (__builtin_cpu_supports("x86-64-v4")) level = SimdLevel::avx512;
#endif
  if (const char* wanted = std::getenv("WARPKIT_SIMD")) {
    if (std::strcmp(wanted, "baseline") == 0) return SimdLevel::baseline;
    if (std::strcmp(wanted, "avx2") == 0 && level > SimdLevel::avx2) return SimdLevel::avx2;
  }
  return level;
}

}  // namespace

SimdLevel simd_level() {
  static const SimdLevel level = detect();
  return level;
}

}  // namespace warpkit
