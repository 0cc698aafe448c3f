// How the CPU sums pixels into vertices. Rows are split into bands by shape alone; each band sums in order
// into its own doubles, and bands are added in order: the result does not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/half.h"
#include "common/parallel.h"
#include "common/tensors.h"
#include "common/vertex_sums.h"

namespace warpkit {

namespace vertex_sums_detail {

constexpr int64_t kTasks = 16;  // about as many at least: work for as many threads

// Rows of all images of a set, one below the other, in bands of equal height.
struct Bands {
  int64_t count, set_rows;
  int64_t begin(int64_t band) const { return set_rows * band / count; }
};

// `pieces` tasks a band come from splitting the numbers of a vertex, which costs no memory; more bands than
// let the buffers grow to the size of the gradients read would cost more than they save.
inline Bands split_rows(const VertexSums& job, int64_t pieces) {
  const int64_t sets = count_sets(job), set_rows = (job.shared ? job.images : 1) * job.height;
  const int64_t wanted = (kTasks + sets * pieces - 1) / (sets * pieces);
  const int64_t affordable = set_rows * job.width / std::max<int64_t>(job.num_vertices, 1);
  return {std::max<int64_t>(1, std::min({wanted, affordable, set_rows})), set_rows};
}

// Numbers first..first + N of the vertices, from rows begin..end of a set.
template <int N, typename Op>
void sum_band(const VertexSums& job, const Op& op, int64_t set, int64_t begin, int64_t end, int64_t first,
              double* out) {
  PixelRun run{};
  run.first = first;
  for (int64_t row = begin; row < end; ++row) {
    run.image = job.shared ? row / job.height : set;
    run.row = job.shared ? row % job.height : row;
    run.end = 0;
    const int32_t* face_index = face_index_row(job, run.image, run.row);
    while (next_run(job, face_index, job.width, &run)) {
      double sums[3][N] = {};
      add_run(op, run, sums);
      for (int k = 0; k < 3; ++k) {
        double* to = out + run.vertex[k] * job.dims + first;
        for (int d = 0; d < N; ++d) to[d] += sums[k][d];
      }
    }
  }
}

}  // namespace vertex_sums_detail

// Writes the sums to `out`, contiguous and of T. The numbers of a vertex are taken in pieces as large as they
// come from kPieces, which descend and can make up job.dims.
template <typename T, int... kPieces, typename Op>
void sum_to_vertices(const VertexSums& job, const Op& op, torch::stable::Tensor& out) {
  using namespace vertex_sums_detail;
  T* const to = static_cast<T*>(out.mutable_data_ptr());
  const int64_t sets = count_sets(job), set_size = job.num_vertices * job.dims;
  if (sets == 0 || set_size == 0) return;
  const auto next_piece = [&](int64_t first) {
    int64_t piece = 0;
    ((piece == 0 && kPieces <= job.dims - first ? void(piece = kPieces) : void()), ...);
    return piece;
  };
  int64_t pieces = 0;
  for (int64_t first = 0; first < job.dims; first += next_piece(first)) ++pieces;
  const Bands bands = split_rows(job, pieces);
  torch::stable::Tensor buffers =
      make_tensor(out, {sets * bands.count, set_size}, torch::headeronly::ScalarType::Double);
  double* const sums = static_cast<double*>(buffers.mutable_data_ptr());
  constexpr int64_t kChunk = 8192;
  const int64_t total = sets * bands.count * set_size;
  run_tasks((total + kChunk - 1) / kChunk, [&](int64_t task) {
    std::fill(sums + task * kChunk, sums + std::min((task + 1) * kChunk, total), 0.0);
  });
  run_tasks(sets * bands.count * pieces, [&](int64_t task) {
    const int64_t which = task / pieces, set = which / bands.count, band = which % bands.count;
    int64_t first = 0;
    for (int64_t skip = task % pieces; skip > 0; --skip) first += next_piece(first);
    const int64_t piece = next_piece(first);
    const auto run = [&](auto size) {
      if (piece == size) {
        sum_band<size>(job, op, set, bands.begin(band), bands.begin(band + 1), first,
                       sums + which * set_size);
      }
    };
    (run(std::integral_constant<int, kPieces>()), ...);
  });
  const int64_t chunks = (set_size + kChunk - 1) / kChunk;
  run_tasks(sets * chunks, [&](int64_t task) {
    const int64_t set = task / chunks, begin = task % chunks * kChunk,
                  end = std::min(begin + kChunk, set_size);
    for (int64_t at = begin; at < end; ++at) {
      const double* from = sums + set * bands.count * set_size + at;
      double sum = from[0];
      for (int64_t band = 1; band < bands.count; ++band) sum += from[band * set_size];
      narrow(static_cast<Accumulator<T>>(sum), to + set * set_size + at);
    }
  });
}

}  // namespace warpkit
