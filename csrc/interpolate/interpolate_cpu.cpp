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

// Calls strip(image, begin, end) for pixels begin..end of each image.
template <typename Strip>
void for_each_strip(int64_t batch, int64_t pixels, const Strip& strip) {
  constexpr int64_t kPixels = 4096;
  const int64_t strips = (pixels + kPixels - 1) / kPixels;
  run_tasks(batch * strips, [&](int64_t task) {
    const int64_t begin = task % strips * kPixels;
    strip(task / strips, begin, std::min(begin + kPixels, pixels));
  });
}

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

template <int kDims, typename T>
void interpolate_strip(const InterpolateJob<T>& job, int64_t image, int64_t begin, int64_t end) {
  const int64_t dims = kDims > 0 ? kDims : job.dims;
  T* out = job.out + (image * job.pixels + begin) * dims;
  for (int64_t at = image * job.pixels + begin; at < image * job.pixels + end; ++at, out += dims) {
    const int32_t face = job.face_index[at];
    const T* from[3];
    if (face >= 0 && fetch_attributes(job, image, face, from)) {
      const Accumulator<T>* barycentric = job.barycentric + 3 * at;
      for (int64_t d = 0; d < dims; ++d) blend(barycentric, from[0][d], from[1][d], from[2][d], out + d);
    } else {
      for (int64_t d = 0; d < dims; ++d) out[d] = T{};
    }
  }
}

template <int kDims, typename T>
void barycentric_strip(const InterpolateBackwardJob<T>& job, int64_t image, int64_t begin, int64_t end) {
  const int64_t dims = kDims > 0 ? kDims : job.forward.dims;
  for (int64_t at = image * job.forward.pixels + begin; at < image * job.forward.pixels + end; ++at) {
    const int32_t face = job.forward.face_index[at];
    const T* from[3];
    Accumulator<T> sums[3] = {};
    if (face >= 0 && fetch_attributes(job.forward, image, face, from)) {
      add_products(job.gradient + at * dims, from, dims, 0, 1, sums);
    }
    for (int k = 0; k < 3; ++k) job.barycentric_gradient[3 * at + k] = sums[k];
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
    with_dims(job.dims, [&](auto dims) {
      for_each_strip(job.batch, job.pixels, [&](int64_t image, int64_t begin, int64_t end) {
        interpolate_strip<dims>(job, image, begin, end);
      });
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
    with_dims(job.forward.dims, [&](auto dims) {
      for_each_strip(job.forward.batch, job.forward.pixels, [&](int64_t image, int64_t begin, int64_t end) {
        barycentric_strip<dims>(job, image, begin, end);
      });
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
