// A stable sort on the device and where each key begins in it: how sums get a fixed order.
// Include from .cu files only.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <optional>

#include "common/cuda.h"
#include "common/tensors.h"

namespace warpkit {

namespace sort_detail {

constexpr int kThreads = 256;

// starts[key]: how many of the sorted keys are smaller; for 0..count.
template <typename Key>
static __global__ void __launch_bounds__(kThreads)
    search_keys(const Key* sorted, int64_t total, int64_t count, int64_t* starts) {
  for (int64_t key = int64_t(blockIdx.x) * kThreads + threadIdx.x; key <= count;
       key += int64_t(gridDim.x) * kThreads) {
    int64_t low = 0, high = total;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (sorted[middle] < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    starts[key] = low;
  }
}

template <typename Key>
void find_starts(const torch::stable::Tensor& sorted, int64_t count, torch::stable::Tensor& starts,
                 cudaStream_t stream) {
  search_keys<<<blocks_for(count + 1, kThreads), kThreads, 0, stream>>>(
      static_cast<const Key*>(sorted.const_data_ptr()), sorted.numel(), count,
      static_cast<int64_t*>(starts.mutable_data_ptr()));
  check_launch();
}

}  // namespace sort_detail

// order: where the sorted keys stood; starts[key]: where the first of a key stands in it.
struct Sorted {
  torch::stable::Tensor order, starts;
};

// Of keys [N] int32 or int64, from 0 to count; starts [count + 1]. No synchronisation with the host. Half as
// wide keys sort twice as fast.
inline Sorted sort_keys(const torch::stable::Tensor& keys, int64_t count, cudaStream_t stream) {
  using torch::stable::Tensor;
  STD_TORCH_CHECK(
      keys.numel() < (int64_t(1) << 31),
      "warpkit: under torch.use_deterministic_algorithms a gradient on CUDA takes fewer than 2^31 "
      "pixels a call, as torch sorts no more; got ",
      keys.numel(), ": split the batch");
  using torch::stable::detail::from;
  using torch::stable::detail::to;
  std::array<StableIValue, 4> stack{from(keys), from(std::optional<bool>(true)), from(int64_t(-1)),
                                    from(false)};
  with_reason([&] {
    TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  });
  const Tensor sorted = to<Tensor>(stack[0]), order = to<Tensor>(stack[1]);
  Tensor starts = make_tensor(keys, {count + 1}, torch::headeronly::ScalarType::Long);
  if (keys.scalar_type() == torch::headeronly::ScalarType::Int) {
    sort_detail::find_starts<int32_t>(sorted, count, starts, stream);
  } else {
    sort_detail::find_starts<int64_t>(sorted, count, starts, stream);
  }
  return {order, starts};
}

}  // namespace warpkit
