// From tensors to ComposeJob, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>

#include "common/tensors.h"
#include "flow/compose_flow.h"

namespace warpkit::flow {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check_face_flags(const char* name, const std::optional<Tensor>& flags, const Tensor& vertices,
                             const Tensor& faces) {
  if (!flags) return;
  STD_TORCH_CHECK(flags->dim() == 3 && flags->scalar_type() == ScalarType::Bool &&
                      flags->size(0) == vertices.size(0) && flags->size(1) == vertices.size(1) &&
                      flags->size(2) == faces.size(0),
                  name, ": expected bool [B, S, F]");
  STD_TORCH_CHECK(flags->device() == vertices.device(), name, ": expected on the device of source_vertices");
}

inline const unsigned char* flags_data(const std::optional<Tensor>& flags) {
  return flags ? static_cast<const unsigned char*>(flags->const_data_ptr()) : nullptr;
}

// The arguments of compose_flow, contiguous, and its outputs.
struct ComposeTensors {
  Tensor vertices, faces, face_index, barycentric, grid, visible;
  std::optional<Tensor> source_visible, face_mask;

  ComposeTensors(const Tensor& vertices_in, const Tensor& faces_in, const Tensor& face_index_in,
                 const Tensor& barycentric_in, const std::optional<Tensor>& source_visible_in,
                 const std::optional<Tensor>& face_mask_in) {
    const auto dtype = vertices_in.scalar_type();
    STD_TORCH_CHECK(vertices_in.dim() == 4 && vertices_in.size(3) >= 2 && vertices_in.size(3) <= 4,
                    "source_vertices: expected shape [B, S, V, 2], [B, S, V, 3] or [B, S, V, 4]");
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double,
                    "source_vertices: expected float32 or float64");
    STD_TORCH_CHECK(faces_in.dim() == 2 && faces_in.size(1) == 3, "faces: expected shape [F, 3]");
    STD_TORCH_CHECK(faces_in.scalar_type() == ScalarType::Int || faces_in.scalar_type() == ScalarType::Long,
                    "faces: expected int32 or int64");
    STD_TORCH_CHECK(face_index_in.dim() == 3 && face_index_in.scalar_type() == ScalarType::Int &&
                        face_index_in.size(0) == vertices_in.size(0),
                    "face_index: expected int32 [B, H, W]");
    STD_TORCH_CHECK(barycentric_in.scalar_type() == dtype,
                    "barycentric: expected the dtype of source_vertices");
    STD_TORCH_CHECK(barycentric_in.dim() == 4 && barycentric_in.size(3) == 3 &&
                        barycentric_in.size(0) == face_index_in.size(0) &&
                        barycentric_in.size(1) == face_index_in.size(1) &&
                        barycentric_in.size(2) == face_index_in.size(2),
                    "barycentric: expected shape [B, H, W, 3] with B, H, W of face_index");
    const auto device = vertices_in.device();
    STD_TORCH_CHECK(
        faces_in.device() == device && face_index_in.device() == device && barycentric_in.device() == device,
        "compose_flow: expected all arguments on one device");
    check_face_flags("source_visible", source_visible_in, vertices_in, faces_in);
    check_face_flags("face_mask", face_mask_in, vertices_in, faces_in);
    vertices = as_contiguous(vertices_in);
    faces = as_contiguous(faces_in);
    face_index = as_contiguous(face_index_in);
    barycentric = as_contiguous(barycentric_in);
    if (source_visible_in) source_visible = as_contiguous(*source_visible_in);
    if (face_mask_in) face_mask = as_contiguous(*face_mask_in);
    const int64_t batch = vertices.size(0), sources = vertices.size(1);
    const int64_t height = face_index.size(1), width = face_index.size(2);
    grid = make_tensor(vertices, {batch, sources, height, width, 2});
    visible = make_tensor(vertices, {batch, sources, height, width}, ScalarType::Bool);
  }

  template <typename T>
  ComposeJob<T> job() const {
    return {static_cast<const T*>(vertices.const_data_ptr()),
            vertices.size(0),
            vertices.size(1),
            vertices.size(2),
            vertices.size(3),
            faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == ScalarType::Long,
            static_cast<const int32_t*>(face_index.const_data_ptr()),
            static_cast<const T*>(barycentric.const_data_ptr()),
            flags_data(source_visible),
            flags_data(face_mask),
            static_cast<T*>(grid.mutable_data_ptr()),
            static_cast<unsigned char*>(visible.mutable_data_ptr()),
            face_index.size(1) * face_index.size(2)};
  }
};

}  // namespace warpkit::flow
