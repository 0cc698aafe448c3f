// What the GPU's walks of warping share: feature types, 16-byte packs, and where a pixel of the output lies.
// Include from .cu files only.
#pragma once

#include <cstring>
#include <type_traits>

#include "common/cuda.h"
#include "common/dtypes.h"
#include "warp/warp.h"
#include "warp/warp_math.h"

namespace warpkit::warping {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// Blocks that are to fit on a multiprocessor at once, so that enough loads are under way: with 4, a thread
// has 64 registers, with 2 it has 128. Left alone, the compiler takes up to twice as many, for nothing but
// address arithmetic done early.
template <typename T>
constexpr int kBlocks = sizeof(T) == 8 ? 2 : 4;

template <typename A, typename G>
using Wider = std::conditional_t<std::is_same_v<A, double> || std::is_same_v<G, double>, double, float>;

template <typename T>
__device__ __forceinline__ T narrow(Accumulator<T> value) {
  T out;
  warpkit::narrow(value, &out);
  return out;
}

// kCount numbers side by side, moved by one instruction.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T value[kCount];
};

// Of what no thread of the kernel writes: such loads may be asked for ahead of earlier stores.
template <int kCount, typename T>
__device__ __forceinline__ Pack<T, kCount> load_pack(const T* at) {
  using Whole = std::conditional_t<
      sizeof(T) * kCount == 16, uint4,
      std::conditional_t<sizeof(T) * kCount == 8, uint2,
                         std::conditional_t<sizeof(T) * kCount == 4, unsigned, unsigned short>>>;
  static_assert(sizeof(Whole) == sizeof(Pack<T, kCount>), "a load of 2, 4, 8 or 16 bytes");
  const Whole whole = __ldg(reinterpret_cast<const Whole*>(at));
  Pack<T, kCount> pack;
  memcpy(&pack, &whole, sizeof(pack));
  return pack;
}
template <typename T, int kCount>
__device__ __forceinline__ void store_pack(T* at, const Pack<T, kCount>& pack) {
  *reinterpret_cast<Pack<T, kCount>*>(at) = pack;
}

// Whether every pixel's channels can be moved 16 bytes at a time.
template <typename T>
bool takes_vectors(const T* data, const Strides& strides, int64_t channels) {
  constexpr int64_t kVector = 16 / sizeof(T);
  return strides.channel == 1 && channels % kVector == 0 && reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
         strides.image % kVector == 0 && strides.source % kVector == 0 && strides.row % kVector == 0 &&
         strides.column % kVector == 0;
}

// Slices of channel planes, so many each.
inline unsigned slices_for(int64_t channels, int64_t each) {
  const int64_t slices = (channels + each - 1) / each, most = 65535;
  return static_cast<unsigned>(slices < 1 ? 1 : slices < most ? slices : most);
}

// Lanes that share a pixel of so many pieces: a power of two up to a warp.
inline int lanes_for(int64_t pieces) {
  int lanes = 1;
  while (lanes < kWarp && lanes < pieces) lanes *= 2;
  return lanes;
}

// A pixel of the output.
struct Place {
  int64_t image, source, row, column;
};

// Sizes as kernels use them.
struct Extent : Sizes {
  Divider by_width, by_height, by_sources, by_in_width, by_in_height;

  Extent(const Sizes& sizes)  // NOLINT(google-explicit-constructor): the same, prepared
      : Sizes(sizes),
        by_width(sizes.width),
        by_height(sizes.height),
        by_sources(sizes.sources),
        by_in_width(sizes.in_width),
        by_in_height(sizes.in_height) {}
};

__host__ __device__ inline int64_t count_pixels(const Sizes& sizes) {
  return sizes.batch * sizes.sources * sizes.height * sizes.width;
}

__device__ __forceinline__ Place find_place(const Extent& sizes, int64_t index) {
  const int64_t row = sizes.by_width.quotient(index), image_source = sizes.by_height.quotient(row),
                image = sizes.by_sources.quotient(image_source);
  return {image, image_source - image * sizes.sources, row - image_source * sizes.height,
          index - row * sizes.width};
}

__device__ __forceinline__ int64_t offset_of(const Strides& strides, const Place& place) {
  return place.image * strides.image + place.source * strides.source + place.row * strides.row +
         place.column * strides.column;
}

// The flow at a pixel; false where it is not visible or not usable.
template <typename C, typename G>
__device__ __forceinline__ bool load_point(const FlowView& flow, const Place& place, C* x, C* y) {
  if (flow.visible != nullptr && !flow.visible[offset_of(flow.visible_strides, place)]) return false;
  const G* grid = static_cast<const G*>(flow.grid) + offset_of(flow.grid_strides, place);
  *x = static_cast<C>(grid[0]);
  *y = static_cast<C>(grid[flow.grid_strides.channel]);
  return usable(*x) & usable(*y);
}

// ---- what a pixel reads of a source ----------------------------------------------------------------------

// Few enough numbers to be passed from lane to lane: the first tap's place with, in the low bits, what else
// is read (1: anything, 2: a step to the right, 4: a step down), and the second taps' weights along each
// axis.
template <typename A>
struct Read {
  int64_t code;
  A right, down;
};

// The four taps that a Read stands for: the first one's offset, the steps to the others, their weights.
template <typename A>
struct Blend {
  int64_t first, right, below;
  A weight[4];
};

template <typename A, typename G>
__device__ __forceinline__ Read<A> find_read(const Sizes& sizes, const FlowView& flow, const Strides& in,
                                             const Place& place) {
  using C = Wider<A, G>;
  Read<A> read = {0, A(0), A(0)};
  C x, y;
  if (!load_point<C, G>(flow, place, &x, &y)) return read;
  const int32_t width = static_cast<int32_t>(sizes.in_width), height = static_cast<int32_t>(sizes.in_height);
  const Taps<C> across = make_taps(to_pixel(x, static_cast<C>(width)), width);
  const Taps<C> down = make_taps(to_pixel(y, static_cast<C>(height)), height);
  if (!(across.any & down.any)) return read;
  const int64_t first =
      place.image * in.image + place.source * in.source + down.first * in.row + across.first * in.column;
  read.code = first * 8 + (1 | (across.step ? 2 : 0) | (down.step ? 4 : 0));
  read.right = static_cast<A>(across.weight[1]);
  read.down = static_cast<A>(down.weight[1]);
  return read;
}

template <typename A>
__device__ __forceinline__ Read<A> find_read(const Sizes& sizes, const FlowView& flow, const Strides& in,
                                             const Place& place) {
  return flow.wide ? find_read<A, double>(sizes, flow, in, place)
                   : find_read<A, float>(sizes, flow, in, place);
}

template <typename A>
__device__ __forceinline__ Read<A> take_read(const Read<A>& mine, int lane) {
  return {__shfl_sync(kAllLanes, mine.code, lane), __shfl_sync(kAllLanes, mine.right, lane),
          __shfl_sync(kAllLanes, mine.down, lane)};
}

// Where an axis has no step, both taps name one pixel and share its weight by halves (Taps).
template <typename A>
__device__ __forceinline__ Blend<A> find_blend(const Read<A>& read, const Strides& in) {
  const bool across = read.code & 2, along = read.code & 4;
  const A left = across ? A(1) - read.right : read.right, up = along ? A(1) - read.down : read.down;
  return {read.code >> 3,
          across ? in.column : 0,
          along ? in.row : 0,
          {up * left, up * read.right, read.down * left, read.down * read.right}};
}

template <typename A>
__device__ __forceinline__ A mix(const A (&weight)[4], A a, A b, A c, A d) {
  return fma(weight[3], d, fma(weight[2], c, fma(weight[1], b, weight[0] * a)));
}

// kVector channels' values at a point; `at`: the first one's first tap.
template <typename T, int kVector>
__device__ __forceinline__ void sample(const T* at, const Blend<Accumulator<T>>& blend,
                                       Accumulator<T> (&value)[kVector]) {
  const Pack<T, kVector> a = load_pack<kVector>(at), b = load_pack<kVector>(at + blend.right),
                         c = load_pack<kVector>(at + blend.below),
                         d = load_pack<kVector>(at + blend.below + blend.right);
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    value[k] = mix(blend.weight, widen(a.value[k]), widen(b.value[k]), widen(c.value[k]), widen(d.value[k]));
  }
}

// ---- how a warp shares pixels and sources -----------------------------------------------------------------

// Each lane finds the read of one item, a pixel and a source; then groups of `lanes` lanes serve a pixel each
// and take the reads of its sources from the lanes that found them. `together` sources of a pixel are found
// at once, as many as a group has lanes at most: with more sources, they come in several turns and a group
// serves one pixel; otherwise it serves `steps` of them, one after the other.
struct Share {
  int lanes, together;
};

// Warps that fill a large GPU. Of fewer pixels, a warp takes fewer: `together` beyond the sources leaves
// lanes without an item, but gives more warps work.
constexpr int64_t kEnoughWarps = 8192;

inline Share share_sources(int lanes, int64_t sources, int64_t pixels) {
  int together = 1;
  while (together < lanes && (together < sources || pixels * together < kEnoughWarps * kWarp)) together *= 2;
  return {lanes, together};
}

struct Round {
  int lane, lanes, together, groups, group, within, pixels, steps;

  __device__ __forceinline__ explicit Round(const Share& share)
      : lane(static_cast<int>(threadIdx.x) % kWarp),
        lanes(share.lanes),
        together(share.together),
        groups(kWarp / share.lanes),
        group(lane / share.lanes),
        within(lane % share.lanes),
        pixels(kWarp / share.together),
        steps(share.lanes / share.together) {}

  // Of this warp: its first pixel, and how far on its next one lies.
  __device__ __forceinline__ int64_t begin() const {
    return (int64_t(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp) * pixels;
  }
  __device__ __forceinline__ int64_t stride() const {
    return int64_t(gridDim.x) * (kThreads / kWarp) * pixels;
  }
  // Of the pixels from begin(): the one whose item this lane finds, and the one that its group serves.
  __device__ __forceinline__ int found() const { return lane / together; }
  __device__ __forceinline__ int served(int step) const { return step * groups + group; }
  // The lane that found the item of the served pixel and a source.
  __device__ __forceinline__ int finder(int step, int source) const {
    return served(step) * together + source;
  }
};

using warpkit::blocks_for;
inline unsigned blocks_for(const Share& share, int64_t pixels) {
  return blocks_for(pixels * share.together, kThreads);
}

// Sum over the lanes of a group, in every one of them.
template <typename A>
__device__ __forceinline__ A sum_group(A value, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  return value;
}

// Pixels of [B,H,W], and the place of one; its source is 0.
__host__ __device__ inline int64_t count_targets(const Sizes& sizes) {
  return sizes.batch * sizes.height * sizes.width;
}

__device__ __forceinline__ Place find_target(const Extent& sizes, int64_t index) {
  const int64_t row = sizes.by_width.quotient(index), image = sizes.by_height.quotient(row);
  return {image, 0, row - image * sizes.height, index - row * sizes.width};
}

// Where a pixel lies in a contiguous [B,S,H,W].
__device__ __forceinline__ int64_t map_index(const Sizes& sizes, const Place& place) {
  return ((place.image * sizes.sources + place.source) * sizes.height + place.row) * sizes.width +
         place.column;
}

}  // namespace warpkit::warping
