"""warpkit: moving pixels with meshes. Rasterization, flow and warping ops for PyTorch, on CPU and CUDA."""
