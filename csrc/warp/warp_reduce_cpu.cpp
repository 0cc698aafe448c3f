// How the CPU walks warp_reduce. Gradients go by the scatter and the dots of warp.
#include <torch/csrc/stable/library.h>

#include "warp/warp_reduce_simd.h"
#include "warp/warp_reduce_tensors.h"
#include "warp/warp_walk.h"

namespace warpkit::warping {

namespace {

template <typename T>
const Accumulator<T>* data_of(const std::optional<Tensor>& weights) {
  return weights ? static_cast<const Accumulator<T>*>(weights->const_data_ptr()) : nullptr;
}

Tensor warp_reduce(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible,
                   const std::optional<Tensor>& weights, bool mean) {
  check_grid(grid);
  check_visible(visible, grid);
  check_all_sources(features, grid);
  check_weights(weights, features, grid);
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_reduced(features, sizes);
  if (out.numel() == 0) return out;
  with_type(features, [&]<typename T>(T) {
    using A = Accumulator<T>;
    T* const data = static_cast<T*>(out.mutable_data_ptr());
    advise_huge_pages(data, out.numel() * sizeof(T));
    const ReduceJob<T> job{sizes,
                           view_flow(grid, visible),
                           static_cast<const T*>(features.const_data_ptr()),
                           image_strides(features),
                           data_of<T>(weights),
                           map_strides(weights),
                           static_cast<A>(reduce_factor(sizes, mean)),
                           data,
                           image_strides(out)};
    walk_rows(sizes.batch * sizes.height, sizes.width * sizes.channels * (1 + sizes.sources),
              reduce_scratch<A>(sizes),
              [&](int64_t begin, int64_t end, void* scratch) { reduce_rows(job, begin, end, scratch); });
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor> warp_reduce_backward(const Tensor& gradient, const Tensor& features,
                                                        const Tensor& grid,
                                                        const std::optional<Tensor>& visible,
                                                        const std::optional<Tensor>& weights, bool mean,
                                                        bool features_wanted, bool grid_wanted,
                                                        bool weights_wanted,
                                                        bool) {  // always deterministic
  check_grid(grid);
  check_visible(visible, grid);
  check_all_sources(features, grid);
  check_weights(weights, features, grid);
  check_reduced_gradient(gradient, features, grid);
  const Sizes sizes = find_sizes(features, grid);
  Tensor features_gradient =
      features_wanted ? make_image(features, sizes.in_height, sizes.in_width) : make_tensor(features, {0});
  Tensor grid_gradient = grid_wanted
                             ? make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width, 2})
                             : make_tensor(grid, {0});
  Tensor weights_gradient =
      weights_wanted
          ? make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width}, sum_type(features))
          : make_tensor(grid, {0}, sum_type(features));
  with_type(features, [&]<typename T>(T) {
    using A = Accumulator<T>;
    const FlowView flow = view_flow(grid, visible);
    const Terms<T> terms =
        only_term<T>({static_cast<const T*>(gradient.const_data_ptr()), image_strides(gradient),
                      data_of<T>(weights), map_strides(weights), static_cast<A>(reduce_factor(sizes, mean))});
    if (features_wanted) scatter_bands(sizes, flow, terms, features_gradient);
    if (!grid_wanted && !weights_wanted) return;
    walk_grid(GridGradientJob<T>{
        sizes, flow, terms, static_cast<const T*>(features.const_data_ptr()), image_strides(features),
        grid_wanted ? grid_gradient.mutable_data_ptr() : nullptr, false,
        weights_wanted ? static_cast<A*>(weights_gradient.mutable_data_ptr()) : nullptr});
  });
  return {features_gradient, grid_gradient, weights_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("warp_reduce", TORCH_BOX(&warp_reduce));
  m.impl("warp_reduce_backward", TORCH_BOX(&warp_reduce_backward));
}

}  // namespace warpkit::warping
