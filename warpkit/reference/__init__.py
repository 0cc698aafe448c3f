"""Every op in plain PyTorch, in any float dtype, slow and obvious: the definition that tests compare with.

Arguments are those of the ops and are not checked. What autograd makes of a twin defines the gradient of its op.
"""

from warpkit.reference.antialias import antialias, face_neighbours
from warpkit.reference.flow import compose_flow, mesh_flow, resize_flow
from warpkit.reference.rasterize import barycentrics, interpolate, rasterize, visible_faces
from warpkit.reference.warp import warp, warp_attention, warp_reduce

__all__ = [
    "antialias",
    "barycentrics",
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
