// The CUDA walk's visibility buffer: one 64-bit key a pixel, the nearest face's ordered depth over its index.
// Another op can fill it and resolve the keys in a kernel of its own. Include from .cu files only.
#pragma once

#include <cuda_runtime.h>

#include <cstring>

#include "rasterize/rasterize_fetch.h"

namespace warpkit::raster {

constexpr uint64_t kNoFace = ~uint64_t(0);

// float32 depth as an unsigned number of the same order; -0.0 and 0.0 are one depth.
__device__ __forceinline__ uint32_t ordered(float depth) {
  const uint32_t bits = __float_as_uint(depth + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ int32_t face_of(uint64_t key) {
  return key == kNoFace ? -1 : static_cast<int32_t>(key);
}

// The depth of a key that has a face.
__host__ __device__ inline float depth_of(uint64_t key) {
  const uint32_t order = static_cast<uint32_t>(key >> 32),
                 bits = order & 0x80000000u ? order & 0x7fffffffu : ~order;
  float depth;
  memcpy(&depth, &bits, sizeof(depth));
  return depth;
}

template <typename T>
__device__ __forceinline__ Mesh<T> image_of(const Mesh<T>& mesh, int64_t image) {
  Mesh<T> one = mesh;
  one.vertices += image * mesh.num_vertices * mesh.components;
  return one;
}

// Rarely called: by value and out of line, so that it costs the common path no registers.
template <typename T>
__device__ __noinline__ Resolvable<T> resolve_cut_face_apart(Mesh<T> one, View view, int32_t face) {
  return resolve_cut_face(one, view, face);
}

// Barycentrics and depth of a face at a pixel of one image; false: none.
template <typename T>
__device__ __forceinline__ bool resolve_pixel(const Mesh<T>& one, const View& view, int32_t face,
                                              int64_t pixel, T* barycentric, T* depth) {
  const bool perspective = one.components == 4;
  Corner corner[3];
  Resolvable<T> known = {};
  if (face >= 0 && face < one.num_faces && fetch_corners(one, view, face, corner)) {
    if (drawable(corner, perspective, view.near)) {
      known = resolve_whole_face<T>(view, corner);
    } else if (is_cut(one, view, corner)) {
      known = resolve_cut_face_apart(one, view, face);
    }
  }
  if (!known.good) {
    barycentric[0] = barycentric[1] = barycentric[2] = 0;
    *depth = static_cast<T>(INFINITY);
    return false;
  }
  const T column = static_cast<T>(static_cast<int32_t>(pixel % view.width) - known.j0);
  const T row = static_cast<T>(static_cast<int32_t>(pixel / view.width) - known.i0);
  resolve(known.resolver, column, row, perspective, barycentric, depth);
  return true;
}

// Room for faces that many blocks share: [0] is their number, then image * num_faces + face.
inline int64_t queue_length(int64_t images, int64_t num_faces) { return 1 + images * num_faces; }

// Fills keys [images, H, W] for images first..first + images of the mesh. queue: queue_length() numbers of
// workspace.
template <typename T>
void fill_keys(const Mesh<T>& mesh, const View& view, int64_t first, int64_t images, uint64_t* keys,
               int64_t* queue, cudaStream_t stream);

// How many images to work on at a time, so that their keys stay in the L2 cache.
inline int64_t images_a_wave(int64_t batch, int64_t height, int64_t width) {
  constexpr int64_t kKeys = int64_t(4) << 20;  // 32 MB
  const int64_t fit = kKeys / (height * width);
  return fit < 1 ? 1 : fit < batch ? fit : batch;
}

}  // namespace warpkit::raster
