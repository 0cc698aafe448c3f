// Which SIMD level the CPU kernels run at. A file named *_simd.cpp is compiled once for each level, with that
// level's flags and inside a namespace of its name (WARPKIT_SIMD); select() picks one of the copies at run
// time. Keep such files free of inline functions from the standard library: the linker may keep any level's
// copy of them.
#pragma once

namespace warpkit {

enum class SimdLevel { baseline = 0, avx2 = 1, avx512 = 2 };

// The best level that this processor has and the environment variable WARPKIT_SIMD (baseline, avx2, avx512)
// allows.
SimdLevel simd_level();

template <typename Function>
Function* select(Function* baseline, [[maybe_unused]] Function* avx2, [[maybe_unused]] Function* avx512) {
#if defined(__x86_64__)
  switch (simd_level()) {
    case SimdLevel::avx512:
      return avx512;
    case SimdLevel::avx2:
      return avx2;
    case SimdLevel::baseline:
      break;
  }
#endif
  return baseline;
}

}  // namespace warpkit

// Declares `result name(arguments)` in each level's namespace; WARPKIT_SELECT(name) is the copy to call.
#if defined(__x86_64__)
#define WARPKIT_DECLARE_SIMD(result, name, ...) \
  namespace baseline {                          \
  result name(__VA_ARGS__);                     \
  }                                             \
  namespace avx2 {                              \
  result name(__VA_ARGS__);                     \
  }                                             \
  namespace avx512 {                            \
  result name(__VA_ARGS__);                     \
  }
#define WARPKIT_SELECT(name) ::warpkit::select(&baseline::name, &avx2::name, &avx512::name)
#else
#define WARPKIT_DECLARE_SIMD(result, name, ...) \
  namespace baseline {                          \
  result name(__VA_ARGS__);                     \
  }
#define WARPKIT_SELECT(name) (&baseline::name)
#endif
