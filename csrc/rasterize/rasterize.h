// Rasterization: which face lies under each pixel's centre.
//
//   rasterize(vertices [B,V,3|4], faces [F,3], height, width, cull, near)
//       -> barycentric [B,H,W,3], depth [B,H,W], face_index int32 [B,H,W]     none: zeros, +inf, -1
//   barycentrics(vertices, faces, face_index, near) -> barycentric, depth      the same values for known ids
//   visible_faces(face_index [B,H,W], num_faces) -> bool [B,F]
//
// Coverage. Vertices are snapped to 1/256 pixel, rint((x + 1) * W * 128) in double, and edges are integer
// functions with the top-left rule: a centre on a shared edge belongs to exactly one face. Exact up to 2^61
// units (2^53 pixels); a face that reaches farther, has a NaN or infinite vertex, no snapped area or an index
// out of range draws nothing. Faces of [B,V,4] are clipped to w >= near (near_clip.h).
//
// Order. The nearest depth wins, equal depth the lower index. What is compared is the float32 of DepthPlane,
// from the unsnapped vertices; it differs from the depth that is returned by rounding alone.
//
// Values. Barycentrics and depth come from the unsnapped vertices, clamped to be no less than 0 and
// normalised.
//
// Cull: 0 none, 1 back, 2 front; front faces turn counter-clockwise as seen in the image (y down).
#pragma once

#include <cstdint>

#include "rasterize/rasterize_math.h"

namespace warpkit::raster {

// A mesh as plain memory, contiguous; faces are int32, or int64 when wide_faces.
template <typename T>
struct Mesh {
  const T* vertices;
  int64_t batch, num_vertices, components;  // components: 3 or 4
  const void* faces;
  int64_t num_faces;
  bool wide_faces;
};

struct View {
  int64_t height, width, cull;
  double near;
};

// ---- CPU: the walk hands each finished tile to a function

constexpr int kTileRows = 32, kTileColumns = 64;
constexpr int kTileStride = kTileColumns + 16;  // vectors may run past a row's end, by less than 16 lanes

enum class FaceKind : int32_t { none, small, large, cut };

// What the walk needs of a face; small faces carry their edges in int32, relative to pixel (i0, j0) of their
// box. A face that the near plane cuts is drawn in pieces.
struct FaceRecord {
  FaceKind kind;
  Box box;
  int32_t value[3], step_x[3], step_y[3];
  DepthPlane depth;
};

// A piece of one image. face_index is row-major with stride kTileStride and lies in cache; it is null when no
// pixel of the tile can have a face. `resolve_row` (rasterize_simd.h) gives barycentrics and depth of a row.
template <typename T>
struct Tile {
  int64_t image;
  int32_t row, column, rows, columns;
  const int32_t* face_index;
  const FaceRecord* records;     // by face
  const Resolver<T>* resolvers;  // by face
  bool perspective;
};

template <typename T>
using TileShader = void (*)(void* context, const Tile<T>& tile);

// Rasterizes every image of the mesh and calls shader(context, tile) once for each tile, from several
// threads; together the tiles cover each image exactly once, so outputs are written once, background
// included.
template <typename T>
void rasterize_tiles(const Mesh<T>& mesh, const View& view, TileShader<T> shader, void* context);

}  // namespace warpkit::raster
