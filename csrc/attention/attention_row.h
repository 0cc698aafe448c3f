// Where a block of pixels reads its sources and what it compares them with: shared by the forward and
// backward loops. Included by *_simd.cpp files alone, once a SIMD level.
#pragma once

#include "attention/attention_softmax.h"
#include "warp/warp_sample.h"

namespace warpkit::attention {
namespace WARPKIT_SIMD {
namespace {

using namespace warping::WARPKIT_SIMD;

// What a task keeps, mostly arrays of S.
template <typename T>
struct Scratch {
  using A = Accumulator<T>;
  Block<A>* block;
  unsigned char (*visible)[kBlock];
  // One pixel, channels side by side; `blended` holds those of a group.
  int64_t* which;
  Sample<T>* value_sample;
  A *blended, *query, *gradient, *score, *alpha_gradient;
  int64_t blended_stride;
  // A block, channel after channel.
  Places *places, *value_places;
  A (*scores)[kBlock], (*alpha_gradients)[kBlock];
};

template <typename T>
Scratch<T> make_scratch(const AttentionJob<T>& job, void* memory) {
  using A = Accumulator<T>;
  Arena arena{static_cast<char*>(memory)};
  const int64_t sources = job.sizes.sources, channels = padded(job.sizes.channels);
  Scratch<T> scratch;
  scratch.block = arena.take<Block<A>>(sources);
  scratch.visible = arena.take<unsigned char[kBlock]>(sources);
  scratch.which = arena.take<int64_t>(sources + 1);
  scratch.value_sample = arena.take<Sample<T>>(sources);
  scratch.blended = arena.take<A>(group_size<A>(job.sizes) * sources * channels);
  scratch.blended_stride = channels;
  scratch.query = arena.take<A>(channels);
  scratch.gradient = arena.take<A>(padded(job.value_channels));
  scratch.score = arena.take<A>(padded(sources));
  scratch.alpha_gradient = arena.take<A>(padded(sources));
  scratch.places = arena.take<Places>(sources);
  scratch.value_places = arena.take<Places>(sources);
  scratch.scores = arena.take<A[kBlock]>(sources);
  scratch.alpha_gradients = arena.take<A[kBlock]>(sources);
  return scratch;
}

template <typename T>
bool all_channels_last(const AttentionJob<T>& job) {
  return job.in.channel == 1 && job.sizes.channels > 1 && job.value_strides.channel == 1 &&
         job.value_channels > 1;
}

template <typename T>
void find_sources(const AttentionJob<T>& job, const Row& row, int64_t begin, int count,
                  const Scratch<T>& scratch) {
  for (int64_t s = 0; s < job.sizes.sources; ++s) {
    const Row at{row.image, s, row.row};
    find_block(job.sizes, job.flow, at, begin, count, scratch.block[s]);
    unsigned char* visible = scratch.visible[s];
    for (int j = 0; j < kBlock; ++j) visible[j] = 1;
    if (job.flow.visible == nullptr) continue;
    const int64_t step = job.flow.visible_strides.column;
    const unsigned char* from = job.flow.visible + offset_of(job.flow.visible_strides, at) + begin * step;
    for (int j = 0; j < count; ++j) visible[j] = from[j * step];
  }
}

// ---- one pixel, channels side by side

// Widens a pixel's channels; zeros to whole lanes.
template <typename T>
WARPKIT_INLINE void load_pixel(const T* from, int64_t step, int64_t channels, Accumulator<T>* to) {
  using A = Accumulator<T>;
  int64_t k = 0;
  if (step == 1) {
    Lanes<A> lanes;
    for (; k + kLanes<A> <= channels; k += kLanes<A>) {
      load_lanes(from + k, lanes);
      store_lanes(lanes, to + k);
    }
  }
  if (k == channels) return;
  for (; k < channels; ++k) to[k] = widen(from[k * step]);
  for (; k % kLanes<A> != 0; ++k) to[k] = A(0);
}

constexpr int kAhead = 4;  // pixels that are asked for before they are read

// Widens pixel j of a row of `count` pixels into `to`, and asks for a later one.
template <typename T>
WARPKIT_INLINE void load_pixel_of_row(const T* row, const Strides& strides, int64_t channels, int64_t j,
                                      int64_t count, Accumulator<T>* to) {
  if (strides.channel == 1 && j + kAhead < count) {
    prefetch_pixel(row + (j + kAhead) * strides.column, channels);
  }
  load_pixel(row + j * strides.column, strides.channel, channels, to);
}

// <with, sample>; and the sample itself into `blended`, if there is one. Whole lanes all.
template <bool kKeep, typename T>
WARPKIT_INLINE Accumulator<T> dot_sample(const Sample<T>& sample, const Accumulator<T>* with,
                                         int64_t channels, Accumulator<T>* blended) {
  using A = Accumulator<T>;
  constexpr int64_t kWidth = kLanes<A>;
  Lanes<A> sum[2] = {}, x, y;
  int64_t k = 0;
  for (; k + 2 * kWidth <= channels; k += 2 * kWidth) {
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
      blend_lanes(sample, k + p * kWidth, x);
      if (kKeep) store_lanes(x, blended + k + p * kWidth);
      load_lanes(with + k + p * kWidth, y);
      sum[p] += x * y;
    }
  }
  for (; k < channels; k += kWidth) {
    k + kWidth <= channels ? blend_lanes(sample, k, x) : blend_tail(sample, k, channels, x);
    if (kKeep) store_lanes(x, blended + k);
    load_lanes(with + k, y);
    sum[0] += x * y;
  }
  sum[0] += sum[1];
  return sum_lanes(sum[0]);
}

template <typename A>
WARPKIT_INLINE A dot_lanes(const A* a, const A* b, int64_t channels) {
  Lanes<A> sum = {}, x, y;
  for (int64_t k = 0; k < channels; k += kLanes<A>) {
    load_lanes(a + k, x);
    load_lanes(b + k, y);
    sum += x * y;
  }
  return sum_lanes(sum);
}

// Lists the sources that pixel j reads in scratch.which; returns how many.
template <typename T>
WARPKIT_INLINE int64_t list_read(const AttentionJob<T>& job, int j, const Scratch<T>& scratch) {
  int64_t found = 0;
  for (int64_t s = 0; s < job.sizes.sources; ++s) {
    scratch.which[found] = s;
    found += scratch.block[s].any[j] != 0;
  }
  return found;
}

// Scores of pixel j's sources, source s at score[s * step]; where kKeep its sample at blended + s *
// scratch.blended_stride, if it reads any.
template <bool kKeep, typename T>
WARPKIT_INLINE void score_pixel(const AttentionJob<T>& job, const T* features, int j, int count,
                                const Scratch<T>& scratch, Accumulator<T>* score, int64_t step,
                                Accumulator<T>* blended) {
  using A = Accumulator<T>;
  const int64_t channels = job.sizes.channels;
  for (int64_t s = 0; s < job.sizes.sources; ++s) {
    const Block<A>& block = scratch.block[s];
    const T* source = features + s * job.in.source;
    if (j + kAhead < count) prefetch_sample(source, job.in, block, j + kAhead, channels);
    score[s * step] = scratch.visible[s][j] ? A(0) : left_out<A>();
    if (!block.any[j]) continue;
    Sample<T> sample;
    find_sample(source, job.in, block, j, A(1), sample);
    score[s * step] =
        job.scale * dot_sample<kKeep>(sample, scratch.query, channels, blended + s * scratch.blended_stride);
  }
}

// Writes the sum of weight * blended of the sources scratch.which[0..found - 1] as a pixel; the weight of
// source s is weight[s * weight_step].
template <typename T>
WARPKIT_INLINE void write_blended(const Scratch<T>& scratch, int64_t found, const Accumulator<T>* blended,
                                  const Accumulator<T>* weight, int64_t weight_step, int64_t channels, T* out,
                                  int64_t step, Store store) {
  using A = Accumulator<T>;
  for (int64_t k = 0; k < channels; k += kLanes<A>) {
    Lanes<A> sum = {}, x;
    for (int64_t n = 0; n < found; ++n) {
      const int64_t s = scratch.which[n];
      load_lanes(blended + s * scratch.blended_stride + k, x);
      sum += weight[s * weight_step] * x;
    }
    store_pixel(sum, out, k, channels, step, store);
  }
}

// ---- a block, channel after channel

template <typename T>
void find_all_places(const AttentionJob<T>& job, const Scratch<T>& scratch) {
  for (int64_t s = 0; s < job.sizes.sources; ++s) {
    find_places(scratch.block[s], job.in, scratch.places[s]);
    find_places(scratch.block[s], job.value_strides, scratch.value_places[s]);
  }
}

// Adds <with, sample> of each pixel and source to `dots`, for images of `channels` channels.
template <typename T>
void dot_planar(const T* sources_at, const Strides& in, const Places* places, const T* with,
                const Strides& with_strides, int64_t channels, int64_t sources, int count,
                const Block<Accumulator<T>>* block, Accumulator<T> (*dots)[kBlock]) {
  using A = Accumulator<T>;
  for (int64_t k = 0; k < channels; ++k) {
    alignas(64) A values[kBlock] = {};
    for (int j = 0; j < count; ++j) {
      values[j] = widen(with[k * with_strides.channel + j * with_strides.column]);
    }
    for (int64_t s = 0; s < sources; ++s) {
      const T* plane = sources_at + s * in.source + k * in.channel;
      if (k + kPlanesAhead < channels) prefetch_plane(plane + kPlanesAhead * in.channel, places[s], count);
      for (int j = 0; j < count; ++j) {
        const A product = values[j] * blend_place(plane, places[s], block[s], j);
        dots[s][j] += block[s].any[j] ? product : A(0);
      }
    }
  }
}

// Writes the sum over sources of weight * sample.
template <typename T>
void sum_planar(const T* sources_at, const Strides& in, const Places* places,
                const Accumulator<T> (*weight)[kBlock], int64_t channels, int64_t sources, int count,
                const Block<Accumulator<T>>* block, T* out, const Strides& out_strides) {
  using A = Accumulator<T>;
  for (int64_t k = 0; k < channels; ++k) {
    alignas(64) A sum[kBlock] = {};
    for (int64_t s = 0; s < sources; ++s) {
      const T* plane = sources_at + s * in.source + k * in.channel;
      if (k + kPlanesAhead < channels) prefetch_plane(plane + kPlanesAhead * in.channel, places[s], count);
      for (int j = 0; j < count; ++j) {
        const A product = weight[s][j] * blend_place(plane, places[s], block[s], j);
        sum[j] += block[s].any[j] ? product : A(0);
      }
    }
    for (int j = 0; j < count; ++j) {
      narrow(sum[j], out + k * out_strides.channel + j * out_strides.column);
    }
  }
}

// alpha of a block into scratch.scores.
template <typename T>
void attend_block(const AttentionJob<T>& job, const T* features, const T* query, int count,
                  const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const int64_t sources = job.sizes.sources;
  for (int64_t s = 0; s < sources; ++s) {
    for (int j = 0; j < kBlock; ++j) scratch.scores[s][j] = A(0);
  }
  dot_planar(features, job.in, scratch.places, query, job.query_strides, job.sizes.channels, sources, count,
             scratch.block, scratch.scores);
  for (int64_t s = 0; s < sources; ++s) {
    for (int j = 0; j < kBlock; ++j) {
      const A score = job.scale * scratch.scores[s][j];
      scratch.scores[s][j] = scratch.visible[s][j] ? score : left_out<A>();
    }
  }
  softmax_block(scratch.scores, sources, kBlock);
}

}  // namespace
}  // namespace WARPKIT_SIMD
}  // namespace warpkit::attention
