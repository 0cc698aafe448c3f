// How the GPU attends backward: alpha and e are found by one gather, then each gradient is a walk that warp
// and warp_reduce have already.
#include <torch/csrc/stable/library.h>

#include "attention/attention_cuda.h"
#include "warp/warp_cuda.h"
#include "warp/warp_reduce_cuda.h"
#include "warp/warp_rows_cuda.h"

namespace warpkit::attention {

namespace {

// An uninitialised tensor of the shape, dtype and layout (channels-last or not) of `image`.
Tensor make_like(const Tensor& image) { return warping::make_image(image, image.size(2), image.size(3)); }

std::tuple<Tensor, Tensor, Tensor, Tensor> warp_attention_backward(
    const Tensor& gradient, const Tensor& query, const Tensor& features, const Tensor& grid,
    const std::optional<Tensor>& visible, const std::optional<Tensor>& value, double scale, bool query_wanted,
    bool features_wanted, bool value_wanted, bool grid_wanted, bool deterministic) {
  check_attention(query, features, grid, visible, value);
  warping::check_reduced_gradient(gradient, value ? *value : features, grid);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  const Tensor rows = warping::for_walk(gradient, value ? *value : features),
               queries = warping::for_walk(query, features);
  const auto [alpha, e] = find_alpha_and_e(rows, queries, features, grid, visible, value, scale);

  Tensor query_gradient = make_tensor(query, {0});
  if (query_wanted) {
    query_gradient = make_like(query);
    warping::reduce_sources(features, grid, visible, e, 1.0, query_gradient);
  }
  std::vector<warping::RowTerm> terms = {{queries, e}};
  if (!value) terms.push_back({rows, alpha});
  const auto [features_gradient, grid_gradient] =
      warping::rows_backward(terms, features, grid, visible, features_wanted, grid_wanted, deterministic);
  if (!value) return {query_gradient, features_gradient, make_tensor(features, {0}), grid_gradient};
  const auto [value_gradient, both] = warping::rows_backward(
      {{rows, alpha}}, *value, grid, visible, value_wanted, grid_wanted, deterministic, grid_gradient);
  return {query_gradient, features_gradient, value_gradient, grid_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("warp_attention_backward", TORCH_BOX(&warp_attention_backward));
}

}  // namespace warpkit::attention
