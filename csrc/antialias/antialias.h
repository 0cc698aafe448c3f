// Antialiasing along silhouettes: what makes a picture of a mesh continuous in its vertices.
//
//   antialias(image [B,C,H,W], face_index [B,H,W], depth [B,H,W], vertices [B,V,3|4], faces [F,3],
//             neighbours [F,3]) -> [B,C,H,W], the dtype and the layout (channels-last or not) of image
//   antialias_backward(gradient, image, face_index, depth, vertices, faces, neighbours, image_wanted,
//                      vertices_wanted, deterministic)
//       -> image_gradient, vertices_gradient; empty tensors where not wanted
//
// neighbours[f][k] is the face across the edge opposite to corner k of face f, -1 where there is none.
//
// For each pair of pixels side by side (in a row or in a column) that show different faces, the surface is
// followed from the centre of the nearer one along the line through both centres, from face to face across
// their shared edges. When it ends (an edge of one face) or turns back (its outline as the camera sees it)
// at a distance p in [0, 1] from the first pixel of the pair, the silhouette passes there:
//
//   p < 1/2: the first pixel takes 1/2 - p of the second one's colour;
//   p >= 1/2: the second pixel takes p - 1/2 of the first one's colour.
//
// When it goes on to the other pixel's face, or under it, the same is tried from the other pixel. So the
// size of a face does not matter: a surface of faces much smaller than a pixel is followed as one of large
// ones. An edge steeper than 45 degrees acts on pairs in a row, a flatter one on pairs in a column: each
// bit of outline counts once, and the sum of a mask of ones is the area that is covered, up to the corners.
//
// A pixel may take from all four sides: with a_h and a_v what it takes along its row and its column, its own
// colour keeps (1 - a_h)(1 - a_v), and what each side gives is scaled by half of what the other direction
// takes, so that the five weights are never negative and sum to one.
//
// The gradient to vertices is that of p, through the two ends of the silhouette's edge: to x and y (and w).
// There is none to z. Faces with an index out of range, or a vertex that is not finite or has w <= 0, end the
// walk without a silhouette.
#pragma once

#include <cstdint>

namespace warpkit::antialiasing {

// A mesh and the picture that it was rasterized to; everything contiguous.
template <typename G>
struct Scene {
  const G* vertices;
  int64_t num_vertices, components;
  const void* faces;
  bool wide_faces;
  const int32_t* neighbours;
  int64_t num_faces;
  const int32_t* face_index;
  const G* depth;
  int64_t batch, height, width;
};

// Strides in elements.
struct Strides {
  int64_t image, channel, row, column;
};

}  // namespace warpkit::antialiasing
