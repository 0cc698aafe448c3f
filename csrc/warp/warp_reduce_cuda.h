// The GPU's two walks over pixels and their sources, for the ops that reduce over sources. Host code only.
#pragma once

#include "warp/warp_reduce_tensors.h"

namespace warpkit::warping {

// out [B,C,H,W] = factor * sum over s of weights_s * warp(features_s); weights [B,S,H,W] of the type that
// sums are taken in, or none.
void reduce_sources(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible,
                    const std::optional<Tensor>& weights, double factor, Tensor& out);

// dots [B,S,H,W] = factor * <rows, warp(features_s)> for rows [B,C,H,W]; zero where nothing is read. With
// more_rows, more_dots gets theirs from the same gather. Both are contiguous, of the type sums are taken in.
void dot_sources(const Tensor& rows, const std::optional<Tensor>& more_rows, const Tensor& features,
                 const Tensor& grid, const std::optional<Tensor>& visible, double factor, Tensor& dots,
                 Tensor& more_dots);

// An image [B,C,H,W] as the walks over `features` like it: itself, or a copy with its channels side by side
// where features could be moved 16 bytes at a time and it could not.
Tensor for_walk(const Tensor& image, const Tensor& features);

}  // namespace warpkit::warping
