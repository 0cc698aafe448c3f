// Checks of warp_reduce that both devices share.
#pragma once

#include "warp/warp_reduce.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

// The type that sums over features are taken in.
inline ScalarType sum_type(const Tensor& features) {
  return features.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_all_sources(const Tensor& features, const Tensor& grid) {
  STD_TORCH_CHECK(features.dim() == 5, "features: expected shape [B, S, C, h, w]");
  check_features(features, grid);
}

inline void check_weights(const std::optional<Tensor>& weights, const Tensor& features, const Tensor& grid) {
  if (!weights) return;
  STD_TORCH_CHECK(weights->dim() == 4 && weights->scalar_type() == sum_type(features),
                  "weights: expected [B, S, H, W] of float32, or float64 for float64 features");
  for (int64_t d = 0; d < 4; ++d) {
    STD_TORCH_CHECK(weights->size(d) == grid.size(d), "weights: expected B, S, H, W of grid");
  }
  STD_TORCH_CHECK(weights->device() == grid.device(), "weights: expected on the device of grid");
}

// `gradient` of an output [B,C,H,W] that has the channels and dtype of `like` [B,S,C,h,w].
inline void check_reduced_gradient(const Tensor& gradient, const Tensor& like, const Tensor& grid) {
  STD_TORCH_CHECK(gradient.dim() == 4 && gradient.scalar_type() == like.scalar_type() &&
                      gradient.device() == like.device(),
                  "gradient: expected rank 4, the dtype and the device of features");
  STD_TORCH_CHECK(gradient.size(0) == grid.size(0) && gradient.size(1) == like.size(2) &&
                      gradient.size(2) == grid.size(2) && gradient.size(3) == grid.size(3),
                  "gradient: expected the shape of the output");
}

// Strides of [B,S,H,W]; zero where there is none.
inline Strides map_strides(const std::optional<Tensor>& map) {
  if (!map) return {};
  return {map->stride(0), map->stride(1), 0, map->stride(2), map->stride(3)};
}

// An output [B,C,H,W] with the channels, dtype and layout of `like` [B,S,C,h,w].
inline Tensor make_reduced(const Tensor& like, const Sizes& sizes) {
  const int64_t channels = like.size(2);
  if (!is_channels_last(like)) {
    return make_tensor(like, {sizes.batch, channels, sizes.height, sizes.width});
  }
  const Tensor out = make_tensor(like, {sizes.batch, sizes.height, sizes.width, channels});
  return torch::stable::transpose(torch::stable::transpose(out, 2, 3), 1, 2);
}

// The factor of the sum over sources.
inline double reduce_factor(const Sizes& sizes, bool mean) {
  return mean && sizes.sources > 0 ? 1.0 / static_cast<double>(sizes.sources) : 1.0;
}

}  // namespace warpkit::warping
