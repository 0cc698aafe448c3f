// Tasks of uneven size over torch's threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace warpkit {

// Calls task(index) for 0..count-1, each once, from torch's threads; a thread that is free takes the next.
template <typename Task>
void run_tasks(int64_t count, const Task& task) {
  std::atomic<int64_t> next{0};
  const int64_t workers = std::min<int64_t>(count, torch::stable::get_num_threads());
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    for (int64_t index = next++; index < count; index = next++) task(index);
  });
}

// Calls part(image, row, begin, end) for columns begin..end of rows that make up all pixels of the images, in
// strips of a few thousand pixels.
template <typename Part>
void walk_pixels(int64_t batch, int64_t height, int64_t width, const Part& part) {
  constexpr int64_t kPixels = 4096;
  const int64_t pixels = height * width, strips = (pixels + kPixels - 1) / kPixels;
  run_tasks(batch * strips, [&](int64_t task) {
    const int64_t first = task % strips * kPixels, last = std::min(first + kPixels, pixels);
    for (int64_t at = first; at < last;) {
      const int64_t row = at / width, begin = at - row * width, end = std::min(width, begin + last - at);
      part(task / strips, row, begin, end);
      at += end - begin;
    }
  });
}

}  // namespace warpkit
