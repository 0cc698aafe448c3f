// Marks the formulas that host and device share. Internal linkage: the copies made for each SIMD level stay
// apart.
#pragma once

#if defined(__CUDACC__)
#define WARPKIT_HD static __host__ __device__ __forceinline__
#else
#define WARPKIT_HD static inline __attribute__((always_inline))
#endif
