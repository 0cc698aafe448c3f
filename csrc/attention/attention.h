// Attention over sources that are warped on the way: each pixel asks its query of the S places where the flow
// finds it.
//
//   warp_attention(query [B,C,H,W], features [B,S,C,h,w], grid [B,S,H,W,2], visible [B,S,H,W] or none,
//                  value [B,S,Cv,h,w] or none, scale) -> [B,Cv,H,W]
//   warp_attention_backward(gradient [B,Cv,H,W], query, features, grid, visible, value, scale, query_wanted,
//                           features_wanted, value_wanted, grid_wanted, deterministic)
//       -> query_gradient, features_gradient, value_gradient, grid_gradient; empty tensors where not wanted
//
// With x_s = warp(features_s) and v_s = warp(value_s), or x_s without a value (one gather then serves both):
//   score_s = scale <query, x_s>,  alpha = softmax over s of score,  out = sum of alpha_s v_s
// Query, features and value share a dtype; the output has it too, and the layout (channels-last or not) of
// value, or of features without one. Scores, softmax (its maximum subtracted) and sums are in float32
// (float64 for float64). The value's h, w are those of features. Nothing of size S*C*H*W is written.
//
// Who takes part. A source that is not visible at a pixel is left out, by selection: nothing of it counts,
// not even its NaN, and it has no gradient. One that is visible but reads nothing there (outside its frame,
// or a grid entry that is not finite or beyond 10^6: the rules of warp.h) takes part with score 0 and value
// 0. Without `visible` all take part. No source takes part: zeros, and no gradient. A score of -infinity has
// alpha 0.
//
// Backward gathers again; all it keeps are alpha and e [B,S,H,W]. With g the gradient at a pixel:
//   dalpha_s = <g, v_s>,  delta = sum of alpha_s dalpha_s,  e_s = scale * alpha_s (dalpha_s - delta)
//   to query      sum of e_s x_s, in query's layout
//   to features   the four taps of source s get e_s query by their bilinear weights, + alpha_s g without a
//                 value (r_s, the source's row vector)
//   to value      likewise alpha_s g
//   to the grid   that of warp (warp.h) for the gradient r_s with features; with a value, that for e_s query
//                 with features plus that for alpha_s g with value
#pragma once

#include "warp/warp.h"
