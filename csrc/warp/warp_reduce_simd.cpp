// warp_reduce's inner loops. Compiled once a SIMD level; no standard library here (common/simd.h says why).
#include "warp/warp_reduce_simd.h"

#include "warp/warp_sample.h"

namespace warpkit::warping {
namespace WARPKIT_SIMD {
namespace {

// What a task keeps of the sources at a block of pixels: arrays of S.
template <typename T>
struct Scratch {
  Block<Accumulator<T>>* block;
  Accumulator<T> (*coefficient)[kBlock];
  Places* places;
  Sample<T>* sample;
};

template <typename T>
void find_sources(const ReduceJob<T>& job, const Row& row, int64_t begin, int count,
                  const Scratch<T>& scratch) {
  for (int64_t s = 0; s < job.sizes.sources; ++s) {
    const Row at{row.image, s, row.row};
    find_block(job.sizes, job.flow, at, begin, count, scratch.block[s]);
    load_coefficients(job.weights, job.weights_strides, at, begin, count, job.factor, scratch.coefficient[s]);
  }
}

template <typename T>
void reduce_row_channels_last(const ReduceJob<T>& job, const Row& row, const Scratch<T>& scratch) {
  const Sizes& sizes = job.sizes;
  const T* features = job.features + row.image * job.in.image;
  T* out_row = job.out + offset_of(job.out_strides, row);
  const Store store =
      find_store(job.out, job.out_strides, sizes.channels, sizes.batch * sizes.height * sizes.width);
  constexpr int kAhead = 2;  // pixels
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    for (int j = 0; j < count; ++j) {
      int64_t found = 0;
      for (int64_t s = 0; s < sizes.sources; ++s) {
        const T* source = features + s * job.in.source;
        if (j + kAhead < count) prefetch_sample(source, job.in, scratch.block[s], j + kAhead, sizes.channels);
        if (!scratch.block[s].any[j]) continue;
        find_sample(source, job.in, scratch.block[s], j, scratch.coefficient[s][j], scratch.sample[found++]);
      }
      write_sum(scratch.sample, found, sizes.channels, out_row + (begin + j) * job.out_strides.column, 1,
                store);
    }
  }
}

template <typename T>
void reduce_row_planar(const ReduceJob<T>& job, const Row& row, const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const Sizes& sizes = job.sizes;
  T* out_row = job.out + offset_of(job.out_strides, row);
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    for (int64_t s = 0; s < sizes.sources; ++s) find_places(scratch.block[s], job.in, scratch.places[s]);
    for (int64_t k = 0; k < sizes.channels; ++k) {
      alignas(64) A sum[kBlock] = {};
      for (int64_t s = 0; s < sizes.sources; ++s) {
        const T* plane = job.features + row.image * job.in.image + s * job.in.source + k * job.in.channel;
        if (k + kPlanesAhead < sizes.channels) {
          prefetch_plane(plane + kPlanesAhead * job.in.channel, scratch.places[s], count);
        }
        const Block<A>& block = scratch.block[s];
        for (int j = 0; j < count; ++j) {
          const A value = scratch.coefficient[s][j] * blend_place(plane, scratch.places[s], block, j);
          sum[j] += block.any[j] ? value : A(0);
        }
      }
      T* out = out_row + k * job.out_strides.channel + begin * job.out_strides.column;
      for (int j = 0; j < count; ++j) narrow(sum[j], out + j * job.out_strides.column);
    }
  }
}

template <typename T>
void reduce_all(const ReduceJob<T>& job, int64_t begin, int64_t end, void* memory) {
  Arena arena{static_cast<char*>(memory)};
  const int64_t sources = job.sizes.sources;
  Scratch<T> scratch;
  scratch.block = arena.take<Block<Accumulator<T>>>(sources);
  scratch.coefficient = arena.take<Accumulator<T>[kBlock]>(sources);
  scratch.places = arena.take<Places>(sources);
  scratch.sample = arena.take<Sample<T>>(sources);
  const bool channels_last = job.in.channel == 1 && job.sizes.channels > 1;
  for (int64_t index = begin; index < end; ++index) {
    const Row row{index / job.sizes.height, 0, index % job.sizes.height};
    channels_last ? reduce_row_channels_last(job, row, scratch) : reduce_row_planar(job, row, scratch);
  }
  end_stream();
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix)                                                                 \
  void reduce_rows_##suffix(const ReduceJob<T>& job, int64_t begin, int64_t end, void* scratch) { \
    reduce_all(job, begin, end, scratch);                                                         \
  }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
WARPKIT_DEFINE(Half, half)
WARPKIT_DEFINE(BFloat16, bfloat16)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::warping
