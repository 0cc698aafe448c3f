// How the GPU reduces over sources backward: the rows of warp's backward are the gradient, weighted.
#include <torch/csrc/stable/library.h>

#include "warp/warp_cuda.h"
#include "warp/warp_reduce_cuda.h"
#include "warp/warp_rows_cuda.h"

namespace warpkit::warping {

namespace {

std::tuple<Tensor, Tensor, Tensor> warp_reduce_backward(const Tensor& gradient, const Tensor& features,
                                                        const Tensor& grid,
                                                        const std::optional<Tensor>& visible,
                                                        const std::optional<Tensor>& weights, bool mean,
                                                        bool features_wanted, bool grid_wanted,
                                                        bool weights_wanted, bool deterministic) {
  check_grid(grid);
  check_visible(visible, grid);
  check_all_sources(features, grid);
  check_weights(weights, features, grid);
  check_reduced_gradient(gradient, features, grid);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  const Sizes sizes = find_sizes(features, grid);
  const double factor = reduce_factor(sizes, mean);
  const Tensor rows = for_walk(gradient, features);
  const auto [features_gradient, grid_gradient] = rows_backward(
      {{rows, weights, factor}}, features, grid, visible, features_wanted, grid_wanted, deterministic);
  Tensor weights_gradient = make_tensor(features, {0}, sum_type(features)), none = weights_gradient;
  if (weights_wanted) {
    weights_gradient =
        make_tensor(features, {sizes.batch, sizes.sources, sizes.height, sizes.width}, sum_type(features));
    dot_sources(rows, std::nullopt, features, grid, visible, factor, weights_gradient, none);
  }
  return {features_gradient, grid_gradient, weights_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("warp_reduce_backward", TORCH_BOX(&warp_reduce_backward));
}

}  // namespace warpkit::warping
