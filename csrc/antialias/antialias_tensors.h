// From tensors to the plain structures of antialias.h, with the checks that both devices share.
#pragma once

#include "antialias/antialias.h"
#include "common/tensors.h"

namespace warpkit::antialiasing {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline Strides image_strides(const Tensor& image) {
  return {image.stride(0), image.stride(1), image.stride(2), image.stride(3)};
}

// An empty tensor of the size of an image, channels-last where it is.
inline Tensor make_image(const Tensor& image) {
  const int64_t batch = image.size(0), channels = image.size(1), height = image.size(2),
                width = image.size(3);
  if (image.stride(1) != 1 || channels < 2) {
    return make_tensor(image, {batch, channels, height, width});
  }
  const Tensor out = make_tensor(image, {batch, height, width, channels});
  return torch::stable::transpose(torch::stable::transpose(out, 2, 3), 1, 2);
}

// The picture's geometry, checked and contiguous.
struct SceneTensors {
  Tensor face_index, depth, vertices, faces, neighbours;

  SceneTensors(const Tensor& image, const Tensor& face_index_in, const Tensor& depth_in,
               const Tensor& vertices_in, const Tensor& faces_in, const Tensor& neighbours_in) {
    STD_TORCH_CHECK(image.dim() == 4, "image: expected shape [B, C, H, W]");
    STD_TORCH_CHECK(face_index_in.dim() == 3 && face_index_in.scalar_type() == ScalarType::Int,
                    "face_index: expected int32 [B, H, W]");
    STD_TORCH_CHECK(face_index_in.size(0) == image.size(0) && face_index_in.size(1) == image.size(2) &&
                        face_index_in.size(2) == image.size(3),
                    "face_index: expected B, H, W of image");
    STD_TORCH_CHECK(vertices_in.dim() == 3 && (vertices_in.size(2) == 3 || vertices_in.size(2) == 4) &&
                        vertices_in.size(0) == image.size(0),
                    "vertices: expected shape [B, V, 3] or [B, V, 4] with B of image");
    const auto dtype = vertices_in.scalar_type();
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double,
                    "vertices: expected float32 or float64");
    STD_TORCH_CHECK(
        depth_in.dim() == 3 && depth_in.scalar_type() == dtype && depth_in.size(0) == face_index_in.size(0) &&
            depth_in.size(1) == face_index_in.size(1) && depth_in.size(2) == face_index_in.size(2),
        "depth: expected the shape of face_index and the dtype of vertices");
    STD_TORCH_CHECK(faces_in.dim() == 2 && faces_in.size(1) == 3, "faces: expected shape [F, 3]");
    STD_TORCH_CHECK(faces_in.scalar_type() == ScalarType::Int || faces_in.scalar_type() == ScalarType::Long,
                    "faces: expected int32 or int64");
    STD_TORCH_CHECK(neighbours_in.dim() == 2 && neighbours_in.size(0) == faces_in.size(0) &&
                        neighbours_in.size(1) == 3 && neighbours_in.scalar_type() == ScalarType::Int,
                    "neighbours: expected int32 of the shape of faces");
    const auto device = image.device();
    STD_TORCH_CHECK(face_index_in.device() == device && depth_in.device() == device &&
                        vertices_in.device() == device && faces_in.device() == device &&
                        neighbours_in.device() == device,
                    "antialias: expected all arguments on one device");
    face_index = as_contiguous(face_index_in);
    depth = as_contiguous(depth_in);
    vertices = as_contiguous(vertices_in);
    faces = as_contiguous(faces_in);
    neighbours = as_contiguous(neighbours_in);
  }

  bool wide() const { return vertices.scalar_type() == ScalarType::Double; }

  template <typename G>
  Scene<G> scene() const {
    return {static_cast<const G*>(vertices.const_data_ptr()),
            vertices.size(1),
            vertices.size(2),
            faces.const_data_ptr(),
            faces.scalar_type() == ScalarType::Long,
            static_cast<const int32_t*>(neighbours.const_data_ptr()),
            faces.size(0),
            static_cast<const int32_t*>(face_index.const_data_ptr()),
            static_cast<const G*>(depth.const_data_ptr()),
            face_index.size(0),
            face_index.size(1),
            face_index.size(2)};
  }

  // Room for the shifts of all pairs, in the type that an image of this type is computed in.
  Tensor make_shifts(bool wide_image) const {
    return make_tensor(vertices, {2, face_index.size(0), face_index.size(1), face_index.size(2)},
                       wide_image ? ScalarType::Double : ScalarType::Float);
  }
};

inline void check_gradient(const Tensor& gradient, const Tensor& image) {
  STD_TORCH_CHECK(gradient.dim() == 4 && gradient.scalar_type() == image.scalar_type() &&
                      gradient.device() == image.device(),
                  "gradient: expected the rank, dtype and device of image");
  for (int64_t k = 0; k < 4; ++k) {
    STD_TORCH_CHECK(gradient.size(k) == image.size(k), "gradient: expected the shape of image");
  }
}

}  // namespace warpkit::antialiasing
