// From a tensor's dtype to the C++ type of its numbers.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include "common/half.h"

namespace warpkit {

// Calls run(T()) for the type of a tensor, and returns what it returns; `name` is for the error.
template <typename Run>
auto with_type(const char* name, const torch::stable::Tensor& tensor, const Run& run) {
  using torch::headeronly::ScalarType;
  switch (tensor.scalar_type()) {
    case ScalarType::Float:
      return run(float());
    case ScalarType::Double:
      return run(double());
    case ScalarType::Half:
      return run(Half());
    case ScalarType::BFloat16:
      return run(BFloat16());
    default:
      STD_TORCH_CHECK(false, name, ": expected float32, float64, bfloat16 or float16");
  }
  return run(float());  // not reached
}

template <typename Run>
auto with_type(const torch::stable::Tensor& features, const Run& run) {
  return with_type("features", features, run);
}

}  // namespace warpkit
