// How the CPU antialiases: rows over threads; first the silhouettes between all pairs, then the few pixels
// that they change. Contributions to vertices are listed by strips of rows and added in the order of the
// strips.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include "antialias/antialias_math.h"
#include "antialias/antialias_tensors.h"
#include "common/dtypes.h"
#include "common/huge_pages.h"
#include "common/parallel.h"

namespace warpkit::antialiasing {

namespace {

constexpr int64_t kRows = 8;  // of a strip

// Calls run(image, first row, last row) for strips of rows.
template <typename Run>
void for_strips(int64_t batch, int64_t height, const Run& run) {
  const int64_t strips = (height + kRows - 1) / kRows;
  run_tasks(batch * strips, [&](int64_t task) {
    const int64_t first = task % strips * kRows;
    run(task / strips, first, std::min(first + kRows, height));
  });
}

// Calls run(n) for each n whose mark is set. Few are: eight are looked at together.
template <typename Run>
void for_marked(const uint8_t* marks, int64_t count, const Run& run) {
  for (int64_t begin = 0; begin < count; begin += 8) {
    const int64_t end = std::min<int64_t>(begin + 8, count);
    uint64_t word = 0;
    std::memcpy(&word, marks + begin, end - begin);
    if (word == 0) continue;
    for (int64_t n = begin; n < end; ++n) {
      if (marks[n]) run(n);
    }
  }
}

template <typename A, typename G>
void find_shifts(const Scene<G>& scene, A* shifts) {
  const int64_t plane = scene.batch * scene.height * scene.width;
  for_strips(scene.batch, scene.height, [&](int64_t image, int64_t first, int64_t last) {
    std::vector<uint8_t> differs(scene.width);
    for (int64_t row = first; row < last; ++row) {
      const int64_t begin = (image * scene.height + row) * scene.width;
      const int32_t* face = scene.face_index + begin;
      A *rows = shifts + begin, *columns = rows + plane;
      std::fill_n(rows, scene.width, A(kNone));
      std::fill_n(columns, scene.width, A(kNone));
      const auto find = [&](int64_t pairs, int64_t step, int direction, A* to) {
        for (int64_t column = 0; column < pairs; ++column) {
          differs[column] = face[column] != face[column + step];
        }
        for_marked(differs.data(), pairs,
                   [&](int64_t column) { to[column] = find_shift<A>(scene, image, row, column, direction); });
      };
      find(scene.width - 1, 1, kRow, rows);
      if (row + 1 < scene.height) find(scene.width, scene.width, kColumn, columns);
    }
  });
}

template <typename A>
Tensor make_shifts(const SceneTensors& tensors) {
  Tensor shifts = tensors.make_shifts(sizeof(A) == 8);
  A* data = static_cast<A*>(shifts.mutable_data_ptr());
  advise_huge_pages(data, shifts.numel() * sizeof(A));
  tensors.wide() ? find_shifts(tensors.scene<double>(), data) : find_shifts(tensors.scene<float>(), data);
  return shifts;
}

template <typename A>
Shifts<A> view_shifts(const Tensor& shifts) {
  return {static_cast<const A*>(shifts.const_data_ptr()), shifts.size(1), shifts.size(2), shifts.size(3)};
}

template <typename T>
void copy_row(const T* from, const Strides& in, T* to, const Strides& out, int64_t channels, int64_t width) {
  if (in.channel == 1 && in.column == channels && out.channel == 1 && out.column == channels) {
    std::memcpy(to, from, channels * width * sizeof(T));
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    const T* source = from + c * in.channel;
    T* target = to + c * out.channel;
    if (in.column == 1 && out.column == 1) {
      std::memcpy(target, source, width * sizeof(T));
    } else {
      for (int64_t column = 0; column < width; ++column) {
        target[column * out.column] = source[column * in.column];
      }
    }
  }
}

// Marks the pixels of a row that are in a pair with a silhouette.
template <typename A>
void mark_row(const Shifts<A>& shifts, int64_t image, int64_t row, uint8_t* marks) {
  const A* rows = shifts.data + (image * shifts.height + row) * shifts.width;
  const A* columns = rows + shifts.batch * shifts.height * shifts.width;
  const A* above = row > 0 ? columns - shifts.width : columns;
  for (int64_t column = 0; column < shifts.width; ++column) {
    marks[column] = (rows[column] < A(1)) | (columns[column] < A(1)) | (above[column] < A(1));
  }
  for (int64_t column = 1; column < shifts.width; ++column) marks[column] |= rows[column - 1] < A(1);
}

// Up to five weighted pixels that make a new one. Those of weight zero are not read.
template <typename A>
struct Mix {
  int count = 0;
  A weight[5];
  int64_t offset[5];  // from the pixel itself
  void add(A part, int64_t at) {
    if (part == A(0)) return;
    weight[count] = part;
    offset[count++] = at;
  }
};

template <typename T, typename A>
void mix_channels(const Mix<A>& mix, const T* from, int64_t in_channel, T* to, int64_t out_channel,
                  int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    A sum = 0;
    for (int k = 0; k < mix.count; ++k) sum += mix.weight[k] * widen(from[mix.offset[k] + c * in_channel]);
    narrow(sum, to + c * out_channel);
  }
}

// What pixel (row, column) becomes; false: itself.
template <typename A>
bool mix_forward(const Shifts<A>& shifts, const Strides& in, int64_t image, int64_t row, int64_t column,
                 Mix<A>* mix) {
  const Share<A> share = find_share(shifts, image, row, column);
  if (!takes(share)) return false;
  mix->add(own_weight(share), 0);
  mix->add(side_weight(share, kRow, share.left), -in.column);
  mix->add(side_weight(share, kRow, share.right), in.column);
  mix->add(side_weight(share, kColumn, share.up), -in.row);
  mix->add(side_weight(share, kColumn, share.down), in.row);
  return true;
}

// What the gradient at pixel (row, column) becomes: its own part, and the neighbours' that take from it.
template <typename A>
bool mix_backward(const Shifts<A>& shifts, const Strides& in, int64_t image, int64_t row, int64_t column,
                  Mix<A>* mix) {
  const Share<A> share = find_share(shifts, image, row, column);
  mix->add(own_weight(share), 0);
  const A* rows = shifts.data + (image * shifts.height + row) * shifts.width + column;
  const A* columns = rows + shifts.batch * shifts.height * shifts.width;
  const auto add = [&](A part, int direction, int64_t i, int64_t j, int64_t at) {
    if (part != A(0)) mix->add(side_weight(find_share(shifts, image, i, j), direction, part), at);
  };
  if (column > 0) add(first_takes(rows[-1]), kRow, row, column - 1, -in.column);
  add(second_takes(rows[0]), kRow, row, column + 1, in.column);
  if (row > 0) add(first_takes(columns[-shifts.width]), kColumn, row - 1, column, -in.row);
  add(second_takes(columns[0]), kColumn, row + 1, column, in.row);
  return mix->count > 1 || takes(share);
}

// Each pixel of `to` from `from`, by one of the two mixes.
template <typename T, typename A, typename FindMix>
void mix_image(const Tensor& from, const Tensor& to, const Shifts<A>& shifts, const FindMix& find_mix) {
  const Strides in = image_strides(from), out = image_strides(to);
  const int64_t channels = from.size(1);
  advise_huge_pages(to.const_data_ptr(), to.numel() * sizeof(T));
  for_strips(shifts.batch, shifts.height, [&](int64_t image, int64_t first, int64_t last) {
    std::vector<uint8_t> marks(shifts.width);
    for (int64_t row = first; row < last; ++row) {
      const T* source = static_cast<const T*>(from.const_data_ptr()) + image * in.image + row * in.row;
      T* target = static_cast<T*>(to.mutable_data_ptr()) + image * out.image + row * out.row;
      copy_row(source, in, target, out, channels, shifts.width);
      mark_row(shifts, image, row, marks.data());
      for_marked(marks.data(), shifts.width, [&](int64_t column) {
        Mix<A> mix;
        if (!find_mix(shifts, in, image, row, column, &mix)) return;
        mix_channels(mix, source + column * in.column, in.channel, target + column * out.column, out.channel,
                     channels);
      });
    }
  });
}

Tensor antialias(const Tensor& image, const Tensor& face_index, const Tensor& depth, const Tensor& vertices,
                 const Tensor& faces, const Tensor& neighbours) {
  const SceneTensors tensors(image, face_index, depth, vertices, faces, neighbours);
  Tensor out = make_image(image);
  with_type("image", image, [&]<typename T>(T) {
    using A = Accumulator<T>;
    if (image.numel() == 0) return;
    const Tensor shifts = make_shifts<A>(tensors);
    mix_image<T>(image, out, view_shifts<A>(shifts), mix_forward<A>);
  });
  return out;
}

struct Contribution {
  int64_t vertex;
  double by_x, by_y, by_w;
};

template <typename T, typename G>
void sum_vertices(const Scene<G>& scene, const Shifts<Accumulator<T>>& shifts, const Tensor& image,
                  const Tensor& gradient, G* out) {
  const Colours<T> colours = {static_cast<const T*>(image.const_data_ptr()), image_strides(image),
                              static_cast<const T*>(gradient.const_data_ptr()), image_strides(gradient),
                              image.size(1)};
  const int64_t strips = (scene.height + kRows - 1) / kRows;
  std::vector<std::vector<Contribution>> lists(scene.batch * strips);
  for_strips(scene.batch, scene.height, [&](int64_t n, int64_t first, int64_t last) {
    std::vector<Contribution>& list = lists[n * strips + first / kRows];
    for (int64_t row = first; row < last; ++row) {
      for (int direction : {kRow, kColumn}) {
        for (int64_t column = 0; column < scene.width; ++column) {
          const auto shift = shift_at(shifts, n, row, column, direction);
          if (shift >= 1) continue;
          const double slope = slope_of_pair(shifts, colours, n, row, column, direction);
          if (slope == 0) continue;
          const Slopes slopes =
              find_slopes(scene, n, find_crossing(scene, n, row, column, direction), direction, slope);
          for (int end = 0; end < 2; ++end) {
            list.push_back({slopes.vertex[end], slopes.by_x[end], slopes.by_y[end], slopes.by_w[end]});
          }
        }
      }
    }
  });
  run_tasks(scene.batch, [&](int64_t n) {
    G* sums = out + n * scene.num_vertices * scene.components;
    std::fill_n(sums, scene.num_vertices * scene.components, G(0));
    for (int64_t strip = 0; strip < strips; ++strip) {
      for (const Contribution& one : lists[n * strips + strip]) {
        G* at = sums + one.vertex * scene.components;
        at[0] += static_cast<G>(one.by_x);
        at[1] += static_cast<G>(one.by_y);
        if (scene.components == 4) at[3] += static_cast<G>(one.by_w);
      }
    }
  });
}

std::tuple<Tensor, Tensor> antialias_backward(const Tensor& gradient, const Tensor& image,
                                              const Tensor& face_index, const Tensor& depth,
                                              const Tensor& vertices, const Tensor& faces,
                                              const Tensor& neighbours, bool image_wanted,
                                              bool vertices_wanted, bool) {  // always deterministic
  const SceneTensors tensors(image, face_index, depth, vertices, faces, neighbours);
  check_gradient(gradient, image);
  Tensor image_gradient = image_wanted ? make_image(image) : make_tensor(image, {0});
  Tensor vertices_gradient =
      vertices_wanted ? make_tensor(vertices, {vertices.size(0), vertices.size(1), vertices.size(2)})
                      : make_tensor(vertices, {0});
  with_type("image", image, [&]<typename T>(T) {
    using A = Accumulator<T>;
    const Tensor shifts = make_shifts<A>(tensors);
    const Shifts<A> view = view_shifts<A>(shifts);
    if (image_wanted) mix_image<T>(gradient, image_gradient, view, mix_backward<A>);
    if (!vertices_wanted) return;
    if (tensors.wide()) {
      sum_vertices<T>(tensors.scene<double>(), view, image, gradient,
                      static_cast<double*>(vertices_gradient.mutable_data_ptr()));
    } else {
      sum_vertices<T>(tensors.scene<float>(), view, image, gradient,
                      static_cast<float*>(vertices_gradient.mutable_data_ptr()));
    }
  });
  return {image_gradient, vertices_gradient};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(warpkit, CPU, m) {
  m.impl("antialias", TORCH_BOX(&antialias));
  m.impl("antialias_backward", TORCH_BOX(&antialias_backward));
}

}  // namespace warpkit::antialiasing
