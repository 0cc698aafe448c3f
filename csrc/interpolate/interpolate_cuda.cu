// How the GPU interpolates: one thread a number of the output, so that a warp writes whole lines. Backward, a
// vertex's gradient is a scatter (csrc/common/vertex_sums_cuda.h); lanes share a pixel's barycentric one.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/cuda.h"
#include "common/pixel_cuda.h"
#include "common/vertex_sums_cuda.h"
#include "interpolate/interpolate_tensors.h"

namespace warpkit {

namespace {

using torch::stable::Tensor;

constexpr int kThreads = 256;
constexpr int kWarp = 32;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    interpolate_pixels(InterpolateJob<T> job, PixelSplit by, Divider by_dims) {
  const int64_t total = job.batch * job.height * job.width * job.dims, channel = job.barycentric.channel;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total;
       n += int64_t(gridDim.x) * kThreads) {
    const int64_t at = by_dims.quotient(n), d = n - at * job.dims;
    const Pixel pixel(by, at);
    const T* from[3];
    if (fetch_attributes(job, pixel.image, *pixel.in(job.face_index), from)) {
      const Accumulator<T>* weights = pixel.in(job.barycentric);
      const Accumulator<T> barycentric[3] = {weights[0], weights[channel], weights[2 * channel]};
      blend(barycentric, from[0][d], from[1][d], from[2][d], job.out + n);
    } else {
      narrow(Accumulator<T>(0), job.out + n);
    }
  }
}

// `lanes`, a power of two up to a warp, share a pixel.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    barycentric_pixels(InterpolateBackwardJob<T> job, PixelSplit by, int lanes) {
  const InterpolateJob<T>& forward = job.forward;
  const int64_t total = forward.batch * forward.height * forward.width,
                step = int64_t(gridDim.x) * kThreads / lanes;
  const int within = threadIdx.x % lanes, group = threadIdx.x % kWarp / lanes;
  for (int64_t begin = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / lanes - group; begin < total;
       begin += step) {  // the same for all lanes of a warp
    const int64_t at = begin + group;
    const Pixel pixel(by, at);
    Accumulator<T> sums[3] = {};
    const T* from[3];
    if (at < total && fetch_attributes(forward, pixel.image, *pixel.in(forward.face_index), from)) {
      add_products(pixel.in(job.gradient), job.gradient.channel, from, forward.dims, within, lanes, sums);
    }
    for (int distance = lanes / 2; distance > 0; distance /= 2) {
      for (int k = 0; k < 3; ++k) sums[k] += __shfl_xor_sync(0xffffffffu, sums[k], distance);
    }
    if (within != 0 || at >= total) continue;
    for (int k = 0; k < 3; ++k) job.barycentric_gradient[3 * at + k] = sums[k];
  }
}

Tensor interpolate(const Tensor& attributes, const Tensor& faces, const Tensor& face_index,
                   const Tensor& barycentric) {
  const torch::stable::accelerator::DeviceGuard guard(attributes.get_device_index());
  const InterpolateTensors tensors(attributes, faces, face_index, barycentric);
  const cudaStream_t stream = current_stream(attributes);
  const Tensor out = tensors.make_out();
  if (out.numel() == 0) return out;
  with_type("attributes", attributes, [&](auto kind) {
    using T = decltype(kind);
    const InterpolateJob<T> job = tensors.job<T>(static_cast<T*>(out.mutable_data_ptr()));
    interpolate_pixels<T><<<blocks_for(out.numel(), kThreads), kThreads, 0, stream>>>(
        job, PixelSplit(job.height, job.width), Divider(job.dims));
    check_launch();
  });
  return out;
}

std::tuple<Tensor, Tensor> interpolate_backward(const Tensor& gradient, const Tensor& attributes,
                                                const Tensor& faces, const Tensor& face_index,
                                                const Tensor& barycentric, bool attributes_wanted,
                                                bool barycentric_wanted, bool deterministic) {
  const torch::stable::accelerator::DeviceGuard guard(attributes.get_device_index());
  InterpolateBackwardTensors tensors(gradient, attributes, faces, face_index, barycentric, attributes_wanted,
                                     barycentric_wanted);
  const cudaStream_t stream = current_stream(attributes);
  with_type("attributes", attributes, [&](auto kind) {
    using T = decltype(kind);
    if (attributes_wanted) {
      sum_to_vertices<T, 16, 8, 4, 3, 2, 1>(tensors.sums(), tensors.sums_op<T>(), tensors.attributes_gradient,
                                            deterministic, stream);
    }
    const int64_t pixels = face_index.numel();
    if (!barycentric_wanted || pixels == 0) return;
    int lanes = 1;
    while (lanes < kWarp && 4 * lanes < tensors.inputs.dims()) lanes *= 2;
    const InterpolateBackwardJob<T> job = tensors.job<T>();
    barycentric_pixels<T><<<blocks_for(pixels * lanes, kThreads), kThreads, 0, stream>>>(
        job, PixelSplit(job.forward.height, job.forward.width), lanes);
    check_launch();
  });
  return {tensors.attributes_gradient, tensors.barycentric_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("interpolate", TORCH_BOX(&interpolate));
  m.impl("interpolate_backward", TORCH_BOX(&interpolate_backward));
}

}  // namespace warpkit
