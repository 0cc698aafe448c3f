// New tensors and contiguous ones by the short way through the stable ABI: a call by the op's name costs
// about a microsecond, which is most of an op on tiny inputs.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <optional>

namespace warpkit {

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
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(shape.size()), shape.data(),
                                                  strides.data(), type, device_type, device_index, &made));
  return torch::stable::Tensor(made);
}

// The tensor itself where it is contiguous already.
inline torch::stable::Tensor as_contiguous(const torch::stable::Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

}  // namespace warpkit
