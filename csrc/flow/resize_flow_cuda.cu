// How the GPU resizes flows: a thread a sample. Gradients are gathered, so that sums are repeatable.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/cuda.h"
#include "flow/resize_flow_tensors.h"

namespace warpkit::flow {

namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) resize_pixels(ResizeJob<T> job) {
  const int64_t total = job.images * job.height * job.width;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t row = n / job.width, j = n - row * job.width, image = row / job.height,
                  i = row - image * job.height;
    const Footprint down = make_footprint(job.mode, i, job.in_height, job.height),
                    across = make_footprint(job.mode, j, job.in_width, job.width);
    write_average(job, image, i, j, average_at(job, image, down, across, true));
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) invert_pixels(ResizeBackwardJob<T> job) {
  const ResizeJob<T>& forward = job.forward;
  const int64_t total = forward.images * forward.height * forward.width;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t row = n / forward.width, j = n - row * forward.width, image = row / forward.height,
                  i = row - image * forward.height;
    invert_pixel(job, image, i, j, make_footprint(forward.mode, i, forward.in_height, forward.height),
                 make_footprint(forward.mode, j, forward.in_width, forward.width));
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) gather_gradients(ResizeBackwardJob<T> job) {
  const ResizeJob<T>& forward = job.forward;
  const int64_t total = forward.images * forward.in_height * forward.in_width;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t row = n / forward.in_width, image = row / forward.in_height;
    gather_gradient(job, image, row - image * forward.in_height, n - row * forward.in_width);
  }
}

template <typename T>
void launch(const ResizeJob<T>& job, cudaStream_t stream) {
  const int64_t total = job.images * job.height * job.width;
  if (total == 0) return;
  resize_pixels<T><<<blocks_for(total, kThreads), kThreads, 0, stream>>>(job);
  check_launch();
}

template <typename T>
void launch_backward(const ResizeBackwardJob<T>& job, cudaStream_t stream) {
  const ResizeJob<T>& forward = job.forward;
  if (forward.images == 0) return;
  invert_pixels<T>
      <<<blocks_for(forward.images * forward.height * forward.width, kThreads), kThreads, 0, stream>>>(job);
  check_launch();
  gather_gradients<T>
      <<<blocks_for(forward.images * forward.in_height * forward.in_width, kThreads), kThreads, 0, stream>>>(
          job);
  check_launch();
}

std::tuple<Tensor, Tensor> resize_flow(const Tensor& grid, const std::optional<Tensor>& visible,
                                       int64_t height, int64_t width, const std::string& mode) {
  const torch::stable::accelerator::DeviceGuard guard(grid.get_device_index());
  const ResizeTensors tensors(grid, visible, height, width, mode);
  const cudaStream_t stream = current_stream(grid);
  if (grid.scalar_type() == ScalarType::Double) {
    launch(tensors.job<double>(), stream);
  } else {
    launch(tensors.job<float>(), stream);
  }
  return {tensors.out, tensors.out_visible};
}

Tensor resize_flow_backward(const Tensor& gradient, const std::optional<Tensor>& visible, int64_t in_height,
                            int64_t in_width, const std::string& mode) {
  const torch::stable::accelerator::DeviceGuard guard(gradient.get_device_index());
  const ResizeBackwardTensors tensors(gradient, visible, in_height, in_width, mode);
  const cudaStream_t stream = current_stream(gradient);
  if (gradient.scalar_type() == ScalarType::Double) {
    launch_backward(tensors.job<double>(), stream);
  } else {
    launch_backward(tensors.job<float>(), stream);
  }
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("resize_flow", TORCH_BOX(&resize_flow));
  m.impl("resize_flow_backward", TORCH_BOX(&resize_flow_backward));
}

}  // namespace warpkit::flow
