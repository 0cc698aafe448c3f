// The CPU's inner loops. Compiled once a SIMD level; no standard library here (common/simd.h says why).
#include "warp/warp_simd.h"

#include "warp/warp_sample.h"

namespace warpkit::warping {
namespace WARPKIT_SIMD {
namespace {

// One pixel, all channels side by side.
template <int kChannels, typename T>
inline __attribute__((always_inline)) void blend_pixel(const T* const (&tap)[4],
                                                       const Accumulator<T> (&weight)[4], T* __restrict out,
                                                       int64_t num_channels) {
  const int64_t channels = kChannels > 0 ? kChannels : num_channels;
  const T *a = tap[0], *b = tap[1], *c = tap[2], *d = tap[3];
  for (int64_t k = 0; k < channels; ++k) {
    narrow((weight[0] * widen(a[k]) + weight[1] * widen(b[k])) +
               (weight[2] * widen(c[k]) + weight[3] * widen(d[k])),
           &out[k]);
  }
}

// The same, past the caches. Each element is the same sum.
inline __attribute__((always_inline)) void stream_pixel(const float* const (&tap)[4],
                                                        const float (&weight)[4], float* out,
                                                        int64_t channels) {
  const float *a = tap[0], *b = tap[1], *c = tap[2], *d = tap[3];
  for (int64_t k = 0; k < channels; k += kStreamFloats) {
    stream_floats(out + k, (weight[0] * load_floats(a + k) + weight[1] * load_floats(b + k)) +
                               (weight[2] * load_floats(c + k) + weight[3] * load_floats(d + k)));
  }
}

// Whether stream_pixel may write the output, and is worth it.
template <typename T>
bool streams(const ForwardJob<T>& job) {
  if constexpr (__is_same(T, float)) {
    const Sizes& sizes = job.sizes;
    return sizes.channels % kStreamFloats == 0 &&
           reinterpret_cast<uintptr_t>(job.out) % sizeof(StreamFloats) == 0 &&
           sizes.batch * sizes.sources * sizes.height * sizes.width * sizes.channels * 4 >= kStreamBytes;
  }
  return false;
}

template <int kChannels, typename T>
void warp_row_channels_last(const ForwardJob<T>& job, const Row& row) {
  const Sizes& sizes = job.sizes;
  const int64_t channels = kChannels > 0 ? kChannels : sizes.channels;
  const T* features = job.features + row.image * job.in.image + row.source * job.in.source;
  T* out = job.out + offset_of(job.out_strides, row);
  constexpr int kAhead = 4;  // pixels; 1, 2 and 8 are slower at 256 channels
  const bool streamed = kChannels == 0 && streams(job);
  Block<Accumulator<T>> block;
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_block(sizes, job.flow, row, begin, count, block);
    for (int j = 0; j < count; ++j, out += channels) {
      if (kChannels == 0 && j + kAhead < count)
        prefetch_sample(features, job.in, block, j + kAhead, channels);
      if (!block.any[j]) {
        for (int64_t k = 0; k < channels; ++k) narrow(Accumulator<T>(0), &out[k]);
        continue;
      }
      const T* first = features + block.y[j] * job.in.row + block.x[j] * job.in.column;
      const int64_t right = block.step_x[j] * job.in.column, below = block.step_y[j] * job.in.row;
      const T* const tap[4] = {first, first + right, first + below, first + below + right};
      const Accumulator<T> weight[4] = {block.weight[0][j], block.weight[1][j], block.weight[2][j],
                                        block.weight[3][j]};
      if constexpr (kChannels == 0 && __is_same(T, float)) {
        if (streamed) {
          stream_pixel(tap, weight, out, channels);
          continue;
        }
      }
      blend_pixel<kChannels>(tap, weight, out, channels);
    }
  }
}

// Channel after channel, pixels side by side: any strides.
template <typename T>
void warp_row_planar(const ForwardJob<T>& job, const Row& row) {
  using A = Accumulator<T>;
  const Sizes& sizes = job.sizes;
  const T* features = job.features + row.image * job.in.image + row.source * job.in.source;
  T* out_row = job.out + offset_of(job.out_strides, row);
  Block<A> block;
  Places places;
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_block(sizes, job.flow, row, begin, count, block);
    find_places(block, job.in, places);
    for (int64_t k = 0; k < sizes.channels; ++k) {
      const T* plane = features + k * job.in.channel;
      T* __restrict out = out_row + k * job.out_strides.channel + begin;
      for (int j = 0; j < count; ++j) narrow(blend_place(plane, places, block, j), &out[j]);
    }
  }
}

template <typename T>
void warp_all(const ForwardJob<T>& job, int64_t begin, int64_t end) {
  for (int64_t index = begin; index < end; ++index) {
    const Row row = find_row(job.sizes, index);
    if (job.in.channel != 1 || job.sizes.channels == 1) {
      warp_row_planar(job, row);
    } else {
      switch (job.sizes.channels) {
        case 2:
          warp_row_channels_last<2>(job, row);
          break;
        case 3:
          warp_row_channels_last<3>(job, row);
          break;
        case 4:
          warp_row_channels_last<4>(job, row);
          break;
        case 8:
          warp_row_channels_last<8>(job, row);
          break;
        case 16:
          warp_row_channels_last<16>(job, row);
          break;
        default:
          warp_row_channels_last<0>(job, row);
      }
    }
  }
  end_stream();
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix) \
  void warp_rows_##suffix(const ForwardJob<T>& job, int64_t begin, int64_t end) { warp_all(job, begin, end); }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
WARPKIT_DEFINE(Half, half)
WARPKIT_DEFINE(BFloat16, bfloat16)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::warping
