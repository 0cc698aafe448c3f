// The formulas of antialiasing, one copy for host and device: where a silhouette passes between two pixels,
// and what a pixel takes from its neighbours.
#pragma once

#include "antialias/antialias.h"
#include "common/half.h"
#include "common/host_device.h"

namespace warpkit::antialiasing {

constexpr int kRow = 0,
              kColumn = 1;        // the direction of a pair: (i, j) and (i, j + 1), or (i, j) and (i + 1, j)
constexpr int kMostFaces = 1024;  // a walk between two pixels gives up after so many faces
constexpr double kTurn = 1.0 / (1 << 24);  // pixels: a surface that goes back by less has not turned
constexpr float kNone = 2;  // the shift of a pair without a silhouette; others are in [-1/2, 1/2]

// A vertex seen from the centre of a pixel, looking at its neighbour: `along` towards it, in pixels.
struct Point {
  int64_t vertex;
  double along, across;
};

// The edge of a silhouette between two pixels, and where it crosses the line through their centres.
struct Crossing {
  enum State : int { kFound, kGoesOn, kOneSurface } state;
  double along, slope;  // slope: of `along` by `across`, seen from the first pixel
  Point low, high;
};

// One of the walks: from the centre of pixel (i, j) in a direction.
struct Line {
  double column, row;  // the centre
  int direction;
  double sign;  // 1: to the right or down; -1: to the left or up
};

template <typename G>
WARPKIT_HD int64_t corner_of(const Scene<G>& scene, int64_t face, int k) {
  return scene.wide_faces ? static_cast<const int64_t*>(scene.faces)[3 * face + k]
                          : static_cast<const int32_t*>(scene.faces)[3 * face + k];
}

// False: out of range, behind the camera, or not finite.
template <typename G>
WARPKIT_HD bool fetch_point(const Scene<G>& scene, int64_t image, const Line& line, int64_t vertex,
                            Point* point) {
  if (vertex < 0 || vertex >= scene.num_vertices) return false;
  const G* at = scene.vertices + (image * scene.num_vertices + vertex) * scene.components;
  double x = at[0], y = at[1];
  if (scene.components == 4) {
    const double w = at[3];
    if (!(w > 0)) return false;
    x = x / w;
    y = y / w;
  }
  const double u = (x + 1.0) * static_cast<double>(scene.width) * 0.5 - line.column;
  const double v = (y + 1.0) * static_cast<double>(scene.height) * 0.5 - line.row;
  point->vertex = vertex;
  point->along = (line.direction == kRow ? u : v) * line.sign;
  point->across = line.direction == kRow ? v : u;
  return u - u == 0 && v - v == 0;
}

// Where the edge from low (across < 0) to high (across >= 0) crosses the line.
WARPKIT_HD double crossing_of(const Point& low, const Point& high) {
  return low.along - low.across * ((high.along - low.along) / (high.across - low.across));
}

// Follows the surface from the centre of a pixel that shows `face` towards the neighbour that shows
// `other`. The line crosses each face that it meets through two of its edges: in by one, out by the other.
template <typename G>
WARPKIT_HD Crossing follow(const Scene<G>& scene, int64_t image, const Line& line, int64_t face,
                           int64_t other) {
  const Crossing none = {Crossing::kGoesOn, 0, 0, {0, 0, 0}, {0, 0, 0}};
  Point point[3];
  for (int k = 0; k < 3; ++k) {
    if (!fetch_point(scene, image, line, corner_of(scene, face, k), &point[k])) return none;
  }
  Crossing out = none;  // the edge by which the line leaves the face
  int opposite = -1;
  for (int k = 0; k < 3; ++k) {
    const Point &a = point[(k + 1) % 3], &b = point[(k + 2) % 3];
    if ((a.across < 0) == (b.across < 0)) continue;
    const Point &low = a.across < 0 ? a : b, &high = a.across < 0 ? b : a;
    const double along = crossing_of(low, high);
    if (opposite < 0 || along > out.along) {
      out = {Crossing::kFound, along, 0, low, high};
      opposite = k;
    }
  }
  if (opposite < 0) return none;
  for (int step = 0; step < kMostFaces; ++step) {
    if (!(out.along <= 1.0)) return none;  // goes on under the neighbour
    const int64_t next = scene.neighbours[3 * face + opposite];
    if (next < 0 || next >= scene.num_faces) return out;
    int at_low = -1, at_high = -1, at_apex = -1;
    for (int k = 0; k < 3; ++k) {
      const int64_t corner = corner_of(scene, next, k);
      if (corner == out.low.vertex) {
        at_low = k;
      } else if (corner == out.high.vertex) {
        at_high = k;
      } else {
        at_apex = k;
      }
    }
    Point apex;
    if (at_low < 0 || at_high < 0 || at_apex < 0) return none;  // neighbours of other faces than these
    if (!fetch_point(scene, image, line, corner_of(scene, next, at_apex), &apex)) return none;
    const bool below = apex.across < 0;
    const Point &low = below ? apex : out.low, &high = below ? out.high : apex;
    const double along = crossing_of(low, high);
    if (along < out.along - kTurn) return out;
    if (next == other) return {Crossing::kOneSurface, along, 0, low, high};
    out = {Crossing::kFound, along, 0, low, high};
    face = next;
    opposite = below ? at_low : at_high;
  }
  return none;
}

// Does a silhouette of this direction act on pairs of that one? Edges of 45 degrees belong to rows.
WARPKIT_HD bool acts(const Crossing& crossing, int direction) {
  const double along = crossing.high.along - crossing.low.along;
  const double across = crossing.high.across - crossing.low.across;
  const double size = along < 0 ? -along : along;
  return direction == kRow ? size <= across : size < across;
}

// The silhouette between a pixel and the next one of its row or column. `along` counts from the first's
// centre.
template <typename G>
WARPKIT_HD Crossing find_crossing(const Scene<G>& scene, int64_t image, int64_t row, int64_t column,
                                  int direction) {
  const int64_t first = (image * scene.height + row) * scene.width + column;
  const int64_t second = first + (direction == kRow ? 1 : scene.width);
  const Crossing none = {Crossing::kGoesOn, 0, 0, {0, 0, 0}, {0, 0, 0}};
  int64_t face[2] = {scene.face_index[first], scene.face_index[second]};
  for (int k = 0; k < 2; ++k) face[k] = face[k] < 0 || face[k] >= scene.num_faces ? -1 : face[k];
  if (face[0] == face[1]) return none;
  const bool second_nearer = face[0] < 0 || (face[1] >= 0 && scene.depth[second] < scene.depth[first]);
  for (int k = 0; k < 2; ++k) {
    const int from = second_nearer ? 1 - k : k;
    if (face[from] < 0) break;
    const Line line = {
        static_cast<double>(column) + (direction == kRow && from == 1 ? 1.5 : 0.5),
        static_cast<double>(row) + (direction == kColumn && from == 1 ? 1.5 : 0.5),
        direction,
        from == 1 ? -1.0 : 1.0,
    };
    Crossing crossing = follow(scene, image, line, face[from], face[1 - from]);
    if (crossing.state == Crossing::kGoesOn) continue;
    if (crossing.state == Crossing::kOneSurface || !acts(crossing, direction)) return none;
    crossing.slope =
        line.sign * (crossing.high.along - crossing.low.along) / (crossing.high.across - crossing.low.across);
    if (from == 1) crossing.along = 1.0 - crossing.along;
    return crossing;
  }
  return none;
}

// What the second pixel of a pair takes from the first (>= 0) or, negated, the first from the second.
template <typename A, typename G>
WARPKIT_HD A find_shift(const Scene<G>& scene, int64_t image, int64_t row, int64_t column, int direction) {
  const Crossing crossing = find_crossing(scene, image, row, column, direction);
  if (crossing.state != Crossing::kFound) return A(kNone);
  const double within = crossing.along < 0 ? 0 : crossing.along > 1 ? 1 : crossing.along;
  return static_cast<A>(within - 0.5);
}

// How that changes with the ends of the silhouette's edge: by x, y and w of low and of high.
struct Slopes {
  int64_t vertex[2];
  double by_x[2], by_y[2], by_w[2];
};

template <typename G>
WARPKIT_HD Slopes find_slopes(const Scene<G>& scene, int64_t image, const Crossing& crossing, int direction,
                              double gradient) {
  Slopes out;
  const double share = -crossing.low.across / (crossing.high.across - crossing.low.across);
  const bool clamped = !(crossing.along >= 0 && crossing.along <= 1);
  for (int end = 0; end < 2; ++end) {
    const int64_t vertex = end == 0 ? crossing.low.vertex : crossing.high.vertex;
    const double by_along = clamped ? 0.0 : (end == 0 ? 1.0 - share : share) * gradient;
    const double by_across = -by_along * crossing.slope;
    const double half_width = 0.5 * static_cast<double>(scene.width),
                 half_height = 0.5 * static_cast<double>(scene.height);
    out.vertex[end] = vertex;
    out.by_x[end] = (direction == kRow ? by_along : by_across) * half_width;
    out.by_y[end] = (direction == kRow ? by_across : by_along) * half_height;
    out.by_w[end] = 0;
    if (scene.components == 4) {
      const G* at = scene.vertices + (image * scene.num_vertices + vertex) * 4;
      const double inverse = 1.0 / static_cast<double>(at[3]);
      out.by_x[end] = out.by_x[end] * inverse;
      out.by_y[end] = out.by_y[end] * inverse;
      out.by_w[end] = -(out.by_x[end] * at[0] + out.by_y[end] * at[1]) * inverse;
    }
  }
  return out;
}

// What a pixel takes from its neighbours.
template <typename A>
struct Share {
  A left, right, up, down;
};

template <typename A>
WARPKIT_HD bool takes(const Share<A>& share) {
  return share.left + share.right + share.up + share.down > A(0);
}
// The weight of a pixel's own colour, and of a neighbour's from whom it takes `part`.
template <typename A>
WARPKIT_HD A own_weight(const Share<A>& share) {
  return (A(1) - (share.left + share.right)) * (A(1) - (share.up + share.down));
}
template <typename A>
WARPKIT_HD A side_weight(const Share<A>& share, int direction, A part) {
  return part * (A(1) - A(0.5) * (direction == kRow ? share.up + share.down : share.left + share.right));
}

// [2, B, H, W]: the shifts of pairs in rows, then of pairs in columns.
template <typename A>
struct Shifts {
  const A* data;
  int64_t batch, height, width;
};

template <typename A>
WARPKIT_HD A second_takes(A shift) {
  return shift >= A(0) && shift < A(1) ? shift : A(0);
}
template <typename A>
WARPKIT_HD A first_takes(A shift) {
  return shift < A(0) ? -shift : A(0);
}

template <typename A>
WARPKIT_HD Share<A> find_share(const Shifts<A>& shifts, int64_t image, int64_t row, int64_t column) {
  const A* rows = shifts.data + (image * shifts.height + row) * shifts.width + column;
  const A* columns = rows + shifts.batch * shifts.height * shifts.width;
  return {column > 0 ? second_takes(rows[-1]) : A(0), first_takes(rows[0]),
          row > 0 ? second_takes(columns[-shifts.width]) : A(0), first_takes(columns[0])};
}

template <typename A>
WARPKIT_HD A shift_at(const Shifts<A>& shifts, int64_t image, int64_t row, int64_t column, int direction) {
  return shifts.data[((direction * shifts.batch + image) * shifts.height + row) * shifts.width + column];
}

// An image and the gradient of what antialiasing made of it.
template <typename T>
struct Colours {
  const T* image;
  Strides in;
  const T* gradient;
  Strides gradient_strides;
  int64_t channels;
};

// How the loss changes with the shift of a pair that has a silhouette.
template <typename T, typename A>
WARPKIT_HD A slope_of_pair(const Shifts<A>& shifts, const Colours<T>& colours, int64_t image, int64_t row,
                           int64_t column, int direction) {
  const bool first_takes = shift_at(shifts, image, row, column, direction) < A(0);
  const int64_t i = row + (direction == kColumn && !first_takes ? 1 : 0),
                j = column + (direction == kRow && !first_takes ? 1 : 0);
  const Share<A> share = find_share(shifts, image, i, j);
  const Strides& in = colours.in;
  const T* own = colours.image + image * in.image + i * in.row + j * in.column;
  const T* gradient = colours.gradient + image * colours.gradient_strides.image +
                      i * colours.gradient_strides.row + j * colours.gradient_strides.column;
  // `before` and `after` are what the pixel takes in the other direction
  const int64_t step = direction == kRow ? in.column : in.row,
                other_step = direction == kRow ? in.row : in.column;
  const int64_t giver = first_takes ? step : -step;
  const A before = direction == kRow ? share.up : share.left,
          after = direction == kRow ? share.down : share.right;
  const A across = before + after;
  A sum = A(0);
  for (int64_t c = 0; c < colours.channels; ++c) {
    const int64_t at = c * in.channel;
    A by_part = (A(1) - A(0.5) * across) * A(widen(own[at + giver]));
    if (across < A(1)) by_part -= (A(1) - across) * A(widen(own[at]));
    if (before > A(0)) by_part -= A(0.5) * before * A(widen(own[at - other_step]));
    if (after > A(0)) by_part -= A(0.5) * after * A(widen(own[at + other_step]));
    sum += by_part * A(widen(gradient[c * colours.gradient_strides.channel]));
  }
  return first_takes ? -sum : sum;
}

}  // namespace warpkit::antialiasing
