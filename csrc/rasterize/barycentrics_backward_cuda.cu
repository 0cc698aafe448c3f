// The gradient of barycentrics on CUDA.
#include <torch/csrc/stable/library.h>

#include "common/vertex_sums_cuda.h"
#include "rasterize/barycentrics_backward_tensors.h"

namespace warpkit::raster {

namespace {

Tensor barycentrics_backward(const Tensor& barycentric_gradient, const Tensor& depth_gradient,
                             const Tensor& vertices, const Tensor& faces, const Tensor& face_index,
                             double near, bool deterministic) {
  const torch::stable::accelerator::DeviceGuard guard(vertices.get_device_index());
  BarycentricsBackwardTensors tensors(barycentric_gradient, depth_gradient, vertices, faces, face_index,
                                      near);
  const cudaStream_t stream = current_stream(vertices);
  if (vertices.scalar_type() == ScalarType::Double) {
    sum_to_vertices<double, 4, 3>(tensors.sums(), tensors.op<double>(), tensors.out, deterministic, stream);
  } else {
    sum_to_vertices<float, 4, 3>(tensors.sums(), tensors.op<float>(), tensors.out, deterministic, stream);
  }
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("barycentrics_backward", TORCH_BOX(&barycentrics_backward));
}

}  // namespace warpkit::raster
