// Stores that go past the caches, for outputs that would not stay in them: their old lines need not be
// fetched first, and what is being read keeps its place. Included by *_simd.cpp files alone, once a SIMD
// level.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit {

#if defined(__AVX512F__)
constexpr int kStreamFloats = 16;
#elif defined(__AVX2__)
constexpr int kStreamFloats = 8;
#else
constexpr int kStreamFloats = 4;
#endif

typedef float StreamFloats __attribute__((vector_size(4 * kStreamFloats)));

// Outputs below this many bytes are likely to be read from the cache they were written to.
constexpr int64_t kStreamBytes = int64_t(8) << 20;

WARPKIT_HD StreamFloats load_floats(const float* from) {
  StreamFloats floats;
  __builtin_memcpy(&floats, from, sizeof(floats));
  return floats;
}

// `to` is aligned to the vector's size.
WARPKIT_HD void stream_floats(float* to, StreamFloats floats) {
#if defined(__AVX512F__)
  __builtin_ia32_movntps512(to, floats);
#elif defined(__AVX2__)
  __builtin_ia32_movntps256(to, floats);
#elif defined(__SSE2__)
  __builtin_ia32_movntps(to, floats);
#else
  __builtin_memcpy(to, &floats, sizeof(floats));
#endif
}

// Before another thread may read what was streamed.
WARPKIT_HD void end_stream() {
#if defined(__SSE2__)
  __builtin_ia32_sfence();
#endif
}

}  // namespace warpkit
