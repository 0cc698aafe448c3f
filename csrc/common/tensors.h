// New tensors, contiguous ones and views of maps, by the short way through the stable ABI: a call by the op's
// name costs about a microsecond, which is most of an op on tiny inputs.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "common/map_view.h"

// What PyTorch says of the call that failed last on this thread. It has the function from 2.13 on.
extern "C" __attribute__((weak)) const char* torch_exception_get_what_without_backtrace();

namespace warpkit {

inline std::string last_failure() {
  const char* what = torch_exception_get_what_without_backtrace != nullptr
                         ? torch_exception_get_what_without_backtrace()
                         : nullptr;
  return what != nullptr ? what : "";
}

// A call through the stable ABI, which fails with PyTorch's reason: the ABI's own checks leave it out, and
// most often it is that memory is short.
template <typename Run>
auto with_reason(const Run& run) {
  try {
    return run();
  } catch (const std::exception& error) {
    const std::string reason = last_failure();
    throw std::runtime_error(reason.empty() ? error.what() : reason);
  }
}

[[noreturn]] __attribute__((noinline, cold)) inline void fail_for_memory(
    torch::headeronly::IntHeaderOnlyArrayRef shape, bool on_cpu) {
  std::string text = "warpkit: found no memory for a tensor [";
  for (size_t d = 0; d < shape.size(); ++d) text += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  const std::string reason = last_failure();
  throw std::runtime_error(text + "]" + (!reason.empty() ? ": " + reason : on_cpu ? "" : ": out of memory"));
}

// Uninitialised, contiguous, on the device of `like`; its dtype too unless another is given.
inline torch::stable::Tensor make_tensor(const torch::stable::Tensor& like,
                                         torch::headeronly::IntHeaderOnlyArrayRef shape,
                                         std::optional<torch::headeronly::ScalarType> dtype = std::nullopt) {
  constexpr size_t kMostDims = 8;
  STD_TORCH_CHECK(shape.size() <= kMostDims, "warpkit: at most 8 dimensions");
  std::array<int64_t, kMostDims> strides{};
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= shape[d] > 1 ? shape[d] : 1;
  }
  int32_t type = 0, device_type = 0, device_index = 0;
  if (dtype) {
    type = torch::stable::detail::to<int32_t>(torch::stable::detail::from(*dtype));
  } else {
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &type));
  }
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(like.get(), &device_index));
  AtenTensorHandle made = nullptr;
  if (aoti_torch_empty_strided(static_cast<int64_t>(shape.size()), shape.data(), strides.data(), type,
                               device_type, device_index, &made) != TORCH_SUCCESS) {
    fail_for_memory(shape, device_type == aoti_torch_device_type_cpu());
  }
  return torch::stable::Tensor(made);
}

// The tensor itself where it is contiguous already.
inline torch::stable::Tensor as_contiguous(const torch::stable::Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : with_reason([&] { return torch::stable::contiguous(tensor); });
}

// Of [B,H,W] or [B,H,W,N]; the tensor must outlive the view.
template <typename T>
MapView<T> view_map(const torch::stable::Tensor& map) {
  return {static_cast<const T*>(map.const_data_ptr()),
          map.stride(0),
          0,
          map.stride(1),
          map.stride(2),
          map.dim() > 3 ? map.stride(3) : 0};
}

// Of [B,S,H,W] or [B,S,H,W,N].
template <typename T>
MapView<T> view_source_maps(const torch::stable::Tensor& map) {
  return {static_cast<const T*>(map.const_data_ptr()),
          map.stride(0),
          map.stride(1),
          map.stride(2),
          map.stride(3),
          map.dim() > 4 ? map.stride(4) : 0};
}

}  // namespace warpkit
