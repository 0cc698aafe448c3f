// How the CPU composes flows: strips of pixels over threads, all sources of a strip while its face ids are in
// cache.
#include <torch/csrc/stable/library.h>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "common/vertex_sums_cpu.h"
#include "flow/compose_flow_tensors.h"

namespace warpkit::flow {

namespace {

template <int kComponents, typename T>
void compose_strip(const ComposeJob<T>& job, int64_t image, int64_t source, int64_t begin, int64_t end) {
  const int64_t which = image * job.sources + source;
  const T* vertices = job.vertices + which * job.num_vertices * kComponents;
  const unsigned char* source_visible =
      job.source_visible ? job.source_visible + which * job.num_faces : nullptr;
  const unsigned char* face_mask = job.face_mask ? job.face_mask + which * job.num_faces : nullptr;
  const int32_t* face_index = job.face_index + image * job.pixels;
  const T* barycentric = job.barycentric + 3 * image * job.pixels;
  T* grid = job.grid + 2 * which * job.pixels;
  unsigned char* visible = job.visible + which * job.pixels;
  int32_t current = -1;
  bool shown = false;
  const T* corner[3] = {};
  for (int64_t at = begin; at < end; ++at) {
    const int32_t face = face_index[at];
    if (face != current) {
      current = face;
      int64_t index[3];
      shown = fetch_face(job, face, index) && (!source_visible || source_visible[face]) &&
              (!face_mask || face_mask[face]);
      if (shown) {
        for (int k = 0; k < 3; ++k) corner[k] = vertices + index[k] * kComponents;
      }
    }
    Point<T> point{T(-2), T(-2), false};
    if (shown) point = compose_point(barycentric + 3 * at, corner[0], corner[1], corner[2], kComponents);
    grid[2 * at] = point.x;
    grid[2 * at + 1] = point.y;
    visible[at] = point.visible;
  }
}

// Calls strip(image, begin, end) for pixels begin..end of each image.
template <typename T, typename Strip>
void for_each_strip(const ComposeJob<T>& job, const Strip& strip) {
  constexpr int64_t kPixels = 4096;
  const int64_t strips = (job.pixels + kPixels - 1) / kPixels;
  run_tasks(job.batch * strips, [&](int64_t task) {
    const int64_t begin = task % strips * kPixels;
    strip(task / strips, begin, std::min(begin + kPixels, job.pixels));
  });
}

template <typename T>
void run(const ComposeJob<T>& job) {
  for_each_strip(job, [&](int64_t image, int64_t begin, int64_t end) {
    for (int64_t source = 0; source < job.sources; ++source) {
      switch (job.components) {
        case 2:
          compose_strip<2>(job, image, source, begin, end);
          break;
        case 3:
          compose_strip<3>(job, image, source, begin, end);
          break;
        default:
          compose_strip<4>(job, image, source, begin, end);
      }
    }
  });
}

std::tuple<Tensor, Tensor> compose_flow(const Tensor& source_vertices, const Tensor& faces,
                                        const Tensor& face_index, const Tensor& barycentric,
                                        const std::optional<Tensor>& source_visible,
                                        const std::optional<Tensor>& face_mask) {
  const ComposeTensors tensors(source_vertices, faces, face_index, barycentric, source_visible, face_mask);
  const bool wide = source_vertices.scalar_type() == ScalarType::Double;
  advise_huge_pages(tensors.grid.const_data_ptr(), tensors.grid.numel() * (wide ? 8 : 4));
  advise_huge_pages(tensors.visible.const_data_ptr(), tensors.visible.numel());
  wide ? run(tensors.job<double>()) : run(tensors.job<float>());
  return {tensors.grid, tensors.visible};
}

// Sums over pixels are repeatable here whatever `deterministic` says.
std::tuple<Tensor, Tensor> compose_flow_backward(const Tensor& gradient, const Tensor& source_vertices,
                                                 const Tensor& faces, const Tensor& face_index,
                                                 const Tensor& barycentric, const Tensor& visible,
                                                 bool vertices_wanted, bool barycentric_wanted, bool) {
  ComposeBackwardTensors tensors(gradient, source_vertices, faces, face_index, barycentric, visible,
                                 vertices_wanted, barycentric_wanted);
  const auto run_backward = [&](auto kind) {
    using T = decltype(kind);
    const ComposeBackwardJob<T> job = tensors.job<T>();
    if (vertices_wanted) sum_to_vertices<T, 4, 3, 2>(tensors.sums(), job, tensors.vertices_gradient);
    if (!barycentric_wanted) return;
    advise_huge_pages(job.barycentric_gradient, tensors.barycentric_gradient.numel() * sizeof(T));
    for_each_strip(job.forward, [&](int64_t image, int64_t begin, int64_t end) {
      for (int64_t pixel = begin; pixel < end; ++pixel) write_barycentric_gradient(job, image, pixel);
    });
  };
  source_vertices.scalar_type() == ScalarType::Double ? run_backward(double()) : run_backward(float());
  return {tensors.vertices_gradient, tensors.barycentric_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("compose_flow", TORCH_BOX(&compose_flow));
  m.impl("compose_flow_backward", TORCH_BOX(&compose_flow_backward));
}

}  // namespace warpkit::flow
