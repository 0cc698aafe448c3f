// Warping: features of sources, read where a flow says.
//
//   warp(features [B,C,h,w] (S = 1) or [B,S,C,h,w], grid [B,S,H,W,2], visible [B,S,H,W] or none)
//       -> [B,C,H,W] or [B,S,C,H,W], the dtype and the layout (channels-last or not) of features
//   warp_backward(gradient, features, grid, visible, features_wanted, grid_wanted, deterministic)
//       -> features_gradient, grid_gradient; empty tensors where not wanted
//
// Sampling is bilinear in NDC (align_corners = False), zero outside the frame. A pixel that is not visible,
// whose grid entry is not finite or beyond 10^6, or whose four taps lie outside is zero by selection and has
// no gradient: nothing of the source is read for it. A tap outside the frame, or of weight zero, is not read
// either. Coordinates are computed in the wider of the grid's and the accumulation's type; features are
// accumulated in float32 (float64 for float64).
#pragma once

#include <cstdint>

namespace warpkit::warping {

// Strides in elements.
struct Strides {
  int64_t image, source, channel, row, column;
};

// Where each output pixel reads: grid and visible, any strides. `grid.channel` is the step from x to y.
struct FlowView {
  const void* grid;
  bool wide;  // float64, otherwise float32
  Strides grid_strides;
  const unsigned char* visible;  // null: everywhere
  Strides visible_strides;
};

struct Sizes {
  int64_t batch, sources, channels;
  int64_t in_height, in_width;  // of features
  int64_t height, width;        // of the flow and the output
};

}  // namespace warpkit::warping
