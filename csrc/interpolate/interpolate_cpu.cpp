// How the CPU interpolates: strips of pixels over threads, a pixel's attributes in one inner loop.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "common/vertex_sums_cpu.h"
#include "interpolate/interpolate_tensors.h"

namespace warpkit {

namespace {

using torch::stable::Tensor;

// Calls run(std::integral_constant) of the dims where they are few, of 0 else.
template <typename Run>
void with_dims(int64_t dims, const Run& run) {
  switch (dims) {
    case 1:
      return run(std::integral_constant<int, 1>());
    case 2:
      return run(std::integral_constant<int, 2>());
    case 3:
      return run(std::integral_constant<int, 3>());
    case 4:
      return run(std::integral_constant<int, 4>());
    default:
      return run(std::integral_constant<int, 0>());
  }
}

// kPacked, here and below: the numbers of a pixel lie side by side in each map.
template <int kDims, bool kPacked, typename T>
void interpolate_part(const InterpolateJob<T>& job, int64_t image, int64_t row, int64_t begin, int64_t end) {
  const int64_t dims = kDims > 0 ? kDims : job.dims;
  const int64_t id_step = kPacked ? 1 : job.face_index.column, step = kPacked ? 3 : job.barycentric.column,
                corner = kPacked ? 1 : job.barycentric.channel;
  const int32_t* face_index = row_of(job.face_index, image, row);
  const Accumulator<T>* barycentrics = row_of(job.barycentric, image, row);
  T* out = job.out + ((image * job.height + row) * job.width + begin) * dims;
  for (int64_t at = begin; at < end; ++at, out += dims) {
    const int32_t face = face_index[at * id_step];
    const T* from[3];
    if (face >= 0 && fetch_attributes(job, image, face, from)) {
      const Accumulator<T>* first = barycentrics + at * step;
      const Accumulator<T> barycentric[3] = {first[0], first[corner], first[2 * corner]};
      for (int64_t d = 0; d < dims; ++d) blend(barycentric, from[0][d], from[1][d], from[2][d], out + d);
    } else {
      for (int64_t d = 0; d < dims; ++d) out[d] = T{};
    }
  }
}

template <int kDims, bool kPacked, typename T>
void barycentric_part(const InterpolateBackwardJob<T>& job, int64_t image, int64_t row, int64_t begin,
                      int64_t end) {
  const InterpolateJob<T>& forward = job.forward;
  const int64_t dims = kDims > 0 ? kDims : forward.dims;
  const int64_t id_step = kPacked ? 1 : forward.face_index.column,
                step = kPacked ? dims : job.gradient.column, channel = kPacked ? 1 : job.gradient.channel;
  const int32_t* face_index = row_of(forward.face_index, image, row);
  const T* gradient = row_of(job.gradient, image, row);
  Accumulator<T>* out = job.barycentric_gradient + (image * forward.height + row) * forward.width * 3;
  for (int64_t at = begin; at < end; ++at) {
    const int32_t face = face_index[at * id_step];
    const T* from[3];
    Accumulator<T> sums[3] = {};
    if (face >= 0 && fetch_attributes(forward, image, face, from)) {
      add_products(gradient + at * step, channel, from, dims, 0, 1, sums);
    }
    for (int k = 0; k < 3; ++k) out[3 * at + k] = sums[k];
  }
}

Tensor interpolate(const Tensor& attributes, const Tensor& faces, const Tensor& face_index,
                   const Tensor& barycentric) {
  const InterpolateTensors tensors(attributes, faces, face_index, barycentric);
  const Tensor out = tensors.make_out();
  with_type("attributes", attributes, [&](auto kind) {
    using T = decltype(kind);
    advise_huge_pages(out.const_data_ptr(), out.numel() * sizeof(T));
    const InterpolateJob<T> job = tensors.job<T>(static_cast<T*>(out.mutable_data_ptr()));
    const bool packed = is_packed(job.face_index, 1) && is_packed(job.barycentric, 3);
    with_dims(job.dims, [&](auto dims) {
      const auto part =
          packed ? &interpolate_part<dims.value, true, T> : &interpolate_part<dims.value, false, T>;
      walk_pixels(job.batch, job.height, job.width, [&](auto... where) { part(job, where...); });
    });
  });
  return out;
}

// Sums over pixels are repeatable here whatever `deterministic` says.
std::tuple<Tensor, Tensor> interpolate_backward(const Tensor& gradient, const Tensor& attributes,
                                                const Tensor& faces, const Tensor& face_index,
                                                const Tensor& barycentric, bool attributes_wanted,
                                                bool barycentric_wanted, bool) {
  InterpolateBackwardTensors tensors(gradient, attributes, faces, face_index, barycentric, attributes_wanted,
                                     barycentric_wanted);
  with_type("attributes", attributes, [&](auto kind) {
    using T = decltype(kind);
    if (attributes_wanted) {
      sum_to_vertices<T, 16, 8, 4, 3, 2, 1>(tensors.sums(), tensors.sums_op<T>(),
                                            tensors.attributes_gradient);
    }
    if (!barycentric_wanted) return;
    const InterpolateBackwardJob<T> job = tensors.job<T>();
    advise_huge_pages(job.barycentric_gradient,
                      tensors.barycentric_gradient.numel() * sizeof(*job.barycentric_gradient));
    const InterpolateJob<T>& forward = job.forward;
    const bool packed = is_packed(forward.face_index, 1) && is_packed(job.gradient, forward.dims);
    with_dims(forward.dims, [&](auto dims) {
      const auto part =
          packed ? &barycentric_part<dims.value, true, T> : &barycentric_part<dims.value, false, T>;
      walk_pixels(forward.batch, forward.height, forward.width, [&](auto... where) { part(job, where...); });
    });
  });
  return {tensors.attributes_gradient, tensors.barycentric_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("interpolate", TORCH_BOX(&interpolate));
  m.impl("interpolate_backward", TORCH_BOX(&interpolate_backward));
}

}  // namespace warpkit
