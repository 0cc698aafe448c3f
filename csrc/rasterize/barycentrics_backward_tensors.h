// barycentrics_backward from tensors, for both devices.
#pragma once

#include "rasterize/barycentrics_backward.h"
#include "rasterize/rasterize_tensors.h"

namespace warpkit::raster {

// The inputs, those that are not maps contiguous, and the output.
struct BarycentricsBackwardTensors {
  Tensor barycentric, depth, vertices, faces, face_index, out;
  double near;

  BarycentricsBackwardTensors(const Tensor& barycentric_gradient, const Tensor& depth_gradient,
                              const Tensor& vertices_in, const Tensor& faces_in, const Tensor& face_index_in,
                              double near_in)
      : near(near_in) {
    check_mesh(vertices_in, faces_in);
    check_face_index(face_index_in, vertices_in);
    const int64_t batch = vertices_in.size(0), height = face_index_in.size(1), width = face_index_in.size(2);
    STD_TORCH_CHECK(face_index_in.size(0) == batch, "face_index: expected the batch size of vertices");
    const auto matches = [&](const Tensor& tensor, int64_t dim) {
      return tensor.dim() == dim && tensor.size(0) == batch && tensor.size(1) == height &&
             tensor.size(2) == width && tensor.scalar_type() == vertices_in.scalar_type() &&
             tensor.device() == vertices_in.device();
    };
    STD_TORCH_CHECK(matches(barycentric_gradient, 4) && barycentric_gradient.size(3) == 3,
                    "barycentric_gradient: expected [B, H, W, 3] of the dtype of vertices");
    STD_TORCH_CHECK(matches(depth_gradient, 3),
                    "depth_gradient: expected [B, H, W] of the dtype of vertices");
    barycentric = barycentric_gradient;
    depth = depth_gradient;
    vertices = as_contiguous(vertices_in);
    faces = as_contiguous(faces_in);
    face_index = face_index_in;
    out = make_tensor(vertices, {batch, vertices.size(1), vertices.size(2)});
  }

  template <typename T>
  BarycentricsGradient<T> op() const {
    return {make_mesh<T>(vertices, faces),
            {face_index.size(1), face_index.size(2), 0, near},
            view_map<T>(barycentric),
            view_map<T>(depth)};
  }

  VertexSums sums() const {
    return {faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == ScalarType::Long,
            view_map<int32_t>(face_index),
            vertices.size(0),
            1,
            face_index.size(1),
            face_index.size(2),
            vertices.size(1),
            vertices.size(2),
            false};
  }
};

}  // namespace warpkit::raster
