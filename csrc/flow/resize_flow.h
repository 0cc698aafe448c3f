// resize_flow(grid [B,S,h,w,2], visible [B,S,h,w] or none, height, width, mode)
//     -> grid [B,S,height,width,2], visible [B,S,height,width], of no elements where none came, or the mode
//        is "bilinear"
// resize_flow_backward(gradient [B,S,height,width,2], visible, h, w, mode) -> [B,S,h,w,2]
//
// "masked"    Along each axis a sample of the result covers an area of samples: its share of the frame when
//             the axis shrinks, otherwise the two nearest samples, bilinearly (align_corners = False). It is
//             visible when at least half of that area is. What is averaged over the visible samples is the
//             displacement, grid minus the sample's own place; the result's own place is added again. So an
//             identity stays an identity at every size, at the frame's edge and next to what is not visible.
//             Not visible: -2.
// "bilinear"  Plain bilinear resizing with align_corners = True, whatever is visible: the -2 bleed, as in the
//             papers' public code.
//
// Sums are in float64. Linear in the grid, hence the gradient.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/map_view.h"

namespace warpkit::flow {

enum class ResizeMode { masked, bilinear };

template <typename T>
struct ResizeJob {
  MapView<T> grid;
  MapView<unsigned char> visible;  // no data: everywhere
  int64_t images, sources;         // B * S and S
  int64_t in_height, in_width, height, width;
  ResizeMode mode;
  T* out;
  unsigned char* out_visible;  // null: not wanted
};

// The gradient's way back: from [height, width] to [in_height, in_width].
template <typename T>
struct ResizeBackwardJob {
  ResizeJob<T> forward;  // grid, out and out_visible null
  MapView<T> gradient;
  double* inverse;  // [images, height, width]: one over the visible area, 0 where not visible
  T* out;
};

// The samples first..last that sample `index` of the result covers along one axis.
struct Footprint {
  int64_t first, last;
  bool area;
  double low, high;  // area: from where to where
  double fraction;   // otherwise: the weight of the last
};

WARPKIT_HD Footprint make_footprint(ResizeMode mode, int64_t index, int64_t in, int64_t out) {
  Footprint footprint{};
  footprint.area = mode == ResizeMode::masked && in > out;
  if (footprint.area) {
    footprint.low = static_cast<double>(index * in) / static_cast<double>(out);
    footprint.high = static_cast<double>((index + 1) * in) / static_cast<double>(out);
    footprint.first = index * in / out;
    footprint.last = ((index + 1) * in + out - 1) / out - 1;
    return footprint;
  }
  double at =
      mode == ResizeMode::masked
          ? (static_cast<double>(index) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5
      : out > 1 ? static_cast<double>(index * (in - 1)) / static_cast<double>(out - 1)
                : 0.0;
  const double most = static_cast<double>(in - 1);
  at = at < 0.0 ? 0.0 : at > most ? most : at;
  footprint.first = static_cast<int64_t>(at);
  footprint.fraction = at - static_cast<double>(footprint.first);
  footprint.last = footprint.first + (footprint.fraction > 0.0 ? 1 : 0);
  return footprint;
}

WARPKIT_HD double weight_of(const Footprint& footprint, int64_t sample) {
  if (sample < footprint.first || sample > footprint.last) return 0.0;
  if (footprint.area) {
    const double begin = static_cast<double>(sample), end = static_cast<double>(sample + 1);
    return (end < footprint.high ? end : footprint.high) - (begin > footprint.low ? begin : footprint.low);
  }
  return sample == footprint.first ? 1.0 - footprint.fraction : footprint.fraction;
}

// Samples of the result begin..end - 1 that may cover `sample`.
struct Range {
  int64_t begin, end;
};

WARPKIT_HD Range find_covering(ResizeMode mode, int64_t sample, int64_t in, int64_t out) {
  const double size = mode == ResizeMode::masked ? static_cast<double>(in) : static_cast<double>(in - 1);
  const double steps = mode == ResizeMode::masked ? static_cast<double>(out) : static_cast<double>(out - 1);
  if (size <= 0.0 || steps <= 0.0) return {0, out};
  // A sample of the result lies within a pixel and a half; the rest is room for rounding.
  const double low = (static_cast<double>(sample) - 1.5) * steps / size - 2.0;
  const double high = (static_cast<double>(sample) + 2.5) * steps / size + 2.0;
  const double most = static_cast<double>(out);
  return {static_cast<int64_t>(low < 0.0 ? 0.0 : low), static_cast<int64_t>(high > most ? most : high)};
}

WARPKIT_HD double place_of(int64_t index, int64_t size) {
  return static_cast<double>(2 * index + 1) / static_cast<double>(size) - 1.0;
}

// A row of image number `image` of B * S.
template <typename M, typename T>
WARPKIT_HD const M* row_of_image(const MapView<M>& map, const ResizeJob<T>& job, int64_t image, int64_t row) {
  const int64_t first = image / job.sources;
  return row_of(map, first, image - first * job.sources, row);
}

struct Average {
  double x, y;
  double visible, all;  // areas
};

template <typename T>
WARPKIT_HD Average average_at(const ResizeJob<T>& job, int64_t image, const Footprint& down,
                              const Footprint& across, bool values) {
  const bool masked = job.mode == ResizeMode::masked;
  const bool hides = masked && job.visible.data != nullptr;
  const T* rows = values ? row_of_image(job.grid, job, image, 0) : nullptr;
  const unsigned char* visible_rows = hides ? row_of_image(job.visible, job, image, 0) : nullptr;
  Average sum{};
  for (int64_t i = down.first; i <= down.last; ++i) {
    const double weight_i = weight_of(down, i), y = masked ? place_of(i, job.in_height) : 0.0;
    for (int64_t j = across.first; j <= across.last; ++j) {
      const double weight = weight_i * weight_of(across, j);
      sum.all += weight;
      if (hides && !visible_rows[i * job.visible.row + j * job.visible.column]) continue;
      sum.visible += weight;
      if (!values) continue;
      const T* grid = rows + i * job.grid.row + j * job.grid.column;
      sum.x += weight * (static_cast<double>(grid[0]) - (masked ? place_of(j, job.in_width) : 0.0));
      sum.y += weight * (static_cast<double>(grid[job.grid.channel]) - y);
    }
  }
  return sum;
}

// At least half of the area; a tie is not left to rounding.
WARPKIT_HD bool is_half(const Average& sum) { return sum.visible >= (0.5 - 1e-9) * sum.all; }

template <typename T>
WARPKIT_HD void write_average(const ResizeJob<T>& job, int64_t image, int64_t i, int64_t j,
                              const Average& sum) {
  const int64_t at = (image * job.height + i) * job.width + j;
  const bool masked = job.mode == ResizeMode::masked, visible = is_half(sum);
  job.out[2 * at] = static_cast<T>(!masked   ? sum.x
                                   : visible ? sum.x / sum.visible + place_of(j, job.width)
                                             : -2.0);
  job.out[2 * at + 1] = static_cast<T>(!masked   ? sum.y
                                       : visible ? sum.y / sum.visible + place_of(i, job.height)
                                                 : -2.0);
  if (job.out_visible != nullptr) job.out_visible[at] = visible;
}

template <typename T>
WARPKIT_HD void invert_pixel(const ResizeBackwardJob<T>& job, int64_t image, int64_t i, int64_t j,
                             const Footprint& down, const Footprint& across) {
  const Average sum = average_at(job.forward, image, down, across, false);
  const bool masked = job.forward.mode == ResizeMode::masked;
  job.inverse[(image * job.forward.height + i) * job.forward.width + j] = !masked        ? 1.0
                                                                          : is_half(sum) ? 1.0 / sum.visible
                                                                                         : 0.0;
}

// The gradient of sample (i, j) of the flow, gathered from all samples of the result that cover it.
template <typename T>
WARPKIT_HD void gather_gradient(const ResizeBackwardJob<T>& job, int64_t image, int64_t i, int64_t j) {
  const ResizeJob<T>& forward = job.forward;
  const int64_t to = (image * forward.in_height + i) * forward.in_width + j;
  double x = 0.0, y = 0.0;
  if (forward.mode == ResizeMode::bilinear || forward.visible.data == nullptr ||
      row_of_image(forward.visible, forward, image, i)[j * forward.visible.column]) {
    const T* gradients = row_of_image(job.gradient, forward, image, 0);
    const Range rows = find_covering(forward.mode, i, forward.in_height, forward.height);
    const Range columns = find_covering(forward.mode, j, forward.in_width, forward.width);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const double weight_i =
          weight_of(make_footprint(forward.mode, row, forward.in_height, forward.height), i);
      if (weight_i == 0.0) continue;
      for (int64_t column = columns.begin; column < columns.end; ++column) {
        const int64_t at = (image * forward.height + row) * forward.width + column;
        const double weight =
            weight_i * weight_of(make_footprint(forward.mode, column, forward.in_width, forward.width), j) *
            job.inverse[at];
        if (weight == 0.0) continue;
        const T* gradient = gradients + row * job.gradient.row + column * job.gradient.column;
        x += weight * static_cast<double>(gradient[0]);
        y += weight * static_cast<double>(gradient[job.gradient.channel]);
      }
    }
  }
  job.out[2 * to] = static_cast<T>(x);
  job.out[2 * to + 1] = static_cast<T>(y);
}

}  // namespace warpkit::flow
