// The CPU walk's inner loops. Compiled once a SIMD level; no standard library here (common/simd.h says why).
#include "rasterize/rasterize_simd.h"

#include "common/stream.h"
#include "rasterize/rasterize_fetch.h"

namespace warpkit::raster {
namespace WARPKIT_SIMD {
namespace {

// A register of this level: unlike common/lanes.h, as nothing here is summed over pixels.
constexpr int kLanes = kStreamFloats;
using Floats = StreamFloats;
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));

template <typename V, typename T>
inline __attribute__((always_inline)) V load(const T* from) {
  V vector;
  __builtin_memcpy(&vector, from, sizeof(V));
  return vector;
}

template <typename V, typename T>
inline __attribute__((always_inline)) void store(T* to, V vector) {
  __builtin_memcpy(to, &vector, sizeof(V));
}

Ints count_up() {
  Ints lanes;
  for (int l = 0; l < kLanes; ++l) lanes[l] = l;
  return lanes;
}

// ---- setup

constexpr int kBlock = 16;  // faces set up side by side

// The corners of a block of faces, one array a number so that the loops over faces vectorise.
struct Corners {
  alignas(64) double u[3][kBlock], v[3][kBlock], x[3][kBlock], y[3][kBlock], z[3][kBlock], w[3][kBlock],
      depth[3][kBlock];

  Corner at(int k, int l) const {
    return {u[k][l], v[k][l], x[k][l], y[k][l], z[k][l], w[k][l], depth[k][l]};
  }
};

template <bool kPerspective>
void make_corners(const double (&raw)[4][3][kBlock], double width, double height, Corners& corners) {
  for (int k = 0; k < 3; ++k) {
    for (int l = 0; l < kBlock; ++l) {
      const Corner corner =
          make_corner(raw[0][k][l], raw[1][k][l], raw[2][k][l], raw[3][k][l], width, height, kPerspective);
      corners.u[k][l] = corner.u, corners.v[k][l] = corner.v, corners.x[k][l] = corner.x,
      corners.y[k][l] = corner.y;
      corners.z[k][l] = corner.z, corners.w[k][l] = corner.w, corners.depth[k][l] = corner.depth;
    }
  }
}

template <typename T>
void gather_corners(const SetupJob<T>& job, int64_t begin, int count, Corners& corners) {
  const double width = static_cast<double>(job.view.width), height = static_cast<double>(job.view.height);
  alignas(64) double raw[4][3][kBlock];
  for (int l = 0; l < kBlock; ++l) {
    int64_t index[3];
    const bool good = l < count && fetch_face(job.mesh, begin + l, index);
    for (int k = 0; k < 3; ++k) {
      const T* vertex = job.mesh.vertices + (good ? index[k] * job.mesh.components : 0);
      raw[0][k][l] = good ? static_cast<double>(vertex[0]) : __builtin_nan("");
      raw[1][k][l] = good ? static_cast<double>(vertex[1]) : 0.0;
      raw[2][k][l] = good ? static_cast<double>(vertex[2]) : 0.0;
      raw[3][k][l] = good && job.mesh.components == 4 ? static_cast<double>(vertex[3]) : 1.0;
    }
  }
  job.mesh.components == 4 ? make_corners<true>(raw, width, height, corners)
                           : make_corners<false>(raw, width, height, corners);
}

template <typename T>
void setup_cut_face(const SetupJob<T>& job, int64_t face, FaceRecord& record, Resolver<T>& resolver) {
  record.kind = FaceKind::none;
  CutFace cut;
  if (!fetch_cut_face(job.mesh, job.view, face, &cut)) return;
  Corner corner[3];
  bool drawn = false;
  for (int32_t piece = 0; piece < pieces_of(cut); ++piece)
    drawn = find_piece(cut, job.view, piece, corner) || drawn;
  if (!drawn) return;
  record.kind = FaceKind::cut;
  record.box = cut.box;
  const Barycentrics barycentrics =
      make_barycentrics(cut, static_cast<int32_t>(job.view.width), static_cast<int32_t>(job.view.height));
  record.depth = make_depth_plane(cut, barycentrics);
  resolver = make_resolver<T>(cut, barycentrics, job.view.near);
}

// A face whose snapped coordinates do not fit the exact double path.
template <typename T>
void setup_far_face(const SetupJob<T>& job, int64_t index, const Corner (&corner)[3], FaceRecord& record,
                    Resolver<T>& resolver) {
  if (is_cut(job.mesh, job.view, corner)) return setup_cut_face(job, index, record, resolver);
  record.kind = FaceKind::none;
  if (!drawable(corner, job.mesh.components == 4, job.view.near) ||
      !(reach(corner[0], corner[1], corner[2]) < kInt128Limit)) {
    return;
  }
  if (!find_box(corner, job.view, &record.box)) return;
  record.kind = FaceKind::large;
  const Barycentrics face = make_barycentrics(corner[0], corner[1], corner[2], record.box.j0, record.box.i0);
  record.depth = make_depth_plane(corner[0], corner[1], corner[2], face);
  resolver = make_resolver<T>(corner[0], corner[1], corner[2], face);
}

// The same for a block of faces at once: everything is whole numbers below 2^53 held in doubles.
template <typename T>
void setup_block(const SetupJob<T>& job, int64_t begin, int count) {
  Corners corners;
  gather_corners(job, begin, count, corners);
  const double near = job.mesh.components == 4 ? job.view.near : 1.0;
  const double width = static_cast<double>(job.view.width), height = static_cast<double>(job.view.height);
  const double culled = job.view.cull == 1   ? 1.0
                        : job.view.cull == 2 ? -1.0
                                             : 0.0;  // back faces turn clockwise: area > 0
  alignas(64) int32_t kind[kBlock], box[4][kBlock], value[3][kBlock], step_x[3][kBlock], step_y[3][kBlock];
  alignas(64) float plane[5][kBlock];
  alignas(64) T resolver[9][kBlock];
  constexpr int kFar = 3;
  for (int l = 0; l < kBlock; ++l) {
    const Corner a = corners.at(0, l), b = corners.at(1, l), c = corners.at(2, l);
    const double x0 = smaller(a.x, smaller(b.x, c.x)), x1 = larger(a.x, larger(b.x, c.x));
    const double y0 = smaller(a.y, smaller(b.y, c.y)), y1 = larger(a.y, larger(b.y, c.y));
    const double sum =
        (a.x + b.x + c.x) + (a.y + b.y + c.y) + (a.depth + b.depth + c.depth) + (a.w + b.w + c.w);
    const bool fits = is_finite(sum) & (x0 > -kDoubleLimit) & (x1 < kDoubleLimit) & (y0 > -kDoubleLimit) &
                      (y1 < kDoubleLimit) & (a.w >= near) & (b.w >= near) & (c.w >= near);
    const double area = area_of(a.x, a.y, b.x, b.y, c.x, c.y);
    const double turn = area > 0 ? 1.0 : -1.0;
    const double j0 = larger(__builtin_ceil((x0 - kSubpixel / 2) / kSubpixel), 0.0);
    const double i0 = larger(__builtin_ceil((y0 - kSubpixel / 2) / kSubpixel), 0.0);
    const double j1 = smaller(__builtin_floor((x1 - kSubpixel / 2) / kSubpixel), width - 1);
    const double i1 = smaller(__builtin_floor((y1 - kSubpixel / 2) / kSubpixel), height - 1);
    const bool drawn = (area != 0) & (turn != culled) & (j0 <= j1) & (i0 <= i1);
    // Edge values stay below 2^31 within the box and one vector past it.
    const bool fits_int32 = (x1 - x0 + 17 * kSubpixel) * (y1 - y0 + 17 * kSubpixel) < 1073741824.0;
    kind[l] = fits ? (drawn ? (fits_int32 ? 1 : 2) : 0) : kFar;
    const bool keep = fits & drawn;
    const double first_column = keep ? j0 : 0.0, first_row = keep ? i0 : 0.0;
    box[0][l] = static_cast<int32_t>(first_column);
    box[1][l] = static_cast<int32_t>(keep ? j1 : 0.0);
    box[2][l] = static_cast<int32_t>(first_row);
    box[3][l] = static_cast<int32_t>(keep ? i1 : 0.0);
    const double px = first_column * kSubpixel + kSubpixel / 2, py = first_row * kSubpixel + kSubpixel / 2;
    const Edge<double> edges[3] = {make_edge(b.x, b.y, c.x, c.y, px, py, turn),
                                   make_edge(c.x, c.y, a.x, a.y, px, py, turn),
                                   make_edge(a.x, a.y, b.x, b.y, px, py, turn)};
    const bool convert = keep & fits_int32;
    for (int k = 0; k < 3; ++k) {
      value[k][l] = static_cast<int32_t>(convert ? edges[k].value : 0.0);
      step_x[k][l] = static_cast<int32_t>(convert ? edges[k].step_x : 0.0);
      step_y[k][l] = static_cast<int32_t>(convert ? edges[k].step_y : 0.0);
    }
    const Barycentrics face = make_barycentrics(a, b, c, box[0][l], box[2][l]);
    const DepthPlane depth = make_depth_plane(a, b, c, face);
    plane[0][l] = depth.constant, plane[1][l] = depth.per_column, plane[2][l] = depth.per_row;
    plane[3][l] = depth.nearest, plane[4][l] = depth.farthest;
    const Resolver<T> weights = make_resolver<T>(a, b, c, face);
    for (int k = 0; k < 3; ++k) {
      resolver[k][l] = weights.constant[k];
      resolver[3 + k][l] = weights.per_column[k];
      resolver[6 + k][l] = weights.per_row[k];
    }
  }
  for (int l = 0; l < count; ++l) {
    FaceRecord& record = job.records[begin + l];
    Resolver<T>& out = job.resolvers[begin + l];
    if (kind[l] == kFar) {
      const Corner corner[3] = {corners.at(0, l), corners.at(1, l), corners.at(2, l)};
      setup_far_face(job, begin + l, corner, record, out);
      continue;
    }
    record.kind = static_cast<FaceKind>(kind[l]);
    record.box = {box[0][l], box[1][l], box[2][l], box[3][l]};
    for (int k = 0; k < 3; ++k) {
      record.value[k] = value[k][l], record.step_x[k] = step_x[k][l], record.step_y[k] = step_y[k][l];
      out.constant[k] = resolver[k][l], out.per_column[k] = resolver[3 + k][l],
      out.per_row[k] = resolver[6 + k][l];
      out.z[k] = static_cast<T>(corners.z[k][l]), out.w[k] = static_cast<T>(corners.w[k][l]);
    }
    record.depth = {plane[0][l], plane[1][l], plane[2][l], plane[3][l], plane[4][l]};
  }
}

// ---- walk

// Replaces what lies behind the face in lanes where `inside` is set. Faces come in ascending order: the lower
// keeps a tie.
inline __attribute__((always_inline)) void paint(float* depth, int32_t* face_index, Ints inside,
                                                 Floats candidate, int32_t face) {
  const Floats old = load<Floats>(depth);
  const Ints wins = inside & (candidate < old);
  store(depth, wins ? candidate : old);
  store(face_index, wins ? Ints{} + face : load<Ints>(face_index));
}

inline __attribute__((always_inline)) Floats depth_of(const DepthPlane& plane, Floats across, float down) {
  Floats depth = across + down;
  depth = depth < plane.farthest ? depth : Floats{} + plane.farthest;
  return depth > plane.nearest ? depth : Floats{} + plane.nearest;
}

template <typename T>
void walk_small(const WalkJob<T>& job, int32_t face, const FaceRecord& record, Ints lanes) {
  const Box& box = record.box;
  const int32_t j0 = box.j0 > job.column ? box.j0 : job.column;
  const int32_t i0 = box.i0 > job.row ? box.i0 : job.row;
  const int32_t j1 = box.j1 < job.column + job.columns - 1 ? box.j1 : job.column + job.columns - 1;
  const int32_t i1 = box.i1 < job.row + job.rows - 1 ? box.i1 : job.row + job.rows - 1;
  for (int32_t j = j0; j <= j1; j += kLanes) {
    Ints edge[3];
    for (int k = 0; k < 3; ++k) {
      edge[k] = lanes * record.step_x[k] +
                (record.value[k] + (j - box.j0) * record.step_x[k] + (i0 - box.i0) * record.step_y[k]);
    }
    const Floats across = record.depth.per_column * __builtin_convertvector(lanes + (j - box.j0), Floats);
    int64_t at = int64_t(i0 - job.row) * kTileStride + (j - job.column);
    for (int32_t i = i0; i <= i1; ++i, at += kTileStride) {
      const Ints inside = (edge[0] | edge[1] | edge[2]) >= 0;
      const float down = record.depth.per_row * static_cast<float>(i - box.i0) + record.depth.constant;
      paint(job.depth + at, job.face_index + at, inside, depth_of(record.depth, across, down), face);
      for (int k = 0; k < 3; ++k) edge[k] += record.step_y[k];
    }
  }
}

// Columns first..last (counted from px) where the edge is not negative, cut to what they were.
template <typename I>
inline void cut_span(const Edge<I>& edge, int32_t& first, int32_t& last) {
  if (edge.step_x > 0) {
    if (edge.value >= 0) return;
    const I from = (-(edge.value + 1)) / edge.step_x + 1;
    if (from > first) first = from > last ? last + 1 : static_cast<int32_t>(from);
  } else if (edge.value < 0) {
    last = first - 1;
  } else if (edge.step_x < 0) {
    const I to = edge.value / -edge.step_x;
    if (to < last) last = static_cast<int32_t>(to);
  }
}

template <typename I, typename T>
void walk_large(const WalkJob<T>& job, int32_t face, const FaceRecord& record, const Corner (&corner)[3],
                Ints lanes) {
  const Box& box = record.box;
  const int32_t j0 = box.j0 > job.column ? box.j0 : job.column;
  const int32_t i0 = box.i0 > job.row ? box.i0 : job.row;
  const int32_t j1 = box.j1 < job.column + job.columns - 1 ? box.j1 : job.column + job.columns - 1;
  const int32_t i1 = box.i1 < job.row + job.rows - 1 ? box.i1 : job.row + job.rows - 1;
  const I x[3] = {whole<I>(corner[0].x), whole<I>(corner[1].x), whole<I>(corner[2].x)},
          y[3] = {whole<I>(corner[0].y), whole<I>(corner[1].y), whole<I>(corner[2].y)};
  const I turn = area_of(x[0], y[0], x[1], y[1], x[2], y[2]) > 0 ? 1 : -1;
  for (int32_t i = i0; i <= i1; ++i) {
    const I px = I(j0) * kSubpixel + kSubpixel / 2, py = I(i) * kSubpixel + kSubpixel / 2;
    int32_t first = 0, last = j1 - j0;
    for (int k = 0; k < 3; ++k) {
      const int m = (k + 1) % 3;
      cut_span(make_edge(x[k], y[k], x[m], y[m], px, py, turn), first, last);
    }
    const float down = record.depth.per_row * static_cast<float>(i - box.i0) + record.depth.constant;
    for (int32_t j = first; j <= last; j += kLanes) {
      const Ints inside = lanes <= last - j;
      const Floats across =
          record.depth.per_column * __builtin_convertvector(lanes + (j0 + j - box.j0), Floats);
      const int64_t at = int64_t(i - job.row) * kTileStride + (j0 + j - job.column);
      paint(job.depth + at, job.face_index + at, inside, depth_of(record.depth, across, down), face);
    }
  }
}

template <typename T>
void walk_triangle(const WalkJob<T>& job, int32_t face, const FaceRecord& record, const Corner (&corner)[3],
                   Ints lanes) {
  if (reach(corner[0], corner[1], corner[2]) < kInt64Limit) {
    walk_large<int64_t>(job, face, record, corner, lanes);
  } else {
    walk_large<int128>(job, face, record, corner, lanes);
  }
}

template <typename T>
void walk(const WalkJob<T>& job) {
  const Ints lanes = count_up();
  const Mesh<T>& mesh = job.setup->mesh;
  const View& view = job.setup->view;
  for (int64_t at = 0; at < kTileRows * kTileStride; at += kLanes) {
    store(job.depth + at, Floats{} + __builtin_inff());
    store(job.face_index + at, Ints{} - 1);
  }
  for (int64_t n = 0; n < job.num_faces; ++n) {
    const int32_t face = job.faces[n];
    const FaceRecord& record = job.setup->records[face];
    if (record.kind == FaceKind::small) {
      walk_small(job, face, record, lanes);
      continue;
    }
    Corner corner[3];
    CutFace cut;
    if (record.kind == FaceKind::large) {
      if (fetch_corners(mesh, view, face, corner)) walk_triangle(job, face, record, corner, lanes);
    } else if (fetch_cut_face(mesh, view, face, &cut)) {
      for (int32_t piece = 0; piece < pieces_of(cut); ++piece) {
        if (find_piece(cut, view, piece, corner)) walk_triangle(job, face, record, corner, lanes);
      }
    }
  }
}

// ---- resolve

template <typename T>
void resolve_tile_row(const Tile<T>& tile, int32_t row, ResolvedRow<T>& out) {
  constexpr int kSpan = 64 / sizeof(T) < 16 ? 64 / sizeof(T) : 16;
  const int32_t* face_index = tile.face_index + int64_t(row) * kTileStride;
  for (int32_t j = 0; j < tile.columns;) {
    const int32_t face = face_index[j];
    int32_t end = j + 1;
    while (end < tile.columns && face_index[end] == face) ++end;
    if (face < 0) {
      for (int32_t at = j; at < end; at += kSpan) {
        for (int l = 0; l < kSpan; ++l) {
          for (int k = 0; k < 3; ++k) out.barycentric[k][at + l] = 0;
          out.depth[at + l] = T(__builtin_inf());
        }
      }
    } else {
      const Resolver<T> resolver = tile.resolvers[face];
      const Box& box = tile.records[face].box;
      const T down = static_cast<T>(tile.row + row - box.i0);
      for (int32_t at = j; at < end; at += kSpan) {
        const int32_t across = tile.column + at - box.j0;
        for (int l = 0; l < kSpan; ++l) {
          T barycentric[3];
          resolve(resolver, static_cast<T>(across + l), down, tile.perspective, barycentric,
                  &out.depth[at + l]);
          for (int k = 0; k < 3; ++k) out.barycentric[k][at + l] = barycentric[k];
        }
      }
    }
    j = end;
  }
}

template <typename T>
void write(const Tile<T>& tile, const Outputs<T>& outputs) {
  ResolvedRow<T> resolved;
  for (int32_t i = 0; i < tile.rows; ++i) {
    const int64_t at = (tile.image * outputs.height + tile.row + i) * outputs.width + tile.column;
    T* barycentric = outputs.barycentric + 3 * at;
    T* depth = outputs.depth + at;
    int32_t* face_index = outputs.face_index + at;
    if (tile.face_index == nullptr) {
      for (int32_t j = 0; j < tile.columns; ++j) face_index[j] = -1;
      for (int32_t j = 0; j < tile.columns; ++j) depth[j] = T(__builtin_inf());
      for (int32_t j = 0; j < 3 * tile.columns; ++j) barycentric[j] = 0;
      continue;
    }
    resolve_tile_row(tile, i, resolved);
    const int32_t* from = tile.face_index + int64_t(i) * kTileStride;
    for (int32_t j = 0; j < tile.columns; ++j) face_index[j] = from[j];
    for (int32_t j = 0; j < tile.columns; ++j) depth[j] = resolved.depth[j];
    for (int32_t j = 0; j < tile.columns; ++j) {
      for (int k = 0; k < 3; ++k) barycentric[3 * j + k] = resolved.barycentric[k][j];
    }
  }
}

template <typename T>
void setup(const SetupJob<T>& job, int64_t begin, int64_t end) {
  for (int64_t at = begin; at < end; at += kBlock) {
    setup_block(job, at, static_cast<int>(end - at < kBlock ? end - at : kBlock));
  }
}

}  // namespace

void setup_faces_float(const SetupJob<float>& job, int64_t begin, int64_t end) { setup(job, begin, end); }
void setup_faces_double(const SetupJob<double>& job, int64_t begin, int64_t end) { setup(job, begin, end); }
void walk_tile_float(const WalkJob<float>& job) { walk(job); }
void walk_tile_double(const WalkJob<double>& job) { walk(job); }
void resolve_row_float(const Tile<float>& tile, int32_t row, ResolvedRow<float>& out) {
  resolve_tile_row(tile, row, out);
}
void resolve_row_double(const Tile<double>& tile, int32_t row, ResolvedRow<double>& out) {
  resolve_tile_row(tile, row, out);
}
void write_tile_float(const Tile<float>& tile, const Outputs<float>& outputs) { write(tile, outputs); }
void write_tile_double(const Tile<double>& tile, const Outputs<double>& outputs) { write(tile, outputs); }

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::raster
