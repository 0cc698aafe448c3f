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

}  // namespace warpkit
