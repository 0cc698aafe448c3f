// What a pixel reads of its sources: taps, their blend, and sums of blends. Included by *_simd.cpp files
// alone, once a SIMD level.
#pragma once

#include "common/lanes.h"
#include "common/stream.h"
#include "warp/warp_block.h"

namespace warpkit::warping {
namespace WARPKIT_SIMD {
namespace {

#define WARPKIT_INLINE inline __attribute__((always_inline))

// The sample of one source: sum of weight * at[0..channels - 1].
template <typename T>
struct Sample {
  const T* at[4];
  Accumulator<T> weight[4];
};

// Sample of pixel j, weights times `coefficient`. `source` is its first pixel.
template <typename T>
WARPKIT_INLINE void find_sample(const T* source, const Strides& in, const Block<Accumulator<T>>& block, int j,
                                Accumulator<T> coefficient, Sample<T>& sample) {
  const T* first = source + block.y[j] * in.row + block.x[j] * in.column;
  const int64_t right = block.step_x[j] * in.column, below = block.step_y[j] * in.row;
  sample.at[0] = first;
  sample.at[1] = first + right;
  sample.at[2] = first + below;
  sample.at[3] = first + below + right;
  for (int t = 0; t < 4; ++t) sample.weight[t] = coefficient * block.weight[t][j];
}

// Asks for a pixel of channels side by side.
template <typename T>
WARPKIT_INLINE void prefetch_pixel(const T* pixel, int64_t channels) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t k = 0; k < channels; k += kLine) __builtin_prefetch(pixel + k);
}

// Asks for the lower right tap of pixel j: the others have mostly been read for its neighbours.
template <typename T>
WARPKIT_INLINE void prefetch_sample(const T* source, const Strides& in, const Block<Accumulator<T>>& block,
                                    int j, int64_t channels) {
  prefetch_pixel(
      source + (block.y[j] + block.step_y[j]) * in.row + (block.x[j] + block.step_x[j]) * in.column,
      channels);
}

// Channels k.. of a sample; past the last channel zero.
template <typename T>
WARPKIT_INLINE void blend_lanes(const Sample<T>& sample, int64_t k, Lanes<Accumulator<T>>& out) {
  Lanes<Accumulator<T>> a, b, c, d;
  load_lanes(sample.at[0] + k, a);
  load_lanes(sample.at[1] + k, b);
  load_lanes(sample.at[2] + k, c);
  load_lanes(sample.at[3] + k, d);
  out = (sample.weight[0] * a + sample.weight[1] * b) + (sample.weight[2] * c + sample.weight[3] * d);
}

template <typename T>
void blend_tail(const Sample<T>& sample, int64_t k, int64_t channels, Lanes<Accumulator<T>>& out) {
  alignas(64) Accumulator<T> tail[kLanes<Accumulator<T>>] = {};
  for (int64_t l = 0; l < channels - k; ++l) {
    tail[l] =
        (sample.weight[0] * widen(sample.at[0][k + l]) + sample.weight[1] * widen(sample.at[1][k + l])) +
        (sample.weight[2] * widen(sample.at[2][k + l]) + sample.weight[3] * widen(sample.at[3][k + l]));
  }
  __builtin_memcpy(&out, tail, sizeof(out));
}

// How a pixel of the output is written.
enum class Store { strided, side_by_side, streamed };

// Whether pixels may be streamed, and it is worth it (common/stream.h).
template <typename T>
Store find_store(const T* out, const Strides& strides, int64_t channels, int64_t pixels) {
  if (strides.channel != 1 && channels > 1) return Store::strided;
  if constexpr (__is_same(T, float)) {
    if (channels % kLanes<float> == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0 &&
        pixels * channels * 4 >= kStreamBytes) {
      return Store::streamed;
    }
  }
  return Store::side_by_side;
}

// Writes channels k.. of a pixel at `out`.
template <typename T>
WARPKIT_INLINE void store_pixel(const Lanes<Accumulator<T>>& lanes, T* out, int64_t k, int64_t channels,
                                int64_t step, Store store) {
  constexpr int kCount = kLanes<Accumulator<T>>;
  if constexpr (__is_same(T, float)) {
    if (store == Store::streamed) {
      StreamFloats part[kCount / kStreamFloats];
      __builtin_memcpy(part, &lanes, sizeof(lanes));
      for (int p = 0; p < kCount / kStreamFloats; ++p) stream_floats(out + k + p * kStreamFloats, part[p]);
      return;
    }
  }
  if (store != Store::strided && k + kCount <= channels) return store_lanes(lanes, out + k);
  alignas(64) Accumulator<T> values[kCount];
  __builtin_memcpy(values, &lanes, sizeof(lanes));
  for (int64_t l = 0; l < kCount && k + l < channels; ++l) narrow(values[l], out + (k + l) * step);
}

// Writes the sum of `count` samples as a pixel: kParts lanes at channel k.
template <int kParts, typename T>
WARPKIT_INLINE void sum_part(const Sample<T>* samples, int64_t count, int64_t k, int64_t channels, T* out,
                             int64_t step, Store store) {
  using A = Accumulator<T>;
  Lanes<A> sum[kParts] = {};
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      Lanes<A> x;
      blend_lanes(samples[n], k + p * kLanes<A>, x);
      sum[p] += x;
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kParts; ++p) store_pixel(sum[p], out, k + p * kLanes<A>, channels, step, store);
}

template <typename T>
WARPKIT_INLINE void write_sum(const Sample<T>* samples, int64_t count, int64_t channels, T* out, int64_t step,
                              Store store) {
  using A = Accumulator<T>;
  constexpr int64_t kWidth = kLanes<A>;
  int64_t k = 0;
  for (; k + 4 * kWidth <= channels; k += 4 * kWidth) {
    sum_part<4>(samples, count, k, channels, out, step, store);
  }
  for (; k + kWidth <= channels; k += kWidth) sum_part<1>(samples, count, k, channels, out, step, store);
  if (k == channels) return;
  Lanes<A> sum = {}, x;
  for (int64_t n = 0; n < count; ++n) {
    blend_tail(samples[n], k, channels, x);
    sum += x;
  }
  store_pixel(sum, out, k, channels, step, store);
}

// ---- channel after channel, pixels side by side: any strides

// Places of the four taps of a block's pixels.
struct Places {
  int64_t at[4][kBlock];
};

template <typename Block>
void find_places(const Block& block, const Strides& in, Places& places) {
  for (int j = 0; j < kBlock; ++j) {
    const int64_t right = block.step_x[j] * in.column, below = block.step_y[j] * in.row;
    places.at[0][j] = block.y[j] * in.row + block.x[j] * in.column;
    places.at[1][j] = places.at[0][j] + right;
    places.at[2][j] = places.at[0][j] + below;
    places.at[3][j] = places.at[2][j] + right;
  }
}

// Asks for what a block reads of a plane: neighbouring pixels mostly share a line of memory, planes do not,
// and no hardware guesses the next plane.
template <typename T>
WARPKIT_INLINE void prefetch_plane(const T* plane, const Places& places, int count) {
  constexpr int kStep = 16;
  for (int j = 0; j < count; j += kStep) {
    __builtin_prefetch(plane + places.at[0][j]);
    __builtin_prefetch(plane + places.at[2][j]);
  }
  __builtin_prefetch(plane + places.at[1][count - 1]);
  __builtin_prefetch(plane + places.at[3][count - 1]);
}
constexpr int kPlanesAhead = 2;

// One channel of a pixel, 0 where nothing is read.
template <typename T>
WARPKIT_INLINE Accumulator<T> blend_place(const T* plane, const Places& places,
                                          const Block<Accumulator<T>>& block, int j) {
  const Accumulator<T> value = (block.weight[0][j] * widen(plane[places.at[0][j]]) +
                                block.weight[1][j] * widen(plane[places.at[1][j]])) +
                               (block.weight[2][j] * widen(plane[places.at[2][j]]) +
                                block.weight[3][j] * widen(plane[places.at[3][j]]));
  return block.any[j] ? value : Accumulator<T>(0);
}

// A piece of a task's scratch.
struct Arena {
  char* next;
  template <typename N>
  N* take(int64_t count) {
    N* piece = reinterpret_cast<N*>(next);
    next += (count * int64_t(sizeof(N)) + 63) / 64 * 64;
    return piece;
  }
};

}  // namespace
}  // namespace WARPKIT_SIMD
}  // namespace warpkit::warping
