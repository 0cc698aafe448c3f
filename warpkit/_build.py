"""What this build of warpkit holds. Importing it registers torch.ops.warpkit."""

from typing import Any

import torch  # before _C: the extension finds libtorch_cpu among the libraries that are already loaded

from warpkit import _C

WITH_CUDA: bool = _C.with_cuda


def build_info() -> dict[str, Any]:
    """Versions, SIMD level and CUDA architectures of this build.

    Returns a dict: ``torch`` (version), ``simd_levels`` (compiled in), ``simd_level`` (used on this processor; the
    environment variable WARPKIT_SIMD lowers it), ``threads``, ``cuda_kernels`` (bool), ``cuda_version`` and
    ``cuda_architectures`` of the kernels, ``cuda_available`` (torch sees a GPU), ``note`` (what is missing).
    """
    note = ""
    if not _C.with_cuda:
        note = "CUDA kernels are missing: nvcc was not found when warpkit was built, or WARPKIT_CUDA was off. "
        note += "CUDA tensors raise an error."
    return {
        "torch": torch.__version__,
        "simd_levels": _C.simd_levels.split(),
        "simd_level": _C.simd_level(),
        "threads": torch.get_num_threads(),
        "cuda_kernels": _C.with_cuda,
        "cuda_version": _C.cuda_version,
        "cuda_architectures": _C.cuda_architectures.split(),
        "cuda_available": torch.cuda.is_available(),
        "note": note,
    }
