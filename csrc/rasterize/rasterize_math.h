// The formulas of rasterization, one copy for host and device. Each is a fixed sequence of explicit IEEE
// operations (contraction is off in both compilers): that is why CPU and CUDA agree on face_index bit for
// bit.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace warpkit::raster {

constexpr int kSubpixel = 256;  // snapped units a pixel
// Below these snapped magnitudes edge functions fit in the named type: double (2^53) up to 2^17 pixels, int64
// up to 2^22.
constexpr double kDoubleLimit = 1 << 25;
constexpr double kInt64Limit = 1 << 30;
constexpr double kInt128Limit = 2305843009213693952.0;  // 2^61; a face beyond draws nothing

__extension__ typedef __int128 int128;

// A vertex on the image: u, v in pixels as it is, x, y snapped (whole numbers), depth = z / w.
struct Corner {
  double u, v, x, y, z, w, depth;
};

WARPKIT_HD bool is_finite(double value) { return value - value == 0; }
WARPKIT_HD double smaller(double a, double b) { return a < b ? a : b; }
WARPKIT_HD double larger(double a, double b) { return a > b ? a : b; }
// NaN gives the bound, on every device.
WARPKIT_HD float at_most(float value, float bound) { return value < bound ? value : bound; }
WARPKIT_HD float at_least(float value, float bound) { return value > bound ? value : bound; }

// Without perspective w is 1 and its divisions, which would change nothing, are left out.
WARPKIT_HD Corner make_corner(double x, double y, double z, double w, double width, double height,
                              bool perspective) {
  Corner corner;
  const double doubled_u = ((perspective ? x / w : x) + 1.0) * width;
  const double doubled_v = ((perspective ? y / w : y) + 1.0) * height;
  corner.u = doubled_u * 0.5;
  corner.v = doubled_v * 0.5;
  corner.x = __builtin_rint(doubled_u * 128.0);
  corner.y = __builtin_rint(doubled_v * 128.0);
  corner.z = z;
  corner.w = w;
  corner.depth = perspective ? z / w : z;
  return corner;
}

// The largest snapped magnitude of a face; NaN and infinity give infinity.
WARPKIT_HD double reach(const Corner& a, const Corner& b, const Corner& c) {
  double most = 0;
  const double values[6] = {a.x, a.y, b.x, b.y, c.x, c.y};
  for (int k = 0; k < 6; ++k) {
    const double magnitude = values[k] < 0 ? -values[k] : values[k];
    most = magnitude <= most ? most : magnitude;   // a NaN is taken over ...
    most = most == most ? most : __builtin_inf();  // ... and stays
  }
  return most;
}

// A snapped coordinate, at most kInt128Limit, as an integer.
template <typename I>
WARPKIT_HD I whole(double snapped) {
  return I(static_cast<int64_t>(snapped));
}

// Twice the snapped area; positive when the face turns clockwise as seen in the image (y down).
template <typename I>
WARPKIT_HD I area_of(I ax, I ay, I bx, I by, I cx, I cy) {
  return (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
}

// One edge a -> b of a face whose area has sign `turn`: value at the point (px, py) and its growth for a
// pixel's step. A point is inside when the value is not negative: the bias leaves out what lies on an edge
// that is neither top nor left.
template <typename I>
struct Edge {
  I value, step_x, step_y;
};

template <typename I>
WARPKIT_HD Edge<I> make_edge(I ax, I ay, I bx, I by, I px, I py, I turn) {
  const I dx = turn * (bx - ax), dy = turn * (by - ay);
  const bool top_left = (dy < 0) | ((dy == 0) & (dx > 0));
  return {dx * (py - ay) - dy * (px - ax) - (top_left ? I(0) : I(1)), -dy * kSubpixel, dx * kSubpixel};
}

// Pixels whose centres a face's box holds, within the image: columns j0..j1, rows i0..i1 (inclusive; may be
// empty).
struct Box {
  int32_t j0, j1, i0, i1;
};

template <typename I>
WARPKIT_HD int32_t first_pixel(I lowest, int32_t size) {  // the first centre at or after `lowest`
  const I pixel = (lowest + (kSubpixel / 2 - 1)) >> 8;
  return static_cast<int32_t>(pixel < 0 ? I(0) : pixel > size ? I(size) : pixel);
}

template <typename I>
WARPKIT_HD int32_t last_pixel(I highest, int32_t size) {
  const I pixel = (highest - kSubpixel / 2) >> 8;
  return static_cast<int32_t>(pixel < -1 ? I(-1) : pixel > size - 1 ? I(size - 1) : pixel);
}

// Affine functions over the image, relative to the centre of pixel (i0, j0) of the face's box, so that
// float32 holds them well.
struct Plane {
  double constant, per_column, per_row;
};

struct Barycentrics {
  Plane plane[3];
};

// Screen-space barycentrics of the unsnapped triangle; 1/3 each where it has no area.
WARPKIT_HD Barycentrics make_barycentrics(const Corner& a, const Corner& b, const Corner& c, int32_t j0,
                                          int32_t i0) {
  const double inverse = 1.0 / area_of(a.u, a.v, b.u, b.v, c.u, c.v);
  const bool flat = !is_finite(inverse);
  const double pu = j0 + 0.5, pv = i0 + 0.5;
  const double au = a.u - pu, av = a.v - pv, bu = b.u - pu, bv = b.v - pv, cu = c.u - pu, cv = c.v - pv;
  Barycentrics out;
  out.plane[0] = {(bu * cv - cu * bv) * inverse, (b.v - c.v) * inverse, (c.u - b.u) * inverse};
  out.plane[1] = {(cu * av - au * cv) * inverse, (c.v - a.v) * inverse, (a.u - c.u) * inverse};
  out.plane[2] = {(au * bv - bu * av) * inverse, (a.v - b.v) * inverse, (b.u - a.u) * inverse};
  for (int k = 0; k < 3; ++k) {
    out.plane[k].constant = flat ? 1.0 / 3.0 : out.plane[k].constant;
    out.plane[k].per_column = flat ? 0.0 : out.plane[k].per_column;
    out.plane[k].per_row = flat ? 0.0 : out.plane[k].per_row;
  }
  return out;
}

// What orders faces: z / w is affine on the image; evaluated in float32 and held within the face's own
// depths.
struct DepthPlane {
  float constant, per_column, per_row, nearest, farthest;
};

WARPKIT_HD float to_float(double value) {  // finite doubles beyond float32 keep their sign and stay finite
  constexpr double kMost = 3.4028234663852886e38;
  return static_cast<float>(value < -kMost ? -kMost : value > kMost ? kMost : value);
}

WARPKIT_HD DepthPlane make_depth_plane(const Corner& a, const Corner& b, const Corner& c,
                                       const Barycentrics& face) {
  const double db = b.depth - a.depth, dc = c.depth - a.depth;
  return {to_float(a.depth + (db * face.plane[1].constant + dc * face.plane[2].constant)),
          to_float(db * face.plane[1].per_column + dc * face.plane[2].per_column),
          to_float(db * face.plane[1].per_row + dc * face.plane[2].per_row),
          to_float(smaller(a.depth, smaller(b.depth, c.depth))),
          to_float(larger(a.depth, larger(b.depth, c.depth)))};
}

WARPKIT_HD float depth_at(const DepthPlane& plane, float column, float row) {
  const float depth = plane.per_column * column + (plane.per_row * row + plane.constant);
  return at_least(at_most(depth, plane.farthest), plane.nearest);
}

// What resolves a pixel of a face: barycentric planes weighted by 1/w (up to a factor), and the vertices' z
// and w.
template <typename T>
struct Resolver {
  T constant[3], per_column[3], per_row[3], z[3], w[3];
};

template <typename T>
WARPKIT_HD Resolver<T> make_resolver(const Corner& a, const Corner& b, const Corner& c,
                                     const Barycentrics& face) {
  const double z[3] = {a.z, b.z, c.z}, w[3] = {a.w, b.w, c.w};
  const double least = smaller(a.w, smaller(b.w, c.w));
  Resolver<T> out;
  for (int k = 0; k < 3; ++k) {
    const double weight = least / w[k];  // exactly 1 where all w are equal
    out.constant[k] = static_cast<T>(face.plane[k].constant * weight);
    out.per_column[k] = static_cast<T>(face.plane[k].per_column * weight);
    out.per_row[k] = static_cast<T>(face.plane[k].per_row * weight);
    out.z[k] = static_cast<T>(z[k]);
    out.w[k] = static_cast<T>(w[k]);
  }
  return out;
}

// Barycentrics and depth at a pixel, `column` and `row` counted from (j0, i0): clamped to be no less than 0,
// then normalised.
template <typename T>
WARPKIT_HD void resolve(const Resolver<T>& face, T column, T row, bool perspective, T* barycentric,
                        T* depth) {
  T value[3];
  for (int k = 0; k < 3; ++k) {
    value[k] = face.per_column[k] * column + (face.per_row[k] * row + face.constant[k]);
    value[k] = value[k] > T(0) ? value[k] : T(0);
  }
  const T inverse = T(1) / ((value[0] + value[1]) + value[2]);
  const bool good = inverse > T(0) && inverse - inverse == T(0);
  for (int k = 0; k < 3; ++k) barycentric[k] = good ? value[k] * inverse : T(1) / T(3);
  const T* b = barycentric;
  *depth = (b[0] * face.z[0] + b[1] * face.z[1]) + b[2] * face.z[2];
  if (perspective) *depth = *depth / ((b[0] * face.w[0] + b[1] * face.w[1]) + b[2] * face.w[2]);
}

}  // namespace warpkit::raster
