"""Where the landmark network's points lie on a body, and how its depths are off: constants measured once.

They come from pictures of seven people (openpeople P001-P007: outdoors, in the studio, from the front, back and sides)
by `python -m benchmarks.recovery_calibration`; P008-P010 are kept for testing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, KEYPOINTS
from warpkit.models.recovery.blazepose import LANDMARKS

USED = tuple(name for name in KEYPOINTS if name in LANDMARKS)
"""The landmarks that a fit uses: all keypoints but the small toes."""

# kind of landmark: (the joint whose frame it moves with, metres from the body model's keypoint to the network's point:
# towards the body's left for a left landmark, up, to the front)
OFFSETS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.000, 0.001, -0.005)),
    "eye": ("head", (0.004, 0.004, -0.010)),
    "ear": ("head", (-0.010, 0.009, 0.019)),
    "shoulder": ("collar", (0.005, 0.005, 0.000)),
    "elbow": ("shoulder", (0.016, -0.001, -0.009)),
    "wrist": ("elbow", (0.020, -0.002, 0.004)),
    "hip": ("pelvis", (-0.005, -0.009, 0.002)),
    "knee": ("hip", (-0.010, -0.015, 0.008)),
    "ankle": ("knee", (0.001, 0.017, 0.000)),
    "big_toe": ("ankle", (0.006, 0.007, -0.030)),
    "heel": ("ankle", (-0.005, 0.023, -0.002)),
}

# kind of landmark: metres by which the network sees it too near to the camera, counted from the hips: always, and times
# the cosine of the angle between the body's front and the camera. The network leans people towards the camera
DEPTH_BIAS: dict[str, tuple[float, float]] = {
    "nose": (0.078, 0.129),
    "eye": (0.087, 0.129),
    "ear": (0.091, 0.071),
    "shoulder": (0.081, 0.064),
    "elbow": (0.064, 0.036),
    "wrist": (0.080, 0.042),
    "hip": (0.000, 0.000),
    "knee": (-0.039, 0.042),
    "ankle": (-0.139, 0.006),
    "big_toe": (-0.075, -0.091),
    "heel": (-0.143, 0.035),
}


def kind_of(name: str) -> str:
    """A landmark's name without its side."""
    return name.removeprefix("left_").removeprefix("right_")


def bone_of(name: str) -> int:
    """The index in JOINTS of the joint whose frame a landmark moves with."""
    side, joint = name.partition("_")[0], OFFSETS[kind_of(name)][0]
    return JOINTS.index(joint if joint in JOINTS else f"{side}_{joint}")


def offsets() -> Tensor:
    """[21, 3] metres, for USED."""
    mirrors = torch.tensor([[-1.0 if name.startswith("right_") else 1.0, 1.0, 1.0] for name in USED])
    return torch.tensor([OFFSETS[kind_of(name)][1] for name in USED]) * mirrors


def depth_bias() -> Tensor:
    """[21, 2] metres, for USED."""
    return torch.tensor([DEPTH_BIAS[kind_of(name)] for name in USED])
