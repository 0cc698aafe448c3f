// The Python module: build information and nothing else. The ops register themselves with torch's dispatcher
// (ops.cpp).
#include <pybind11/pybind11.h>

#include "common/simd.h"

PYBIND11_MODULE(_C, m) {
  m.attr("simd_levels") = WARPKIT_SIMD_LEVELS;
#ifdef WARPKIT_WITH_CUDA
  m.attr("with_cuda") = true;
  m.attr("cuda_version") = WARPKIT_CUDA_VERSION;
  m.attr("cuda_architectures") = WARPKIT_CUDA_ARCHITECTURES;
#else
  m.attr("with_cuda") = false;
  m.attr("cuda_version") = "";
  m.attr("cuda_architectures") = "";
#endif
  m.def("simd_level", [] {
    constexpr const char* names[] = {"baseline", "avx2", "avx512"};
    return names[static_cast<int>(warpkit::simd_level())];
  });
}
