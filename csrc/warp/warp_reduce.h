// Warping several sources into one image, summed on the way: no warped source is ever written.
//
//   warp_reduce(features [B,S,C,h,w], grid [B,S,H,W,2], visible [B,S,H,W] or none, weights [B,S,H,W] or none,
//               mean) -> [B,C,H,W], the dtype and the layout (channels-last or not) of features
//   warp_reduce_backward(gradient [B,C,H,W], features, grid, visible, weights, mean, features_wanted,
//                        grid_wanted, weights_wanted, deterministic)
//       -> features_gradient, grid_gradient, weights_gradient; empty tensors where not wanted
//
// out = factor * sum over s of weights_s * warp(features_s), where weights are 1 if there are none and the
// factor is 1, or 1/S for the mean, with weights too. Reading is that of warp.h: a source that is not visible
// or reads nothing at a pixel adds nothing there, by selection (neither its features nor its weight count, be
// they NaN), and has no gradient. No sources: zeros.
//
// Weights come in the type that sums are taken in: float32, float64 for float64 features. With
// c_s = factor * weights_s and g the gradient at a pixel:
//   to features   the four taps of source s get c_s g by their bilinear weights (the scatter of warp)
//   to the grid   that of warp for the gradient c_s g
//   to weights    factor * <g, warp(features_s)>, contiguous
#pragma once

#include "warp/warp.h"
