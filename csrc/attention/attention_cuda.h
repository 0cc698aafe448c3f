// The attention weights of pixels on the GPU, for the walks that do not find them on the way. Host code only.
#pragma once

#include "attention/attention_tensors.h"

namespace warpkit::attention {

// alpha [B,S,H,W], contiguous, of the type that sums are taken in: the softmax over sources of
// scale * <query, warp(features_s)>.
Tensor find_alpha(const Tensor& query, const Tensor& features, const Tensor& grid,
                  const std::optional<Tensor>& visible, double scale);

// alpha, and e: what backward multiplies a source's features and the query by (attention.h), likewise.
std::tuple<Tensor, Tensor> find_alpha_and_e(const Tensor& gradient, const Tensor& query,
                                            const Tensor& features, const Tensor& grid,
                                            const std::optional<Tensor>& visible,
                                            const std::optional<Tensor>& value, double scale);

}  // namespace warpkit::attention
