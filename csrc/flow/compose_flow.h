// compose_flow(source_vertices [B,S,V,2|3|4], faces [F,3], face_index [B,H,W], barycentric [B,H,W,3],
//              source_visible [B,S,F] or none, face_mask [B,S,F] or none)
//     -> grid [B,S,H,W,2], visible bool [B,S,H,W]
//
// For the face at each pixel, where the same point of the surface lies in each source: x = sum(b x), y =
// sum(b y) with the pixel's barycentrics; for clip space (four components) sum(b x) / sum(b w), sum(b y) /
// sum(b w). Not visible, and -2 in the grid: no face, an index out of range, a face that is not in
// source_visible or not in face_mask, and a point that is not finite, or not in front of the source's camera
// (sum(b w) <= 0).
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit::flow {

template <typename T>
struct ComposeJob {
  const T* vertices;  // contiguous
  int64_t batch, sources, num_vertices, components;
  const void* faces;
  int64_t num_faces;
  bool wide_faces;
  const int32_t* face_index;
  const T* barycentric;
  const unsigned char* source_visible;  // null: all
  const unsigned char* face_mask;       // null: all
  T* grid;
  unsigned char* visible;
  int64_t pixels;  // of an image
};

template <typename T>
struct Point {
  T x, y;
  bool visible;
};

template <typename T>
WARPKIT_HD bool fetch_face(const ComposeJob<T>& job, int64_t face, int64_t (&index)[3]) {
  bool good = face >= 0 && face < job.num_faces;
  for (int k = 0; k < 3; ++k) {
    index[k] = 0;
    if (good) {
      index[k] = job.wide_faces ? static_cast<const int64_t*>(job.faces)[3 * face + k]
                                : static_cast<const int32_t*>(job.faces)[3 * face + k];
      good = index[k] >= 0 && index[k] < job.num_vertices;
    }
  }
  return good;
}

template <typename T>
WARPKIT_HD T blend(const T* barycentric, T a, T b, T c) {
  return (barycentric[0] * a + barycentric[1] * b) + barycentric[2] * c;
}

// The point of a face with corners a, b, c (of `components` numbers) in a source.
template <typename T>
WARPKIT_HD Point<T> compose_point(const T* barycentric, const T* a, const T* b, const T* c,
                                  int64_t components) {
  Point<T> point{blend(barycentric, a[0], b[0], c[0]), blend(barycentric, a[1], b[1], c[1]), true};
  if (components == 4) {
    const T w = blend(barycentric, a[3], b[3], c[3]);
    point.x = point.x / w;
    point.y = point.y / w;
    point.visible = w > T(0);
  }
  point.visible = point.visible && point.x - point.x == T(0) && point.y - point.y == T(0);
  if (!point.visible) point.x = point.y = T(-2);
  return point;
}

}  // namespace warpkit::flow
