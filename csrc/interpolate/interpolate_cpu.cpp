// How the CPU interpolates: strips of pixels over threads, a pixel's attributes in one inner loop.
#include <torch/csrc/stable/library.h>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "interpolate/interpolate_tensors.h"

namespace warpkit {

namespace {

template <int kDims, typename T>
void interpolate_strip(const InterpolateJob<T>& job, int64_t image, int64_t begin, int64_t end) {
  const int64_t dims = kDims > 0 ? kDims : job.dims;
  T* out = job.out + (image * job.pixels + begin) * dims;
  for (int64_t at = image * job.pixels + begin; at < image * job.pixels + end; ++at, out += dims) {
    const int32_t face = job.face_index[at];
    const T* from[3];
    if (face >= 0 && fetch_attributes(job, image, face, from)) {
      const T* barycentric = job.barycentric + 3 * at;
      for (int64_t d = 0; d < dims; ++d) out[d] = blend(barycentric, from[0][d], from[1][d], from[2][d]);
    } else {
      for (int64_t d = 0; d < dims; ++d) out[d] = 0;
    }
  }
}

template <typename T>
void run(const InterpolateJob<T>& job) {
  constexpr int64_t kPixels = 4096;
  const int64_t strips = (job.pixels + kPixels - 1) / kPixels;
  run_tasks(job.batch * strips, [&](int64_t task) {
    const int64_t image = task / strips, begin = task % strips * kPixels,
                  end = std::min(begin + kPixels, job.pixels);
    switch (job.dims) {
      case 1:
        return interpolate_strip<1>(job, image, begin, end);
      case 2:
        return interpolate_strip<2>(job, image, begin, end);
      case 3:
        return interpolate_strip<3>(job, image, begin, end);
      case 4:
        return interpolate_strip<4>(job, image, begin, end);
      default:
        return interpolate_strip<0>(job, image, begin, end);
    }
  });
}

torch::stable::Tensor interpolate(const torch::stable::Tensor& attributes, const torch::stable::Tensor& faces,
                                  const torch::stable::Tensor& face_index,
                                  const torch::stable::Tensor& barycentric) {
  const InterpolateTensors tensors(attributes, faces, face_index, barycentric);
  const bool wide = attributes.scalar_type() == torch::headeronly::ScalarType::Double;
  advise_huge_pages(tensors.out.const_data_ptr(), tensors.out.numel() * (wide ? 8 : 4));
  wide ? run(tensors.job<double>()) : run(tensors.job<float>());
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) { m.impl("interpolate", TORCH_BOX(&interpolate)); }

}  // namespace warpkit
