// From tensors to the plain structures of warp.h, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <optional>

#include "common/tensors.h"
#include "warp/warp.h"

namespace warpkit::warping {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Strides of [B,C,H,W] or [B,S,C,H,W].
inline Strides image_strides(const Tensor& tensor) {
  const int64_t d = tensor.dim();
  return {tensor.stride(0), d == 5 ? tensor.stride(1) : 0, tensor.stride(d - 3), tensor.stride(d - 2),
          tensor.stride(d - 1)};
}

// Channels side by side: the layout that the output keeps.
inline bool is_channels_last(const Tensor& features) {
  return features.stride(features.dim() - 3) == 1 && features.size(features.dim() - 3) > 1;
}

inline void check_grid(const Tensor& grid) {
  STD_TORCH_CHECK(grid.dim() == 5 && grid.size(4) == 2, "grid: expected shape [B, S, H, W, 2]");
  STD_TORCH_CHECK(grid.scalar_type() == ScalarType::Float || grid.scalar_type() == ScalarType::Double,
                  "grid: expected float32 or float64");
}

inline void check_visible(const std::optional<Tensor>& visible, const Tensor& grid) {
  if (!visible) return;
  STD_TORCH_CHECK(visible->dim() == 4 && visible->scalar_type() == ScalarType::Bool,
                  "visible: expected bool [B, S, H, W]");
  for (int64_t d = 0; d < 4; ++d) {
    STD_TORCH_CHECK(visible->size(d) == grid.size(d), "visible: expected B, S, H, W of grid");
  }
  STD_TORCH_CHECK(visible->device() == grid.device(), "visible: expected on the device of grid");
}

inline void check_features(const Tensor& features, const Tensor& grid) {
  constexpr int64_t kMost = int64_t(1) << 22;
  const int64_t d = features.dim();
  STD_TORCH_CHECK(d == 4 || d == 5, "features: expected shape [B, C, h, w] or [B, S, C, h, w]");
  STD_TORCH_CHECK(features.size(0) == grid.size(0) && (d == 5 ? features.size(1) : 1) == grid.size(1),
                  "features: expected the batch and sources of grid");
  for (int64_t k = d - 2; k < d; ++k) {
    STD_TORCH_CHECK(features.size(k) >= 1 && features.size(k) <= kMost,
                    "features: expected height and width from 1 to 2^22");
  }
  STD_TORCH_CHECK(features.device() == grid.device(), "features: expected on the device of grid");
}

inline void check_gradient(const Tensor& gradient, const Tensor& features, const Tensor& grid) {
  const int64_t d = features.dim();
  STD_TORCH_CHECK(gradient.dim() == d && gradient.scalar_type() == features.scalar_type() &&
                      gradient.device() == features.device(),
                  "gradient: expected the rank, dtype and device of features");
  for (int64_t k = 0; k < d; ++k) {
    const int64_t expected = k < d - 2 ? features.size(k) : grid.size(k == d - 2 ? 2 : 3);
    STD_TORCH_CHECK(gradient.size(k) == expected, "gradient: expected the shape of warp's output");
  }
}

inline Sizes find_sizes(const Tensor& features, const Tensor& grid) {
  const int64_t d = features.dim();
  return {grid.size(0),         grid.size(1), features.size(d - 3), features.size(d - 2),
          features.size(d - 1), grid.size(2), grid.size(3)};
}

// Both must outlive the view.
inline FlowView view_flow(const Tensor& grid, const std::optional<Tensor>& visible) {
  FlowView view{grid.const_data_ptr(),
                grid.scalar_type() == ScalarType::Double,
                {grid.stride(0), grid.stride(1), grid.stride(4), grid.stride(2), grid.stride(3)},
                nullptr,
                {}};
  if (visible) {
    view.visible = static_cast<const unsigned char*>(visible->const_data_ptr());
    view.visible_strides = {visible->stride(0), visible->stride(1), 0, visible->stride(2),
                            visible->stride(3)};
  }
  return view;
}

// Memory in the order of its strides, channels-last or contiguous, of [B,(S,)C,height,width].
inline Tensor make_image(const Tensor& features, int64_t height, int64_t width,
                         std::optional<ScalarType> dtype = std::nullopt) {
  const bool has_sources = features.dim() == 5;
  const int64_t batch = features.size(0), channels = features.size(features.dim() - 3);
  if (!is_channels_last(features)) {
    return has_sources ? make_tensor(features, {batch, features.size(1), channels, height, width}, dtype)
                       : make_tensor(features, {batch, channels, height, width}, dtype);
  }
  if (has_sources) {
    const Tensor out = make_tensor(features, {batch, features.size(1), height, width, channels}, dtype);
    return torch::stable::transpose(torch::stable::transpose(out, 3, 4), 2, 3);
  }
  const Tensor out = make_tensor(features, {batch, height, width, channels}, dtype);
  return torch::stable::transpose(torch::stable::transpose(out, 2, 3), 1, 2);
}

}  // namespace warpkit::warping
