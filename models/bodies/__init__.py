"""Parametric bodies: parameters to vertices, faces, parts, uv, joints and keypoints, the same for every model.

Anny travels with the package; SMPL, SMPL-H and SMPL-X load from files that the user has. Nothing here reads pictures.
"""

from warpkit.models.bodies.body import (
    FULL_JOINTS,
    JOINTS,
    KEYPOINTS,
    PARENTS,
    PARTS,
    Body,
    BodyModel,
    Camera,
    body_digest,
    mirror_pose,
    mirrored_names,
    on_device,
    part_of_vertices,
)
from warpkit.models.bodies.load import BODIES, load_body

__all__ = [
    "BODIES",
    "FULL_JOINTS",
    "JOINTS",
    "KEYPOINTS",
    "PARENTS",
    "PARTS",
    "Body",
    "BodyModel",
    "Camera",
    "body_digest",
    "load_body",
    "mirror_pose",
    "mirrored_names",
    "on_device",
    "part_of_vertices",
]
