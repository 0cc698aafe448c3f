// How the CPU walks: strips of output rows over threads.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "common/huge_pages.h"
#include "warp/warp_walk.h"

namespace warpkit::warping {

namespace {

Tensor warp(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_image(features, sizes.height, sizes.width);
  with_type(features, [&]<typename T>(T) {
    advise_huge_pages(out.const_data_ptr(), out.numel() * sizeof(T));
    const ForwardJob<T> job{sizes,
                            view_flow(grid, visible),
                            static_cast<const T*>(features.const_data_ptr()),
                            image_strides(features),
                            static_cast<T*>(out.mutable_data_ptr()),
                            image_strides(out)};
    if (out.numel() == 0) return;
    walk_rows(sizes.batch * sizes.sources * sizes.height, sizes.width * sizes.channels,
              [&](int64_t begin, int64_t end) { warp_rows(job, begin, end); });
  });
  return out;
}

std::tuple<Tensor, Tensor> warp_backward(const Tensor& gradient, const Tensor& features, const Tensor& grid,
                                         const std::optional<Tensor>& visible, bool features_wanted,
                                         bool grid_wanted,
                                         bool) {  // always deterministic
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  check_gradient(gradient, features, grid);
  const Sizes sizes = find_sizes(features, grid);
  const FlowView flow = view_flow(grid, visible);
  Tensor features_gradient =
      features_wanted ? make_image(features, sizes.in_height, sizes.in_width) : make_tensor(features, {0});
  Tensor grid_gradient = make_tensor(
      grid, grid_wanted ? std::vector<int64_t>{sizes.batch, sizes.sources, sizes.height, sizes.width, 2}
                        : std::vector<int64_t>{0});
  with_type(features, [&]<typename T>(T) {
    const Terms<T> terms = only_term(whole_image<T>(gradient));
    if (features_wanted) scatter_bands(sizes, flow, terms, features_gradient);
    if (grid_wanted && grid_gradient.numel() > 0) {
      walk_grid(GridGradientJob<T>{sizes, flow, terms, static_cast<const T*>(features.const_data_ptr()),
                                   image_strides(features), grid_gradient.mutable_data_ptr(), false,
                                   nullptr});
    }
  });
  return {features_gradient, grid_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("warp", TORCH_BOX(&warp));
  m.impl("warp_backward", TORCH_BOX(&warp_backward));
}

}  // namespace warpkit::warping
