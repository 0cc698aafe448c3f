// The current CUDA stream and launch checks, on the stable ABI and the static CUDA runtime alone.
#pragma once

#include <cuda_runtime.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/tensor.h>

namespace warpkit {

// The function lives in libtorch_cuda, which a CPU-only torch lacks: it is looked up in the loaded library,
// not linked.
inline cudaStream_t current_stream(const torch::stable::Tensor& tensor) {
  using GetStream = AOTITorchError (*)(int32_t, void**);
  static const GetStream get_stream = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD);
    STD_TORCH_CHECK(library != nullptr,
                    "warpkit: a CUDA tensor came, but this PyTorch has no CUDA library loaded");
    void* symbol = dlsym(library, "aoti_torch_get_current_cuda_stream");
    STD_TORCH_CHECK(symbol != nullptr,
                    "warpkit: this PyTorch does not export its current CUDA stream; 2.11 or newer does");
    return reinterpret_cast<GetStream>(symbol);
  }();
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(get_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

// Blocks of `threads` threads for so many items, one a thread; loops over the grid's stride do what is beyond
// them.
inline unsigned blocks_for(int64_t items, int threads) {
  const int64_t blocks = (items + threads - 1) / threads, most = int64_t(1) << 30;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

inline void check_launch() {
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, "warpkit: CUDA launch failed: ", cudaGetErrorString(error));
}

// Divides by a number that all threads share by a multiplication; a division of 64 bits is a call. `magic` is
// 2^64 / divisor, rounded up, so quotients are exact while value * divisor < 2^64: beyond any memory here.
struct Divider {
  int64_t divisor;
  uint64_t magic;

  Divider() = default;
  explicit Divider(int64_t by)
      : divisor(by), magic(by > 1 ? ~uint64_t(0) / static_cast<uint64_t>(by) + 1 : 0) {}

  __device__ __forceinline__ int64_t quotient(int64_t value) const {
    return divisor > 1 ? static_cast<int64_t>(__umul64hi(static_cast<uint64_t>(value), magic)) : value;
  }
};

}  // namespace warpkit
