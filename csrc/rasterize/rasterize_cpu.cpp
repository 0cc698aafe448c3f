// How the CPU walks: faces are set up and sorted into tiles in parallel, then tiles are walked, resolved and
// written in parallel. Faces reach a tile in ascending order whatever the number of threads.
#include <torch/csrc/stable/library.h>

#include <memory>
#include <tuple>
#include <vector>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "rasterize/rasterize_fetch.h"
#include "rasterize/rasterize_simd.h"
#include "rasterize/rasterize_tensors.h"

namespace warpkit::raster {

namespace {

// A face over more tiles than this goes into one list that every tile looks through, so that lists stay
// short.
constexpr int64_t kWide = 64;
constexpr int64_t kChunk = 1024;         // the fewest faces worth a task of their own
constexpr int64_t kMostChunk = 1 << 20;  // the most: kWide times as many entries are counted in 32 bits

// A run of faces of one image, sorted into tiles: faces of tile t are entries[starts[t]..starts[t + 1]),
// ascending.
struct Chunk {
  std::vector<int32_t> starts, entries, wide;
};

struct TileGrid {
  int64_t rows, columns;

  TileGrid(const View& view)
      : rows((view.height + kTileRows - 1) / kTileRows),
        columns((view.width + kTileColumns - 1) / kTileColumns) {}
  int64_t count() const { return rows * columns; }
};

template <typename Visit>
void for_each_tile(const Box& box, const TileGrid& grid, const Visit& visit) {
  for (int64_t i = box.i0 / kTileRows; i <= box.i1 / kTileRows; ++i) {
    for (int64_t j = box.j0 / kTileColumns; j <= box.j1 / kTileColumns; ++j) visit(i * grid.columns + j);
  }
}

bool is_wide(const Box& box) {
  return int64_t(box.i1 / kTileRows - box.i0 / kTileRows + 1) *
             (box.j1 / kTileColumns - box.j0 / kTileColumns + 1) >
         kWide;
}

void sort_into_tiles(const FaceRecord* records, int64_t begin, int64_t end, const TileGrid& grid,
                     Chunk& chunk) {
  chunk.wide.clear();
  chunk.starts.assign(grid.count() + 1, 0);
  for (int64_t face = begin; face < end; ++face) {
    const FaceRecord& record = records[face];
    if (record.kind == FaceKind::none) continue;
    if (is_wide(record.box)) {
      chunk.wide.push_back(static_cast<int32_t>(face));
    } else {
      for_each_tile(record.box, grid, [&](int64_t tile) { ++chunk.starts[tile]; });
    }
  }
  int32_t sum = 0;
  for (int32_t& start : chunk.starts) sum += start, start = sum;  // ends, for now
  chunk.entries.resize(sum);
  for (int64_t face = end; face-- > begin;) {
    const FaceRecord& record = records[face];
    if (record.kind == FaceKind::none || is_wide(record.box)) continue;
    for_each_tile(record.box, grid,
                  [&](int64_t tile) { chunk.entries[--chunk.starts[tile]] = static_cast<int32_t>(face); });
  }
}

// The faces that may touch a tile, ascending.
void list_faces(const Chunk* chunks, int64_t num_chunks, const FaceRecord* records, int64_t tile,
                const Box& area, std::vector<int32_t>& faces) {
  faces.clear();
  for (int64_t c = 0; c < num_chunks; ++c) {
    const Chunk& chunk = chunks[c];
    const int32_t* entry = chunk.entries.data() + chunk.starts[tile];
    const int32_t* last = chunk.entries.data() + chunk.starts[tile + 1];
    for (const int32_t face : chunk.wide) {
      const Box& box = records[face].box;
      if (box.i1 < area.i0 || box.i0 > area.i1 || box.j1 < area.j0 || box.j0 > area.j1) continue;
      while (entry != last && *entry < face) faces.push_back(*entry++);
      faces.push_back(face);
    }
    faces.insert(faces.end(), entry, last);
  }
}

template <typename T>
std::unique_ptr<T[]> uninitialised(int64_t count) {
  return std::unique_ptr<T[]>(new T[count]);
}

}  // namespace

template <typename T>
void rasterize_tiles(const Mesh<T>& mesh, const View& view, TileShader<T> shader, void* context) {
  if (mesh.batch == 0) return;
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t wave = std::min(mesh.batch, threads);  // images in work at a time: enough for every thread
  const TileGrid grid(view);
  const int64_t wanted = (2 * threads + wave - 1) / wave;
  const int64_t chunk_size = std::clamp((mesh.num_faces + wanted - 1) / wanted, kChunk, kMostChunk);
  const int64_t num_chunks = (mesh.num_faces + chunk_size - 1) / chunk_size;
  const auto records = uninitialised<FaceRecord>(wave * mesh.num_faces);
  const auto resolvers = uninitialised<Resolver<T>>(wave * mesh.num_faces);
  std::vector<Chunk> chunks(wave * num_chunks);
  std::vector<SetupJob<T>> setups(wave);

  for (int64_t first = 0; first < mesh.batch; first += wave) {
    const int64_t images = std::min(wave, mesh.batch - first);
    for (int64_t n = 0; n < images; ++n) {
      Mesh<T> image = mesh;
      image.vertices += (first + n) * mesh.num_vertices * mesh.components;
      setups[n] = {image, view, records.get() + n * mesh.num_faces, resolvers.get() + n * mesh.num_faces};
    }
    run_tasks(images * num_chunks, [&](int64_t task) {
      const SetupJob<T>& setup = setups[task / num_chunks];
      const int64_t begin = task % num_chunks * chunk_size,
                    end = std::min(begin + chunk_size, mesh.num_faces);
      setup_faces(setup, begin, end);
      sort_into_tiles(setup.records, begin, end, grid, chunks[task]);
    });
    run_tasks(images * grid.rows, [&](int64_t task) {
      const int64_t n = task / grid.rows, tile_row = task % grid.rows;
      const SetupJob<T>& setup = setups[n];
      alignas(64) float depth[kTileRows * kTileStride];
      alignas(64) int32_t face_index[kTileRows * kTileStride];
      std::vector<int32_t> faces;
      for (int64_t tile_column = 0; tile_column < grid.columns; ++tile_column) {
        const int32_t row = static_cast<int32_t>(tile_row * kTileRows);
        const int32_t column = static_cast<int32_t>(tile_column * kTileColumns);
        const int32_t rows = static_cast<int32_t>(std::min<int64_t>(kTileRows, view.height - row));
        const int32_t columns = static_cast<int32_t>(std::min<int64_t>(kTileColumns, view.width - column));
        list_faces(chunks.data() + n * num_chunks, num_chunks, setup.records,
                   tile_row * grid.columns + tile_column, {column, column + columns - 1, row, row + rows - 1},
                   faces);
        if (!faces.empty()) {
          walk_tile({&setup, row, column, rows, columns, faces.data(), static_cast<int64_t>(faces.size()),
                     face_index, depth});
        }
        shader(context, {first + n, row, column, rows, columns, faces.empty() ? nullptr : face_index,
                         setup.records, setup.resolvers, mesh.components == 4});
      }
    });
  }
}

template void rasterize_tiles<float>(const Mesh<float>&, const View&, TileShader<float>, void*);
template void rasterize_tiles<double>(const Mesh<double>&, const View&, TileShader<double>, void*);

namespace {

Tensor fresh(const Tensor& like, const std::vector<int64_t>& shape) {
  Tensor out = make_tensor(like, shape);
  advise_huge_pages(out.const_data_ptr(), out.numel() * (like.scalar_type() == ScalarType::Double ? 8 : 4));
  return out;
}

using Values = std::tuple<Tensor, Tensor>;
using Fragments = std::tuple<Tensor, Tensor, Tensor>;

Fragments rasterize(const Tensor& vertices_in, const Tensor& faces_in, int64_t height, int64_t width,
                    int64_t cull, double near) {
  check_mesh(vertices_in, faces_in);
  check_size(height, width);
  const Tensor vertices = as_contiguous(vertices_in), faces = as_contiguous(faces_in);
  const int64_t batch = vertices.size(0);
  Tensor barycentric = fresh(vertices, {batch, height, width, 3});
  Tensor depth = fresh(vertices, {batch, height, width});
  Tensor face_index = make_face_index(vertices, height, width);
  advise_huge_pages(face_index.const_data_ptr(), face_index.numel() * 4);
  const auto run = [&]<typename T>(T) {
    Outputs<T> outputs{static_cast<T*>(barycentric.mutable_data_ptr()),
                       static_cast<T*>(depth.mutable_data_ptr()),
                       static_cast<int32_t*>(face_index.mutable_data_ptr()), height, width};
    rasterize_tiles<T>(
        make_mesh<T>(vertices, faces), {height, width, cull, near},
        [](void* context, const Tile<T>& tile) {
          write_tile(tile, *static_cast<const Outputs<T>*>(context));
        },
        &outputs);
  };
  vertices.scalar_type() == ScalarType::Double ? run(double()) : run(float());
  return {barycentric, depth, face_index};
}

// One row of pixels with known ids; a face is set up once for each run of pixels that shows it.
template <typename T>
void resolve_known(const Mesh<T>& mesh, const View& view, const int32_t* face_index, int32_t row,
                   T* barycentric, T* depth) {
  const bool perspective = mesh.components == 4;
  int32_t current = -1;
  Resolvable<T> known{};
  for (int32_t j = 0; j < view.width; ++j, barycentric += 3) {
    const int32_t face = face_index[j];
    if (face != current) {
      current = face;
      Corner corner[3];
      known.good = false;
      if (face >= 0 && face < mesh.num_faces && fetch_corners(mesh, view, face, corner)) {
        if (drawable(corner, perspective, view.near)) {
          known = resolve_whole_face<T>(view, corner);
        } else if (is_cut(mesh, view, corner)) {
          known = resolve_cut_face(mesh, view, face);
        }
      }
    }
    if (known.good) {
      resolve(known.resolver, static_cast<T>(j - known.j0), static_cast<T>(row - known.i0), perspective,
              barycentric, &depth[j]);
    } else {
      barycentric[0] = barycentric[1] = barycentric[2] = 0;
      depth[j] = T(__builtin_inf());
    }
  }
}

Values barycentrics(const Tensor& vertices_in, const Tensor& faces_in, const Tensor& face_index,
                    double near) {
  check_mesh(vertices_in, faces_in);
  check_face_index(face_index, vertices_in);
  STD_TORCH_CHECK(face_index.size(0) == vertices_in.size(0),
                  "face_index: expected the batch size of vertices");
  check_size(face_index.size(1), face_index.size(2));
  const Tensor vertices = as_contiguous(vertices_in), faces = as_contiguous(faces_in);
  const int64_t batch = vertices.size(0), height = face_index.size(1), width = face_index.size(2);
  Tensor barycentric = fresh(vertices, {batch, height, width, 3});
  Tensor depth = fresh(vertices, {batch, height, width});
  const auto run = [&]<typename T>(T) {
    const Mesh<T> mesh = make_mesh<T>(vertices, faces);
    const MapView<int32_t> ids = view_map<int32_t>(face_index);
    T* const out_barycentric = static_cast<T*>(barycentric.mutable_data_ptr());
    T* const out_depth = static_cast<T*>(depth.mutable_data_ptr());
    constexpr int64_t kRows = 8;
    const int64_t strips = (height + kRows - 1) / kRows;
    run_tasks(batch * strips, [&](int64_t task) {
      const int64_t image = task / strips, begin = task % strips * kRows;
      Mesh<T> one = mesh;
      one.vertices += image * mesh.num_vertices * mesh.components;
      std::vector<int32_t> side_by_side(ids.column == 1 ? 0 : width);
      for (int64_t i = begin; i < std::min(begin + kRows, height); ++i) {
        const int64_t at = (image * height + i) * width;
        const int32_t* row = row_of(ids, image, i);
        if (ids.column != 1) {
          for (int64_t j = 0; j < width; ++j) side_by_side[j] = row[j * ids.column];
          row = side_by_side.data();
        }
        resolve_known<T>(one, {height, width, 0, near}, row, static_cast<int32_t>(i),
                         out_barycentric + 3 * at, out_depth + at);
      }
    });
  };
  vertices.scalar_type() == ScalarType::Double ? run(double()) : run(float());
  return {barycentric, depth};
}

Tensor visible_faces(const Tensor& face_index, int64_t num_faces) {
  check_face_index(face_index, face_index);
  STD_TORCH_CHECK(num_faces >= 0, "num_faces: expected at least 0, got ", num_faces);
  const int64_t batch = face_index.size(0);
  Tensor visible =
      with_reason([&] { return torch::stable::new_zeros(face_index, {batch, num_faces}, ScalarType::Bool); });
  const MapView<int32_t> ids = view_map<int32_t>(face_index);
  auto* out = static_cast<unsigned char*>(visible.mutable_data_ptr());
  const auto mark = [&](auto step) {
    walk_pixels(batch, face_index.size(1), face_index.size(2),
                [&](int64_t image, int64_t row, int64_t begin, int64_t end) {
                  const int32_t* from = row_of(ids, image, row);
                  int32_t last = -1;
                  for (int64_t j = begin; j < end; ++j) {
                    const int32_t face = from[j * step];
                    if (face == last) continue;
                    last = face;
                    // Rows share faces: a relaxed store of the same value from each.
                    if (face >= 0 && face < num_faces) {
                      std::atomic_ref<unsigned char>(out[image * num_faces + face])
                          .store(1, std::memory_order_relaxed);
                    }
                  }
                });
  };
  ids.column == 1 ? mark(std::integral_constant<int64_t, 1>()) : mark(ids.column);
  return visible;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("rasterize", TORCH_BOX(&rasterize));
  m.impl("barycentrics", TORCH_BOX(&barycentrics));
  m.impl("visible_faces", TORCH_BOX(&visible_faces));
}

}  // namespace warpkit::raster
