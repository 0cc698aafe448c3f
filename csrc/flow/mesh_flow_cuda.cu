// How the GPU makes flows from meshes, image by image: visibility buffers of the sources and of the target,
// then a thread a target pixel resolves its face, composes and looks at each source's buffer, which holds
// depth and face.
#include <torch/csrc/stable/library.h>

#include <string>
#include <tuple>

#include "common/cuda.h"
#include "flow/mesh_flow_tensors.h"
#include "rasterize/rasterize_cuda.h"

namespace warpkit::flow {

namespace {

constexpr int kThreads = 128;

// One image in work, and its workspace.
template <typename T>
struct Work {
  ComposeJob<T> job;
  raster::Mesh<T> target;  // of the image
  raster::View view, source_view;
  int64_t image;
  const uint64_t* keys;         // [H, W], of the target
  const uint64_t* source_keys;  // [S, h, w] with visibility "pixel"; null: not wanted
  float* slopes;                // [S, F] with it
  const unsigned char* shown;   // [S, F] with visibility "face"; null: not wanted
  int32_t* face_index;          // [H, W]
};

struct KeyedSurfaces {
  const uint64_t* key;
  const float* slopes;
  __host__ __device__ Surface operator()(int64_t pixel) const {
    const uint64_t value = key[pixel];
    if (value == raster::kNoFace) return {__builtin_inff(), 0};
    return {raster::depth_of(value), slopes[static_cast<int32_t>(value)]};
  }
};

// One thread a face of a source.
template <typename T>
__global__ void __launch_bounds__(kThreads) find_slopes(Work<T> work) {
  const ComposeJob<T>& job = work.job;
  const int64_t total = job.sources * job.num_faces, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total; n += stride) {
    const int64_t source = n / job.num_faces;
    int64_t index[3];
    if (!fetch_face(job, n - source * job.num_faces, index)) continue;
    const T* vertices =
        job.vertices + (work.image * job.sources + source) * job.num_vertices * job.components;
    work.slopes[n] =
        depth_slope(vertices + index[0] * job.components, vertices + index[1] * job.components,
                    vertices + index[2] * job.components, job.components,
                    static_cast<T>(work.source_view.width), static_cast<T>(work.source_view.height));
  }
}

// Keys of whole images to the faces they show: shown [images, F].
__global__ void __launch_bounds__(kThreads) mark_shown(const uint64_t* keys, int64_t images, int64_t pixels,
                                                       int64_t num_faces, unsigned char* shown) {
  const int64_t total = images * pixels, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total; at += stride) {
    const int32_t face = raster::face_of(keys[at]);
    if (face >= 0) shown[at / pixels * num_faces + face] = 1;  // all write the same
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) compose_pixels(Work<T> work) {
  const ComposeJob<T>& job = work.job;
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  const int64_t source_pixels = work.source_view.height * work.source_view.width;
  for (int64_t pixel = int64_t(blockIdx.x) * kThreads + threadIdx.x; pixel < count_pixels(job);
       pixel += stride) {
    const int32_t face = raster::face_of(work.keys[pixel]);
    T barycentric[3], target_depth;
    int64_t index[3];
    const bool drawn =
        raster::resolve_pixel(work.target, work.view, face, pixel, barycentric, &target_depth) &&
        fetch_face(job, face, index);
    work.face_index[pixel] = face;
    for (int64_t source = 0; source < job.sources; ++source) {
      const int64_t which = work.image * job.sources + source;
      Point<T> point = {T(-2), T(-2), false};
      if (drawn && (!job.face_mask || job.face_mask[which * job.num_faces + face]) &&
          (!work.shown || work.shown[source * job.num_faces + face])) {
        const T* vertices = job.vertices + which * job.num_vertices * job.components;
        const T *a = vertices + index[0] * job.components, *b = vertices + index[1] * job.components,
                *c = vertices + index[2] * job.components;
        point = compose_point(barycentric, a, b, c, job.components);
        if (work.source_keys != nullptr && point.visible) {
          const float* slopes = work.slopes + source * job.num_faces;
          const KeyedSurfaces surfaces = {work.source_keys + source * source_pixels, slopes};
          if (!is_shown(point, depth_of_point(barycentric, a, b, c, job.components), slopes[face], surfaces,
                        work.source_view.width, work.source_view.height)) {
            point = {T(-2), T(-2), false};
          }
        }
      }
      const int64_t to = which * count_pixels(job) + pixel;
      job.grid[2 * to] = point.x;
      job.grid[2 * to + 1] = point.y;
      job.visible[to] = point.visible;
    }
  }
}

template <typename T>
void run(const MeshFlowTensors& tensors, cudaStream_t stream) {
  const ComposeJob<T> job = tensors.job<T>();
  const int64_t count = job.sources, faces = job.num_faces, pixels = count_pixels(job);
  if (job.batch == 0) return;
  const bool by_pixel = tensors.visibility == Visibility::pixel,
             by_face = tensors.visibility == Visibility::face;
  const raster::View view = {tensors.height, tensors.width, 0, kNear};
  raster::View source_view = {tensors.source_height, tensors.source_width, 0, kNear};
  if (by_face) {
    source_view.height = source_view.height < kFaceSize ? kFaceSize : source_view.height;
    source_view.width = source_view.width < kFaceSize ? kFaceSize : source_view.width;
  }
  const int64_t source_pixels = source_view.height * source_view.width;
  const int64_t wave = by_pixel  ? count
                       : by_face ? raster::images_a_wave(count, source_view.height, source_view.width)
                                 : 0;
  const int64_t images = wave > 1 ? wave : 1;
  Tensor keys = make_tensor(tensors.target, {pixels}, ScalarType::Long);
  Tensor source_keys = make_tensor(tensors.target, {wave, source_pixels}, ScalarType::Long);
  Tensor queue = make_tensor(tensors.target, {raster::queue_length(images, faces)}, ScalarType::Long);
  Tensor slopes = make_tensor(tensors.target, {by_pixel ? count : 0, faces}, ScalarType::Float);
  Tensor shown = make_tensor(tensors.target, {by_face ? count : 0, faces}, ScalarType::Bool);
  auto* key = static_cast<uint64_t*>(keys.mutable_data_ptr());
  auto* source_key = static_cast<uint64_t*>(source_keys.mutable_data_ptr());
  auto* places = static_cast<int64_t*>(queue.mutable_data_ptr());
  auto* shown_data = static_cast<unsigned char*>(shown.mutable_data_ptr());
  for (int64_t image = 0; image < job.batch; ++image) {
    const Work<T> work = {
        job,
        tensors.target_of<T>(image),
        view,
        source_view,
        image,
        key,
        by_pixel ? source_key : nullptr,
        static_cast<float*>(slopes.mutable_data_ptr()),
        by_face ? shown_data : nullptr,
        static_cast<int32_t*>(tensors.face_index.mutable_data_ptr()) + image * count_pixels(job)};
    const raster::Mesh<T> sources = tensors.sources_of<T>(image);
    if (by_pixel && count > 0) {
      raster::fill_keys(sources, source_view, 0, count, source_key, places, stream);
      if (faces > 0) {
        find_slopes<T><<<blocks_for(count * faces, kThreads), kThreads, 0, stream>>>(work);
        check_launch();
      }
    }
    if (by_face && count * faces > 0) {
      STD_TORCH_CHECK(cudaMemsetAsync(shown_data, 0, count * faces, stream) == cudaSuccess,
                      "warpkit: clearing workspace failed");
      for (int64_t first = 0; first < count; first += wave) {
        const int64_t now = first + wave < count ? wave : count - first;
        raster::fill_keys(sources, source_view, first, now, source_key, places, stream);
        mark_shown<<<blocks_for(now * source_pixels, kThreads), kThreads, 0, stream>>>(
            source_key, now, source_pixels, faces, shown_data + first * faces);
        check_launch();
      }
    }
    raster::fill_keys(work.target, view, 0, 1, key, places, stream);
    compose_pixels<T><<<blocks_for(count_pixels(job), kThreads), kThreads, 0, stream>>>(work);
    check_launch();
  }
}

std::tuple<Tensor, Tensor, Tensor> mesh_flow(const Tensor& source_vertices, const Tensor& target_vertices,
                                             const Tensor& faces, int64_t height, int64_t width,
                                             int64_t source_height, int64_t source_width,
                                             std::string visibility, const std::optional<Tensor>& face_mask) {
  const torch::stable::accelerator::DeviceGuard guard(target_vertices.get_device_index());
  const MeshFlowTensors tensors(source_vertices, target_vertices, faces, height, width, source_height,
                                source_width, visibility, face_mask);
  const cudaStream_t stream = current_stream(target_vertices);
  if (target_vertices.scalar_type() == ScalarType::Double) {
    run<double>(tensors, stream);
  } else {
    run<float>(tensors, stream);
  }
  return {tensors.grid, tensors.visible, tensors.face_index};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("mesh_flow", TORCH_BOX(&mesh_flow)); }

}  // namespace warpkit::flow
