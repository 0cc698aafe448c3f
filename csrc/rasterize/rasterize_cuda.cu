// How the GPU walks: a visibility buffer. Each pixel holds (ordered depth, face) as one 64-bit key and the
// least wins, so the answer does not depend on the order of threads. Faces split by the size of their box: a
// thread draws a small one, a warp one of medium size, and large ones go to a queue that all blocks share. A
// last kernel resolves the keys.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <tuple>

#include "common/cuda.h"
#include "common/pixel_cuda.h"
#include "rasterize/rasterize_cuda.h"
#include "rasterize/rasterize_tensors.h"

namespace warpkit::raster {

namespace {

constexpr int kThreads = 128;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int64_t kSmallBox = 64;     // pixels that one thread looks at
constexpr int64_t kMediumBox = 4096;  // pixels that one warp looks at
constexpr int32_t kQueueTile = 64;    // side of the piece of a queued face that a block takes

// A face ready to draw: edges relative to pixel (i0, j0) of its box.
template <typename I>
struct Drawing {
  Edge<I> edge[3];
  DepthPlane depth;
};

template <typename I>
__device__ Drawing<I> make_drawing(const Corner (&corner)[3], const Box& box, const DepthPlane& depth) {
  const I x[3] = {whole<I>(corner[0].x), whole<I>(corner[1].x), whole<I>(corner[2].x)},
          y[3] = {whole<I>(corner[0].y), whole<I>(corner[1].y), whole<I>(corner[2].y)};
  const I turn = area_of(x[0], y[0], x[1], y[1], x[2], y[2]) > 0 ? 1 : -1;
  const I px = I(box.j0) * kSubpixel + kSubpixel / 2, py = I(box.i0) * kSubpixel + kSubpixel / 2;
  Drawing<I> drawing;
  drawing.edge[0] = make_edge(x[0], y[0], x[1], y[1], px, py, turn);
  drawing.edge[1] = make_edge(x[1], y[1], x[2], y[2], px, py, turn);
  drawing.edge[2] = make_edge(x[2], y[2], x[0], y[0], px, py, turn);
  drawing.depth = depth;
  return drawing;
}

__device__ __forceinline__ DepthPlane depth_plane_of(const Corner (&corner)[3], const Box& box) {
  return make_depth_plane(corner[0], corner[1], corner[2],
                          make_barycentrics(corner[0], corner[1], corner[2], box.j0, box.i0));
}

// Whether int64 holds the edges of a face; beyond 2^22 pixels they take 128 bits.
__device__ __forceinline__ bool fits_int64(const Corner (&corner)[3]) {
  return reach(corner[0], corner[1], corner[2]) < kInt64Limit;
}

// Draws the pixel at (row, column) of the face's box, if its centre is inside.
template <typename I>
__device__ __forceinline__ void draw_pixel(const Drawing<I>& drawing, const Box& box, int64_t width,
                                           int32_t row, int32_t column, uint32_t face,
                                           unsigned long long* image_keys) {
  for (int k = 0; k < 3; ++k) {
    const Edge<I>& edge = drawing.edge[k];
    if (edge.value + edge.step_x * I(column) + edge.step_y * I(row) < 0) return;
  }
  const float depth = depth_at(drawing.depth, static_cast<float>(column), static_cast<float>(row));
  const unsigned long long key = static_cast<unsigned long long>(ordered(depth)) << 32 | face;
  unsigned long long* at = image_keys + (int64_t(box.i0) + row) * width + box.j0 + column;
  if (key < *at) atomicMin(at, key);  // the keys only fall, so a stale read costs an atomic and no more
}

// Draws the pixels first, first + step, … of a box of `columns` columns, row by row, from (row0, column0).
template <typename I>
__device__ void draw_part(const Drawing<I>& drawing, const Box& box, int64_t width, int32_t row0,
                          int32_t column0, int32_t rows, int32_t columns, int32_t first, int32_t step,
                          uint32_t face, unsigned long long* image_keys) {
  for (int32_t n = first; n < rows * columns; n += step) {
    draw_pixel(drawing, box, width, row0 + n / columns, column0 + n % columns, face, image_keys);
  }
}

template <typename T>
__device__ bool prepare(const Mesh<T>& one, const View& view, int64_t face, Corner (&corner)[3], Box* box) {
  return fetch_corners(one, view, face, corner) && drawable(corner, one.components == 4, view.near) &&
         find_box(corner, view, box);
}

// Whether a face that the near plane cuts may cover a pixel. Rarely called, hence out of line.
template <typename T>
__device__ __noinline__ bool cut_face_is_seen(Mesh<T> one, View view, int64_t face) {
  CutFace cut;
  return fetch_cut_face(one, view, face, &cut) && cut.box.j0 <= cut.box.j1 && cut.box.i0 <= cut.box.i1;
}

// One thread a face. `mesh` begins at the wave's first image.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    draw_faces(Mesh<T> mesh, View view, int64_t images, unsigned long long* keys, unsigned long long* queue) {
  const int64_t total = images * mesh.num_faces, stride = int64_t(gridDim.x) * kThreads;
  const int lane = threadIdx.x % kWarp;
  const int64_t pixels = view.height * view.width;
  // Whole warps leave the loop together: its bound is the first lane's.
  for (int64_t begin = int64_t(blockIdx.x) * kThreads + threadIdx.x - lane; begin < total; begin += stride) {
    const int64_t index = begin + lane;
    int64_t box_pixels = 0;
    Corner corner[3] = {};
    Box box = {};
    bool queued = false;
    if (index < total) {
      const Mesh<T> one = image_of(mesh, index / mesh.num_faces);
      if (prepare(one, view, index % mesh.num_faces, corner, &box)) {
        box_pixels = int64_t(box.i1 - box.i0 + 1) * (box.j1 - box.j0 + 1);
        queued = box_pixels > kMediumBox || !fits_int64(corner);
      } else if (is_cut(one, view, corner)) {
        queued = cut_face_is_seen(one, view, index % mesh.num_faces);
      }
      if (queued) {
        box_pixels = 0;
        queue[1 + atomicAdd(queue, 1ull)] = static_cast<unsigned long long>(index);
      }
    }
    // Each lane draws its small face; then the warp draws the medium ones together, one after the other.
    unsigned medium = __ballot_sync(kAllLanes, box_pixels > kSmallBox);
    if (box_pixels > 0 && box_pixels <= kSmallBox) {
      draw_part(make_drawing<int64_t>(corner, box, depth_plane_of(corner, box)), box, view.width, 0, 0,
                box.i1 - box.i0 + 1, box.j1 - box.j0 + 1, 0, 1, static_cast<uint32_t>(index % mesh.num_faces),
                keys + index / mesh.num_faces * pixels);
    }
    __syncwarp();
    while (medium != 0) {
      const int64_t shared = begin + __ffs(static_cast<int>(medium)) - 1;
      medium &= medium - 1;
      const int64_t image = shared / mesh.num_faces, face = shared % mesh.num_faces;
      if (prepare(image_of(mesh, image), view, face, corner, &box)) {
        draw_part(make_drawing<int64_t>(corner, box, depth_plane_of(corner, box)), box, view.width, 0, 0,
                  box.i1 - box.i0 + 1, box.j1 - box.j0 + 1, lane, kWarp, static_cast<uint32_t>(face),
                  keys + image * pixels);
      }
      __syncwarp();
    }
  }
}

// All blocks share each queued triangle: block n takes the parts n, n + gridDim.x, … of its box.
template <typename I>
__device__ void draw_queued(const Corner (&corner)[3], const Box& box, const DepthPlane& depth,
                            const View& view, int64_t turn, uint32_t face, unsigned long long* image_keys) {
  const Drawing<I> drawing = make_drawing<I>(corner, box, depth);
  const int32_t rows = box.i1 - box.i0 + 1, columns = box.j1 - box.j0 + 1;
  const int64_t across = (columns + kQueueTile - 1) / kQueueTile, down = (rows + kQueueTile - 1) / kQueueTile;
  for (int64_t part = (blockIdx.x + turn) % gridDim.x; part < across * down; part += gridDim.x) {
    const int32_t row0 = static_cast<int32_t>(part / across) * kQueueTile;
    const int32_t column0 = static_cast<int32_t>(part % across) * kQueueTile;
    draw_part(drawing, box, view.width, row0, column0, min(kQueueTile, rows - row0),
              min(kQueueTile, columns - column0), static_cast<int32_t>(threadIdx.x), kThreads, face,
              image_keys);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    draw_queue(Mesh<T> mesh, View view, unsigned long long* keys, const unsigned long long* queue) {
  const int64_t count = static_cast<int64_t>(queue[0]);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t index = static_cast<int64_t>(queue[1 + n]);
    const int64_t image = index / mesh.num_faces, face = index % mesh.num_faces;
    const Mesh<T> one = image_of(mesh, image);
    unsigned long long* image_keys = keys + image * view.height * view.width;
    Corner corner[3];
    CutFace cut;
    DepthPlane depth;
    int32_t pieces = 1;
    const bool whole = prepare(one, view, face, corner, &cut.box);
    if (whole) {
      depth = depth_plane_of(corner, cut.box);
    } else {
      if (!fetch_cut_face(one, view, face, &cut)) continue;
      depth = make_depth_plane(
          cut, make_barycentrics(cut, static_cast<int32_t>(view.width), static_cast<int32_t>(view.height)));
      pieces = pieces_of(cut);
    }
    for (int32_t piece = 0; piece < pieces; ++piece) {
      if (!whole && !find_piece(cut, view, piece, corner)) continue;
      // Turned by n, so that faces of few parts do not all fall to the first blocks.
      if (fits_int64(corner)) {
        draw_queued<int64_t>(corner, cut.box, depth, view, n, static_cast<uint32_t>(face), image_keys);
      } else {
        draw_queued<int128>(corner, cut.box, depth, view, n, static_cast<uint32_t>(face), image_keys);
      }
    }
  }
}

// One thread a pixel of the wave. Outputs and mesh begin at the wave's first image; keys or known ids say the
// face.
template <typename T, bool kKnown>
__global__ void __launch_bounds__(kThreads)
    resolve_pixels(Mesh<T> mesh, View view, int64_t images, const unsigned long long* keys,
                   MapView<int32_t> known, PixelSplit by, T* barycentric, T* depth, int32_t* face_index) {
  const int64_t pixels = view.height * view.width, total = images * pixels;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total;
       at += int64_t(gridDim.x) * kThreads) {
    const int32_t face = kKnown ? *Pixel(by, at).in(known) : face_of(keys[at]);
    T weights[3];
    resolve_pixel(image_of(mesh, at / pixels), view, face, at % pixels, weights, &depth[at]);
    for (int k = 0; k < 3; ++k) barycentric[3 * at + k] = weights[k];
    if (!kKnown) face_index[at] = face;
  }
}

__global__ void __launch_bounds__(kThreads)
    mark_faces(MapView<int32_t> face_index, PixelSplit by, int64_t total, int64_t num_faces, bool* visible) {
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total;
       at += int64_t(gridDim.x) * kThreads) {
    const Pixel pixel(by, at);
    const int32_t face = *pixel.in(face_index);
    if (face >= 0 && face < num_faces) visible[pixel.image * num_faces + face] = true;  // all write the same
  }
}

// Blocks that keep the GPU busy with a queue of unknown length.
unsigned resident_blocks() {
  int device = 0, processors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  return processors > 0 ? 4u * static_cast<unsigned>(processors) : 256u;
}

}  // namespace

template <typename T>
void fill_keys(const Mesh<T>& mesh, const View& view, int64_t first, int64_t images, uint64_t* keys,
               int64_t* queue, cudaStream_t stream) {
  auto* atomic_keys = reinterpret_cast<unsigned long long*>(keys);
  auto* atomic_queue = reinterpret_cast<unsigned long long*>(queue);
  cudaMemsetAsync(keys, 0xff, images * view.height * view.width * sizeof(uint64_t), stream);
  cudaMemsetAsync(queue, 0, sizeof(int64_t), stream);
  if (images * mesh.num_faces > 0) {
    Mesh<T> wave = mesh;
    wave.vertices += first * mesh.num_vertices * mesh.components;
    draw_faces<T><<<blocks_for(images * mesh.num_faces, kThreads), kThreads, 0, stream>>>(
        wave, view, images, atomic_keys, atomic_queue);
    draw_queue<T><<<resident_blocks(), kThreads, 0, stream>>>(wave, view, atomic_keys, atomic_queue);
  }
  check_launch();
}

template void fill_keys<float>(const Mesh<float>&, const View&, int64_t, int64_t, uint64_t*, int64_t*,
                               cudaStream_t);
template void fill_keys<double>(const Mesh<double>&, const View&, int64_t, int64_t, uint64_t*, int64_t*,
                                cudaStream_t);

namespace {

// Outputs as plain memory, for one dtype.
template <typename T>
struct Destination {
  T *barycentric, *depth;
  int32_t* face_index;
};

template <typename T>
void rasterize_into(const Mesh<T>& mesh, const View& view, const Destination<T>& out, const Tensor& like) {
  const int64_t pixels = view.height * view.width;
  if (mesh.batch == 0) return;
  const cudaStream_t stream = current_stream(like);
  const int64_t wave = images_a_wave(mesh.batch, view.height, view.width);
  Tensor keys = make_tensor(like, {wave, view.height, view.width}, ScalarType::Long);
  Tensor queue = make_tensor(like, {queue_length(wave, mesh.num_faces)}, ScalarType::Long);
  auto* key = static_cast<uint64_t*>(keys.mutable_data_ptr());
  for (int64_t first = 0; first < mesh.batch; first += wave) {
    const int64_t images = first + wave < mesh.batch ? wave : mesh.batch - first;
    fill_keys(mesh, view, first, images, key, static_cast<int64_t*>(queue.mutable_data_ptr()), stream);
    Mesh<T> part = mesh;
    part.vertices += first * mesh.num_vertices * mesh.components;
    resolve_pixels<T, false><<<blocks_for(images * pixels, kThreads), kThreads, 0, stream>>>(
        part, view, images, reinterpret_cast<const unsigned long long*>(key), {},
        PixelSplit(view.height, view.width), out.barycentric + 3 * first * pixels, out.depth + first * pixels,
        out.face_index + first * pixels);
    check_launch();
  }
}

std::tuple<Tensor, Tensor, Tensor> rasterize(const Tensor& vertices_in, const Tensor& faces_in,
                                             int64_t height, int64_t width, int64_t cull, double near) {
  check_mesh(vertices_in, faces_in);
  check_size(height, width);
  const torch::stable::accelerator::DeviceGuard guard(vertices_in.get_device_index());
  const Tensor vertices = as_contiguous(vertices_in), faces = as_contiguous(faces_in);
  const int64_t batch = vertices.size(0);
  Tensor barycentric = make_tensor(vertices, {batch, height, width, 3});
  Tensor depth = make_tensor(vertices, {batch, height, width});
  Tensor face_index = make_face_index(vertices, height, width);
  const View view = {height, width, cull, near};
  auto* ids = static_cast<int32_t*>(face_index.mutable_data_ptr());
  if (vertices.scalar_type() == ScalarType::Double) {
    rasterize_into<double>(make_mesh<double>(vertices, faces), view,
                           {static_cast<double*>(barycentric.mutable_data_ptr()),
                            static_cast<double*>(depth.mutable_data_ptr()), ids},
                           vertices);
  } else {
    rasterize_into<float>(make_mesh<float>(vertices, faces), view,
                          {static_cast<float*>(barycentric.mutable_data_ptr()),
                           static_cast<float*>(depth.mutable_data_ptr()), ids},
                          vertices);
  }
  return {barycentric, depth, face_index};
}

template <typename T>
void resolve_into(const Mesh<T>& mesh, const View& view, const MapView<int32_t>& known, void* barycentric,
                  void* depth, cudaStream_t stream) {
  const int64_t total = mesh.batch * view.height * view.width;
  if (total == 0) return;
  resolve_pixels<T, true><<<blocks_for(total, kThreads), kThreads, 0, stream>>>(
      mesh, view, mesh.batch, nullptr, known, PixelSplit(view.height, view.width),
      static_cast<T*>(barycentric), static_cast<T*>(depth), nullptr);
  check_launch();
}

std::tuple<Tensor, Tensor> barycentrics(const Tensor& vertices_in, const Tensor& faces_in,
                                        const Tensor& face_index, double near) {
  check_mesh(vertices_in, faces_in);
  check_face_index(face_index, vertices_in);
  STD_TORCH_CHECK(face_index.size(0) == vertices_in.size(0),
                  "face_index: expected the batch size of vertices");
  check_size(face_index.size(1), face_index.size(2));
  const torch::stable::accelerator::DeviceGuard guard(vertices_in.get_device_index());
  const Tensor vertices = as_contiguous(vertices_in), faces = as_contiguous(faces_in);
  const int64_t batch = vertices.size(0), height = face_index.size(1), width = face_index.size(2);
  Tensor barycentric = make_tensor(vertices, {batch, height, width, 3});
  Tensor depth = make_tensor(vertices, {batch, height, width});
  const MapView<int32_t> known = view_map<int32_t>(face_index);
  const View view = {height, width, 0, near};
  const cudaStream_t stream = current_stream(vertices);
  if (vertices.scalar_type() == ScalarType::Double) {
    resolve_into(make_mesh<double>(vertices, faces), view, known, barycentric.mutable_data_ptr(),
                 depth.mutable_data_ptr(), stream);
  } else {
    resolve_into(make_mesh<float>(vertices, faces), view, known, barycentric.mutable_data_ptr(),
                 depth.mutable_data_ptr(), stream);
  }
  return {barycentric, depth};
}

Tensor visible_faces(const Tensor& face_index, int64_t num_faces) {
  check_face_index(face_index, face_index);
  STD_TORCH_CHECK(num_faces >= 0, "num_faces: expected at least 0, got ", num_faces);
  const torch::stable::accelerator::DeviceGuard guard(face_index.get_device_index());
  const int64_t height = face_index.size(1), width = face_index.size(2),
                total = face_index.size(0) * height * width;
  Tensor visible = with_reason([&] {
    return torch::stable::new_zeros(face_index, {face_index.size(0), num_faces}, ScalarType::Bool);
  });
  if (total > 0 && num_faces > 0) {
    mark_faces<<<blocks_for(total, kThreads), kThreads, 0, current_stream(face_index)>>>(
        view_map<int32_t>(face_index), PixelSplit(height, width), total, num_faces,
        static_cast<bool*>(visible.mutable_data_ptr()));
    check_launch();
  }
  return visible;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("rasterize", TORCH_BOX(&rasterize));
  m.impl("barycentrics", TORCH_BOX(&barycentrics));
  m.impl("visible_faces", TORCH_BOX(&visible_faces));
}

}  // namespace warpkit::raster
