// From tensors to the arguments of mesh_flow, with the checks that both devices share.
#pragma once

#include <optional>
#include <string>

#include "common/tensors.h"
#include "flow/compose_flow_tensors.h"
#include "flow/mesh_flow.h"
#include "rasterize/rasterize_tensors.h"

namespace warpkit::flow {

// The arguments, contiguous, and the outputs.
struct MeshFlowTensors {
  Tensor sources, target, faces, grid, visible, face_index;
  std::optional<Tensor> face_mask;
  int64_t height, width, source_height, source_width;
  Visibility visibility;

  MeshFlowTensors(const Tensor& sources_in, const Tensor& target_in, const Tensor& faces_in,
                  int64_t height_in, int64_t width_in, int64_t source_height_in, int64_t source_width_in,
                  const std::string& visibility_in, const std::optional<Tensor>& face_mask_in)
      : height(height_in), width(width_in), source_height(source_height_in), source_width(source_width_in) {
    raster::check_mesh(target_in, faces_in);
    raster::check_size(height, width);
    raster::check_size(source_height, source_width);
    STD_TORCH_CHECK(sources_in.dim() == 4 && (sources_in.size(3) == 3 || sources_in.size(3) == 4),
                    "source_vertices: expected shape [B, S, V, 3] or [B, S, V, 4]");
    STD_TORCH_CHECK(
        sources_in.scalar_type() == target_in.scalar_type() && sources_in.device() == target_in.device(),
        "source_vertices: expected the dtype and device of target_vertices");
    STD_TORCH_CHECK(sources_in.size(0) == target_in.size(0) && sources_in.size(2) == target_in.size(1),
                    "source_vertices: expected the batch and the vertices of target_vertices");
    check_face_flags("face_mask", face_mask_in, sources_in, faces_in);
    STD_TORCH_CHECK(visibility_in == "pixel" || visibility_in == "face" || visibility_in == "none",
                    "visibility: expected pixel, face or none, got ", visibility_in);
    visibility = visibility_in == "pixel"  ? Visibility::pixel
                 : visibility_in == "face" ? Visibility::face
                                           : Visibility::all;
    sources = as_contiguous(sources_in);
    target = as_contiguous(target_in);
    faces = as_contiguous(faces_in);
    if (face_mask_in) face_mask = as_contiguous(*face_mask_in);
    const int64_t batch = sources.size(0), count = sources.size(1);
    grid = make_tensor(target, {batch, count, height, width, 2});
    visible = make_tensor(target, {batch, count, height, width}, ScalarType::Bool);
    face_index = raster::make_face_index(target, height, width);
  }

  // What compose_flow needs; the barycentrics come from the walk.
  template <typename T>
  ComposeJob<T> job() const {
    return {static_cast<const T*>(sources.const_data_ptr()),
            sources.size(0),
            sources.size(1),
            sources.size(2),
            sources.size(3),
            faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == ScalarType::Long,
            {},
            {},
            nullptr,
            flags_data(face_mask),
            static_cast<T*>(grid.mutable_data_ptr()),
            static_cast<unsigned char*>(visible.mutable_data_ptr()),
            height,
            width};
  }

  // The sources of one image, or the target of one image, as a mesh.
  template <typename T>
  raster::Mesh<T> sources_of(int64_t image) const {
    const int64_t count = sources.size(1), vertices = sources.size(2), components = sources.size(3);
    return {static_cast<const T*>(sources.const_data_ptr()) + image * count * vertices * components,
            count,
            vertices,
            components,
            faces.const_data_ptr(),
            faces.size(0),
            faces.scalar_type() == ScalarType::Long};
  }
  template <typename T>
  raster::Mesh<T> target_of(int64_t image) const {
    raster::Mesh<T> mesh = raster::make_mesh<T>(target, faces);
    mesh.vertices += image * mesh.num_vertices * mesh.components;
    mesh.batch = 1;
    return mesh;
  }
};

}  // namespace warpkit::flow
