// compose_flow(source_vertices [B,S,V,2|3|4], faces [F,3], face_index [B,H,W], barycentric [B,H,W,3],
//              source_visible [B,S,F] or none, face_mask [B,S,F] or none)
//     -> grid [B,S,H,W,2], visible bool [B,S,H,W]
//
// For the face at each pixel, where the same point of the surface lies in each source: x = sum(b x), y =
// sum(b y) with the pixel's barycentrics; for clip space (four components) sum(b x) / sum(b w), sum(b y) /
// sum(b w). Not visible, and -2 in the grid: no face, an index out of range, a face that is not in
// source_visible or not in face_mask, and a point that is not finite, or not in front of the source's camera
// (sum(b w) <= 0).
//
// Backward: where visible, source_vertices get the sum over pixels, barycentric the sum over sources; the z
// of a vertex gets zero. Elsewhere zero, whatever the gradient or the barycentrics hold. `visible` is
// forward's, or has more hidden: it is not differentiated.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/map_view.h"
#include "common/vertex_sums.h"

namespace warpkit::flow {

template <typename T>
struct ComposeJob {
  const T* vertices;  // contiguous
  int64_t batch, sources, num_vertices, components;
  const void* faces;
  int64_t num_faces;
  bool wide_faces;
  MapView<int32_t> face_index;
  MapView<T> barycentric;
  const unsigned char* source_visible;  // null: all
  const unsigned char* face_mask;       // null: all
  T* grid;
  unsigned char* visible;
  int64_t height, width;
};

template <typename T>
WARPKIT_HD int64_t count_pixels(const ComposeJob<T>& job) {
  return job.height * job.width;
}

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

// What the gradients need beside the job, whose outputs are not used.
template <typename T>
struct ComposeBackwardJob {
  ComposeJob<T> forward;
  MapView<unsigned char> visible;  // [B,S,H,W]
  MapView<T> gradient;             // [B,S,H,W,2]
  T* barycentric_gradient;         // [B,H,W,3]; null: not wanted
};

// The gradient of the sums that a point is made of: x, y and, for clip space, w.
template <typename T>
struct PointGradient {
  T x, y, w;
};

template <typename T>
WARPKIT_HD PointGradient<T> point_gradient(const T* barycentric, const T* a, const T* b, const T* c,
                                           int64_t components, const T* gradient) {
  if (components < 4) return {gradient[0], gradient[1], T(0)};
  const T inverse = T(1) / blend(barycentric, a[3], b[3], c[3]);
  const T x = blend(barycentric, a[0], b[0], c[0]) * inverse,
          y = blend(barycentric, a[1], b[1], c[1]) * inverse;
  return {gradient[0] * inverse, gradient[1] * inverse, -(gradient[0] * x + gradient[1] * y) * inverse};
}

// What a run of pixels gives to the vertices of its face, for csrc/common/vertex_sums.h.
template <int N, typename T, typename A>
WARPKIT_HD void add_run(const ComposeBackwardJob<T>& job, const PixelRun& run, A (&sums)[3][N]) {
  const T* vertices = job.forward.vertices + run.image * job.forward.num_vertices * N;
  const T *a = vertices + run.vertex[0] * N, *b = vertices + run.vertex[1] * N,
          *c = vertices + run.vertex[2] * N;
  const ComposeJob<T>& forward = job.forward;
  const int64_t image = run.image / forward.sources, source = run.image - image * forward.sources;
  const unsigned char* visible = row_of(job.visible, image, source, run.row);
  const T *gradients = row_of(job.gradient, image, source, run.row),
          *weights = row_of(forward.barycentric, image, run.row);
  for (int64_t j = run.begin; j < run.end; ++j) {
    if (!visible[j * job.visible.column]) continue;
    const T *weight = weights + j * forward.barycentric.column, *g = gradients + j * job.gradient.column;
    const T barycentric[3] = {weight[0], weight[forward.barycentric.channel],
                              weight[2 * forward.barycentric.channel]};
    const T gradient[2] = {g[0], g[job.gradient.channel]};
    const PointGradient<T> point = point_gradient(barycentric, a, b, c, N, gradient);
    for (int k = 0; k < 3; ++k) {
      sums[k][0] += static_cast<A>(barycentric[k]) * static_cast<A>(point.x);
      sums[k][1] += static_cast<A>(barycentric[k]) * static_cast<A>(point.y);
      if (N == 4) sums[k][N - 1] += static_cast<A>(barycentric[k]) * static_cast<A>(point.w);
    }
  }
}

// The gradient of a pixel's barycentrics.
template <typename T>
WARPKIT_HD void write_barycentric_gradient(const ComposeBackwardJob<T>& job, int64_t image, int64_t row,
                                           int64_t column) {
  const ComposeJob<T>& forward = job.forward;
  const int64_t components = forward.components;
  T sums[3] = {};
  int64_t index[3];
  const int32_t face = row_of(forward.face_index, image, row)[column * forward.face_index.column];
  if (fetch_face(forward, face, index)) {
    const T* weight = row_of(forward.barycentric, image, row) + column * forward.barycentric.column;
    const T barycentric[3] = {weight[0], weight[forward.barycentric.channel],
                              weight[2 * forward.barycentric.channel]};
    for (int64_t source = 0; source < forward.sources; ++source) {
      if (!row_of(job.visible, image, source, row)[column * job.visible.column]) continue;
      const T* g = row_of(job.gradient, image, source, row) + column * job.gradient.column;
      const T gradient[2] = {g[0], g[job.gradient.channel]};
      const T* vertices =
          forward.vertices + (image * forward.sources + source) * forward.num_vertices * components;
      const T* corner[3] = {vertices + index[0] * components, vertices + index[1] * components,
                            vertices + index[2] * components};
      const PointGradient<T> point =
          point_gradient(barycentric, corner[0], corner[1], corner[2], components, gradient);
      for (int k = 0; k < 3; ++k) {
        sums[k] += point.x * corner[k][0] + point.y * corner[k][1];
        if (components == 4) sums[k] += point.w * corner[k][3];
      }
    }
  }
  T* out = job.barycentric_gradient + 3 * ((image * forward.height + row) * forward.width + column);
  for (int k = 0; k < 3; ++k) out[k] = sums[k];
}

}  // namespace warpkit::flow
