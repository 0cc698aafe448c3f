// interpolate(attributes [V,D] or [B,V,D], faces [F,3], face_index [B,H,W], barycentric [B,H,W,3]) ->
// [B,H,W,D]
//
// out[b,i,j] = (b0 * attributes[v0] + b1 * attributes[v1]) + b2 * attributes[v2] for the vertices v0, v1, v2
// of the face at the pixel; zeros where there is none, or it has an index out of range.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit {

template <typename T>
struct InterpolateJob {
  const T* attributes;
  int64_t image_stride;  // 0: shared by the batch
  int64_t num_vertices, dims;
  const void* faces;
  int64_t num_faces;
  bool wide_faces;
  const int32_t* face_index;
  const T* barycentric;
  T* out;
  int64_t batch, pixels;  // pixels of an image
};

// Where the three vertices' attributes of the face begin; false: none.
template <typename T>
WARPKIT_HD bool fetch_attributes(const InterpolateJob<T>& job, int64_t image, int64_t face,
                                 const T* (&from)[3]) {
  bool good = face >= 0 && face < job.num_faces;
  for (int k = 0; k < 3; ++k) {
    int64_t index = 0;
    if (good) {
      index = job.wide_faces ? static_cast<const int64_t*>(job.faces)[3 * face + k]
                             : static_cast<const int32_t*>(job.faces)[3 * face + k];
      good = index >= 0 && index < job.num_vertices;
    }
    from[k] = job.attributes + image * job.image_stride + (good ? index * job.dims : 0);
  }
  return good;
}

template <typename T>
WARPKIT_HD T blend(const T* barycentric, T a, T b, T c) {
  return (barycentric[0] * a + barycentric[1] * b) + barycentric[2] * c;
}

}  // namespace warpkit
