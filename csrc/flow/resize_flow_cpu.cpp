// How the CPU resizes flows: rows over threads.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "common/parallel.h"
#include "flow/resize_flow_simd.h"
#include "flow/resize_flow_tensors.h"

namespace warpkit::flow {

namespace {

// Calls pixel(image, i, j, down, across) for every sample of the result; columns' footprints are made once.
template <typename T, typename Pixel>
void for_each_pixel(const ResizeJob<T>& job, const Pixel& pixel) {
  std::vector<Footprint> across(job.width);
  for (int64_t j = 0; j < job.width; ++j) across[j] = make_footprint(job.mode, j, job.in_width, job.width);
  run_tasks(job.images * job.height, [&](int64_t task) {
    const int64_t image = task / job.height, i = task % job.height;
    const Footprint down = make_footprint(job.mode, i, job.in_height, job.height);
    for (int64_t j = 0; j < job.width; ++j) pixel(image, i, j, down, across[j]);
  });
}

// What one axis needs for every sample of the result: the samples it covers and their weights.
struct Axis {
  std::vector<int64_t> first, begin;  // weights of sample n: begin[n]..begin[n + 1] - 1
  std::vector<double> weight, all;    // all: their sum

  Axis(ResizeMode mode, int64_t in, int64_t out) : begin{0} {
    for (int64_t n = 0; n < out; ++n) {
      const Footprint footprint = make_footprint(mode, n, in, out);
      double sum = 0.0;
      for (int64_t k = footprint.first; k <= footprint.last; ++k) {
        weight.push_back(weight_of(footprint, k));
        sum += weight.back();
      }
      first.push_back(footprint.first);
      begin.push_back(static_cast<int64_t>(weight.size()));
      all.push_back(sum);
    }
  }
};

// For each column of the flow, sums over the rows that a sample of the result covers.
struct Columns {
  std::vector<double> numbers;
  ColumnSums sums;

  explicit Columns(int64_t width)
      : numbers(3 * width), sums{numbers.data(), numbers.data() + width, numbers.data() + 2 * width} {}

  void clear() { std::fill(numbers.begin(), numbers.end(), 0.0); }
};

// Rows first, then columns: each sample of the flow is read once a row of the result that covers it.
template <typename T>
void run(const ResizeJob<T>& job) {
  const bool masked = job.mode == ResizeMode::masked;
  const Axis down(job.mode, job.in_height, job.height), across(job.mode, job.in_width, job.width);
  std::vector<double> place_x(job.in_width, 0.0);
  for (int64_t j = 0; masked && j < job.in_width; ++j) place_x[j] = place_of(j, job.in_width);
  const int64_t rows = 16;  // of a task, which has sums of its own
  const int64_t strips = (job.height + rows - 1) / rows;
  run_tasks(job.images * strips, [&](int64_t task) {
    const int64_t image = task / strips, top = task % strips * rows;
    Columns columns(job.in_width);
    for (int64_t i = top; i < std::min(top + rows, job.height); ++i) {
      columns.clear();
      for (int64_t k = down.begin[i]; k < down.begin[i + 1]; ++k) {
        const int64_t row = down.first[i] + k - down.begin[i];
        const bool hides = masked && job.visible.data != nullptr;
        const FlowRow<T> from = {row_of_image(job.grid, job, image, row), job.grid.column, job.grid.channel,
                                 hides ? row_of_image(job.visible, job, image, row) : nullptr,
                                 job.visible.column};
        add_row(from, job.in_width, down.weight[k], place_x.data(),
                masked ? place_of(row, job.in_height) : 0.0, columns.sums);
      }
      for (int64_t j = 0; j < job.width; ++j) {
        Average sum{};
        for (int64_t k = across.begin[j]; k < across.begin[j + 1]; ++k) {
          const int64_t column = across.first[j] + k - across.begin[j];
          sum.visible += across.weight[k] * columns.sums.visible[column];
          sum.x += across.weight[k] * columns.sums.x[column];
          sum.y += across.weight[k] * columns.sums.y[column];
        }
        sum.all = down.all[i] * across.all[j];
        write_average(job, image, i, j, sum);
      }
    }
  });
}

template <typename T>
void run_backward(const ResizeBackwardJob<T>& job) {
  for_each_pixel(job.forward, [&](int64_t image, int64_t i, int64_t j, const Footprint& down,
                                  const Footprint& across) { invert_pixel(job, image, i, j, down, across); });
  run_tasks(job.forward.images * job.forward.in_height, [&](int64_t task) {
    const int64_t image = task / job.forward.in_height, i = task % job.forward.in_height;
    for (int64_t j = 0; j < job.forward.in_width; ++j) gather_gradient(job, image, i, j);
  });
}

std::tuple<Tensor, Tensor> resize_flow(const Tensor& grid, const std::optional<Tensor>& visible,
                                       int64_t height, int64_t width, const std::string& mode) {
  const ResizeTensors tensors(grid, visible, height, width, mode);
  grid.scalar_type() == ScalarType::Double ? run(tensors.job<double>()) : run(tensors.job<float>());
  return {tensors.out, tensors.out_visible};
}

Tensor resize_flow_backward(const Tensor& gradient, const std::optional<Tensor>& visible, int64_t in_height,
                            int64_t in_width, const std::string& mode) {
  const ResizeBackwardTensors tensors(gradient, visible, in_height, in_width, mode);
  gradient.scalar_type() == ScalarType::Double ? run_backward(tensors.job<double>())
                                               : run_backward(tensors.job<float>());
  return tensors.out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("resize_flow", TORCH_BOX(&resize_flow));
  m.impl("resize_flow_backward", TORCH_BOX(&resize_flow_backward));
}

}  // namespace warpkit::flow
