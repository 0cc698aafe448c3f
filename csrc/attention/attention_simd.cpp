// warp_attention's inner loops. Compiled once a SIMD level; no standard library here (common/simd.h says
// why).
#include "attention/attention_simd.h"

#include "attention/attention_row.h"

namespace warpkit::attention {
namespace WARPKIT_SIMD {
namespace {

template <typename T>
void attend_row_channels_last(const AttentionJob<T>& job, const Row& row, const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const Sizes& sizes = job.sizes;
  const int group = static_cast<int>(group_size<A>(sizes));
  const int64_t samples = sizes.sources * scratch.blended_stride;
  const T* features = job.features + row.image * job.in.image;
  const T* value = job.value + row.image * job.value_strides.image;
  const T* query = job.query + offset_of(job.query_strides, row);
  T* out = job.out + offset_of(job.out_strides, row);
  const Store store =
      find_store(job.out, job.out_strides, job.value_channels, sizes.batch * sizes.height * sizes.width);
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    for (int first = 0; first < count; first += group) {
      const int last = least(first + group, count);
      for (int j = first; j < last; ++j) {
        load_pixel_of_row(query, job.query_strides, sizes.channels, begin + j, sizes.width, scratch.query);
        A *score = scratch.scores[0] + (j - first), *blended = scratch.blended + (j - first) * samples;
        job.one_gather ? score_pixel<true>(job, features, j, count, scratch, score, kBlock, blended)
                       : score_pixel<false>(job, features, j, count, scratch, score, kBlock, blended);
      }
      softmax_block(scratch.scores, sizes.sources, last - first);
      for (int j = first; j < last; ++j) {
        const int64_t found = list_read(job, j, scratch);
        const A* alpha = scratch.scores[0] + (j - first);
        T* to = out + (begin + j) * job.out_strides.column;
        if (job.one_gather) {
          write_blended(scratch, found, scratch.blended + (j - first) * samples, alpha, kBlock,
                        sizes.channels, to, job.out_strides.channel, store);
          continue;
        }
        for (int64_t n = 0; n < found; ++n) {
          const int64_t s = scratch.which[n];
          find_sample(value + s * job.value_strides.source, job.value_strides, scratch.block[s], j,
                      alpha[s * kBlock], scratch.value_sample[n]);
        }
        write_sum(scratch.value_sample, found, job.value_channels, to, job.out_strides.channel, store);
      }
    }
  }
}

template <typename T>
void attend_row_planar(const AttentionJob<T>& job, const Row& row, const Scratch<T>& scratch) {
  const Sizes& sizes = job.sizes;
  const T* features = job.features + row.image * job.in.image;
  const T* value = job.value + row.image * job.value_strides.image;
  const T* query = job.query + offset_of(job.query_strides, row);
  T* out = job.out + offset_of(job.out_strides, row);
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    find_all_places(job, scratch);
    attend_block(job, features, query + begin * job.query_strides.column, count, scratch);
    sum_planar(value, job.value_strides, scratch.value_places, scratch.scores, job.value_channels,
               sizes.sources, count, scratch.block, out + begin * job.out_strides.column, job.out_strides);
  }
}

template <typename T>
void attend_all(const AttentionJob<T>& job, int64_t begin, int64_t end, void* memory) {
  const Scratch<T> scratch = make_scratch(job, memory);
  const bool channels_last = all_channels_last(job);
  for (int64_t index = begin; index < end; ++index) {
    const Row row{index / job.sizes.height, 0, index % job.sizes.height};
    channels_last ? attend_row_channels_last(job, row, scratch) : attend_row_planar(job, row, scratch);
  }
  end_stream();
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix)                                                                    \
  void attend_rows_##suffix(const AttentionJob<T>& job, int64_t begin, int64_t end, void* scratch) { \
    attend_all(job, begin, end, scratch);                                                            \
  }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
WARPKIT_DEFINE(Half, half)
WARPKIT_DEFINE(BFloat16, bfloat16)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::attention
