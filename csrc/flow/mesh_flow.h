// mesh_flow(source_vertices [B,S,V,3|4], target_vertices [B,V,3|4], faces [F,3], height, width,
//           source_height, source_width, visibility "pixel" | "face" | "none", face_mask [B,S,F] or none)
//     -> grid [B,S,H,W,2], visible bool [B,S,H,W], face_index int32 [B,H,W]
//
// The target is rasterized (no culling) and what compose_flow computes is written for each pixel at once;
// face_index is that of the target. Visibility in a source, on top of compose_flow's rules:
//
// "pixel"  The point's depth d in the source, against the depth D that the source shows at the centre of the
//          pixel in which the point lies: visible when
//              d <= D + |slope(face of the point)| + |slope(face shown)| + 1e-5 max(1, |d|)
//          where |slope(face)| = |dz/dcolumn| + |dz/drow|, the change of the face's depth over a pixel: the
//          point lies at most half a pixel from the centre both ways, so a smooth surface never hides itself.
//          Where the two faces turn opposite ways in the source (front and back of a body at its rim) the
//          slopes are left out. Where the centre shows nothing, any of the three other centres round the
//          point decides; where none does, and outside the frame, nothing hides the point.
// "face"   Whether the face owns a pixel of the source rasterized at 2048 x 2048 or more: Algorithm 1's Vis.
// "none"   Everywhere.
//
// Depth is z, or z / w for clip space; a point with w <= 0 is not visible. Workspace, for the sources of one
// image: with "pixel" 8 bytes a pixel (D and slope on the CPU, D and face on CUDA) and a float a face; with
// "face" a byte a face, and on CUDA 8 bytes a pixel of as many sources as the L2 cache holds.
#pragma once

#include "flow/compose_flow.h"

namespace warpkit::flow {

enum class Visibility { all, pixel, face };

constexpr int64_t kFaceSize = 2048;  // the least height and width at which "face" looks for faces
constexpr double kNear = 1e-4;

// What a source shows at the centre of a pixel; slope 0, which no face has: nothing.
struct Surface {
  float depth, slope;
};

// How far a face's depth goes in one pixel right and one down, in a source of width x height; 1e-30 where the
// face is seen from its edge or is not finite. Negative for a face that turns counter-clockwise; a corner
// behind the camera (w < 0) is projected too, which turns the projection over but leaves its slope.
template <typename T>
WARPKIT_HD float depth_slope(const T* a, const T* b, const T* c, int64_t components, T width, T height) {
  const T* corner[3] = {a, b, c};
  T x[3], y[3], z[3];
  bool turned_over = false;
  for (int k = 0; k < 3; ++k) {
    const T scale = components == 4 ? T(1) / corner[k][3] : T(1);
    x[k] = corner[k][0] * scale;
    y[k] = corner[k][1] * scale;
    z[k] = corner[k][2] * scale;
    turned_over = turned_over != (scale < T(0));
  }
  const T bx = x[1] - x[0], by = y[1] - y[0], bz = z[1] - z[0], cx = x[2] - x[0], cy = y[2] - y[0],
          cz = z[2] - z[0];
  const T area = bx * cy - cx * by, inverse = T(2) / area;
  const T across = (bz * cy - cz * by) * inverse / width, down = (cz * bx - bz * cx) * inverse / height;
  const T slope = (across < T(0) ? -across : across) + (down < T(0) ? -down : down);
  const float size = slope > T(1e-30) && slope < T(1e30) ? static_cast<float>(slope) : 1e-30f;
  return (area < T(0)) != turned_over ? -size : size;
}

template <typename T>
WARPKIT_HD T depth_of_point(const T* barycentric, const T* a, const T* b, const T* c, int64_t components) {
  const T z = blend(barycentric, a[2], b[2], c[2]);
  return components == 4 ? z / blend(barycentric, a[3], b[3], c[3]) : z;
}

template <typename T>
WARPKIT_HD bool reaches(T depth, float slope, const Surface& surface) {
  const T size = depth < T(0) ? -depth : depth;
  const T mine = slope < 0 ? -slope : slope, other = surface.slope < 0 ? -surface.slope : surface.slope;
  const T tolerance = (slope < 0) == (surface.slope < 0) ? mine + other : T(0);
  return depth <= static_cast<T>(surface.depth) + tolerance + T(1e-5) * (size > T(1) ? size : T(1));
}

WARPKIT_HD bool shows_something(const Surface& surface) { return surface.slope != 0; }

// The pixel of a source in which a point lies; false: it is outside the frame.
template <typename T>
WARPKIT_HD bool find_source_pixel(T x, T y, int64_t width, int64_t height, T* column, T* row) {
  *column = (x + T(1)) * T(0.5) * static_cast<T>(width);
  *row = (y + T(1)) * T(0.5) * static_cast<T>(height);
  return *column >= T(0) && *column < static_cast<T>(width) && *row >= T(0) && *row < static_cast<T>(height);
}

// Whether a source [height, width] shows a point, of a face with this slope; a point outside the frame is not
// hidden. source(pixel) is the Surface there.
template <typename T, typename Source>
WARPKIT_HD bool is_shown(const Point<T>& point, T depth, float slope, const Source& source, int64_t width,
                         int64_t height) {
  T column, row;
  if (!find_source_pixel(point.x, point.y, width, height, &column, &row)) return true;
  const int64_t j = static_cast<int64_t>(column), i = static_cast<int64_t>(row);
  const Surface nearest = source(i * width + j);
  if (shows_something(nearest)) return reaches(depth, slope, nearest);
  const int64_t other_j = column - static_cast<T>(j) < T(0.5) ? j - 1 : j + 1;
  const int64_t other_i = row - static_cast<T>(i) < T(0.5) ? i - 1 : i + 1;
  bool hidden = false;
  for (int k = 1; k < 4; ++k) {
    const int64_t at_i = k & 2 ? other_i : i, at_j = k & 1 ? other_j : j;
    if (at_i < 0 || at_i >= height || at_j < 0 || at_j >= width) continue;
    const Surface surface = source(at_i * width + at_j);
    if (!shows_something(surface)) continue;
    if (reaches(depth, slope, surface)) return true;
    hidden = true;
  }
  return !hidden;
}

}  // namespace warpkit::flow
