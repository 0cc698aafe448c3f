// How the CPU makes flows from meshes, image by image: the sources' tiles leave what visibility needs, then
// each tile of the target is composed for all sources while its face ids are in cache.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <tuple>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "flow/mesh_flow_tensors.h"
#include "rasterize/rasterize_simd.h"

namespace warpkit::flow {

namespace {

using raster::kTileStride;
using raster::Tile;

struct StoredSurfaces {
  const Surface* surface;
  Surface operator()(int64_t pixel) const { return surface[pixel]; }
};

// One image in work.
template <typename T>
struct Work {
  ComposeJob<T> job;
  int64_t image, height, width, source_height, source_width;
  int32_t* face_index;   // of the image
  Surface* surfaces;     // "pixel": [S, h, w]; zeros, and not a page touched, where nothing was ever shown
  unsigned char* stale;  // "pixel": [S, tiles]: the tile holds surfaces of an image before
  float* slopes;         // "pixel": [S, F]
  unsigned char* shown;  // "face": [S, F]
};

int64_t tiles_of(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

// The slopes of faces begin..end of a source.
template <typename T>
void find_slopes(const Work<T>& work, int64_t source, int64_t begin, int64_t end) {
  const ComposeJob<T>& job = work.job;
  const T* vertices = job.vertices + (work.image * job.sources + source) * job.num_vertices * job.components;
  for (int64_t face = begin; face < end; ++face) {
    int64_t index[3];
    if (!fetch_face(job, face, index)) continue;
    work.slopes[source * job.num_faces + face] =
        depth_slope(vertices + index[0] * job.components, vertices + index[1] * job.components,
                    vertices + index[2] * job.components, job.components, static_cast<T>(work.source_width),
                    static_cast<T>(work.source_height));
  }
}

// A tile of a source, for visibility "pixel".
template <typename T>
void store_surfaces(void* context, const Tile<T>& tile) {
  const Work<T>& work = *static_cast<const Work<T>*>(context);
  const float* slopes = work.slopes + tile.image * work.job.num_faces;
  unsigned char* stale =
      work.stale +
      (tile.image * tiles_of(work.source_height, raster::kTileRows) + tile.row / raster::kTileRows) *
          tiles_of(work.source_width, raster::kTileColumns) +
      tile.column / raster::kTileColumns;
  if (tile.face_index == nullptr && !*stale) return;
  *stale = tile.face_index != nullptr;
  for (int32_t i = 0; i < tile.rows; ++i) {
    Surface* surface =
        work.surfaces + (tile.image * work.source_height + tile.row + i) * work.source_width + tile.column;
    if (tile.face_index == nullptr) {
      std::fill_n(surface, tile.columns, Surface{});
      continue;
    }
    for (int32_t j = 0; j < tile.columns; ++j) {
      const int32_t face = tile.face_index[i * kTileStride + j];
      surface[j] = {};
      if (face < 0) continue;
      const raster::FaceRecord& record = tile.records[face];
      surface[j] = {raster::depth_at(record.depth, static_cast<float>(tile.column + j - record.box.j0),
                                     static_cast<float>(tile.row + i - record.box.i0)),
                    slopes[face]};
    }
  }
}

// A tile of a source, for visibility "face". Tiles share faces: a relaxed store of the same value from each.
template <typename T>
void mark_shown(void* context, const Tile<T>& tile) {
  const Work<T>& work = *static_cast<const Work<T>*>(context);
  if (tile.face_index == nullptr) return;
  unsigned char* shown = work.shown + tile.image * work.job.num_faces;
  int32_t last = -1;
  for (int32_t i = 0; i < tile.rows; ++i) {
    for (int32_t j = 0; j < tile.columns; ++j) {
      const int32_t face = tile.face_index[i * kTileStride + j];
      if (face == last) continue;
      last = face;
      if (face >= 0) std::atomic_ref<unsigned char>(shown[face]).store(1, std::memory_order_relaxed);
    }
  }
}

// One row of a tile of the target, in one source.
template <int kComponents, typename T>
void compose_row(const Work<T>& work, int64_t source, const int32_t* face_index, int32_t columns,
                 const raster::ResolvedRow<T>& row, int64_t at) {
  const ComposeJob<T>& job = work.job;
  const int64_t which = work.image * job.sources + source;
  const T* vertices = job.vertices + which * job.num_vertices * kComponents;
  const unsigned char* face_mask = job.face_mask ? job.face_mask + which * job.num_faces : nullptr;
  const unsigned char* shown = work.shown ? work.shown + source * job.num_faces : nullptr;
  const float* slopes = work.slopes ? work.slopes + source * job.num_faces : nullptr;
  const Surface* surfaces =
      work.surfaces ? work.surfaces + source * work.source_height * work.source_width : nullptr;
  T* grid = job.grid + 2 * (which * count_pixels(job) + at);
  unsigned char* visible = job.visible + which * count_pixels(job) + at;
  int32_t current = -1;
  bool given = false;
  const T* corner[3] = {};
  T depth[raster::kTileColumns];
  for (int32_t j = 0; j < columns; ++j) {
    const int32_t face = face_index[j];
    if (face != current) {  // neighbours mostly show one face
      current = face;
      int64_t index[3];
      given = fetch_face(job, face, index) && (!face_mask || face_mask[face]) && (!shown || shown[face]);
      if (given) {
        for (int k = 0; k < 3; ++k) corner[k] = vertices + index[k] * kComponents;
      }
    }
    Point<T> point{T(-2), T(-2), false};
    if (given) {
      const T barycentric[3] = {row.barycentric[0][j], row.barycentric[1][j], row.barycentric[2][j]};
      point = compose_point(barycentric, corner[0], corner[1], corner[2], kComponents);
      if (surfaces && point.visible) {  // looked up below, when what this asks for has come
        depth[j] = depth_of_point(barycentric, corner[0], corner[1], corner[2], kComponents);
        T across, down;
        if (find_source_pixel(point.x, point.y, work.source_width, work.source_height, &across, &down)) {
          __builtin_prefetch(surfaces + static_cast<int64_t>(down) * work.source_width +
                             static_cast<int64_t>(across));
        }
      }
    }
    grid[2 * j] = point.x;
    grid[2 * j + 1] = point.y;
    visible[j] = point.visible;
  }
  if (!surfaces) return;
  for (int32_t j = 0; j < columns; ++j) {
    if (!visible[j] || is_shown(Point<T>{grid[2 * j], grid[2 * j + 1], true}, depth[j], slopes[face_index[j]],
                                StoredSurfaces{surfaces}, work.source_width, work.source_height)) {
      continue;
    }
    grid[2 * j] = grid[2 * j + 1] = T(-2);
    visible[j] = 0;
  }
}

// A tile of the target.
template <typename T>
void compose_tile(void* context, const Tile<T>& tile) {
  const Work<T>& work = *static_cast<const Work<T>*>(context);
  const ComposeJob<T>& job = work.job;
  raster::ResolvedRow<T> row;
  for (int32_t i = 0; i < tile.rows; ++i) {
    const int64_t at = (tile.row + i) * work.width + tile.column;
    const int32_t* face_index = tile.face_index ? tile.face_index + i * kTileStride : nullptr;
    int32_t* out = work.face_index + at;
    bool any = false;
    if (face_index) {
      std::copy_n(face_index, tile.columns, out);
      any = std::any_of(out, out + tile.columns, [](int32_t face) { return face >= 0; });
    } else {
      std::fill_n(out, tile.columns, -1);
    }
    if (any) raster::resolve_row(tile, i, row);
    for (int64_t source = 0; source < job.sources; ++source) {
      if (!any) {
        const int64_t to = (work.image * job.sources + source) * count_pixels(job) + at;
        std::fill_n(job.grid + 2 * to, 2 * tile.columns, T(-2));
        std::fill_n(job.visible + to, tile.columns, 0);
      } else if (job.components == 4) {
        compose_row<4>(work, source, face_index, tile.columns, row, at);
      } else {
        compose_row<3>(work, source, face_index, tile.columns, row, at);
      }
    }
  }
}

template <typename T>
void run(const MeshFlowTensors& tensors) {
  const ComposeJob<T> job = tensors.job<T>();
  const int64_t source_pixels = tensors.source_height * tensors.source_width;
  std::unique_ptr<Surface, decltype(&std::free)> surfaces(nullptr, &std::free);
  std::unique_ptr<float[]> slopes;
  std::unique_ptr<unsigned char[]> stale, shown;
  if (tensors.visibility == Visibility::pixel) {
    const int64_t tiles = tiles_of(tensors.source_height, raster::kTileRows) *
                          tiles_of(tensors.source_width, raster::kTileColumns);
    surfaces.reset(static_cast<Surface*>(
        std::calloc(std::max<int64_t>(job.sources * source_pixels, 1), sizeof(Surface))));
    STD_TORCH_CHECK(surfaces != nullptr, "mesh_flow: no memory for what ", job.sources, " sources show");
    stale.reset(new unsigned char[job.sources * tiles]());
    slopes.reset(new float[job.sources * job.num_faces]);
  }
  if (tensors.visibility == Visibility::face) shown.reset(new unsigned char[job.sources * job.num_faces]);
  for (int64_t image = 0; image < job.batch; ++image) {
    Work<T> work{job,
                 image,
                 tensors.height,
                 tensors.width,
                 tensors.source_height,
                 tensors.source_width,
                 static_cast<int32_t*>(tensors.face_index.mutable_data_ptr()) + image * count_pixels(job),
                 surfaces.get(),
                 stale.get(),
                 slopes.get(),
                 shown.get()};
    const raster::Mesh<T> sources = tensors.sources_of<T>(image);
    if (surfaces) {
      constexpr int64_t kFaces = 2048;
      const int64_t chunks = (job.num_faces + kFaces - 1) / kFaces;
      run_tasks(job.sources * chunks, [&](int64_t task) {
        const int64_t begin = task % chunks * kFaces;
        find_slopes(work, task / chunks, begin, std::min(begin + kFaces, job.num_faces));
      });
      raster::rasterize_tiles<T>(sources, {tensors.source_height, tensors.source_width, 0, kNear},
                                 store_surfaces<T>, &work);
    }
    if (shown) {
      std::fill_n(shown.get(), job.sources * job.num_faces, 0);
      const raster::View view{std::max(tensors.source_height, kFaceSize),
                              std::max(tensors.source_width, kFaceSize), 0, kNear};
      raster::rasterize_tiles<T>(sources, view, mark_shown<T>, &work);
    }
    raster::rasterize_tiles<T>(tensors.target_of<T>(image), {tensors.height, tensors.width, 0, kNear},
                               compose_tile<T>, &work);
  }
}

std::tuple<Tensor, Tensor, Tensor> mesh_flow(const Tensor& source_vertices, const Tensor& target_vertices,
                                             const Tensor& faces, int64_t height, int64_t width,
                                             int64_t source_height, int64_t source_width,
                                             std::string visibility, const std::optional<Tensor>& face_mask) {
  const MeshFlowTensors tensors(source_vertices, target_vertices, faces, height, width, source_height,
                                source_width, visibility, face_mask);
  const bool wide = target_vertices.scalar_type() == ScalarType::Double;
  advise_huge_pages(tensors.grid.const_data_ptr(), tensors.grid.numel() * (wide ? 8 : 4));
  advise_huge_pages(tensors.visible.const_data_ptr(), tensors.visible.numel());
  advise_huge_pages(tensors.face_index.const_data_ptr(), tensors.face_index.numel() * 4);
  wide ? run<double>(tensors) : run<float>(tensors);
  return {tensors.grid, tensors.visible, tensors.face_index};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) { m.impl("mesh_flow", TORCH_BOX(&mesh_flow)); }

}  // namespace warpkit::flow
