// How the GPU antialiases: a thread a pixel finds the silhouettes of its two pairs, then a thread a number of
// the picture mixes. The gradient to vertices is added with atomics, or, where it must be repeatable, in
// 64-bit whole numbers of a quantum that the largest contribution sets, so that the order does not matter.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "antialias/antialias_math.h"
#include "antialias/antialias_tensors.h"
#include "common/dtypes.h"
#include "warp/warp_cuda.h"

namespace warpkit::antialiasing {

namespace {

using warping::kThreads;
using warping::narrow;

// Calls run(G()) for the type of vertices.
template <typename Run>
void with_geometry(const SceneTensors& tensors, const Run& run) {
  tensors.wide() ? run(double()) : run(float());
}

template <typename A, typename G>
__global__ void __launch_bounds__(kThreads) find_shifts(Scene<G> scene, A* shifts) {
  const int64_t total = scene.batch * scene.height * scene.width, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total; at += stride) {
    const int64_t line = at / scene.width, column = at - line * scene.width;
    const int64_t image = line / scene.height, row = line - image * scene.height;
    const int32_t face = scene.face_index[at];
    const bool right = column + 1 < scene.width && scene.face_index[at + 1] != face;
    const bool down = row + 1 < scene.height && scene.face_index[at + scene.width] != face;
    shifts[at] = right ? find_shift<A>(scene, image, row, column, kRow) : A(kNone);
    shifts[total + at] = down ? find_shift<A>(scene, image, row, column, kColumn) : A(kNone);
  }
}

template <typename A>
Tensor make_shifts(const SceneTensors& tensors, cudaStream_t stream) {
  Tensor shifts = tensors.make_shifts(sizeof(A) == 8);
  const int64_t total = shifts.numel() / 2;
  if (total == 0) return shifts;
  with_geometry(tensors, [&](auto geometry) {
    using G = decltype(geometry);
    find_shifts<A, G><<<blocks_for(total, kThreads), kThreads, 0, stream>>>(
        tensors.scene<G>(), static_cast<A*>(shifts.mutable_data_ptr()));
  });
  check_launch();
  return shifts;
}

template <typename A>
Shifts<A> view_shifts(const Tensor& shifts) {
  return {static_cast<const A*>(shifts.const_data_ptr()), shifts.size(1), shifts.size(2), shifts.size(3)};
}

template <typename T>
struct MixJob {
  Shifts<Accumulator<T>> shifts;
  const T* from;
  Strides in;
  T* to;
  Strides out;
  int64_t channels;
  bool channels_last;  // of `to`: the order in which threads walk
};

template <typename T, bool kBackward>
__global__ void __launch_bounds__(kThreads) mix_pixels(MixJob<T> job) {
  using A = Accumulator<T>;
  const Shifts<A>& shifts = job.shifts;
  const int64_t pixels = shifts.height * shifts.width, total = shifts.batch * pixels * job.channels;
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total; n += stride) {
    const int64_t inner = job.channels_last ? job.channels : pixels, outer = n / inner;
    const int64_t others = job.channels_last ? pixels : job.channels, image = outer / others;
    const int64_t pixel = job.channels_last ? outer - image * others : n - outer * inner;
    const int64_t channel = job.channels_last ? n - outer * inner : outer - image * others;
    const int64_t row = pixel / shifts.width, column = pixel - row * shifts.width;
    const Share<A> share = find_share(shifts, image, row, column);
    const T* from = job.from + image * job.in.image + channel * job.in.channel + row * job.in.row +
                    column * job.in.column;
    T* to = job.to + image * job.out.image + channel * job.out.channel + row * job.out.row +
            column * job.out.column;
    bool changes = takes(share);
    A sum = A(0);
    const auto add = [&](A weight, int64_t at) {
      if (weight != A(0)) sum += weight * A(widen(from[at]));
    };
    add(own_weight(share), 0);
    if constexpr (!kBackward) {
      add(side_weight(share, kRow, share.left), -job.in.column);
      add(side_weight(share, kRow, share.right), job.in.column);
      add(side_weight(share, kColumn, share.up), -job.in.row);
      add(side_weight(share, kColumn, share.down), job.in.row);
    } else {
      const A* rows = shifts.data + (image * shifts.height + row) * shifts.width + column;
      const A* columns = rows + shifts.batch * pixels;
      const auto give = [&](A part, int direction, int64_t i, int64_t j, int64_t at) {
        if (part == A(0)) return;
        changes = true;
        add(side_weight(find_share(shifts, image, i, j), direction, part), at);
      };
      if (column > 0) give(first_takes(rows[-1]), kRow, row, column - 1, -job.in.column);
      give(second_takes(rows[0]), kRow, row, column + 1, job.in.column);
      if (row > 0) give(first_takes(columns[-shifts.width]), kColumn, row - 1, column, -job.in.row);
      give(second_takes(columns[0]), kColumn, row + 1, column, job.in.row);
    }
    *to = changes ? narrow<T>(sum) : *from;
  }
}

template <typename T, bool kBackward>
void mix_image(const Tensor& from, const Tensor& to, const Tensor& shifts, cudaStream_t stream) {
  const MixJob<T> job = {view_shifts<Accumulator<T>>(shifts),
                         static_cast<const T*>(from.const_data_ptr()),
                         image_strides(from),
                         static_cast<T*>(to.mutable_data_ptr()),
                         image_strides(to),
                         from.size(1),
                         to.stride(1) == 1 && to.size(1) > 1};
  if (to.numel() == 0) return;
  mix_pixels<T, kBackward><<<blocks_for(to.numel(), kThreads), kThreads, 0, stream>>>(job);
  check_launch();
}

Tensor antialias(const Tensor& image, const Tensor& face_index, const Tensor& depth, const Tensor& vertices,
                 const Tensor& faces, const Tensor& neighbours) {
  const torch::stable::accelerator::DeviceGuard guard(image.get_device_index());
  const SceneTensors tensors(image, face_index, depth, vertices, faces, neighbours);
  Tensor out = make_image(image);
  const cudaStream_t stream = current_stream(image);
  with_type("image", image, [&](auto type) {
    using T = decltype(type);
    mix_image<T, false>(image, out, make_shifts<Accumulator<T>>(tensors, stream), stream);
  });
  return out;
}

// ---- the gradient of vertices

enum class Sum { kAtOnce, kLargest, kWhole };

template <typename T, typename G>
struct SumJob {
  Scene<G> scene;
  Shifts<Accumulator<T>> shifts;
  Colours<T> colours;
  G* out;                       // [B, V, components]
  unsigned long long* largest;  // [B] the largest finite contribution, as the bits of a double
  unsigned long long* whole;    // [B, V, components] sums in quanta
  int bits;                     // a quantum is the largest's power of two divided by 2^bits
};

// An image's quantum: a power of two; 0 where nothing is to be added.
__device__ __forceinline__ double quantum_of(unsigned long long largest, int bits) {
  return largest == 0 ? 0.0 : ldexp(1.0, ilogb(__longlong_as_double(static_cast<long long>(largest))) - bits);
}

template <Sum kSum, typename T, typename G>
__device__ __forceinline__ void add_contribution(const SumJob<T, G>& job, int64_t image, int64_t at,
                                                 double value) {
  const bool finite = value - value == 0;
  if constexpr (kSum == Sum::kLargest) {
    if (finite && value != 0) {
      atomicMax(job.largest + image, static_cast<unsigned long long>(__double_as_longlong(fabs(value))));
    }
  } else if (kSum == Sum::kAtOnce || !finite) {  // what is not finite makes the same of any order
    atomicAdd(job.out + at, static_cast<G>(value));
  } else {
    const double quantum = quantum_of(job.largest[image], job.bits);
    if (quantum > 0)
      atomicAdd(job.whole + at, static_cast<unsigned long long>(__double2ll_rn(value / quantum)));
  }
}

template <Sum kSum, typename T, typename G>
__global__ void __launch_bounds__(kThreads) sum_pairs(SumJob<T, G> job) {
  const Scene<G>& scene = job.scene;
  const int64_t total = scene.batch * scene.height * scene.width, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < 2 * total; n += stride) {
    if (job.shifts.data[n] >= 1) continue;
    const int direction = n < total ? kRow : kColumn;
    const int64_t at = n - direction * total, line = at / scene.width, column = at - line * scene.width;
    const int64_t image = line / scene.height, row = line - image * scene.height;
    const double slope = slope_of_pair(job.shifts, job.colours, image, row, column, direction);
    if (slope == 0) continue;
    const Slopes slopes =
        find_slopes(scene, image, find_crossing(scene, image, row, column, direction), direction, slope);
    for (int end = 0; end < 2; ++end) {
      const int64_t to = (image * scene.num_vertices + slopes.vertex[end]) * scene.components;
      add_contribution<kSum>(job, image, to, slopes.by_x[end]);
      add_contribution<kSum>(job, image, to + 1, slopes.by_y[end]);
      if (scene.components == 4) add_contribution<kSum>(job, image, to + 3, slopes.by_w[end]);
    }
  }
}

template <typename T, typename G>
__global__ void __launch_bounds__(kThreads) add_whole(SumJob<T, G> job) {
  const int64_t of_image = job.scene.num_vertices * job.scene.components;
  const int64_t total = job.scene.batch * of_image, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t n = int64_t(blockIdx.x) * kThreads + threadIdx.x; n < total; n += stride) {
    const double sum = static_cast<double>(static_cast<long long>(job.whole[n]));
    if (sum != 0) job.out[n] += static_cast<G>(sum * quantum_of(job.largest[n / of_image], job.bits));
  }
}

void fill_zero(const Tensor& tensor, int64_t bytes, cudaStream_t stream) {
  STD_TORCH_CHECK(cudaMemsetAsync(tensor.mutable_data_ptr(), 0, bytes, stream) == cudaSuccess,
                  "warpkit: could not clear a workspace");
}

template <typename T, typename G>
void sum_vertices(const SceneTensors& tensors, const Tensor& shifts, const Tensor& image,
                  const Tensor& gradient, const Tensor& out, bool deterministic, cudaStream_t stream) {
  if (out.numel() == 0) return;
  fill_zero(out, out.numel() * sizeof(G), stream);
  if (image.numel() == 0) return;
  SumJob<T, G> job = {
      tensors.scene<G>(),
      view_shifts<Accumulator<T>>(shifts),
      {static_cast<const T*>(image.const_data_ptr()), image_strides(image),
       static_cast<const T*>(gradient.const_data_ptr()), image_strides(gradient), image.size(1)},
      static_cast<G*>(out.mutable_data_ptr()),
      nullptr,
      nullptr,
      0};
  const unsigned blocks = blocks_for(shifts.numel(), kThreads);
  if (!deterministic) {
    sum_pairs<Sum::kAtOnce><<<blocks, kThreads, 0, stream>>>(job);
    return check_launch();
  }
  const int64_t batch = image.size(0);
  const Tensor room = make_tensor(out, {batch + out.numel()}, ScalarType::Long);
  fill_zero(room, room.numel() * sizeof(int64_t), stream);
  job.largest = static_cast<unsigned long long*>(room.mutable_data_ptr());
  job.whole = job.largest + batch;
  job.bits = 60;  // so that no sum of one contribution from each pair of an image overflows
  for (int64_t pairs = 2 * job.scene.height * job.scene.width; pairs > 1; pairs /= 2) --job.bits;
  sum_pairs<Sum::kLargest><<<blocks, kThreads, 0, stream>>>(job);
  check_launch();
  sum_pairs<Sum::kWhole><<<blocks, kThreads, 0, stream>>>(job);
  check_launch();
  add_whole<<<blocks_for(out.numel(), kThreads), kThreads, 0, stream>>>(job);
  check_launch();
}

std::tuple<Tensor, Tensor> antialias_backward(const Tensor& gradient, const Tensor& image,
                                              const Tensor& face_index, const Tensor& depth,
                                              const Tensor& vertices, const Tensor& faces,
                                              const Tensor& neighbours, bool image_wanted,
                                              bool vertices_wanted, bool deterministic) {
  const torch::stable::accelerator::DeviceGuard guard(image.get_device_index());
  const SceneTensors tensors(image, face_index, depth, vertices, faces, neighbours);
  check_gradient(gradient, image);
  const cudaStream_t stream = current_stream(image);
  Tensor image_gradient = image_wanted ? make_image(image) : make_tensor(image, {0});
  Tensor vertices_gradient =
      vertices_wanted ? make_tensor(vertices, {vertices.size(0), vertices.size(1), vertices.size(2)})
                      : make_tensor(vertices, {0});
  with_type("image", image, [&](auto type) {
    using T = decltype(type);
    const Tensor shifts = make_shifts<Accumulator<T>>(tensors, stream);
    if (image_wanted) mix_image<T, true>(gradient, image_gradient, shifts, stream);
    if (!vertices_wanted) return;
    with_geometry(tensors, [&](auto geometry) {
      sum_vertices<T, decltype(geometry)>(tensors, shifts, image, gradient, vertices_gradient, deterministic,
                                          stream);
    });
  });
  return {image_gradient, vertices_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CUDA, m) {
  m.impl("antialias", TORCH_BOX(&antialias));
  m.impl("antialias_backward", TORCH_BOX(&antialias_backward));
}

}  // namespace warpkit::antialiasing
