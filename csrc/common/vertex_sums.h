// The scatter that every gradient of a mesh ends in: each pixel adds a few numbers to each of the three
// vertices of the face that it shows. What both devices share; the walks: vertex_sums_cpu.h,
// vertex_sums_cuda.h.
//
// An op says what its pixels add by a struct of its own, `op`, and a function found by argument-dependent
// lookup:
//
//   template <int N, typename A>
//   WARPKIT_HD void add_run(const Op& op, const PixelRun& run, A (&sums)[3][N]);
//
// which adds to sums[k][d] what pixels run.begin..end give to number run.first + d of vertex run.vertex[k].
// It is called for pixels that show a face in range alone, so background and bad ids never reach a sum.
// A is double on the CPU; on CUDA float for float32, where doubles are slow.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/host_device.h"
#include "common/map_view.h"

namespace warpkit {

// Some pixels of one row that show one face.
struct PixelRun {
  int64_t image, row, begin, end;  // columns begin..end
  int64_t face, vertex[3];
  int64_t first;  // of the numbers of a vertex, where sums begin
};

struct VertexSums {
  const void* faces;  // [F, 3]
  int64_t num_faces;
  bool wide_faces;              // int64, else int32
  MapView<int32_t> face_index;  // [images / repeats, height, width]: so many images in a row share their ids
  int64_t images, repeats, height, width;
  int64_t num_vertices, dims;
  bool shared;  // one set of vertices for all images: sums [V, dims], else [images, V, dims]
};

WARPKIT_HD int64_t count_sets(const VertexSums& job) { return job.shared ? 1 : job.images; }

// The face's vertices; false: the face, or one of them, is out of range.
WARPKIT_HD bool fetch_vertices(const VertexSums& job, int64_t face, int64_t (&vertex)[3]) {
  if (face < 0 || face >= job.num_faces) return false;
  bool good = true;
  for (int k = 0; k < 3; ++k) {
    vertex[k] = job.wide_faces ? static_cast<const int64_t*>(job.faces)[3 * face + k]
                               : static_cast<const int32_t*>(job.faces)[3 * face + k];
    good = good && vertex[k] >= 0 && vertex[k] < job.num_vertices;
  }
  return good;
}

WARPKIT_HD const int32_t* face_index_row(const VertexSums& job, int64_t image, int64_t row) {
  return row_of(job.face_index, image / job.repeats, row);
}

// The first column from `at` on that does not show the face, `end` at the latest.
template <typename Step>
WARPKIT_HD int64_t find_change(const int32_t* face_index, Step step, int32_t face, int64_t at, int64_t end) {
  while (at < end && face_index[at * step] == face) ++at;
  return at;
}

// The next run of a row's columns begin..end that adds anything; false: no more. `run.end` is where to look.
WARPKIT_HD bool next_run(const VertexSums& job, const int32_t* face_index, int64_t end, PixelRun* run) {
  const int64_t step = job.face_index.column;
  for (int64_t at = run->end; at < end;) {
    const int32_t face = face_index[at * step];
    const int64_t after =
        step == 1 ? find_change(face_index, std::integral_constant<int64_t, 1>(), face, at + 1, end)
                  : find_change(face_index, step, face, at + 1, end);
    if (face >= 0 && fetch_vertices(job, face, run->vertex)) {
      run->face = face;
      run->begin = at;
      run->end = after;
      return true;
    }
    at = after;
  }
  return false;
}

}  // namespace warpkit
