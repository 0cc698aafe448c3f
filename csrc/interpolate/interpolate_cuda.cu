// How the GPU interpolates: one thread a number of the output, so that a warp writes whole lines.
#include <torch/csrc/stable/library.h>

#include "common/cuda.h"
#include "interpolate/interpolate_tensors.h"

namespace warpkit {

namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) interpolate_pixels(InterpolateJob<T> job) {
  const int64_t total = job.batch * job.pixels * job.dims;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t at = n / job.dims, d = n % job.dims;
    const T* from[3];
    job.out[n] = fetch_attributes(job, at / job.pixels, job.face_index[at], from)
                     ? blend(job.barycentric + 3 * at, from[0][d], from[1][d], from[2][d])
                     : T(0);
  }
}

template <typename T>
void launch(const InterpolateJob<T>& job, cudaStream_t stream) {
  const int64_t total = job.batch * job.pixels * job.dims;
  if (total == 0) return;
  const int64_t blocks = (total + kThreads - 1) / kThreads, most = int64_t(1) << 30;
  interpolate_pixels<T><<<static_cast<unsigned>(blocks < most ? blocks : most), kThreads, 0, stream>>>(job);
  check_launch();
}

torch::stable::Tensor interpolate(const torch::stable::Tensor& attributes, const torch::stable::Tensor& faces,
                                  const torch::stable::Tensor& face_index,
                                  const torch::stable::Tensor& barycentric) {
  const torch::stable::accelerator::DeviceGuard guard(attributes.get_device_index());
  const InterpolateTensors tensors(attributes, faces, face_index, barycentric);
  const cudaStream_t stream = current_stream(attributes);
  if (attributes.scalar_type() == torch::headeronly::ScalarType::Double) {
    launch(tensors.job<double>(), stream);
  } else {
    launch(tensors.job<float>(), stream);
  }
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("interpolate", TORCH_BOX(&interpolate)); }

}  // namespace warpkit
