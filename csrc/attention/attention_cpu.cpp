// How the CPU walks warp_attention. Gradients begin with alpha and e of every pixel and source (attention.h);
// the rest is the scatter and the grid gradient of warp.
#include <torch/csrc/stable/library.h>

#include "attention/attention_simd.h"
#include "attention/attention_tensors.h"
#include "warp/warp_walk.h"

namespace warpkit::attention {

using namespace warping;

namespace {

template <typename T>
AttentionJob<T> make_job(const Tensor& query, const Tensor& features, const Tensor& grid,
                         const std::optional<Tensor>& visible, const std::optional<Tensor>& value,
                         double scale, Tensor* out) {
  const Tensor& read = value ? *value : features;
  T* data = out ? static_cast<T*>(out->mutable_data_ptr()) : nullptr;
  if (out) advise_huge_pages(data, out->numel() * sizeof(T));
  return {find_sizes(features, grid),
          read.size(2),
          view_flow(grid, visible),
          static_cast<const T*>(query.const_data_ptr()),
          static_cast<const T*>(features.const_data_ptr()),
          static_cast<const T*>(read.const_data_ptr()),
          image_strides(query),
          image_strides(features),
          image_strides(read),
          !value,
          static_cast<Accumulator<T>>(scale),
          data,
          out ? image_strides(*out) : Strides{}};
}

// Calls run(begin, end, scratch) for the rows of the output.
template <typename T, typename Run>
void walk_attention(const AttentionJob<T>& job, const Run& run) {
  const Sizes& sizes = job.sizes;
  walk_rows(sizes.batch * sizes.height,
            sizes.width * (sizes.sources + 1) * (sizes.channels + job.value_channels),
            attention_scratch<Accumulator<T>>(sizes, job.value_channels), run);
}

Tensor warp_attention(const Tensor& query, const Tensor& features, const Tensor& grid,
                      const std::optional<Tensor>& visible, const std::optional<Tensor>& value,
                      double scale) {
  check_attention(query, features, grid, visible, value);
  Tensor out = make_reduced(value ? *value : features, find_sizes(features, grid));
  if (out.numel() == 0) return out;
  with_type(features, [&]<typename T>(T) {
    const AttentionJob<T> job = make_job<T>(query, features, grid, visible, value, scale, &out);
    walk_attention(job,
                   [&](int64_t begin, int64_t end, void* scratch) { attend_rows(job, begin, end, scratch); });
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> warp_attention_backward(
    const Tensor& gradient, const Tensor& query, const Tensor& features, const Tensor& grid,
    const std::optional<Tensor>& visible, const std::optional<Tensor>& value, double scale, bool query_wanted,
    bool features_wanted, bool value_wanted, bool grid_wanted,
    bool) {  // always deterministic
  check_attention(query, features, grid, visible, value);
  check_reduced_gradient(gradient, value ? *value : features, grid);
  const Sizes sizes = find_sizes(features, grid);
  const FlowView flow = view_flow(grid, visible);
  value_wanted = value_wanted && value;
  Tensor query_gradient =
      query_wanted ? make_image(query, sizes.height, sizes.width) : make_tensor(query, {0});
  Tensor features_gradient =
      features_wanted ? make_image(features, sizes.in_height, sizes.in_width) : make_tensor(features, {0});
  Tensor value_gradient =
      value_wanted ? make_image(*value, sizes.in_height, sizes.in_width) : make_tensor(features, {0});
  Tensor grid_gradient = grid_wanted
                             ? make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width, 2})
                             : make_tensor(grid, {0});
  with_type(features, [&]<typename T>(T) {
    using A = Accumulator<T>;
    const auto map = [&] {
      return make_tensor(grid, {sizes.batch, sizes.sources, sizes.height, sizes.width}, sum_type(features));
    };
    const Tensor alpha = map(), score_gradient = map();
    const WeightsJob<T> job{
        make_job<T>(query, features, grid, visible, value, scale, query_wanted ? &query_gradient : nullptr),
        static_cast<const T*>(gradient.const_data_ptr()), image_strides(gradient),
        static_cast<A*>(alpha.mutable_data_ptr()), static_cast<A*>(score_gradient.mutable_data_ptr())};
    walk_attention(job.attention,
                   [&](int64_t begin, int64_t end, void* scratch) { weight_rows(job, begin, end, scratch); });

    Sizes value_sizes = sizes;
    value_sizes.channels = job.attention.value_channels;
    const Term<T> by_query = scaled_image<T>(query, job.score_gradient, sizes),
                  by_gradient = scaled_image<T>(gradient, job.alpha, sizes);
    const Terms<T> to_features = value ? only_term(by_query) : Terms<T>{{by_gradient, by_query}, 2},
                   to_value = only_term(by_gradient);
    if (features_wanted) scatter_bands(sizes, flow, to_features, features_gradient);
    if (value_wanted) scatter_bands(value_sizes, flow, to_value, value_gradient);
    if (!grid_wanted) return;
    void* to_grid = grid_gradient.mutable_data_ptr();
    walk_grid(GridGradientJob<T>{sizes, flow, to_features, job.attention.features, job.attention.in, to_grid,
                                 false, nullptr});
    if (!value) return;
    walk_grid(GridGradientJob<T>{value_sizes, flow, to_value, job.attention.value,
                                 job.attention.value_strides, to_grid, true, nullptr});
  });
  return {query_gradient, features_gradient, value_gradient, grid_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("warp_attention", TORCH_BOX(&warp_attention));
  m.impl("warp_attention_backward", TORCH_BOX(&warp_attention_backward));
}

}  // namespace warpkit::attention
