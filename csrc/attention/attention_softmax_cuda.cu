// The softmax over sources on the GPU, a thread a pixel, in the place of the products that it is taken of.
#include "attention/attention_cuda.h"
#include "attention/attention_math.h"
#include "warp/warp_cuda.h"
#include "warp/warp_reduce_cuda.h"

namespace warpkit::attention {

using warping::FlowView;
using warping::kThreads;
using warping::Place;
using warping::Sizes;

namespace {

// scores [B,S,H,W], <query, x_s>, turn into alpha; products, <gradient, v_s>, turn into e where there are
// any.
template <typename A>
__global__ void __launch_bounds__(kThreads)
    softmax_sources(warping::Extent sizes, FlowView flow, A scale, A* scores, A* products) {
  const int64_t total = warping::count_targets(sizes), stride = int64_t(gridDim.x) * kThreads;
  const int64_t plane = sizes.height * sizes.width;
  for (int64_t pixel = int64_t(blockIdx.x) * kThreads + threadIdx.x; pixel < total; pixel += stride) {
    Place place = warping::find_target(sizes, pixel);
    const int64_t first = warping::map_index(sizes, place);
    const auto takes_part = [&](int64_t source) {
      place.source = source;
      return flow.visible == nullptr || flow.visible[warping::offset_of(flow.visible_strides, place)];
    };
    A largest = left_out<A>();
    for (int64_t s = 0; s < sizes.sources; ++s) {
      if (takes_part(s)) largest = fmax(largest, scale * scores[first + s * plane]);
    }
    A sum = A(0), weighted = A(0);
    for (int64_t s = 0; s < sizes.sources; ++s) {
      A weight = A(0);
      if (takes_part(s)) weight = exp(exponent(scale * scores[first + s * plane], largest));
      scores[first + s * plane] = weight;
      sum += weight;
      if (products != nullptr) weighted = fma(weight, products[first + s * plane], weighted);
    }
    const A inverse = inverse_of_sum(sum), delta = weighted * inverse;
    for (int64_t s = 0; s < sizes.sources; ++s) {
      const A alpha = scores[first + s * plane] * inverse;
      scores[first + s * plane] = alpha;
      if (products != nullptr) {
        products[first + s * plane] = score_gradient(scale, alpha, products[first + s * plane], delta);
      }
    }
  }
}

Tensor make_map(const Tensor& features, const Tensor& grid) {
  return make_tensor(features, {grid.size(0), grid.size(1), grid.size(2), grid.size(3)},
                     warping::sum_type(features));
}

// In place; `products` may be empty.
void softmax(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible, double scale,
             Tensor& scores, Tensor& products) {
  const Sizes sizes = warping::find_sizes(features, grid);
  const int64_t total = warping::count_targets(sizes);
  const cudaStream_t stream = current_stream(features);
  if (total == 0 || sizes.sources == 0) return;
  const auto run = [&](auto kind) {
    using A = decltype(kind);
    softmax_sources<A><<<blocks_for(total, kThreads), kThreads, 0, stream>>>(
        warping::Extent(sizes), warping::view_flow(grid, visible), static_cast<A>(scale),
        static_cast<A*>(scores.mutable_data_ptr()),
        products.numel() > 0 ? static_cast<A*>(products.mutable_data_ptr()) : nullptr);
  };
  scores.scalar_type() == ScalarType::Double ? run(double()) : run(float());
  check_launch();
}

}  // namespace

Tensor find_alpha(const Tensor& query, const Tensor& features, const Tensor& grid,
                  const std::optional<Tensor>& visible, double scale) {
  Tensor scores = make_map(features, grid), none = make_tensor(features, {0});
  warping::dot_sources(query, std::nullopt, features, grid, visible, 1.0, scores, none);
  softmax(features, grid, visible, scale, scores, none);
  return scores;
}

std::tuple<Tensor, Tensor> find_alpha_and_e(const Tensor& gradient, const Tensor& query,
                                            const Tensor& features, const Tensor& grid,
                                            const std::optional<Tensor>& visible,
                                            const std::optional<Tensor>& value, double scale) {
  Tensor scores = make_map(features, grid), products = make_map(features, grid);
  if (value) {
    Tensor none = make_tensor(features, {0});
    warping::dot_sources(query, std::nullopt, features, grid, visible, 1.0, scores, none);
    warping::dot_sources(gradient, std::nullopt, *value, grid, visible, 1.0, products, none);
  } else {
    warping::dot_sources(query, gradient, features, grid, visible, 1.0, scores, products);
  }
  softmax(features, grid, visible, scale, scores, products);
  return {scores, products};
}

}  // namespace warpkit::attention
