// From tensors to ResizeJob, with the checks that both devices share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "common/tensors.h"
#include "flow/resize_flow.h"

namespace warpkit::flow {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline ResizeMode find_mode(const std::string& mode) {
  STD_TORCH_CHECK(mode == "masked" || mode == "bilinear", "mode: expected masked or bilinear, got ", mode);
  return mode == "masked" ? ResizeMode::masked : ResizeMode::bilinear;
}

inline void check_resize(const char* name, const Tensor& grid, const std::optional<Tensor>& visible,
                         int64_t in_height, int64_t in_width, int64_t height, int64_t width) {
  constexpr int64_t kMost = int64_t(1) << 22;
  STD_TORCH_CHECK(grid.dim() == 5 && grid.size(4) == 2, name, ": expected shape [B, S, H, W, 2]");
  STD_TORCH_CHECK(grid.scalar_type() == ScalarType::Float || grid.scalar_type() == ScalarType::Double, name,
                  ": expected float32 or float64");
  for (const int64_t side : {in_height, in_width, height, width}) {
    STD_TORCH_CHECK(side >= 1 && side <= kMost, "size: expected heights and widths from 1 to 2^22, got ",
                    side);
  }
  if (!visible) return;
  STD_TORCH_CHECK(visible->dim() == 4 && visible->scalar_type() == ScalarType::Bool &&
                      visible->size(0) == grid.size(0) && visible->size(1) == grid.size(1) &&
                      visible->size(2) == in_height && visible->size(3) == in_width,
                  "visible: expected bool [B, S, H, W] of the flow");
  STD_TORCH_CHECK(visible->device() == grid.device(), "visible: expected on the device of grid");
}

inline MapView<unsigned char> view_visible(const std::optional<Tensor>& visible) {
  return visible ? view_source_maps<unsigned char>(*visible) : MapView<unsigned char>{};
}

// The arguments of resize_flow and its outputs.
struct ResizeTensors {
  Tensor grid, out, out_visible;
  std::optional<Tensor> visible;
  ResizeMode mode;

  ResizeTensors(const Tensor& grid_in, const std::optional<Tensor>& visible_in, int64_t height, int64_t width,
                const std::string& mode_in)
      : mode(find_mode(mode_in)) {
    check_resize("grid", grid_in, visible_in, grid_in.size(2), grid_in.size(3), height, width);
    grid = grid_in;
    visible = visible_in;
    const int64_t batch = grid.size(0), sources = grid.size(1);
    out = make_tensor(grid, {batch, sources, height, width, 2});
    const bool wanted = visible && mode == ResizeMode::masked;
    out_visible = make_tensor(
        grid, wanted ? std::vector<int64_t>{batch, sources, height, width} : std::vector<int64_t>{0},
        ScalarType::Bool);
  }

  template <typename T>
  ResizeJob<T> job() const {
    const bool wanted = visible && mode == ResizeMode::masked;
    return {view_source_maps<T>(grid),
            view_visible(visible),
            grid.size(0) * grid.size(1),
            grid.size(1),
            grid.size(2),
            grid.size(3),
            out.size(2),
            out.size(3),
            mode,
            static_cast<T*>(out.mutable_data_ptr()),
            wanted ? static_cast<unsigned char*>(out_visible.mutable_data_ptr()) : nullptr};
  }
};

// The arguments of resize_flow_backward, its workspace and its output.
struct ResizeBackwardTensors {
  Tensor gradient, inverse, out;
  std::optional<Tensor> visible;
  ResizeMode mode;

  ResizeBackwardTensors(const Tensor& gradient_in, const std::optional<Tensor>& visible_in, int64_t in_height,
                        int64_t in_width, const std::string& mode_in)
      : mode(find_mode(mode_in)) {
    check_resize("gradient", gradient_in, visible_in, in_height, in_width, gradient_in.size(2),
                 gradient_in.size(3));
    gradient = gradient_in;
    visible = visible_in;
    const int64_t batch = gradient.size(0), sources = gradient.size(1);
    inverse = make_tensor(gradient, {batch, sources, gradient.size(2), gradient.size(3)}, ScalarType::Double);
    out = make_tensor(gradient, {batch, sources, in_height, in_width, 2});
  }

  template <typename T>
  ResizeBackwardJob<T> job() const {
    const ResizeJob<T> forward{{},
                               view_visible(visible),
                               gradient.size(0) * gradient.size(1),
                               gradient.size(1),
                               out.size(2),
                               out.size(3),
                               gradient.size(2),
                               gradient.size(3),
                               mode,
                               nullptr,
                               nullptr};
    return {forward, view_source_maps<T>(gradient), static_cast<double*>(inverse.mutable_data_ptr()),
            static_cast<T*>(out.mutable_data_ptr())};
  }
};

}  // namespace warpkit::flow
