// Checks of warp_attention that both devices share.
#pragma once

#include "attention/attention.h"
#include "warp/warp_reduce_tensors.h"

namespace warpkit::attention {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check_query(const Tensor& query, const Tensor& features, const Tensor& grid) {
  STD_TORCH_CHECK(query.dim() == 4 && query.size(0) == features.size(0) &&
                      query.size(1) == features.size(2) && query.size(2) == grid.size(2) &&
                      query.size(3) == grid.size(3),
                  "query: expected shape [B, C, H, W] with C of features and H, W of grid");
  STD_TORCH_CHECK(query.scalar_type() == features.scalar_type() && query.device() == features.device(),
                  "query: expected the dtype and the device of features");
}

inline void check_value(const std::optional<Tensor>& value, const Tensor& features) {
  if (!value) return;
  STD_TORCH_CHECK(value->dim() == 5 && value->scalar_type() == features.scalar_type() &&
                      value->device() == features.device(),
                  "value: expected [B, S, Cv, h, w] of the dtype and on the device of features");
  for (int64_t d : {0, 1, 3, 4}) {
    STD_TORCH_CHECK(value->size(d) == features.size(d), "value: expected B, S, h, w of features");
  }
}

inline void check_attention(const Tensor& query, const Tensor& features, const Tensor& grid,
                            const std::optional<Tensor>& visible, const std::optional<Tensor>& value) {
  warping::check_grid(grid);
  warping::check_visible(visible, grid);
  warping::check_all_sources(features, grid);
  check_query(query, features, grid);
  check_value(value, features);
}

}  // namespace warpkit::attention
