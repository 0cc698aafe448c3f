// From tensors to InterpolateJob, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "common/tensors.h"
#include "interpolate/interpolate.h"

namespace warpkit {

// The arguments of interpolate, contiguous, and its output.
struct InterpolateTensors {
  torch::stable::Tensor attributes, faces, face_index, barycentric, out;

  InterpolateTensors(const torch::stable::Tensor& attributes_in, const torch::stable::Tensor& faces_in,
                     const torch::stable::Tensor& face_index_in,
                     const torch::stable::Tensor& barycentric_in) {
    using torch::headeronly::ScalarType;
    const auto dtype = attributes_in.scalar_type();
    const int64_t dim = attributes_in.dim();
    STD_TORCH_CHECK(dim == 2 || dim == 3, "attributes: expected shape [V, D] or [B, V, D]");
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double,
                    "attributes: expected float32 or float64");
    STD_TORCH_CHECK(faces_in.dim() == 2 && faces_in.size(1) == 3, "faces: expected shape [F, 3]");
    STD_TORCH_CHECK(faces_in.scalar_type() == ScalarType::Int || faces_in.scalar_type() == ScalarType::Long,
                    "faces: expected int32 or int64");
    STD_TORCH_CHECK(face_index_in.dim() == 3 && face_index_in.scalar_type() == ScalarType::Int,
                    "face_index: expected int32 [B, H, W]");
    STD_TORCH_CHECK(dim == 2 || attributes_in.size(0) == face_index_in.size(0),
                    "attributes: expected the batch size of face_index");
    STD_TORCH_CHECK(barycentric_in.scalar_type() == dtype, "barycentric: expected the dtype of attributes");
    STD_TORCH_CHECK(barycentric_in.dim() == 4 && barycentric_in.size(3) == 3 &&
                        barycentric_in.size(0) == face_index_in.size(0) &&
                        barycentric_in.size(1) == face_index_in.size(1) &&
                        barycentric_in.size(2) == face_index_in.size(2),
                    "barycentric: expected shape [B, H, W, 3] with B, H, W of face_index");
    const auto device = attributes_in.device();
    STD_TORCH_CHECK(
        faces_in.device() == device && face_index_in.device() == device && barycentric_in.device() == device,
        "interpolate: expected all arguments on one device");
    attributes = as_contiguous(attributes_in);
    faces = as_contiguous(faces_in);
    face_index = as_contiguous(face_index_in);
    barycentric = as_contiguous(barycentric_in);
    out = make_tensor(attributes,
                      {face_index.size(0), face_index.size(1), face_index.size(2), attributes.size(dim - 1)});
  }

  template <typename T>
  InterpolateJob<T> job() const {
    const bool shared = attributes.dim() == 2;
    const int64_t num_vertices = attributes.size(shared ? 0 : 1), dims = attributes.size(shared ? 1 : 2);
    return {static_cast<const T*>(attributes.const_data_ptr()),
            shared ? 0 : num_vertices * dims,
            num_vertices,
            dims,
            faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == torch::headeronly::ScalarType::Long,
            static_cast<const int32_t*>(face_index.const_data_ptr()),
            static_cast<const T*>(barycentric.const_data_ptr()),
            static_cast<T*>(out.mutable_data_ptr()),
            face_index.size(0),
            face_index.size(1) * face_index.size(2)};
  }
};

}  // namespace warpkit
