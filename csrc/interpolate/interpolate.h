// interpolate(attributes [V,D] or [B,V,D], faces [F,3], face_index [B,H,W], barycentric [B,H,W,3]) ->
// [B,H,W,D]
//
// out[b,i,j] = (b0 * attributes[v0] + b1 * attributes[v1]) + b2 * attributes[v2] for the vertices v0, v1, v2
// of the face at the pixel; zeros where there is none, or it has an index out of range. Attributes may be
// half precision, with float32 barycentrics and sums.
//
// Backward: attributes[v_k] gets the sum over pixels of b_k * gradient; barycentric[k] gets
// <gradient, attributes[v_k]>. Where nothing is shown, zero, whatever the gradient or barycentrics hold.
#pragma once

#include <cstdint>

#include "common/half.h"
#include "common/host_device.h"
#include "common/map_view.h"
#include "common/vertex_sums.h"

namespace warpkit {

template <typename T>
struct InterpolateJob {
  const T* attributes;
  int64_t image_stride;  // 0: shared by the batch
  int64_t num_vertices, dims;
  const void* faces;
  int64_t num_faces;
  bool wide_faces;
  MapView<int32_t> face_index;
  MapView<Accumulator<T>> barycentric;
  T* out;
  int64_t batch, height, width;
};

// What the gradients need beside the job, whose `out` is not used.
template <typename T>
struct InterpolateBackwardJob {
  InterpolateJob<T> forward;
  MapView<T> gradient;
  Accumulator<T>* barycentric_gradient;  // [B,H,W,3]; null: not wanted
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
WARPKIT_HD void blend(const Accumulator<T> (&barycentric)[3], T a, T b, T c, T* out) {
  narrow((barycentric[0] * widen(a) + barycentric[1] * widen(b)) + barycentric[2] * widen(c), out);
}

// The sum over pixels of barycentric x gradient, for csrc/common/vertex_sums.h.
template <typename T>
struct InterpolateSums {
  MapView<T> gradient;
  MapView<Accumulator<T>> barycentric;
  bool packed;  // a pixel's numbers lie side by side in both
};

template <bool kPacked, int N, typename T, typename A>
WARPKIT_HD void add_pixels(const InterpolateSums<T>& op, const PixelRun& run, A (&sums)[3][N]) {
  const int64_t channel = kPacked ? 1 : op.gradient.channel, corner = kPacked ? 1 : op.barycentric.channel,
                step = kPacked ? 3 : op.barycentric.column;
  const T* gradient =
      row_of(op.gradient, run.image, run.row) + run.begin * op.gradient.column + run.first * channel;
  const Accumulator<T>* barycentric = row_of(op.barycentric, run.image, run.row) + run.begin * step;
  for (int64_t at = run.begin; at < run.end; ++at, gradient += op.gradient.column, barycentric += step) {
    const A b0 = barycentric[0], b1 = barycentric[corner], b2 = barycentric[2 * corner];
    for (int d = 0; d < N; ++d) {
      const A g = widen(gradient[d * channel]);
      sums[0][d] += b0 * g;
      sums[1][d] += b1 * g;
      sums[2][d] += b2 * g;
    }
  }
}

template <int N, typename T, typename A>
WARPKIT_HD void add_run(const InterpolateSums<T>& op, const PixelRun& run, A (&sums)[3][N]) {
  if (op.packed) {
    add_pixels<true>(op, run, sums);
  } else {
    add_pixels<false>(op, run, sums);
  }
}

// Adds <gradient, attributes> over numbers first, first + step, ... of a pixel, whose gradient has them
// `channel` apart.
template <typename T>
WARPKIT_HD void add_products(const T* gradient, int64_t channel, const T* const (&from)[3], int64_t dims,
                             int64_t first, int64_t step, Accumulator<T> (&sums)[3]) {
  for (int64_t d = first; d < dims; d += step) {
    const Accumulator<T> g = widen(gradient[d * channel]);
    for (int k = 0; k < 3; ++k) sums[k] += g * widen(from[k][d]);
  }
}

}  // namespace warpkit
