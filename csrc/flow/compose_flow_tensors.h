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

// The arguments that compose_flow and its backward share, contiguous.
struct ComposeArguments {
  Tensor vertices, faces, face_index, barycentric;

  ComposeArguments(const Tensor& vertices_in, const Tensor& faces_in, const Tensor& face_index_in,
                   const Tensor& barycentric_in) {
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
    vertices = as_contiguous(vertices_in);
    faces = as_contiguous(faces_in);
    face_index = face_index_in;
    barycentric = barycentric_in;
  }

  // Without flags and outputs.
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
            view_map<int32_t>(face_index),
            view_map<T>(barycentric),
            nullptr,
            nullptr,
            nullptr,
            nullptr,
            face_index.size(1),
            face_index.size(2)};
  }
};

// The arguments of compose_flow and its outputs.
struct ComposeTensors {
  ComposeArguments inputs;
  Tensor grid, visible;
  std::optional<Tensor> source_visible, face_mask;

  ComposeTensors(const Tensor& vertices, const Tensor& faces, const Tensor& face_index,
                 const Tensor& barycentric, const std::optional<Tensor>& source_visible_in,
                 const std::optional<Tensor>& face_mask_in)
      : inputs(vertices, faces, face_index, barycentric) {
    check_face_flags("source_visible", source_visible_in, vertices, faces);
    check_face_flags("face_mask", face_mask_in, vertices, faces);
    if (source_visible_in) source_visible = as_contiguous(*source_visible_in);
    if (face_mask_in) face_mask = as_contiguous(*face_mask_in);
    const int64_t batch = vertices.size(0), sources = vertices.size(1);
    const int64_t height = face_index.size(1), width = face_index.size(2);
    grid = make_tensor(vertices, {batch, sources, height, width, 2});
    visible = make_tensor(vertices, {batch, sources, height, width}, ScalarType::Bool);
  }

  template <typename T>
  ComposeJob<T> job() const {
    ComposeJob<T> job = inputs.job<T>();
    job.source_visible = flags_data(source_visible);
    job.face_mask = flags_data(face_mask);
    job.grid = static_cast<T*>(grid.mutable_data_ptr());
    job.visible = static_cast<unsigned char*>(visible.mutable_data_ptr());
    return job;
  }
};

// The arguments of compose_flow_backward and its outputs; one that is not wanted is empty.
struct ComposeBackwardTensors {
  ComposeArguments inputs;
  Tensor gradient, visible, vertices_gradient, barycentric_gradient;
  bool barycentric_wanted;

  ComposeBackwardTensors(const Tensor& gradient_in, const Tensor& vertices, const Tensor& faces,
                         const Tensor& face_index, const Tensor& barycentric, const Tensor& visible_in,
                         bool vertices_wanted, bool barycentric_wanted_in)
      : inputs(vertices, faces, face_index, barycentric), barycentric_wanted(barycentric_wanted_in) {
    const int64_t batch = vertices.size(0), sources = vertices.size(1), height = face_index.size(1),
                  width = face_index.size(2);
    const auto is_image = [&](const Tensor& tensor, int64_t dim) {
      return tensor.dim() == dim && tensor.size(0) == batch && tensor.size(1) == sources &&
             tensor.size(2) == height && tensor.size(3) == width && tensor.device() == vertices.device();
    };
    STD_TORCH_CHECK(is_image(gradient_in, 5) && gradient_in.size(4) == 2 &&
                        gradient_in.scalar_type() == vertices.scalar_type(),
                    "gradient: expected shape [B, S, H, W, 2], dtype and device of source_vertices");
    STD_TORCH_CHECK(is_image(visible_in, 4) && visible_in.scalar_type() == ScalarType::Bool,
                    "visible: expected bool [B, S, H, W] on the device of source_vertices");
    gradient = gradient_in;
    visible = visible_in;
    vertices_gradient = vertices_wanted
                            ? make_tensor(vertices, {batch, sources, vertices.size(2), vertices.size(3)})
                            : make_tensor(vertices, {0});
    barycentric_gradient = barycentric_wanted ? make_tensor(vertices, {batch, height, width, int64_t(3)})
                                              : make_tensor(vertices, {0});
  }

  template <typename T>
  ComposeBackwardJob<T> job() const {
    return {inputs.job<T>(), view_source_maps<unsigned char>(visible), view_source_maps<T>(gradient),
            barycentric_wanted ? static_cast<T*>(barycentric_gradient.mutable_data_ptr()) : nullptr};
  }

  // All sources of an image share its ids.
  VertexSums sums() const {
    return {inputs.faces.const_data_ptr(),
            inputs.faces.size(0),
            inputs.faces.scalar_type() == ScalarType::Long,
            view_map<int32_t>(inputs.face_index),
            inputs.vertices.size(0) * inputs.vertices.size(1),
            inputs.vertices.size(1),
            inputs.face_index.size(1),
            inputs.face_index.size(2),
            inputs.vertices.size(2),
            inputs.vertices.size(3),
            false};
  }
};

}  // namespace warpkit::flow
