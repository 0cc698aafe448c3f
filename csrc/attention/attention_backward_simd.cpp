// The inner loops that warp_attention's gradients start with: alpha, e and the query's gradient
// (attention.h). What follows is the scatter and the grid gradient of warp. Compiled once a SIMD level; no
// standard library here (common/simd.h says why).
#include "attention/attention_row.h"

namespace warpkit::attention {
namespace WARPKIT_SIMD {
namespace {

template <typename T>
int64_t map_offset(const AttentionJob<T>& job, const Row& row, int64_t source, int64_t column) {
  const Sizes& sizes = job.sizes;
  return ((row.image * sizes.sources + source) * sizes.height + row.row) * sizes.width + column;
}

// From scratch.score and scratch.alpha_gradient of pixel j to the maps; e replaces alpha_gradient.
template <typename T>
WARPKIT_INLINE void finish_pixel(const WeightsJob<T>& job, const Row& row, int64_t column,
                                 const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const int64_t sources = job.attention.sizes.sources;
  softmax_pixel(scratch.score, sources);
  A delta = 0;
  for (int64_t s = 0; s < sources; ++s) delta += scratch.score[s] * scratch.alpha_gradient[s];
  for (int64_t s = 0; s < sources; ++s) {
    const A e = score_gradient(job.attention.scale, scratch.score[s], scratch.alpha_gradient[s], delta);
    const int64_t at = map_offset(job.attention, row, s, column);
    job.alpha[at] = scratch.score[s];
    job.score_gradient[at] = scratch.alpha_gradient[s] = e;
  }
}

template <typename T>
void weight_row_channels_last(const WeightsJob<T>& weights, const Row& row, const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const AttentionJob<T>& job = weights.attention;
  const Sizes& sizes = job.sizes;
  const T* features = job.features + row.image * job.in.image;
  const T* value = job.value + row.image * job.value_strides.image;
  const T* query = job.query + offset_of(job.query_strides, row);
  const T* gradient = weights.gradient + offset_of(weights.gradient_strides, row);
  T* out = job.out ? job.out + offset_of(job.out_strides, row) : nullptr;
  const Store store =
      find_store(job.out, job.out_strides, sizes.channels, sizes.batch * sizes.height * sizes.width);
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    for (int j = 0; j < count; ++j) {
      const int64_t column = begin + j;
      load_pixel_of_row(query, job.query_strides, sizes.channels, column, sizes.width, scratch.query);
      load_pixel_of_row(gradient, weights.gradient_strides, job.value_channels, column, sizes.width,
                        scratch.gradient);
      score_pixel<true>(job, features, j, count, scratch, scratch.score, 1, scratch.blended);
      for (int64_t s = sizes.sources; s % kLanes<A> != 0; ++s) scratch.score[s] = left_out<A>();
      const int64_t found = list_read(job, j, scratch);
      for (int64_t s = 0; s < sizes.sources; ++s) scratch.alpha_gradient[s] = A(0);
      for (int64_t n = 0; n < found; ++n) {
        const int64_t s = scratch.which[n];
        if (job.one_gather) {
          scratch.alpha_gradient[s] =
              dot_lanes(scratch.blended + s * scratch.blended_stride, scratch.gradient, sizes.channels);
        } else {
          find_sample(value + s * job.value_strides.source, job.value_strides, scratch.block[s], j, A(1),
                      scratch.value_sample[n]);
          scratch.alpha_gradient[s] =
              dot_sample<false, T>(scratch.value_sample[n], scratch.gradient, job.value_channels, nullptr);
        }
      }
      finish_pixel(weights, row, column, scratch);
      if (out == nullptr) continue;
      write_blended(scratch, found, scratch.blended, scratch.alpha_gradient, 1, sizes.channels,
                    out + column * job.out_strides.column, job.out_strides.channel, store);
    }
  }
}

template <typename T>
void weight_row_planar(const WeightsJob<T>& weights, const Row& row, const Scratch<T>& scratch) {
  using A = Accumulator<T>;
  const AttentionJob<T>& job = weights.attention;
  const Sizes& sizes = job.sizes;
  const T* features = job.features + row.image * job.in.image;
  const T* value = job.value + row.image * job.value_strides.image;
  const T* query = job.query + offset_of(job.query_strides, row);
  const T* gradient = weights.gradient + offset_of(weights.gradient_strides, row);
  for (int64_t begin = 0; begin < sizes.width; begin += kBlock) {
    const int count = least(kBlock, sizes.width - begin);
    find_sources(job, row, begin, count, scratch);
    find_all_places(job, scratch);
    attend_block(job, features, query + begin * job.query_strides.column, count, scratch);
    for (int64_t s = 0; s < sizes.sources; ++s) {
      for (int j = 0; j < kBlock; ++j) scratch.alpha_gradients[s][j] = A(0);
    }
    dot_planar(value, job.value_strides, scratch.value_places,
               gradient + begin * weights.gradient_strides.column, weights.gradient_strides,
               job.value_channels, sizes.sources, count, scratch.block, scratch.alpha_gradients);
    alignas(64) A delta[kBlock] = {};
    for (int64_t s = 0; s < sizes.sources; ++s) {
      for (int j = 0; j < kBlock; ++j) delta[j] += scratch.scores[s][j] * scratch.alpha_gradients[s][j];
    }
    for (int64_t s = 0; s < sizes.sources; ++s) {
      const int64_t at = map_offset(job, row, s, begin);
      for (int j = 0; j < count; ++j) {
        const A alpha = scratch.scores[s][j];
        const A e = score_gradient(job.scale, alpha, scratch.alpha_gradients[s][j], delta[j]);
        weights.alpha[at + j] = alpha;
        weights.score_gradient[at + j] = scratch.alpha_gradients[s][j] = e;
      }
    }
    if (job.out == nullptr) continue;
    sum_planar(features, job.in, scratch.places, scratch.alpha_gradients, sizes.channels, sizes.sources,
               count, scratch.block,
               job.out + offset_of(job.out_strides, row) + begin * job.out_strides.column, job.out_strides);
  }
}

template <typename T>
void weight_all(const WeightsJob<T>& job, int64_t begin, int64_t end, void* memory) {
  const Scratch<T> scratch = make_scratch(job.attention, memory);
  const bool channels_last = all_channels_last(job.attention);
  for (int64_t index = begin; index < end; ++index) {
    const int64_t height = job.attention.sizes.height;
    const Row row{index / height, 0, index % height};
    channels_last ? weight_row_channels_last(job, row, scratch) : weight_row_planar(job, row, scratch);
  }
  end_stream();
}

}  // namespace

#define WARPKIT_DEFINE(T, suffix)                                                                  \
  void weight_rows_##suffix(const WeightsJob<T>& job, int64_t begin, int64_t end, void* scratch) { \
    weight_all(job, begin, end, scratch);                                                          \
  }
WARPKIT_DEFINE(float, float)
WARPKIT_DEFINE(double, double)
WARPKIT_DEFINE(Half, half)
WARPKIT_DEFINE(BFloat16, bfloat16)
#undef WARPKIT_DEFINE

}  // namespace WARPKIT_SIMD
}  // namespace warpkit::attention
