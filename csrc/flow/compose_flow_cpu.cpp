// How the CPU composes flows: rows of pixels over threads, all sources of a row while its face ids are in
// cache.
#include <torch/csrc/stable/library.h>

#include "common/huge_pages.h"
#include "common/parallel.h"
#include "common/vertex_sums_cpu.h"
#include "flow/compose_flow_tensors.h"

namespace warpkit::flow {

namespace {

// kPacked: the numbers of a pixel lie side by side in each map.
template <int kComponents, bool kPacked, typename T>
void compose_part(const ComposeJob<T>& job, int64_t image, int64_t source, int64_t row, int64_t begin,
                  int64_t end) {
  const int64_t which = image * job.sources + source, to = (which * job.height + row) * job.width;
  const T* vertices = job.vertices + which * job.num_vertices * kComponents;
  const unsigned char* source_visible =
      job.source_visible ? job.source_visible + which * job.num_faces : nullptr;
  const unsigned char* face_mask = job.face_mask ? job.face_mask + which * job.num_faces : nullptr;
  const int64_t id_step = kPacked ? 1 : job.face_index.column, step = kPacked ? 3 : job.barycentric.column,
                channel = kPacked ? 1 : job.barycentric.channel;
  const int32_t* face_index = row_of(job.face_index, image, row);
  const T* weights = row_of(job.barycentric, image, row);
  T* grid = job.grid + 2 * to;
  unsigned char* visible = job.visible + to;
  int32_t current = -1;
  bool shown = false;
  const T* corner[3] = {};
  for (int64_t at = begin; at < end; ++at) {
    const int32_t face = face_index[at * id_step];
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
    if (shown) {
      const T* weight = weights + at * step;
      const T barycentric[3] = {weight[0], weight[channel], weight[2 * channel]};
      point = compose_point(barycentric, corner[0], corner[1], corner[2], kComponents);
    }
    grid[2 * at] = point.x;
    grid[2 * at + 1] = point.y;
    visible[at] = point.visible;
  }
}

template <typename T>
void run(const ComposeJob<T>& job) {
  const bool packed = is_packed(job.face_index, 1) && is_packed(job.barycentric, 3);
  const auto walk = [&](auto components) {
    const auto part =
        packed ? &compose_part<components.value, true, T> : &compose_part<components.value, false, T>;
    walk_pixels(job.batch, job.height, job.width,
                [&](int64_t image, int64_t row, int64_t begin, int64_t end) {
                  for (int64_t source = 0; source < job.sources; ++source) {
                    part(job, image, source, row, begin, end);
                  }
                });
  };
  switch (job.components) {
    case 2:
      return walk(std::integral_constant<int, 2>());
    case 3:
      return walk(std::integral_constant<int, 3>());
    default:
      return walk(std::integral_constant<int, 4>());
  }
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
    walk_pixels(job.forward.batch, job.forward.height, job.forward.width,
                [&](int64_t image, int64_t row, int64_t begin, int64_t end) {
                  for (int64_t j = begin; j < end; ++j) write_barycentric_gradient(job, image, row, j);
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
