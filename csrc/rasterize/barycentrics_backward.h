// barycentrics_backward(barycentric_gradient [B,H,W,3], depth_gradient [B,H,W], vertices [B,V,3|4], faces,
//                       face_index [B,H,W], near, deterministic) -> vertices_gradient, as vertices
//
// The gradient of barycentrics and depth of known faces, hence of rasterize, for faces with and without
// perspective and faces that the near plane cuts by one formula (near_clip.h): with corners v = (x, y, w) in
// pixels, x and y counted from a centre of the row and times w, and z,
//   e_k = +-((x_i y_j - x_j y_i) + column (y_i w_j - y_j w_i))    the sign that makes the face turn forwards
//   b_k = max(e_k, 0) / sum        what resolve() gives; 1/3 each, without gradient, where there is no area
//   depth = sum(b z) / sum(b w)    w is 1 without perspective
// Pixels to which barycentrics() gives no values add nothing. Computed in double; the sums over runs
// of pixels are as common/vertex_sums.h says.
#pragma once

#include "common/vertex_sums.h"
#include "rasterize/rasterize_fetch.h"

namespace warpkit::raster {

template <typename T>
struct BarycentricsGradient {
  Mesh<T> mesh;
  View view;
  MapView<T> barycentric;  // gradients: [B, H, W, 3]
  MapView<T> depth;        // [B, H, W]
};

// A face's corners, x and y in pixels times w and counted from a centre; e_k there, and what
// it grows by a column; turn: the sign of the face's volume, 0 for a face without area.
struct HomogeneousFace {
  double x[3], y[3], w[3], z[3], turn, constant[3], per_column[3];
  bool perspective;
};

// What barycentrics() asks of a face before it gives values: the long way, out of line as it is rarely taken.
template <typename T>
#if defined(__CUDACC__)
__host__ __device__
#endif
    static __attribute__((noinline)) bool draws(Mesh<T> mesh, View view, int64_t face) {
  Corner corner[3];
  CutFace cut;
  if (!fetch_corners(mesh, view, face, corner)) return false;
  return drawable(corner, mesh.components == 4, view.near) ||
         (is_cut(mesh, view, corner) && fetch_cut_face(mesh, view, face, &cut));
}

// Whether a corner is in front and so near the image that its face draws for sure.
WARPKIT_HD bool is_ordinary(double x, double y, double z, double w, double near) {
  const double side = 1e6 * w, far = 1e300 * (w < 1 ? w : 1.0);
  return w >= near && x >= -side && x <= side && y >= -side && y <= side && z >= -far && z <= far &&
         w <= 1e300;
}

// A face of the mesh's first image, counted from the centre (column, row); false: it draws nothing.
template <typename T>
WARPKIT_HD bool fetch_homogeneous(const Mesh<T>& mesh, const View& view, int64_t face,
                                  const int64_t (&index)[3], double column, double row,
                                  HomogeneousFace* out) {
  out->perspective = mesh.components == 4;
  const double half_width = 0.5 * static_cast<double>(view.width),
               half_height = 0.5 * static_cast<double>(view.height);
  bool ordinary = true;
  for (int k = 0; k < 3; ++k) {
    const T* vertex = mesh.vertices + index[k] * mesh.components;
    const double x = vertex[0], y = vertex[1], z = vertex[2];
    const double w = out->perspective ? static_cast<double>(vertex[3]) : 1.0;
    ordinary = ordinary && is_ordinary(x, y, z, w, out->perspective ? view.near : 1.0);
    out->x[k] = (x + w) * half_width - column * w;
    out->y[k] = (y + w) * half_height - row * w;
    out->z[k] = z;
    out->w[k] = w;
  }
  if (!ordinary && !draws(mesh, view, face)) return false;
  double volume = 0;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    out->constant[k] = out->x[i] * out->y[j] - out->x[j] * out->y[i];
    out->per_column[k] = out->y[i] * out->w[j] - out->y[j] * out->w[i];
    volume += out->constant[k] * out->w[k];
  }
  out->turn = !is_finite(1.0 / volume) ? 0.0 : volume > 0 ? 1.0 : -1.0;
  for (int k = 0; k < 3; ++k) {
    out->constant[k] *= out->turn;
    out->per_column[k] *= out->turn;
  }
  return true;
}

// Sums over the pixels of a run: the gradient of e_k, the same times the column, and what depth pulls at z
// and w directly.
struct RunSums {
  double edge[3], edge_column[3], z[3], w[3];
};

// One pixel, `column` counted from the face's centre.
WARPKIT_HD void add_pixel(const HomogeneousFace& face, double column, const double (&barycentric_gradient)[3],
                          double depth_gradient, RunSums* sums) {
  double edge[3], b[3], gradient[3];
  for (int k = 0; k < 3; ++k) {
    const double value = face.constant[k] + face.per_column[k] * column;
    edge[k] = value > 0 ? value : 0.0;
  }
  const double inverse = 1.0 / ((edge[0] + edge[1]) + edge[2]);
  const bool good = inverse > 0 && is_finite(inverse);
  for (int k = 0; k < 3; ++k) b[k] = good ? edge[k] * inverse : 1.0 / 3.0;
  double pull = depth_gradient, depth = 0;
  if (face.perspective) {
    const double weight = 1.0 / ((b[0] * face.w[0] + b[1] * face.w[1]) + b[2] * face.w[2]);
    depth = ((b[0] * face.z[0] + b[1] * face.z[1]) + b[2] * face.z[2]) * weight;
    const bool divides = is_finite(depth);
    pull = divides ? depth_gradient * weight : 0.0;
    depth = divides ? depth : 0.0;
  }
  double mean = 0;
  for (int k = 0; k < 3; ++k) {
    sums->z[k] += pull * b[k];
    sums->w[k] -= pull * b[k] * depth;
    gradient[k] = barycentric_gradient[k] + pull * (face.z[k] - depth * face.w[k]);
    mean += gradient[k] * b[k];
  }
  for (int k = 0; k < 3; ++k) {
    const double part = good && edge[k] > 0 ? inverse * (gradient[k] - mean) : 0.0;
    sums->edge[k] += part;
    sums->edge_column[k] += part * column;
  }
}

// From the run's sums to the corners in NDC; (column, row) is the centre that the face is counted from.
template <int N, typename A>
WARPKIT_HD void add_to_corners(const HomogeneousFace& face, const View& view, double column, double row,
                               const RunSums& run, A (&sums)[3][N]) {
  double gx[3] = {}, gy[3] = {}, gw[3] = {run.w[0], run.w[1], run.w[2]};
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    const double one = face.turn * run.edge[k], across = face.turn * run.edge_column[k];
    gx[i] += one * face.y[j];
    gx[j] -= one * face.y[i];
    gy[i] += across * face.w[j] - one * face.x[j];
    gy[j] -= across * face.w[i] - one * face.x[i];
    gw[i] -= across * face.y[j];
    gw[j] += across * face.y[i];
  }
  const double half_width = 0.5 * static_cast<double>(view.width),
               half_height = 0.5 * static_cast<double>(view.height);
  for (int k = 0; k < 3; ++k) {
    sums[k][0] += static_cast<A>(gx[k] * half_width);
    sums[k][1] += static_cast<A>(gy[k] * half_height);
    sums[k][2] += static_cast<A>(run.z[k]);
    if (N == 4) {
      sums[k][N - 1] += static_cast<A>(gw[k] + gx[k] * (half_width - column) + gy[k] * (half_height - row));
    }
  }
}

// For sum_to_vertices (common/vertex_sums.h), which takes the 3 or 4 numbers of a vertex at once.
template <int N, typename A, typename T>
WARPKIT_HD void add_run(const BarycentricsGradient<T>& op, const PixelRun& run, A (&sums)[3][N]) {
  Mesh<T> one = op.mesh;
  one.vertices += run.image * op.mesh.num_vertices * op.mesh.components;
  const double row = static_cast<double>(run.row) + 0.5, column = static_cast<double>(run.begin) + 0.5;
  HomogeneousFace face;
  if (!fetch_homogeneous(one, op.view, run.face, run.vertex, column, row, &face)) return;
  RunSums added = {};
  const T *barycentrics = row_of(op.barycentric, run.image, run.row),
          *depths = row_of(op.depth, run.image, run.row);
  for (int64_t j = run.begin; j < run.end; ++j) {
    const T* from = barycentrics + j * op.barycentric.column;
    const double gradient[3] = {static_cast<double>(from[0]),
                                static_cast<double>(from[op.barycentric.channel]),
                                static_cast<double>(from[2 * op.barycentric.channel])};
    add_pixel(face, static_cast<double>(j - run.begin), gradient,
              static_cast<double>(depths[j * op.depth.column]), &added);
  }
  add_to_corners(face, op.view, column, row, added, sums);
}

}  // namespace warpkit::raster
