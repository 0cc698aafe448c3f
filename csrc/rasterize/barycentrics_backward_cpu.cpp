// The gradient of barycentrics on the CPU.
#include <torch/csrc/stable/library.h>

#include "common/vertex_sums_cpu.h"
#include "rasterize/barycentrics_backward_tensors.h"

namespace warpkit::raster {

namespace {

Tensor barycentrics_backward(const Tensor& barycentric_gradient, const Tensor& depth_gradient,
                             const Tensor& vertices, const Tensor& faces, const Tensor& face_index,
                             double near, bool) {
  BarycentricsBackwardTensors tensors(barycentric_gradient, depth_gradient, vertices, faces, face_index,
                                      near);
  if (vertices.scalar_type() == ScalarType::Double) {
    sum_to_vertices<double, 4, 3>(tensors.sums(), tensors.op<double>(), tensors.out);
  } else {
    sum_to_vertices<float, 4, 3>(tensors.sums(), tensors.op<float>(), tensors.out);
  }
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("barycentrics_backward", TORCH_BOX(&barycentrics_backward));
}

}  // namespace warpkit::raster
