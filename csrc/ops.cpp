// Every op's schema, on one page. What each computes, with shapes and rules: csrc/<op>/<op>.h; the Python
// wrappers in warpkit/ check arguments and reorder outputs (a floating tensor comes first here, as opcheck
// wants).
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(warpkit, m) {
  m.def(
      "rasterize(Tensor vertices, Tensor faces, int height, int width, int cull, float near)"
      " -> (Tensor barycentric, Tensor depth, Tensor face_index)");
  m.def(
      "barycentrics(Tensor vertices, Tensor faces, Tensor face_index, float near)"
      " -> (Tensor barycentric, Tensor depth)");
  m.def(
      "barycentrics_backward(Tensor barycentric_gradient, Tensor depth_gradient, Tensor vertices, Tensor "
      "faces,"
      " Tensor face_index, float near, bool deterministic) -> Tensor");
  m.def("visible_faces(Tensor face_index, int num_faces) -> Tensor");
  m.def("interpolate(Tensor attributes, Tensor faces, Tensor face_index, Tensor barycentric) -> Tensor");
  m.def(
      "interpolate_backward(Tensor gradient, Tensor attributes, Tensor faces, Tensor face_index,"
      " Tensor barycentric, bool attributes_wanted, bool barycentric_wanted, bool deterministic)"
      " -> (Tensor attributes_gradient, Tensor barycentric_gradient)");
  m.def(
      "compose_flow(Tensor source_vertices, Tensor faces, Tensor face_index, Tensor barycentric,"
      " Tensor? source_visible, Tensor? face_mask) -> (Tensor grid, Tensor visible)");
  m.def(
      "compose_flow_backward(Tensor gradient, Tensor source_vertices, Tensor faces, Tensor face_index,"
      " Tensor barycentric, Tensor visible, bool vertices_wanted, bool barycentric_wanted, bool "
      "deterministic)"
      " -> (Tensor vertices_gradient, Tensor barycentric_gradient)");
  m.def(
      "mesh_flow(Tensor source_vertices, Tensor target_vertices, Tensor faces, int height, int width,"
      " int source_height, int source_width, str visibility, Tensor? face_mask)"
      " -> (Tensor grid, Tensor visible, Tensor face_index)");
  m.def(
      "resize_flow(Tensor grid, Tensor? visible, int height, int width, str mode)"
      " -> (Tensor grid, Tensor visible)");
  m.def(
      "resize_flow_backward(Tensor gradient, Tensor? visible, int in_height, int in_width, str mode) -> "
      "Tensor");
  m.def("warp(Tensor features, Tensor grid, Tensor? visible) -> Tensor");
  m.def(
      "warp_backward(Tensor gradient, Tensor features, Tensor grid, Tensor? visible, bool features_wanted,"
      " bool grid_wanted, bool deterministic) -> (Tensor features_gradient, Tensor grid_gradient)");
  m.def("warp_reduce(Tensor features, Tensor grid, Tensor? visible, Tensor? weights, bool mean) -> Tensor");
  m.def(
      "warp_reduce_backward(Tensor gradient, Tensor features, Tensor grid, Tensor? visible, Tensor? weights,"
      " bool mean, bool features_wanted, bool grid_wanted, bool weights_wanted, bool deterministic)"
      " -> (Tensor features_gradient, Tensor grid_gradient, Tensor weights_gradient)");
  m.def(
      "warp_attention(Tensor query, Tensor features, Tensor grid, Tensor? visible, Tensor? value, float "
      "scale)"
      " -> Tensor");
  m.def(
      "warp_attention_backward(Tensor gradient, Tensor query, Tensor features, Tensor grid, Tensor? visible,"
      " Tensor? value, float scale, bool query_wanted, bool features_wanted, bool value_wanted,"
      " bool grid_wanted, bool deterministic)"
      " -> (Tensor query_gradient, Tensor features_gradient, Tensor value_gradient, Tensor grid_gradient)");
  m.def(
      "antialias(Tensor image, Tensor face_index, Tensor depth, Tensor vertices, Tensor faces, Tensor "
      "neighbours)"
      " -> Tensor");
  m.def(
      "antialias_backward(Tensor gradient, Tensor image, Tensor face_index, Tensor depth, Tensor vertices,"
      " Tensor faces, Tensor neighbours, bool image_wanted, bool vertices_wanted, bool deterministic)"
      " -> (Tensor image_gradient, Tensor vertices_gradient)");
}
