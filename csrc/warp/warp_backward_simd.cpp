// The CPU's inner loops of the gradients. Compiled once a SIMD level; no standard library here (common/simd.h
// says why).
#include "warp/warp_sample.h"

namespace warpkit::warping {
namespace WARPKIT_SIMD {
namespace {

// ---- to features

// What pixels add to the job's rows, tap after tap: gradient of pixel `from` times weight, at element `to`.
template <typename A>
struct Additions {
  int64_t to[4 * kBlock];
  A weight[4 * kBlock];
  int32_t from[4 * kBlock];
  int count;
};

// Appends pixel j's to the first `count`; returns how many there are then.
template <typename T>
int find_additions(const ScatterJob<T>& job, const Block<Accumulator<T>>& block, int j, int count,
                   Additions<Accumulator<T>>& additions) {
  for (int down = 0; down <= block.step_y[j]; ++down) {
    const int64_t y = block.y[j] + down;
    if (y < job.first || y >= job.last) continue;
    for (int across = 0; across <= block.step_x[j]; ++across) {
      // A tap that stands for its twin carries the twin's weight too.
      const int k = 2 * down + across;
      Accumulator<T> weight = block.weight[k][j];
      if (!block.step_x[j]) weight += block.weight[k + 1][j];
      if (!block.step_y[j]) weight += block.weight[k + 2][j] + (block.step_x[j] ? 0 : block.weight[k + 3][j]);
      additions.to[count] = (y - job.first) * job.row_stride + (block.x[j] + across) * job.column_stride;
      additions.weight[count] = weight;
      additions.from[count++] = j;
    }
  }
  return count;
}

// One pixel's four taps, none of which is another's twin or outside the job's rows. N: the feature type, or
// the one that sums are taken in.
template <int kChannels, typename N, typename A>
inline __attribute__((always_inline)) void add_pixel(const N* from, int64_t step, A* first, int64_t right,
                                                     int64_t below, const A (&weight)[4],
                                                     int64_t num_channels) {
  const int64_t channels = kChannels > 0 ? kChannels : num_channels;
  A *a = first, *b = first + right, *c = first + below, *d = first + below + right;
#pragma GCC ivdep
  for (int64_t k = 0; k < channels; ++k) {
    const A value = widen(from[k * step]);
    a[k] += weight[0] * value;
    b[k] += weight[1] * value;
    c[k] += weight[2] * value;
    d[k] += weight[3] * value;
  }
}

// A pixel's vector `from`, times `coefficient`, to its taps.
template <int kChannels, typename N, typename T>
inline __attribute__((always_inline)) void add_vector(const ScatterJob<T>& job, const N* from, int64_t step,
                                                      Accumulator<T> coefficient,
                                                      const Block<Accumulator<T>>& block, int j) {
  const int64_t channels = kChannels > 0 ? kChannels : job.sizes.channels;
  if (block.step_x[j] & block.step_y[j] & (block.y[j] >= job.first) & (block.y[j] + 1 < job.last)) {
    Accumulator<T>* first =
        job.target + (block.y[j] - job.first) * job.row_stride + block.x[j] * job.column_stride;
    const Accumulator<T> weight[4] = {coefficient * block.weight[0][j], coefficient * block.weight[1][j],
                                      coefficient * block.weight[2][j], coefficient * block.weight[3][j]};
    if (step == 1) {
      add_pixel<kChannels>(from, 1, first, job.column_stride, job.row_stride, weight, channels);
    } else {
      add_pixel<kChannels>(from, step, first, job.column_stride, job.row_stride, weight, channels);
    }
    return;
  }
  Additions<Accumulator<T>> additions;
  additions.count = find_additions(job, block, j, 0, additions);
  for (int n = 0; n < additions.count; ++n) {
    Accumulator<T>* to = job.target + additions.to[n];
    const Accumulator<T> weight = coefficient * additions.weight[n];
    for (int64_t k = 0; k < channels; ++k) to[k] += weight * widen(from[k * step]);
  }
}

// The images of a job's terms at a block, and their coefficients there.
template <typename T>
struct TermBlock {
  const T* image[2];
  Accumulator<T> coefficient[2][kBlock];
};

template <typename T>
void find_terms(const Terms<T>& terms, const Row& row, int64_t begin, int count, TermBlock<T>& found) {
  for (int t = 0; t < terms.count; ++t) {
    const Term<T>& term = terms.term[t];
    found.image[t] = term.image + offset_of(term.strides, row) + begin * term.strides.column;
    load_coefficients(term.coefficient, term.coefficient_strides, row, begin, count, term.factor,
                      found.coefficient[t]);
  }
}

// Both terms of pixel j, channels 0..channels - 1.
template <typename T>
void add_terms(const Terms<T>& terms, const TermBlock<T>& found, int j, int64_t channels,
               Accumulator<T>* __restrict out) {
  const Strides &first = terms.term[0].strides, &second = terms.term[1].strides;
  const T *a = found.image[0] + j * first.column, *b = found.image[1] + j * second.column;
  const Accumulator<T> by_a = found.coefficient[0][j], by_b = found.coefficient[1][j];
  if (first.channel == 1 && second.channel == 1) {
    for (int64_t k = 0; k < channels; ++k) out[k] = by_a * widen(a[k]) + by_b * widen(b[k]);
  } else {
    for (int64_t k = 0; k < channels; ++k) {
      out[k] = by_a * widen(a[k * first.channel]) + by_b * widen(b[k * second.channel]);
    }
  }
}

// One channel of the terms of a block's pixels.
template <typename T>
void add_terms_of_channel(const Terms<T>& terms, const TermBlock<T>& found, int64_t channel, int count,
                          Accumulator<T> (&out)[kBlock]) {
  for (int t = 0; t < terms.count; ++t) {
    const Strides& strides = terms.term[t].strides;
    const T* image = found.image[t] + channel * strides.channel;
    for (int j = 0; j < count; ++j) {
      const Accumulator<T> value = found.coefficient[t][j] * widen(image[j * strides.column]);
      out[j] = t == 0 ? value : out[j] + value;
    }
  }
}

template <int kChannels, typename T>
void add_channels_last(const ScatterJob<T>& job, const TermBlock<T>& found,
                       const Block<Accumulator<T>>& block, int count) {
  const Strides& strides = job.terms.term[0].strides;
  for (int j = 0; j < count; ++j) {
    if (!block.any[j]) continue;
    if (job.terms.count == 1) {
      add_vector<kChannels>(job, found.image[0] + j * strides.column, strides.channel,
                            found.coefficient[0][j], block, j);
    } else if (block.y[j] < job.last && block.y[j] + block.step_y[j] >= job.first) {
      add_terms(job.terms, found, j, job.sizes.channels, job.scratch);
      add_vector<kChannels>(job, job.scratch, 1, Accumulator<T>(1), block, j);
    }
  }
}

// kPlanes channels from `channel` on. Neighbouring pixels add to the same taps, one after the other: several
// planes at a time keep the additions from waiting for each other.
template <int kPlanes, typename T>
void add_planes(const ScatterJob<T>& job, const TermBlock<T>& found, int count, int64_t channel,
                const Additions<Accumulator<T>>& additions) {
  alignas(64) Accumulator<T> from[kPlanes][kBlock];
  for (int k = 0; k < kPlanes; ++k) add_terms_of_channel(job.terms, found, channel + k, count, from[k]);
  Accumulator<T>* to = job.target + channel * job.channel_stride;
  for (int n = 0; n < additions.count; ++n) {
    Accumulator<T> sum[kPlanes];
    Accumulator<T>* tap = to + additions.to[n];
    for (int k = 0; k < kPlanes; ++k) {
      sum[k] = tap[k * job.channel_stride] + additions.weight[n] * from[k][additions.from[n]];
    }
    for (int k = 0; k < kPlanes; ++k) tap[k * job.channel_stride] = sum[k];
  }
}

template <typename T>
void add_planar(const ScatterJob<T>& job, const TermBlock<T>& found, int count,
                const Additions<Accumulator<T>>& additions) {
  constexpr int kTogether = 4;
  int64_t k = 0;
  for (; k + kTogether <= job.sizes.channels; k += kTogether) {
    add_planes<kTogether>(job, found, count, k, additions);
  }
  for (; k < job.sizes.channels; ++k) add_planes<1>(job, found, count, k, additions);
}

template <typename T>
void scatter_block(const ScatterJob<T>& job, const TermBlock<T>& found, const Block<Accumulator<T>>& block,
                   int count) {
  if (job.channel_stride != 1 || job.sizes.channels == 1) {
    Additions<Accumulator<T>> additions;
    int number = 0;
    for (int j = 0; j < count; ++j) {
      if (block.any[j]) number = find_additions(job, block, j, number, additions);
    }
    additions.count = number;
    return add_planar(job, found, count, additions);
  }
  switch (job.sizes.channels) {
    case 3:
      return add_channels_last<3>(job, found, block, count);
    case 4:
      return add_channels_last<4>(job, found, block, count);
    default:
      return add_channels_last<0>(job, found, block, count);
  }
}

template <typename T>
void scatter_all(const ScatterJob<T>& job) {
  const Sizes& sizes = job.sizes;
  Block<Accumulator<T>> block;
  TermBlock<T> found;
  for (int64_t i = 0; i < sizes.height; ++i) {
    const Row row{job.image, job.source, i};
    for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
      const int count = least(kBlock, sizes.width - begin);
      find_block(sizes, job.flow, row, begin, count, block);
      int32_t lowest = INT32_MAX, highest = -1;
      for (int j = 0; j < kBlock; ++j) {
        const int32_t low = block.any[j] ? block.y[j] : INT32_MAX, high = block.any[j] ? block.y[j] + 1 : -1;
        lowest = low < lowest ? low : lowest;
        highest = high > highest ? high : highest;
      }
      if (highest < job.first || lowest >= job.last) continue;
      find_terms(job.terms, row, begin, count, found);
      scatter_block(job, found, block, count);
    }
  }
}

// ---- to the grid

// Where a block of pixels reads, with what the gradient of its coordinates needs.
template <typename A>
struct SlopeBlock {
  int32_t x[kBlock], y[kBlock], step_x[kBlock], step_y[kBlock], any[kBlock];
  A weight_x[2][kBlock], weight_y[2][kBlock], slope_x[2][kBlock], slope_y[2][kBlock];
};

template <typename C, typename G, typename A>
void find_slopes_in(const Sizes& sizes, const FlowView& flow, const Row& row, int64_t begin, int count,
                    SlopeBlock<A>& block) {
  alignas(64) C x[kBlock], y[kBlock];
  load_coordinates<C, G>(flow, row, begin, count, x, y);
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  for (int j = 0; j < kBlock; ++j) {
    const bool good = usable(x[j]) & usable(y[j]);
    const C u = to_pixel(x[j], static_cast<C>(width)), v = to_pixel(y[j], static_cast<C>(height));
    const SlopeTaps<C> across = make_slope_taps(u, width), down = make_slope_taps(v, height);
    const bool any = good & inside_frame(u, width) & inside_frame(v, height);
    block.any[j] = any;
    block.x[j] = any ? across.first : 0;
    block.y[j] = any ? down.first : 0;
    block.step_x[j] = any ? across.step : 0;
    block.step_y[j] = any ? down.step : 0;
    for (int k = 0; k < 2; ++k) {
      block.weight_x[k][j] = static_cast<A>(across.weight[k]);
      block.weight_y[k][j] = static_cast<A>(down.weight[k]);
      block.slope_x[k][j] = static_cast<A>(across.slope[k]);
      block.slope_y[k][j] = static_cast<A>(down.slope[k]);
    }
  }
}

// <gradient, tap> over the channels for the four taps of a pixel. The order of the sum is the same at every
// level. N: the feature type, or the one that sums are taken in.
template <typename N, typename T>
void dot_channels_last(const N* gradient, int64_t step, const T* const (&tap)[4], int64_t channels,
                       Accumulator<T> (&dot)[4]) {
  using A = Accumulator<T>;
  constexpr int kLanes = 16;
  if (channels < kLanes) {
    A a = 0, b = 0, c = 0, d = 0;
    for (int64_t k = 0; k < channels; ++k) {
      const A value = widen(gradient[k * step]);
      a += value * widen(tap[0][k]);
      b += value * widen(tap[1][k]);
      c += value * widen(tap[2][k]);
      d += value * widen(tap[3][k]);
    }
    dot[0] = a, dot[1] = b, dot[2] = c, dot[3] = d;
    return;
  }
  alignas(64) A sum[4][kLanes] = {};
  int64_t k = 0;
  if (step == 1) {
    for (; k + kLanes <= channels; k += kLanes) {
      for (int l = 0; l < kLanes; ++l) {
        const A value = widen(gradient[k + l]);
        sum[0][l] += value * widen(tap[0][k + l]);
        sum[1][l] += value * widen(tap[1][k + l]);
        sum[2][l] += value * widen(tap[2][k + l]);
        sum[3][l] += value * widen(tap[3][k + l]);
      }
    }
  }
  for (; k < channels; ++k) {
    for (int t = 0; t < 4; ++t) sum[t][k % kLanes] += widen(gradient[k * step]) * widen(tap[t][k]);
  }
  for (int t = 0; t < 4; ++t) {
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) sum[t][l] += sum[t][l + width];
    }
    dot[t] = sum[t][0];
  }
}

// The terms of a block dotted with its taps: a single one without its coefficient, which is for the caller to
// multiply by; two added up.
template <typename T>
void dot_block(const GridGradientJob<T>& job, const T* features, const TermBlock<T>& found, int count,
               const SlopeBlock<Accumulator<T>>& block, Accumulator<T> (&dot)[4][kBlock],
               Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  const Strides &in = job.in, &from = job.terms.term[0].strides;
  const bool single = job.terms.count == 1;
  Places places;
  find_places(block, in, places);
  const auto& at = places.at;
  if (in.channel == 1 && job.sizes.channels > 1) {
    for (int j = 0; j < count; ++j) {
      if (!block.any[j]) continue;
      const T* const tap[4] = {features + at[0][j], features + at[1][j], features + at[2][j],
                               features + at[3][j]};
      A sums[4];
      if (single) {
        dot_channels_last(found.image[0] + j * from.column, from.channel, tap, job.sizes.channels, sums);
      } else {
        add_terms(job.terms, found, j, job.sizes.channels, scratch);
        dot_channels_last(scratch, 1, tap, job.sizes.channels, sums);
      }
      for (int t = 0; t < 4; ++t) dot[t][j] = sums[t];
    }
    return;
  }
  for (int t = 0; t < 4; ++t) {
    for (int j = 0; j < kBlock; ++j) dot[t][j] = 0;
  }
  alignas(64) A values[kBlock];
  for (int64_t k = 0; k < job.sizes.channels; ++k) {
    const T* plane = features + k * in.channel;
    if (single) {
      const T* image = found.image[0] + k * from.channel;
      for (int j = 0; j < count; ++j) values[j] = widen(image[j * from.column]);
    } else {
      add_terms_of_channel(job.terms, found, k, count, values);
    }
    for (int j = 0; j < count; ++j) {
      for (int t = 0; t < 4; ++t) dot[t][j] += values[j] * widen(plane[at[t][j]]);
    }
  }
}

template <typename G, typename T>
void grid_row(const GridGradientJob<T>& job, int64_t index, Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  const Sizes& sizes = job.sizes;
  const Row row = find_row(sizes, index);
  const T* features = job.features + row.image * job.in.image + row.source * job.in.source;
  const bool single = job.terms.count == 1;
  const A scale_x = pixels_per_ndc(static_cast<A>(sizes.in_width)),
          scale_y = pixels_per_ndc(static_cast<A>(sizes.in_height));
  SlopeBlock<A> block;
  TermBlock<T> found;
  alignas(64) A dot[4][kBlock];
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    job.flow.wide ? find_slopes_in<double, double>(sizes, job.flow, row, begin, count, block)
                  : find_slopes_in<A, float>(sizes, job.flow, row, begin, count, block);
    find_terms(job.terms, row, begin, count, found);
    dot_block(job, features, found, count, block, dot, scratch);
    const int64_t at = index * sizes.width + begin;
    for (int j = 0; j < count && job.out; ++j) {
      const A coefficient = single ? found.coefficient[0][j] : A(1);
      A x = 0, y = 0;
      for (int down = 0; down < 2; ++down) {
        for (int across = 0; across < 2; ++across) {
          // A row or column of weight zero stays out of the slope across it, so that its NaN does not enter.
          const A tap = dot[2 * down + across][j], by_x = block.weight_x[across][j],
                  by_y = block.weight_y[down][j];
          x += by_y == A(0) ? A(0) : block.slope_x[across][j] * by_y * tap;
          y += by_x == A(0) ? A(0) : by_x * block.slope_y[down][j] * tap;
        }
      }
      G* out = static_cast<G*>(job.out) + 2 * (at + j);
      const G to_x = block.any[j] ? static_cast<G>(x * scale_x * coefficient) : G(0),
              to_y = block.any[j] ? static_cast<G>(y * scale_y * coefficient) : G(0);
      out[0] = job.add ? out[0] + to_x : to_x;
      out[1] = job.add ? out[1] + to_y : to_y;
    }
    for (int j = 0; j < count && job.coefficient_out; ++j) {
      A sum = 0;
      for (int t = 0; t < 4; ++t) {
        const A weight = block.weight_y[t / 2][j] * block.weight_x[t % 2][j];
        sum += weight == A(0) ? A(0) : weight * dot[t][j];  // a tap of weight zero is not read
      }
      job.coefficient_out[at + j] = block.any[j] ? sum * job.terms.term[0].factor : A(0);
    }
  }
}

template <typename T>
void grid_all(const GridGradientJob<T>& job, int64_t begin, int64_t end, Accumulator<T>* scratch) {
  for (int64_t index = begin; index < end; ++index) {
    job.flow.wide ? grid_row<double>(job, index, scratch) : grid_row<float>(job, index, scratch);
  }
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix)                                                    \
  void scatter_##suffix(const ScatterJob<T>& job) { scatter_all(job); }              \
  void grid_rows_##suffix(const GridGradientJob<T>& job, int64_t begin, int64_t end, \
                          Accumulator<T>* scratch) {                                 \
    grid_all(job, begin, end, scratch);                                              \
  }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
WARPKIT_DEFINE(Half, half)
WARPKIT_DEFINE(BFloat16, bfloat16)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::warping
