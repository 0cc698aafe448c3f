// How the CPU resizes flows: rows over threads.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/parallel.h"
#include "flow/resize_flow_tensors.h"

namespace warpkit::flow {

namespace {

// Calls pixel(image, i, j, down, across) for every sample of the result; columns' footprints are made once.
template <typename T, typename Pixel>
void for_each_pixel(const ResizeJob<T>& job, const Pixel& pixel) {
  std::vector<Footprint> across(job.width);
  for (int64_t j = 0; j < job.width; ++j) across[j] = make_footprint(job.mode, j, job.in_width, job.width);
  run_tasks(job.images * job.height, [&](int64_t task) {
    const int64_t image = task / job.height, i = task % job.height;
    const Footprint down = make_footprint(job.mode, i, job.in_height, job.height);
    for (int64_t j = 0; j < job.width; ++j) pixel(image, i, j, down, across[j]);
  });
}

template <typename T>
void run(const ResizeJob<T>& job) {
  for_each_pixel(job, [&](int64_t image, int64_t i, int64_t j, const Footprint& down,
                          const Footprint& across) { resize_pixel(job, image, i, j, down, across); });
}

template <typename T>
void run_backward(const ResizeBackwardJob<T>& job) {
  for_each_pixel(job.forward, [&](int64_t image, int64_t i, int64_t j, const Footprint& down,
                                  const Footprint& across) { invert_pixel(job, image, i, j, down, across); });
  run_tasks(job.forward.images * job.forward.in_height, [&](int64_t task) {
    const int64_t image = task / job.forward.in_height, i = task % job.forward.in_height;
    for (int64_t j = 0; j < job.forward.in_width; ++j) gather_gradient(job, image, i, j);
  });
}

std::tuple<Tensor, Tensor> resize_flow(const Tensor& grid, const std::optional<Tensor>& visible,
                                       int64_t height, int64_t width, const std::string& mode) {
  const ResizeTensors tensors(grid, visible, height, width, mode);
  grid.scalar_type() == ScalarType::Double ? run(tensors.job<double>()) : run(tensors.job<float>());
  return {tensors.out, tensors.out_visible};
}

Tensor resize_flow_backward(const Tensor& gradient, const std::optional<Tensor>& visible, int64_t in_height,
                            int64_t in_width, const std::string& mode) {
  const ResizeBackwardTensors tensors(gradient, visible, in_height, in_width, mode);
  gradient.scalar_type() == ScalarType::Double ? run_backward(tensors.job<double>())
                                               : run_backward(tensors.job<float>());
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("resize_flow", TORCH_BOX(&resize_flow));
  m.impl("resize_flow_backward", TORCH_BOX(&resize_flow_backward));
}

}  // namespace warpkit::flow
