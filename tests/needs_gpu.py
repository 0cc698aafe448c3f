"""What tests on a GPU need: without it they skip and say what is missing, and `make gpu-check` runs them with it."""

import pytest
import torch

import warpkit

NEEDS_GPU = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    pytest.mark.skipif(not warpkit.build_info()["cuda_kernels"], reason="this build has no CUDA kernels"),
]
