"""warpkit: moving pixels with meshes. Rasterization, flow and warping ops for PyTorch, on CPU and CUDA."""

from warpkit import _vmap
from warpkit._build import build_info
from warpkit.antialias import antialias, face_neighbours
from warpkit.attention_warp import AttentionWarp
from warpkit.flow import Flow, compose_flow
from warpkit.interpolate import interpolate
from warpkit.mesh_flow import mesh_flow
from warpkit.rasterize import Fragments, barycentrics, rasterize, visible_faces
from warpkit.resize_flow import resize_flow
from warpkit.warp import warp
from warpkit.warp_attention import warp_attention
from warpkit.warp_reduce import warp_reduce

__all__ = [
    "AttentionWarp",
    "Flow",
    "Fragments",
    "antialias",
    "barycentrics",
    "build_info",
    "compose_flow",
    "face_neighbours",
    "interpolate",
    "mesh_flow",
    "rasterize",
    "resize_flow",
    "visible_faces",
    "warp",
    "warp_attention",
    "warp_reduce",
]

_vmap.register_rules()
