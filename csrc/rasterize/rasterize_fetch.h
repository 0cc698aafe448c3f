// Reading a face of a mesh, and where it lies on the image: shared by the CPU and CUDA walks.
#pragma once

#include "rasterize/near_clip.h"
#include "rasterize/rasterize.h"

namespace warpkit::raster {

// The vertex indices of a face; false when one is out of range (checked at full width).
template <typename T>
WARPKIT_HD bool fetch_face(const Mesh<T>& mesh, int64_t face, int64_t (&index)[3]) {
  bool good = true;
  for (int k = 0; k < 3; ++k) {
    index[k] = mesh.wide_faces ? static_cast<const int64_t*>(mesh.faces)[3 * face + k]
                               : static_cast<const int32_t*>(mesh.faces)[3 * face + k];
    good = good && index[k] >= 0 && index[k] < mesh.num_vertices;
  }
  return good;
}

// The corners of a face of the mesh's first image; false when an index is out of range.
template <typename T>
WARPKIT_HD bool fetch_corners(const Mesh<T>& mesh, const View& view, int64_t face, Corner (&corner)[3]) {
  int64_t index[3];
  if (!fetch_face(mesh, face, index)) return false;
  for (int k = 0; k < 3; ++k) {
    const T* vertex = mesh.vertices + index[k] * mesh.components;
    const bool perspective = mesh.components == 4;
    corner[k] =
        make_corner(vertex[0], vertex[1], vertex[2], perspective ? static_cast<double>(vertex[3]) : 1.0,
                    static_cast<double>(view.width), static_cast<double>(view.height), perspective);
  }
  return true;
}

// Finite, in front of the near plane, within the reach of exact edges.
WARPKIT_HD bool drawable(const Corner (&corner)[3], bool perspective, double near) {
  bool good = reach(corner[0], corner[1], corner[2]) < kInt128Limit;
  for (int k = 0; k < 3; ++k)
    good =
        good && is_finite(corner[k].depth) && is_finite(corner[k].w) && (!perspective || corner[k].w >= near);
  return good;
}

template <typename I>
WARPKIT_HD I least(I a, I b, I c) {
  return a < b ? (a < c ? a : c) : (b < c ? b : c);
}
template <typename I>
WARPKIT_HD I most(I a, I b, I c) {
  return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

template <typename I>
WARPKIT_HD bool find_box_in(const Corner (&corner)[3], const View& view, Box* box) {
  const I x[3] = {whole<I>(corner[0].x), whole<I>(corner[1].x), whole<I>(corner[2].x)},
          y[3] = {whole<I>(corner[0].y), whole<I>(corner[1].y), whole<I>(corner[2].y)};
  const I area = area_of(x[0], y[0], x[1], y[1], x[2], y[2]);
  if (area == 0 || (view.cull == 1 && area > 0) || (view.cull == 2 && area < 0)) return false;
  box->j0 = first_pixel(least(x[0], x[1], x[2]), static_cast<int32_t>(view.width));
  box->j1 = last_pixel(most(x[0], x[1], x[2]), static_cast<int32_t>(view.width));
  box->i0 = first_pixel(least(y[0], y[1], y[2]), static_cast<int32_t>(view.height));
  box->i1 = last_pixel(most(y[0], y[1], y[2]), static_cast<int32_t>(view.height));
  return box->j0 <= box->j1 && box->i0 <= box->i1;
}

// The pixels that a drawable face may cover; false: none (no area, culled, or no centre in its box).
WARPKIT_HD bool find_box(const Corner (&corner)[3], const View& view, Box* box) {
  return reach(corner[0], corner[1], corner[2]) < kInt64Limit ? find_box_in<int64_t>(corner, view, box)
                                                              : find_box_in<int128>(corner, view, box);
}

// Whether the near plane cuts a face.
template <typename T>
WARPKIT_HD bool is_cut(const Mesh<T>& mesh, const View& view, const Corner (&corner)[3]) {
  return mesh.components == 4 && crosses_near(corner[0].w, corner[1].w, corner[2].w, view.near);
}

// A face that is cut, of the mesh's first image; false: it draws nothing.
template <typename T>
WARPKIT_HD bool fetch_cut_face(const Mesh<T>& mesh, const View& view, int64_t face, CutFace* out) {
  int64_t index[3];
  if (!fetch_face(mesh, face, index)) return false;
  for (int k = 0; k < 3; ++k) {
    const T* vertex = mesh.vertices + index[k] * mesh.components;
    out->point[k] = {static_cast<double>(vertex[0]), static_cast<double>(vertex[1]),
                     static_cast<double>(vertex[2]), static_cast<double>(vertex[3])};
  }
  return cut_at_near(out, view.near, static_cast<int32_t>(view.width), static_cast<int32_t>(view.height));
}

// Whether a piece of a face that is cut may cover a pixel.
WARPKIT_HD bool find_piece(const CutFace& face, const View& view, int32_t piece, Corner (&corner)[3]) {
  Box box;
  get_piece(face, piece, corner);
  return find_box(corner, view, &box);
}

// The first pixel of a face's box, and what resolves its pixels from there; good is false when it draws
// nothing.
template <typename T>
struct Resolvable {
  Resolver<T> resolver;
  int32_t j0, i0;
  bool good;
};

template <typename T>
WARPKIT_HD Resolvable<T> resolve_cut_face(const Mesh<T>& mesh, const View& view, int64_t face) {
  CutFace cut;
  if (!fetch_cut_face(mesh, view, face, &cut)) return {};
  const Barycentrics barycentrics =
      make_barycentrics(cut, static_cast<int32_t>(view.width), static_cast<int32_t>(view.height));
  return {make_resolver<T>(cut, barycentrics, view.near), cut.box.j0, cut.box.i0, true};
}

template <typename T>
WARPKIT_HD Resolvable<T> resolve_whole_face(const View& view, const Corner (&corner)[3]) {
  Box box = {};
  find_box(corner, view, &box);
  const Barycentrics barycentrics = make_barycentrics(corner[0], corner[1], corner[2], box.j0, box.i0);
  return {make_resolver<T>(corner[0], corner[1], corner[2], barycentrics), box.j0, box.i0, true};
}

}  // namespace warpkit::raster
