// How the GPU sums pixels into vertices.
//
// Fast: a thread a pixel; lanes of a warp that show one face, mostly neighbours, add up first, then the first
// of them adds to the vertices atomically. With many numbers a vertex a thread takes one of them along a
// strip of a row, so that neighbouring threads read and add side by side.
//
// Deterministic: pixels are sorted by face (a stable sort), a warp sums the pixels of each face in that
// order, and a thread sums each vertex's corners in the order of faces. Sorting was preferred to
// fixed-point atomics, whose one scale would let a single huge contribution, a vertex close to the camera's
// plane, drown all others; and NaN and infinity need no care.
// Include from .cu files only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/cuda.h"
#include "common/half.h"
#include "common/sort_cuda.h"
#include "common/tensors.h"
#include "common/vertex_sums.h"

namespace warpkit {

namespace vertex_sums_detail {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int64_t kStrip = 16;  // pixels

// The run of one pixel, of all images one after the other; false: it shows no face in range.
static __device__ __forceinline__ bool find_pixel(const VertexSums& job, int64_t at, PixelRun* run) {
  const int64_t row = at / job.width;
  run->image = row / job.height;
  run->row = row - run->image * job.height;
  run->begin = at - row * job.width;
  run->end = run->begin + 1;
  run->face = face_index_row(job, run->image, run->row)[run->begin * job.face_index.column];
  return fetch_vertices(job, run->face, run->vertex);
}

// ---- fast

template <int N, typename A, typename Op>
__global__ void __launch_bounds__(kThreads) sum_pixels(VertexSums job, Op op, A* out) {
  const int64_t total = job.images * job.height * job.width;
  const int lane = threadIdx.x % kWarp;
  for (int64_t begin = int64_t(blockIdx.x) * kThreads + threadIdx.x - lane; begin < total;
       begin += int64_t(gridDim.x) * kThreads) {  // the same for all lanes of a warp
    PixelRun run{};
    A sums[3][N] = {};
    const bool shown = begin + lane < total && find_pixel(job, begin + lane, &run);
    if (shown) add_run(op, run, sums);
    const int64_t key = shown ? run.image * job.num_faces + run.face : int64_t(-1);
    const int64_t before = __shfl_up_sync(kAllLanes, key, 1);
    const bool first = lane == 0 || before != key;
    const unsigned later = __ballot_sync(kAllLanes, first) & ~((2u << lane) - 1u);
    const int end = later ? __ffs(later) - 1 : kWarp;  // lanes lane..end - 1 show one face
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const bool adds = lane + distance < end;
      if (!__any_sync(kAllLanes, adds)) break;
#pragma unroll
      for (int k = 0; k < 3; ++k) {
#pragma unroll
        for (int d = 0; d < N; ++d) {
          const A other = __shfl_down_sync(kAllLanes, sums[k][d], distance);
          if (adds) sums[k][d] += other;
        }
      }
    }
    if (!shown || !first) continue;
    A* const set = out + (job.shared ? 0 : run.image * job.num_vertices * N);
#pragma unroll
    for (int k = 0; k < 3; ++k) {
#pragma unroll
      for (int d = 0; d < N; ++d) atomicAdd(set + run.vertex[k] * N + d, sums[k][d]);
    }
  }
}

template <typename A, typename Op>
__global__ void __launch_bounds__(kThreads) sum_strips(VertexSums job, Op op, A* out) {
  const int64_t strips = (job.width + kStrip - 1) / kStrip;
  const int64_t total = job.images * job.height * strips * job.dims;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t strip = n / job.dims, row = strip / strips;
    PixelRun run{};
    run.first = n - strip * job.dims;
    run.image = row / job.height;
    run.row = row - run.image * job.height;
    run.end = (strip - row * strips) * kStrip;
    const int64_t end = run.end + kStrip < job.width ? run.end + kStrip : job.width;
    const int32_t* const face_index = face_index_row(job, run.image, run.row);
    A* const set = out + (job.shared ? 0 : run.image * job.num_vertices * job.dims) + run.first;
    while (next_run(job, face_index, end, &run)) {
      A sums[3][1] = {};
      add_run(op, run, sums);
      for (int k = 0; k < 3; ++k) atomicAdd(set + run.vertex[k] * job.dims, sums[k][0]);
    }
  }
}

template <typename A, typename T>
__global__ void __launch_bounds__(kThreads) narrow_sums(const A* sums, int64_t total, T* out) {
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    narrow(sums[n], out + n);
  }
}

// ---- deterministic

// keys[pixel]: its face, over the images that have ids of their own; past the last one: none.
static __global__ void __launch_bounds__(kThreads) number_pixels(VertexSums job, int64_t* keys) {
  const int64_t total = job.images / job.repeats * job.height * job.width;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total;
       at += int64_t(gridDim.x) * kThreads) {
    const int64_t row = at / job.width, image = row / job.height;
    const int64_t face = row_of(job.face_index, image,
                                row - image * job.height)[(at - row * job.width) * job.face_index.column];
    const int64_t none = job.images / job.repeats * job.num_faces;
    int64_t vertex[3];
    keys[at] = fetch_vertices(job, face, vertex) ? image * job.num_faces + face : none;
  }
}

// keys[3 face + k]: the vertex; num_vertices: the face is out of range.
static __global__ void __launch_bounds__(kThreads) number_corners(VertexSums job, int64_t* keys) {
  for (int64_t face = int64_t(blockIdx.x) * kThreads + threadIdx.x; face < job.num_faces;
       face += int64_t(gridDim.x) * kThreads) {
    int64_t vertex[3];
    const bool good = fetch_vertices(job, face, vertex);
    for (int k = 0; k < 3; ++k) keys[3 * face + k] = good ? vertex[k] : job.num_vertices;
  }
}

// face_sums[image, face, k, d]: a warp a face, numbers first..first + N.
template <int N, typename A, typename Op>
__global__ void __launch_bounds__(kThreads) sum_faces(VertexSums job, Op op, const int64_t* order,
                                                      const int64_t* starts, int64_t first, A* face_sums) {
  const int64_t image_size = job.height * job.width, total = job.images * job.num_faces;
  const int lane = threadIdx.x % kWarp;
  for (int64_t n = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / kWarp; n < total;
       n += int64_t(gridDim.x) * kThreads / kWarp) {
    const int64_t image = n / job.num_faces, ids = image / job.repeats;
    const int64_t key = ids * job.num_faces + (n - image * job.num_faces);
    A sums[3][N] = {};
    PixelRun run{};
    run.first = first;
    for (int64_t at = starts[key] + lane; at < starts[key + 1]; at += kWarp) {
      if (find_pixel(job, order[at] + (image - ids) * image_size, &run)) add_run(op, run, sums);
    }
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
#pragma unroll
      for (int k = 0; k < 3; ++k) {
#pragma unroll
        for (int d = 0; d < N; ++d) sums[k][d] += __shfl_xor_sync(kAllLanes, sums[k][d], distance);
      }
    }
    if (lane != 0) continue;
    for (int k = 0; k < 3; ++k) {
      for (int d = 0; d < N; ++d) face_sums[(3 * n + k) * job.dims + first + d] = sums[k][d];
    }
  }
}

template <typename A, typename T>
__global__ void __launch_bounds__(kThreads)
    gather_corners(VertexSums job, const A* face_sums, const int64_t* order, const int64_t* starts, T* out) {
  const int64_t set_size = job.num_vertices * job.dims, total = count_sets(job) * set_size;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t set = n / set_size, vertex = (n - set * set_size) / job.dims, d = n % job.dims;
    const int64_t last = job.shared ? job.images : set + 1;
    A sum = A(0);
    for (int64_t image = set; image < last; ++image) {
      for (int64_t at = starts[vertex]; at < starts[vertex + 1]; ++at) {
        sum += face_sums[(3 * image * job.num_faces + order[at]) * job.dims + d];
      }
    }
    narrow(sum, out + n);
  }
}

template <typename A, typename T, int... kPieces, typename Op>
void sum_in_order(const VertexSums& job, const Op& op, torch::stable::Tensor& out, cudaStream_t stream) {
  using torch::headeronly::ScalarType;
  constexpr ScalarType kSums = sizeof(A) == 8 ? ScalarType::Double : ScalarType::Float;
  const auto longs = [](const torch::stable::Tensor& tensor) {
    return static_cast<const int64_t*>(tensor.const_data_ptr());
  };
  const int64_t ids_images = job.images / job.repeats, pixels = ids_images * job.height * job.width;
  torch::stable::Tensor pixel_keys = make_tensor(out, {pixels}, ScalarType::Long);
  number_pixels<<<blocks_for(pixels, kThreads), kThreads, 0, stream>>>(
      job, static_cast<int64_t*>(pixel_keys.mutable_data_ptr()));
  check_launch();
  const Sorted by_face = sort_keys(pixel_keys, ids_images * job.num_faces, stream);
  torch::stable::Tensor corner_keys = make_tensor(out, {3 * job.num_faces}, ScalarType::Long);
  number_corners<<<blocks_for(job.num_faces, kThreads), kThreads, 0, stream>>>(
      job, static_cast<int64_t*>(corner_keys.mutable_data_ptr()));
  check_launch();
  const Sorted by_vertex = sort_keys(corner_keys, job.num_vertices, stream);
  torch::stable::Tensor buffer = make_tensor(out, {job.images, job.num_faces, int64_t(3), job.dims}, kSums);
  A* const face_sums = static_cast<A*>(buffer.mutable_data_ptr());
  for (int64_t first = 0; first < job.dims;) {
    int64_t taken = 0;
    const auto take = [&](auto piece) {
      constexpr int kPiece = decltype(piece)::value;
      if (taken > 0 || kPiece > job.dims - first) return;
      taken = kPiece;
      sum_faces<kPiece, A><<<blocks_for(job.images * job.num_faces * kWarp, kThreads), kThreads, 0, stream>>>(
          job, op, longs(by_face.order), longs(by_face.starts), first, face_sums);
    };
    (take(std::integral_constant<int, kPieces>()), ...);
    check_launch();
    first += taken;
  }
  gather_corners<A, T><<<blocks_for(out.numel(), kThreads), kThreads, 0, stream>>>(
      job, face_sums, longs(by_vertex.order), longs(by_vertex.starts),
      static_cast<T*>(out.mutable_data_ptr()));
  check_launch();
}

}  // namespace vertex_sums_detail

// Writes the sums to `out`, contiguous and of T. kPieces as in vertex_sums_cpu.h.
template <typename T, int... kPieces, typename Op>
void sum_to_vertices(const VertexSums& job, const Op& op, torch::stable::Tensor& out, bool deterministic,
                     cudaStream_t stream) {
  using namespace vertex_sums_detail;
  using torch::headeronly::ScalarType;
  using A = Accumulator<T>;
  constexpr bool kSame = std::is_same_v<A, T>;
  const int64_t pixels = job.images * job.height * job.width;
  if (out.numel() == 0) return;
  if (pixels == 0 || job.num_faces == 0) {
    torch::stable::zero_(out);
    return;
  }
  if (deterministic) return sum_in_order<A, T, kPieces...>(job, op, out, stream);
  torch::stable::Tensor buffer = out;
  if constexpr (!kSame) buffer = make_tensor(out, {out.numel()}, ScalarType::Float);
  torch::stable::zero_(buffer);
  A* const sums = static_cast<A*>(buffer.mutable_data_ptr());
  bool done = false;
  const auto take = [&](auto piece) {
    constexpr int kPiece = decltype(piece)::value;
    if constexpr (kPiece <= 4) {
      if (job.dims != kPiece) return;
      sum_pixels<kPiece, A><<<blocks_for(pixels, kThreads), kThreads, 0, stream>>>(job, op, sums);
      done = true;
    }
  };
  (take(std::integral_constant<int, kPieces>()), ...);
  if constexpr (((kPieces > 4) || ...)) {
    const int64_t strips = job.images * job.height * ((job.width + kStrip - 1) / kStrip);
    if (!done) sum_strips<A><<<blocks_for(strips * job.dims, kThreads), kThreads, 0, stream>>>(job, op, sums);
  }
  check_launch();
  if constexpr (!kSame) {
    narrow_sums<<<blocks_for(out.numel(), kThreads), kThreads, 0, stream>>>(
        sums, out.numel(), static_cast<T*>(out.mutable_data_ptr()));
    check_launch();
  }
}

}  // namespace warpkit
