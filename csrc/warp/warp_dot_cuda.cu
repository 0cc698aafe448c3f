// How the GPU multiplies row vectors with what their pixels read of every source: walks as
// warp_reduce_cuda.cu, and sums over channels by shuffles within a pixel's lanes.
#include "warp/warp_cuda.h"
#include "warp/warp_reduce_cuda.h"

namespace warpkit::warping {

namespace {

template <typename T>
struct DotJob {
  using A = Accumulator<T>;
  Extent sizes;
  FlowView flow;
  const T* features;
  Strides in;
  const T *rows, *more_rows;  // the second may be null
  Strides row_strides, more_strides;
  A factor;
  A *dots, *more_dots;  // [B,S,H,W], contiguous
};

template <typename T, int kVector>
__device__ __forceinline__ Accumulator<T> add_dot(Accumulator<T> sum, const T* row,
                                                  const Accumulator<T> (&value)[kVector]) {
  const Pack<T, kVector> pack = load_pack<kVector>(row);
#pragma unroll
  for (int k = 0; k < kVector; ++k) sum = fma(widen(pack.value[k]), value[k], sum);
  return sum;
}

template <typename T, int kVector>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) dot_channels_last(DotJob<T> job, Share share) {
  using A = Accumulator<T>;
  const Round round(share);
  const Extent& sizes = job.sizes;
  const int channels = static_cast<int>(sizes.channels), sources = static_cast<int>(sizes.sources);
  const int64_t total = count_targets(sizes), stride = round.stride();
  const int64_t in_channel = kVector > 1 ? 1 : job.in.channel,
                row_channel = kVector > 1 ? 1 : job.row_strides.channel,
                more_channel = kVector > 1 ? 1 : job.more_strides.channel;
  for (int64_t begin = round.begin(); begin < total; begin += stride) {
    Read<A> mine = {0, A(0), A(0)};
    for (int step = 0; step < round.steps; ++step) {
      const int64_t pixel = begin + round.served(step);
      Place place = find_target(sizes, pixel < total ? pixel : 0);
      const T* rows = job.rows + offset_of(job.row_strides, place);
      const T* more = job.more_rows + offset_of(job.more_strides, place);
      for (int from = 0; from < sources; from += round.together) {
        if (step == 0) {
          const int64_t found = begin + round.found();
          const int source = from + round.lane % round.together;
          mine = {0, A(0), A(0)};
          if (found < total && source < sources) {
            Place item = find_target(sizes, found);
            item.source = source;
            mine = find_read<A>(sizes, job.flow, job.in, item);
          }
        }
        for (int k = 0; k < round.together && from + k < sources; ++k) {
          const Read<A> read = take_read(mine, round.finder(step, k));
          A dot = A(0), more_dot = A(0);
          if (read.code & 1) {
            const Blend<A> blend = find_blend(read, job.in);
            const T* at = job.features + blend.first;
            for (int c = round.within * kVector; c < channels; c += round.lanes * kVector) {
              A value[kVector];
              sample(at + c * in_channel, blend, value);
              dot = add_dot(dot, rows + c * row_channel, value);
              if (job.more_rows != nullptr) more_dot = add_dot(more_dot, more + c * more_channel, value);
            }
          }
          dot = sum_group(dot, round.lanes);
          if (job.more_rows != nullptr) more_dot = sum_group(more_dot, round.lanes);
          if (round.within != 0 || pixel >= total) continue;
          place.source = from + k;
          job.dots[map_index(sizes, place)] = job.factor * dot;
          if (job.more_rows != nullptr) job.more_dots[map_index(sizes, place)] = job.factor * more_dot;
        }
      }
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) dot_planar(DotJob<T> job) {
  using A = Accumulator<T>;
  const int64_t total = count_pixels(job.sizes), stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += stride) {
    const Place place = find_place(job.sizes, index);
    const Read<A> read = find_read<A>(job.sizes, job.flow, job.in, place);
    A dot = A(0), more_dot = A(0);
    if (read.code & 1) {
      const Blend<A> blend = find_blend(read, job.in);
      const T* at = job.features + blend.first;
      const T* rows = job.rows + offset_of(job.row_strides, place);
      const T* more = job.more_rows + offset_of(job.more_strides, place);
      for (int64_t c = 0; c < job.sizes.channels; ++c) {
        A value[1];
        sample(at + c * job.in.channel, blend, value);
        dot = add_dot(dot, rows + c * job.row_strides.channel, value);
        if (job.more_rows != nullptr)
          more_dot = add_dot(more_dot, more + c * job.more_strides.channel, value);
      }
    }
    job.dots[index] = job.factor * dot;
    if (job.more_rows != nullptr) job.more_dots[index] = job.factor * more_dot;
  }
}

template <typename T>
void dot_as(const Tensor& rows, const std::optional<Tensor>& more_rows, const Tensor& features,
            const Tensor& grid, const std::optional<Tensor>& visible, double factor, Tensor& dots,
            Tensor& more_dots) {
  using A = Accumulator<T>;
  const Sizes sizes = find_sizes(features, grid);
  const cudaStream_t stream = current_stream(features);
  const int64_t total = count_targets(sizes), channels = sizes.channels;
  if (count_pixels(sizes) == 0) return;
  const DotJob<T> job = {sizes,
                         view_flow(grid, visible),
                         static_cast<const T*>(features.const_data_ptr()),
                         image_strides(features),
                         static_cast<const T*>(rows.const_data_ptr()),
                         more_rows ? static_cast<const T*>(more_rows->const_data_ptr()) : nullptr,
                         image_strides(rows),
                         more_rows ? image_strides(*more_rows) : Strides{},
                         static_cast<A>(factor),
                         static_cast<A*>(dots.mutable_data_ptr()),
                         more_rows ? static_cast<A*>(more_dots.mutable_data_ptr()) : nullptr};
  constexpr int kVector = 16 / sizeof(T);
  if (!is_channels_last(features)) {
    dot_planar<T><<<blocks_for(count_pixels(sizes), kThreads), kThreads, 0, stream>>>(job);
  } else if (takes_vectors(job.features, job.in, channels) &&
             takes_vectors(job.rows, job.row_strides, channels) &&
             (!more_rows || takes_vectors(job.more_rows, job.more_strides, channels))) {
    const Share share = share_sources(lanes_for(channels / kVector), sizes.sources, total);
    dot_channels_last<T, kVector><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  } else {
    const Share share = share_sources(lanes_for(channels), sizes.sources, total);
    dot_channels_last<T, 1><<<blocks_for(share, total), kThreads, 0, stream>>>(job, share);
  }
  check_launch();
}

}  // namespace

void dot_sources(const Tensor& rows, const std::optional<Tensor>& more_rows, const Tensor& features,
                 const Tensor& grid, const std::optional<Tensor>& visible, double factor, Tensor& dots,
                 Tensor& more_dots) {
  with_type(features, [&](auto kind) {
    dot_as<decltype(kind)>(rows, more_rows, features, grid, visible, factor, dots, more_dots);
  });
}

}  // namespace warpkit::warping
