// Faces of a [B,V,4] mesh that the near plane cuts: what is left of them at w >= near, and their values.
//
// Coverage. The face becomes the polygon of its part in front, 3 or 4 corners, drawn as one or two triangles
// like any other: snapped, and culled by their own turn. A corner on the near plane is computed from the end
// of the edge in front to the end behind, so the two faces that share the edge agree on it bit for bit.
//
// Values. They come from the whole face in homogeneous form, nothing is divided by the w of a corner: with
// corners v = (x, y, w) in pixels and a centre p = (column, row, 1), the barycentrics are in proportion to
// det(p, v_i, v_j); their sum weighted by w is det(v_0, v_1, v_2) all over the image, so z / w is affine.
#pragma once

#include "rasterize/rasterize_math.h"

namespace warpkit::raster {

// A corner before the division by w.
struct ClipPoint {
  double x, y, z, w;
};

struct CutFace {
  ClipPoint point[3];
  Corner corner[4];  // the polygon in front
  int32_t count;     // of its corners
  Box box;
};

WARPKIT_HD ClipPoint cut_edge(const ClipPoint& front, const ClipPoint& behind, double near) {
  const double part = (front.w - near) / (front.w - behind.w);
  return {front.x + part * (behind.x - front.x), front.y + part * (behind.y - front.y),
          front.z + part * (behind.z - front.z), near};
}

WARPKIT_HD bool crosses_near(double w0, double w1, double w2, double near) {
  return ((w0 >= near) | (w1 >= near) | (w2 >= near)) & ((w0 < near) | (w1 < near) | (w2 < near));
}

// Fills corner, count and box from point; false when a number is not finite or the polygon reaches too far.
WARPKIT_HD bool cut_at_near(CutFace* face, double near, int32_t width, int32_t height) {
  const ClipPoint* point = face->point;
  bool good = true;
  face->count = 0;
  for (int k = 0; k < 3; ++k) {
    const ClipPoint &here = point[k], &next = point[(k + 1) % 3];
    good = good && is_finite((here.x + here.y) + (here.z + here.w));
    const bool front = here.w >= near;
    if (front) face->corner[face->count++] = make_corner(here.x, here.y, here.z, here.w, width, height, true);
    if (front != (next.w >= near)) {
      const ClipPoint cut = front ? cut_edge(here, next, near) : cut_edge(next, here, near);
      face->corner[face->count++] = make_corner(cut.x, cut.y, cut.z, cut.w, width, height, true);
    }
  }
  double left = face->corner[0].x, right = left, top = face->corner[0].y, bottom = top;
  for (int k = 0; k < face->count; ++k) {
    const Corner& corner = face->corner[k];
    good = good && is_finite(corner.depth) && reach(corner, corner, corner) < kInt128Limit;
    left = smaller(left, corner.x), right = larger(right, corner.x);
    top = smaller(top, corner.y), bottom = larger(bottom, corner.y);
  }
  if (!good) return false;
  face->box = {first_pixel(whole<int64_t>(left), width), last_pixel(whole<int64_t>(right), width),
               first_pixel(whole<int64_t>(top), height), last_pixel(whole<int64_t>(bottom), height)};
  return true;
}

WARPKIT_HD int32_t pieces_of(const CutFace& face) { return face.count - 2; }

WARPKIT_HD void get_piece(const CutFace& face, int32_t piece, Corner (&corner)[3]) {
  corner[0] = face.corner[0];
  corner[1] = face.corner[piece + 1];
  corner[2] = face.corner[piece + 2];
}

// Barycentrics over w, relative to pixel (i0, j0) of the box; 1/3 each for a face seen from its edge.
WARPKIT_HD Barycentrics make_barycentrics(const CutFace& face, int32_t width, int32_t height) {
  const double pu = face.box.j0 + 0.5, pv = face.box.i0 + 0.5;
  double u[3], v[3], w[3];
  for (int k = 0; k < 3; ++k) {
    const ClipPoint& point = face.point[k];
    w[k] = point.w;
    u[k] = (point.x + point.w) * (0.5 * width) - pu * point.w;
    v[k] = (point.y + point.w) * (0.5 * height) - pv * point.w;
  }
  Barycentrics out;
  double volume = 0;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    out.plane[k] = {u[i] * v[j] - u[j] * v[i], v[i] * w[j] - v[j] * w[i], w[i] * u[j] - w[j] * u[i]};
    volume = volume + out.plane[k].constant * w[k];
  }
  const double inverse = 1.0 / volume;
  const bool flat = !is_finite(inverse);
  for (int k = 0; k < 3; ++k) {
    out.plane[k].constant = flat ? 1.0 / 3.0 : out.plane[k].constant * inverse;
    out.plane[k].per_column = flat ? 0.0 : out.plane[k].per_column * inverse;
    out.plane[k].per_row = flat ? 0.0 : out.plane[k].per_row * inverse;
  }
  return out;
}

WARPKIT_HD DepthPlane make_depth_plane(const CutFace& face, const Barycentrics& barycentrics) {
  const Plane* plane = barycentrics.plane;
  const double z[3] = {face.point[0].z, face.point[1].z, face.point[2].z};
  double nearest = face.corner[0].depth, farthest = nearest;
  for (int k = 1; k < face.count; ++k) {
    nearest = smaller(nearest, face.corner[k].depth);
    farthest = larger(farthest, face.corner[k].depth);
  }
  return {to_float((plane[0].constant * z[0] + plane[1].constant * z[1]) + plane[2].constant * z[2]),
          to_float((plane[0].per_column * z[0] + plane[1].per_column * z[1]) + plane[2].per_column * z[2]),
          to_float((plane[0].per_row * z[0] + plane[1].per_row * z[1]) + plane[2].per_row * z[2]),
          to_float(nearest), to_float(farthest)};
}

template <typename T>
WARPKIT_HD Resolver<T> make_resolver(const CutFace& face, const Barycentrics& barycentrics, double near) {
  Resolver<T> out;
  for (int k = 0; k < 3; ++k) {
    const Plane& plane = barycentrics.plane[k];
    out.constant[k] = static_cast<T>(plane.constant * near);  // at most about 1, as w is at least near
    out.per_column[k] = static_cast<T>(plane.per_column * near);
    out.per_row[k] = static_cast<T>(plane.per_row * near);
    out.z[k] = static_cast<T>(face.point[k].z);
    out.w[k] = static_cast<T>(face.point[k].w);
  }
  return out;
}

}  // namespace warpkit::raster
