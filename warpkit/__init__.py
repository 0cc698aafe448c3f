"""warpkit: moving pixels with meshes. Rasterization, flow and warping ops for PyTorch, on CPU and CUDA."""

from warpkit._build import build_info
from warpkit.interpolate import interpolate
from warpkit.rasterize import Fragments, barycentrics, rasterize, visible_faces

__all__ = ["Fragments", "barycentrics", "build_info", "interpolate", "rasterize", "visible_faces"]
