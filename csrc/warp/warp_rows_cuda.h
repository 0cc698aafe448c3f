// Gradients of warping on the GPU for every op that warps: the gradient of a warped source is, at each pixel,
// a row vector made of up to two images, so that none of size S*C*H*W need be written.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include "warp/warp_tensors.h"

namespace warpkit::warping {

// factor * coefficient_s * image at each pixel of [B,S,H,W]: the image [B,C,H,W] or [B,S,C,H,W], a
// coefficient [B,S,H,W] of the type that sums are taken in, or one.
struct RowTerm {
  Tensor image;
  std::optional<Tensor> coefficient;
  double factor = 1.0;
};

// The gradients of features and grid where that of warp(features) is the sum of one or two terms; empty
// tensors where not wanted. Where `add_to` is given, the grid's gradient is added to it, and it is what comes
// back.
std::tuple<Tensor, Tensor> rows_backward(const std::vector<RowTerm>& terms, const Tensor& features,
                                         const Tensor& grid, const std::optional<Tensor>& visible,
                                         bool features_wanted, bool grid_wanted, bool deterministic,
                                         const std::optional<Tensor>& add_to = std::nullopt);

// The features' gradient alone, bit-for-bit repeatable, into `out` of the shape of features.
void gather_rows(const std::vector<RowTerm>& terms, const Tensor& features, const Tensor& grid,
                 const std::optional<Tensor>& visible, Tensor& out);

}  // namespace warpkit::warping
