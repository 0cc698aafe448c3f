// How the GPU composes flows: a thread a pixel, which reads its face and weights once for all sources.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/cuda.h"
#include "common/pixel_cuda.h"
#include "common/vertex_sums_cuda.h"
#include "flow/compose_flow_tensors.h"

namespace warpkit::flow {

namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) compose_pixels(ComposeJob<T> job, PixelSplit by) {
  const int64_t total = job.batch * job.height * job.width, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total; at += stride) {
    const Pixel pixel(by, at);
    const int64_t face = *pixel.in(job.face_index);
    int64_t index[3];
    const bool drawn = fetch_face(job, face, index);
    const T* weights = pixel.in(job.barycentric);
    const T barycentric[3] = {weights[0], weights[job.barycentric.channel],
                              weights[2 * job.barycentric.channel]};
    for (int64_t source = 0; source < job.sources; ++source) {
      const int64_t which = pixel.image * job.sources + source;
      Point<T> point = {T(-2), T(-2), false};
      if (drawn && (!job.source_visible || job.source_visible[which * job.num_faces + face]) &&
          (!job.face_mask || job.face_mask[which * job.num_faces + face])) {
        const T* vertices = job.vertices + which * job.num_vertices * job.components;
        point = compose_point(barycentric, vertices + index[0] * job.components,
                              vertices + index[1] * job.components, vertices + index[2] * job.components,
                              job.components);
      }
      const int64_t to = (which * job.height + pixel.row) * job.width + pixel.column;
      job.grid[2 * to] = point.x;
      job.grid[2 * to + 1] = point.y;
      job.visible[to] = point.visible;
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) barycentric_pixels(ComposeBackwardJob<T> job, PixelSplit by) {
  const int64_t total = job.forward.batch * job.forward.height * job.forward.width,
                stride = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total; at += stride) {
    const Pixel pixel(by, at);
    write_barycentric_gradient(job, pixel.image, pixel.row, pixel.column);
  }
}

template <typename T>
void launch(const ComposeJob<T>& job, cudaStream_t stream) {
  const int64_t total = job.batch * job.height * job.width;
  if (total == 0 || job.sources == 0) return;
  compose_pixels<T>
      <<<blocks_for(total, kThreads), kThreads, 0, stream>>>(job, PixelSplit(job.height, job.width));
  check_launch();
}

std::tuple<Tensor, Tensor> compose_flow(const Tensor& source_vertices, const Tensor& faces,
                                        const Tensor& face_index, const Tensor& barycentric,
                                        const std::optional<Tensor>& source_visible,
                                        const std::optional<Tensor>& face_mask) {
  const torch::stable::accelerator::DeviceGuard guard(source_vertices.get_device_index());
  const ComposeTensors tensors(source_vertices, faces, face_index, barycentric, source_visible, face_mask);
  const cudaStream_t stream = current_stream(source_vertices);
  source_vertices.scalar_type() == ScalarType::Double ? launch(tensors.job<double>(), stream)
                                                      : launch(tensors.job<float>(), stream);
  return {tensors.grid, tensors.visible};
}

std::tuple<Tensor, Tensor> compose_flow_backward(const Tensor& gradient, const Tensor& source_vertices,
                                                 const Tensor& faces, const Tensor& face_index,
                                                 const Tensor& barycentric, const Tensor& visible,
                                                 bool vertices_wanted, bool barycentric_wanted,
                                                 bool deterministic) {
  const torch::stable::accelerator::DeviceGuard guard(source_vertices.get_device_index());
  ComposeBackwardTensors tensors(gradient, source_vertices, faces, face_index, barycentric, visible,
                                 vertices_wanted, barycentric_wanted);
  const cudaStream_t stream = current_stream(source_vertices);
  const auto run_backward = [&](auto kind) {
    using T = decltype(kind);
    const ComposeBackwardJob<T> job = tensors.job<T>();
    if (vertices_wanted) {
      sum_to_vertices<T, 4, 3, 2>(tensors.sums(), job, tensors.vertices_gradient, deterministic, stream);
    }
    if (!barycentric_wanted || face_index.numel() == 0) return;
    barycentric_pixels<T><<<blocks_for(face_index.numel(), kThreads), kThreads, 0, stream>>>(
        job, PixelSplit(job.forward.height, job.forward.width));
    check_launch();
  };
  source_vertices.scalar_type() == ScalarType::Double ? run_backward(double()) : run_backward(float());
  return {tensors.vertices_gradient, tensors.barycentric_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("compose_flow", TORCH_BOX(&compose_flow));
  m.impl("compose_flow_backward", TORCH_BOX(&compose_flow_backward));
}

}  // namespace warpkit::flow
