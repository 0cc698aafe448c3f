// How the CPU walks: strips of output rows over threads.
#include <torch/csrc/stable/library.h>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "warp/warp_simd.h"
#include "warp/warp_tensors.h"

namespace warpkit::warping {

namespace {

// Calls run(T()) for the type of features.
template <typename Run>
void with_type(const Tensor& features, const Run& run) {
  switch (features.scalar_type()) {
    case ScalarType::Float:
      return run(float());
    case ScalarType::Double:
      return run(double());
    case ScalarType::Half:
      return run(Half());
    case ScalarType::BFloat16:
      return run(BFloat16());
    default:
      STD_TORCH_CHECK(false, "features: expected float32, float64, bfloat16 or float16");
  }
}

Tensor warp(const Tensor& features, const Tensor& grid, const std::optional<Tensor>& visible) {
  check_grid(grid);
  check_visible(visible, grid);
  check_features(features, grid);
  const Sizes sizes = find_sizes(features, grid);
  Tensor out = make_image(features, sizes.height, sizes.width);
  with_type(features, [&]<typename T>(T) {
    advise_huge_pages(out.const_data_ptr(), out.numel() * sizeof(T));
    const ForwardJob<T> job{sizes,
                            view_flow(grid, visible),
                            static_cast<const T*>(features.const_data_ptr()),
                            image_strides(features),
                            static_cast<T*>(out.mutable_data_ptr()),
                            image_strides(out)};
    const int64_t rows = sizes.batch * sizes.sources * sizes.height;
    if (out.numel() == 0) return;
    const int64_t strip = std::max<int64_t>(1, (int64_t(1) << 15) / (sizes.width * sizes.channels));
    run_tasks((rows + strip - 1) / strip,
              [&](int64_t task) { warp_rows(job, task * strip, std::min((task + 1) * strip, rows)); });
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) { m.impl("warp", TORCH_BOX(&warp)); }

}  // namespace warpkit::warping
