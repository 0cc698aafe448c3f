// How the GPU attends. Groups of lanes take a pixel each (warp_cuda.h) and go through its sources once: a
// source's score is a dot product over the group's lanes, and a softmax that runs along keeps the largest
// score, the sum of exponentials and the weighted sum of values in registers. Without a value the sample that
// gave the score is still in registers when it is weighted. More channels than registers, or many in planes:
// the weights are found first, then warp_reduce's walk sums.
#include <torch/csrc/stable/library.h>

#include "attention/attention_cuda.h"
#include "attention/attention_math.h"
#include "warp/warp_cuda.h"
#include "warp/warp_reduce_cuda.h"

namespace warpkit::attention {

using namespace warping;

namespace {

template <typename T>
struct AttentionJob {
  Extent sizes;
  FlowView flow;
  const T* query;
  Strides query_strides;
  const T* features;
  Strides in;
  const T* value;  // null: features
  Strides value_strides;
  int64_t value_channels;
  Accumulator<T> scale;
  T* out;
  Strides out_strides;
};

// The code of a Read that takes no part: invisible. It reads nothing, and 0 stands for reading zero.
constexpr int64_t kLeftOut = 6;

// The softmax so far: the largest score, the sum of exp(score - largest).
template <typename A>
struct Softmax {
  A largest, sum;

  // Takes a score in; what has been summed so far is to be multiplied by `before`, the new value by `weight`.
  __device__ __forceinline__ void add(A score, A* before, A* weight) {
    const bool larger = score > largest;
    const A other = exp(larger ? largest - score : exponent(score, largest));
    *before = larger ? other : A(1);
    *weight = larger ? A(1) : other;
    largest = larger ? score : largest;
    sum = fma(sum, *before, *weight);
  }
};

// kBlocks for a lane that holds so many numbers three times over: query, sample and sum.
template <typename T, int kNumbers>
constexpr int kAttendBlocks = sizeof(T) == 8              ? 1
                              : kNumbers * sizeof(T) > 16 ? 2
                                                          : 3;

template <typename T, int kVector, int kChunks, bool kHasValue>
__global__ void __launch_bounds__(kThreads, kAttendBlocks<T, kVector * kChunks>)
    attend(AttentionJob<T> job, Share share) {
  using A = Accumulator<T>;
  const Round round(share);
  const Extent& sizes = job.sizes;
  const int channels = static_cast<int>(sizes.channels),
            value_channels = static_cast<int>(kHasValue ? job.value_channels : sizes.channels);
  const int sources = static_cast<int>(sizes.sources), chunk = round.lanes * kVector,
            mine_c = round.within * kVector;
  const int64_t total = count_targets(sizes), stride = round.stride();
  for (int64_t begin = round.begin(); begin < total; begin += stride) {
    Read<A> mine = {kLeftOut, A(0), A(0)};
    int64_t mine_value = 0;
    for (int step = 0; step < round.steps; ++step) {
      const int64_t pixel = begin + round.served(step);
      const Place target = find_target(sizes, pixel < total ? pixel : 0);
      Pack<T, kVector> query[kChunks];
      A sum[kChunks][kVector] = {};
      const T* query_at = job.query + offset_of(job.query_strides, target);
#pragma unroll
      for (int n = 0; n < kChunks; ++n) {
        const int c = n * chunk + mine_c;
        if (c < channels) {
          query[n] = load_pack<kVector>(query_at + c * (kVector > 1 ? 1 : job.query_strides.channel));
        }
      }
      Softmax<A> softmax = {left_out<A>(), A(0)};
      for (int first = 0; first < sources; first += round.together) {
        if (step == 0) {
          const int64_t found = begin + round.found();
          const int source = first + round.lane % round.together;
          mine = {kLeftOut, A(0), A(0)};
          if (found < total && source < sources) {
            Place place = find_target(sizes, found);
            place.source = source;
            if (job.flow.visible == nullptr || job.flow.visible[offset_of(job.flow.visible_strides, place)]) {
              mine = find_read<A>(sizes, job.flow, job.in, place);
              if constexpr (kHasValue)
                mine_value = find_read<A>(sizes, job.flow, job.value_strides, place).code;
            }
          }
        }
        for (int k = 0; k < round.together && first + k < sources; ++k) {
          const int finder = round.finder(step, k);
          Read<A> read = take_read(mine, finder);
          const int64_t value_code = kHasValue ? __shfl_sync(kAllLanes, mine_value, finder) : 0;
          const bool reads = read.code & 1;
          const Blend<A> blend = find_blend(read, job.in);
          A sampled[kChunks][kVector] = {};
          A dot = A(0);
#pragma unroll
          for (int n = 0; n < kChunks; ++n) {
            const int c = n * chunk + mine_c;
            if (reads && c < channels) {
              sample(job.features + blend.first + c * (kVector > 1 ? 1 : job.in.channel), blend, sampled[n]);
#pragma unroll
              for (int v = 0; v < kVector; ++v) dot = fma(widen(query[n].value[v]), sampled[n][v], dot);
            }
          }
          dot = sum_group(dot, round.lanes);
          if (read.code == kLeftOut) continue;
          A before, weight;
          softmax.add(job.scale * dot, &before, &weight);
          read.code = value_code;
          const Blend<A> value_blend = kHasValue ? find_blend(read, job.value_strides) : blend;
#pragma unroll
          for (int n = 0; n < kChunks; ++n) {
            const int c = n * chunk + mine_c;
            if constexpr (kHasValue) {
              if (reads && c < value_channels) {
                sample(job.value + value_blend.first + c * (kVector > 1 ? 1 : job.value_strides.channel),
                       value_blend, sampled[n]);
              }
            }
#pragma unroll
            for (int v = 0; v < kVector; ++v) {
              sum[n][v] = sum[n][v] * before;
              if (reads) sum[n][v] = fma(weight, sampled[n][v], sum[n][v]);
            }
          }
        }
      }
      if (pixel >= total) continue;
      const A inverse = inverse_of_sum(softmax.sum);
      T* out = job.out + offset_of(job.out_strides, target);
#pragma unroll
      for (int n = 0; n < kChunks; ++n) {
        const int c = n * chunk + mine_c;
        if (c >= value_channels) continue;
        Pack<T, kVector> result;
#pragma unroll
        for (int v = 0; v < kVector; ++v) result.value[v] = narrow<T>(sum[n][v] * inverse);
        store_pack(out + c * (kVector > 1 ? 1 : job.out_strides.channel), result);
      }
    }
  }
}

template <typename T, int kVector, int kChunks>
void launch_attend(const AttentionJob<T>& job, int64_t channels, cudaStream_t stream) {
  const int64_t total = count_targets(job.sizes), pieces = (channels + kVector - 1) / kVector;
  const Share share = share_sources(lanes_for((pieces + kChunks - 1) / kChunks), job.sizes.sources, total);
  if (job.value != nullptr) {
    attend<T, kVector, kChunks, true><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  } else {
    attend<T, kVector, kChunks, false><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  }
  check_launch();
}

// Whether one walk could do it, and did.
template <typename T>
bool attend_at_once(const Tensor& query, const Tensor& features, const Tensor& grid,
                    const std::optional<Tensor>& visible, const std::optional<Tensor>& value, double scale,
                    Tensor& out) {
  const AttentionJob<T> job = {find_sizes(features, grid),
                               view_flow(grid, visible),
                               static_cast<const T*>(query.const_data_ptr()),
                               image_strides(query),
                               static_cast<const T*>(features.const_data_ptr()),
                               image_strides(features),
                               value ? static_cast<const T*>(value->const_data_ptr()) : nullptr,
                               value ? image_strides(*value) : Strides{},
                               out.size(1),
                               static_cast<Accumulator<T>>(scale),
                               static_cast<T*>(out.mutable_data_ptr()),
                               image_strides(out)};
  const cudaStream_t stream = current_stream(features);
  const int64_t own = job.sizes.channels, channels = own > job.value_channels ? own : job.value_channels;
  constexpr int kVector = 16 / sizeof(T);
  const bool vectors = takes_vectors(job.query, job.query_strides, own) &&
                       takes_vectors(job.features, job.in, own) &&
                       (!value || takes_vectors(job.value, job.value_strides, job.value_channels)) &&
                       takes_vectors(job.out, job.out_strides, job.value_channels);
  if (vectors && channels <= kWarp * kVector) {
    launch_attend<T, kVector, 1>(job, channels, stream);
  } else if (vectors && channels <= kWarp * kVector * 2) {
    launch_attend<T, kVector, 2>(job, channels, stream);
  } else if (vectors && kVector <= 4 && channels <= kWarp * kVector * 4) {
    launch_attend<T, kVector <= 4 ? kVector : 1, 4>(job, channels, stream);
  } else if (channels <= (is_channels_last(features) ? 4 * kWarp : 4)) {
    launch_attend<T, 1, 4>(job, channels, stream);
  } else {
    return false;
  }
  return true;
}

Tensor warp_attention(const Tensor& query, const Tensor& features, const Tensor& grid,
                      const std::optional<Tensor>& visible, const std::optional<Tensor>& value,
                      double scale) {
  check_attention(query, features, grid, visible, value);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  const Tensor& values = value ? *value : features;
  Tensor out = make_reduced(values, find_sizes(values, grid));
  if (out.numel() == 0) return out;
  const Tensor queries = for_walk(query, features);
  const bool done = with_type(features, [&](auto kind) {
    return attend_at_once<decltype(kind)>(queries, features, grid, visible, value, scale, out);
  });
  if (!done) {
    const Tensor alpha = find_alpha(queries, features, grid, visible, scale);
    reduce_sources(values, grid, visible, alpha, 1.0, out);
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) { m.impl("warp_attention", TORCH_BOX(&warp_attention)); }

}  // namespace warpkit::attention
