// From tensors to InterpolateJob, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "common/dtypes.h"
#include "common/tensors.h"
#include "interpolate/interpolate.h"

namespace warpkit {

// The arguments of interpolate: maps as they came, the rest contiguous.
struct InterpolateTensors {
  torch::stable::Tensor attributes, faces, face_index, barycentric;

  InterpolateTensors(const torch::stable::Tensor& attributes_in, const torch::stable::Tensor& faces_in,
                     const torch::stable::Tensor& face_index_in,
                     const torch::stable::Tensor& barycentric_in) {
    using torch::headeronly::ScalarType;
    const auto dtype = attributes_in.scalar_type();
    const int64_t dim = attributes_in.dim();
    STD_TORCH_CHECK(dim == 2 || dim == 3, "attributes: expected shape [V, D] or [B, V, D]");
    STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double || dtype == ScalarType::Half ||
                        dtype == ScalarType::BFloat16,
                    "attributes: expected float32, float64, bfloat16 or float16");
    STD_TORCH_CHECK(faces_in.dim() == 2 && faces_in.size(1) == 3, "faces: expected shape [F, 3]");
    STD_TORCH_CHECK(faces_in.scalar_type() == ScalarType::Int || faces_in.scalar_type() == ScalarType::Long,
                    "faces: expected int32 or int64");
    STD_TORCH_CHECK(face_index_in.dim() == 3 && face_index_in.scalar_type() == ScalarType::Int,
                    "face_index: expected int32 [B, H, W]");
    STD_TORCH_CHECK(dim == 2 || attributes_in.size(0) == face_index_in.size(0),
                    "attributes: expected the batch size of face_index");
    const auto expected = dtype == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
    STD_TORCH_CHECK(barycentric_in.scalar_type() == expected,
                    "barycentric: expected float64 for float64 attributes, else float32");
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
    face_index = face_index_in;
    barycentric = barycentric_in;
  }

  bool shared() const { return attributes.dim() == 2; }
  int64_t num_vertices() const { return attributes.size(attributes.dim() - 2); }
  int64_t dims() const { return attributes.size(attributes.dim() - 1); }

  torch::stable::Tensor make_out() const {
    return make_tensor(attributes, {face_index.size(0), face_index.size(1), face_index.size(2), dims()});
  }

  template <typename T>
  InterpolateJob<T> job(T* out) const {
    return {static_cast<const T*>(attributes.const_data_ptr()),
            shared() ? 0 : num_vertices() * dims(),
            num_vertices(),
            dims(),
            faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == torch::headeronly::ScalarType::Long,
            view_map<int32_t>(face_index),
            view_map<Accumulator<T>>(barycentric),
            out,
            face_index.size(0),
            face_index.size(1),
            face_index.size(2)};
  }
};

// The arguments of interpolate_backward and its outputs; one that is not wanted is empty.
struct InterpolateBackwardTensors {
  InterpolateTensors inputs;
  torch::stable::Tensor gradient, attributes_gradient, barycentric_gradient;
  bool attributes_wanted, barycentric_wanted;

  InterpolateBackwardTensors(const torch::stable::Tensor& gradient_in,
                             const torch::stable::Tensor& attributes, const torch::stable::Tensor& faces,
                             const torch::stable::Tensor& face_index,
                             const torch::stable::Tensor& barycentric, bool attributes_wanted_in,
                             bool barycentric_wanted_in)
      : inputs(attributes, faces, face_index, barycentric),
        attributes_wanted(attributes_wanted_in),
        barycentric_wanted(barycentric_wanted_in) {
    const torch::stable::Tensor &like = inputs.attributes, &ids = inputs.face_index;
    STD_TORCH_CHECK(gradient_in.scalar_type() == like.scalar_type() && gradient_in.device() == like.device(),
                    "gradient: expected the dtype and device of attributes");
    STD_TORCH_CHECK(gradient_in.dim() == 4 && gradient_in.size(0) == ids.size(0) &&
                        gradient_in.size(1) == ids.size(1) && gradient_in.size(2) == ids.size(2) &&
                        gradient_in.size(3) == inputs.dims(),
                    "gradient: expected shape [B, H, W, D]");
    gradient = gradient_in;
    if (!attributes_wanted) {
      attributes_gradient = make_tensor(like, {0});
    } else if (inputs.shared()) {
      attributes_gradient = make_tensor(like, {like.size(0), like.size(1)});
    } else {
      attributes_gradient = make_tensor(like, {like.size(0), like.size(1), like.size(2)});
    }
    barycentric_gradient =
        barycentric_wanted
            ? make_tensor(inputs.barycentric, {ids.size(0), ids.size(1), ids.size(2), int64_t(3)})
            : make_tensor(inputs.barycentric, {0});
  }

  template <typename T>
  InterpolateBackwardJob<T> job() const {
    return {
        inputs.job<T>(nullptr), view_map<T>(gradient),
        barycentric_wanted ? static_cast<Accumulator<T>*>(barycentric_gradient.mutable_data_ptr()) : nullptr};
  }

  VertexSums sums() const {
    const torch::stable::Tensor& ids = inputs.face_index;
    return {inputs.faces.const_data_ptr(),
            inputs.faces.size(0),
            inputs.faces.scalar_type() == torch::headeronly::ScalarType::Long,
            view_map<int32_t>(ids),
            ids.size(0),
            1,
            ids.size(1),
            ids.size(2),
            inputs.num_vertices(),
            inputs.dims(),
            inputs.shared()};
  }

  template <typename T>
  InterpolateSums<T> sums_op() const {
    const MapView<Accumulator<T>> barycentric = view_map<Accumulator<T>>(inputs.barycentric);
    return {view_map<T>(gradient), barycentric, is_packed(barycentric, 3) && gradient.stride(3) == 1};
  }
};

}  // namespace warpkit
