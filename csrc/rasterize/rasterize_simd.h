// The vectorised steps of the CPU walk, one copy a SIMD level: call them through WARPKIT_SELECT.
#pragma once

#include "common/simd.h"
#include "rasterize/rasterize.h"

namespace warpkit::raster {

// Fills records and resolvers (both by face) for faces begin..end of one image.
template <typename T>
struct SetupJob {
  Mesh<T> mesh;  // batch 1: vertices point at the image
  View view;
  FaceRecord* records;
  Resolver<T>* resolvers;
};

// One tile's buffers and the faces (ascending) that may touch it.
template <typename T>
struct WalkJob {
  const SetupJob<T>* setup;
  int32_t row, column, rows, columns;
  const int32_t* faces;
  int64_t num_faces;
  int32_t* face_index;  // [kTileRows, kTileStride], filled
  float* depth;
};

// Where a tile of rasterize goes: whole contiguous outputs.
template <typename T>
struct Outputs {
  T* barycentric;
  T* depth;
  int32_t* face_index;
  int64_t height, width;
};

// One row of a tile: barycentrics [3][kTileStride] and depth [kTileStride].
template <typename T>
struct ResolvedRow {
  alignas(64) T barycentric[3][kTileStride];
  alignas(64) T depth[kTileStride];
};

#define WARPKIT_RASTER_SIMD(T, suffix)                                                                    \
  WARPKIT_DECLARE_SIMD(void, setup_faces_##suffix, const SetupJob<T>& job, int64_t begin, int64_t end)    \
  WARPKIT_DECLARE_SIMD(void, walk_tile_##suffix, const WalkJob<T>& job)                                   \
  WARPKIT_DECLARE_SIMD(void, resolve_row_##suffix, const Tile<T>& tile, int32_t row, ResolvedRow<T>& out) \
  WARPKIT_DECLARE_SIMD(void, write_tile_##suffix, const Tile<T>& tile, const Outputs<T>& outputs)
WARPKIT_RASTER_SIMD(float, float)
WARPKIT_RASTER_SIMD(double, double)
#undef WARPKIT_RASTER_SIMD

inline void setup_faces(const SetupJob<float>& job, int64_t begin, int64_t end) {
  WARPKIT_SELECT(setup_faces_float)(job, begin, end);
}
inline void setup_faces(const SetupJob<double>& job, int64_t begin, int64_t end) {
  WARPKIT_SELECT(setup_faces_double)(job, begin, end);
}
inline void walk_tile(const WalkJob<float>& job) { WARPKIT_SELECT(walk_tile_float)(job); }
inline void walk_tile(const WalkJob<double>& job) { WARPKIT_SELECT(walk_tile_double)(job); }
inline void resolve_row(const Tile<float>& tile, int32_t row, ResolvedRow<float>& out) {
  WARPKIT_SELECT(resolve_row_float)(tile, row, out);
}
inline void resolve_row(const Tile<double>& tile, int32_t row, ResolvedRow<double>& out) {
  WARPKIT_SELECT(resolve_row_double)(tile, row, out);
}
inline void write_tile(const Tile<float>& tile, const Outputs<float>& outputs) {
  WARPKIT_SELECT(write_tile_float)(tile, outputs);
}
inline void write_tile(const Tile<double>& tile, const Outputs<double>& outputs) {
  WARPKIT_SELECT(write_tile_double)(tile, outputs);
}

}  // namespace warpkit::raster
