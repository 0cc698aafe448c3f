"""How bodies are usually held: a mean and a spread for every joint's rotation, and knees and elbows that are hinges."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS

# radians about x (to the body's left), y (up), z (to its front), counted from the T-pose; written for the left side
SPREAD = {
    "hip": (0.15, 0.4, 0.4),
    "knee": (0.12, 0.12, 0.12),
    "ankle": (0.3, 0.2, 0.2),
    "foot": (0.12, 0.08, 0.08),
    "spine1": (0.15, 0.12, 0.1),
    "spine2": (0.12, 0.12, 0.1),
    "spine3": (0.12, 0.12, 0.1),
    "neck": (0.2, 0.25, 0.15),
    "head": (0.2, 0.25, 0.15),
    "collar": (0.1, 0.12, 0.12),
    "shoulder": (0.7, 0.9, 0.9),
    "elbow": (0.5, 1.0, 0.15),
    "wrist": (0.2, 0.2, 0.25),
}
MEAN = {"shoulder": (0.0, 0.0, -1.2), "elbow": (0.0, -0.3, 0.0), "knee": (0.05, 0.0, 0.0), "hip": (-0.03, 0.0, 0.05)}
# legs are mostly straight, and bent when they are: beyond so many spreads a bend counts less and less. Without this a
# body that is a little too tall for the landmarks would always stand on bent knees
MOSTLY = {("hip", 0): 3.0, ("knee", 0): 3.0}
# (joint, axis, sign): rotation against the sign is against the joint
HINGES = (("left_knee", 0, 1.0), ("right_knee", 0, 1.0), ("left_elbow", 1, -1.0), ("right_elbow", 1, 1.0))
HINGE_SPREAD = 0.05


class PosePrior:
    """The residuals of the 21 joints below the pelvis, in spreads; `outlier` [67] says which have long tails."""

    def __init__(self) -> None:
        mean, spread, outlier = [], [], []
        for name in JOINTS[1:]:
            kind = name.removeprefix("left_").removeprefix("right_")
            mirror = torch.tensor([1.0, -1.0, -1.0]) if name.startswith("right_") else torch.ones(3)
            mean.append(torch.tensor(MEAN.get(kind, (0.0, 0.0, 0.0))) * mirror)
            spread.append(torch.tensor(SPREAD[kind]))
            outlier.append(torch.tensor([MOSTLY.get((kind, axis), math.inf) for axis in range(3)]))
        self.outlier = torch.cat([*outlier, torch.full((len(HINGES),), math.inf)])
        self.mean, self.spread = torch.stack(mean), torch.stack(spread)
        self.hinge_joint = torch.tensor([JOINTS.index(joint) - 1 for joint, _, _ in HINGES])
        self.hinge_axis = torch.tensor([axis for _, axis, _ in HINGES])
        self.hinge_sign = torch.tensor([sign for _, _, sign in HINGES])

    def __call__(self, joints: Tensor) -> Tensor:
        """joints [N, 21, 3] axis-angle -> [N, 63 + 4]."""
        usual = (joints - self.mean) / self.spread
        bend = joints[:, self.hinge_joint, self.hinge_axis] * self.hinge_sign
        return torch.cat([usual.flatten(1), bend.clamp(max=0.0) / HINGE_SPREAD], 1)
