// From tensors to the plain structures of rasterize.h, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "common/tensors.h"
#include "rasterize/rasterize.h"

namespace warpkit::raster {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check_mesh(const Tensor& vertices, const Tensor& faces) {
  STD_TORCH_CHECK(vertices.dim() == 3 && (vertices.size(2) == 3 || vertices.size(2) == 4),
                  "vertices: expected shape [B, V, 3] or [B, V, 4]");
  STD_TORCH_CHECK(vertices.scalar_type() == ScalarType::Float || vertices.scalar_type() == ScalarType::Double,
                  "vertices: expected float32 or float64");
  STD_TORCH_CHECK(faces.dim() == 2 && faces.size(1) == 3, "faces: expected shape [F, 3]");
  STD_TORCH_CHECK(faces.scalar_type() == ScalarType::Int || faces.scalar_type() == ScalarType::Long,
                  "faces: expected int32 or int64");
  STD_TORCH_CHECK(faces.size(0) < (int64_t(1) << 31), "faces: expected fewer than 2^31");
  STD_TORCH_CHECK(faces.device() == vertices.device(), "faces: expected on the device of vertices");
}

inline void check_size(int64_t height, int64_t width) {
  constexpr int64_t kMost = int64_t(1) << 22;
  STD_TORCH_CHECK(height >= 1 && width >= 1 && height <= kMost && width <= kMost,
                  "size: expected height and width from 1 to 2^22, got ", height, " and ", width);
}

// Both tensors contiguous; they must outlive the mesh.
template <typename T>
Mesh<T> make_mesh(const Tensor& vertices, const Tensor& faces) {
  return {static_cast<const T*>(vertices.const_data_ptr()),
          vertices.size(0),
          vertices.size(1),
          vertices.size(2),
          faces.const_data_ptr(),
          faces.size(0),
          faces.scalar_type() == ScalarType::Long};
}

inline Tensor make_face_index(const Tensor& vertices, int64_t height, int64_t width) {
  return make_tensor(vertices, {vertices.size(0), height, width}, ScalarType::Int);
}

inline void check_face_index(const Tensor& face_index, const Tensor& like) {
  STD_TORCH_CHECK(face_index.dim() == 3 && face_index.scalar_type() == ScalarType::Int,
                  "face_index: expected int32 [B, H, W]");
  STD_TORCH_CHECK(face_index.device() == like.device(),
                  "face_index: expected on the device of the other arguments");
}

}  // namespace warpkit::raster
