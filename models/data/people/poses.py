"""Poses of people: frames of motions, made different by chance, and poses that no motion has."""

import math
from pathlib import Path

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, mirror_pose
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle, slerp
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion

HELD_OUT = ("wave", "dance")
"""Motions of the library that only the split "test" shows; the rest is for training."""

_LEFT: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "left_collar": ((0, 0, -0.05), (0.06, 0.1, 0.12)),
    "left_shoulder": ((0, 0, -0.95), (0.35, 0.5, 0.5)),
    "left_elbow": ((0, -0.55, 0), (0.35, 0.45, 0.1)),
    "left_wrist": ((0, 0, 0), (0.2, 0.25, 0.25)),
    "left_hip": ((-0.2, 0, 0.08), (0.35, 0.15, 0.12)),
    "left_knee": ((0.35, 0, 0), (0.35, 0.03, 0.03)),
    "left_ankle": ((0, 0, 0), (0.15, 0.1, 0.06)),
}
_MIDDLE = {
    "spine1": (0.07, 0.06, 0.05),
    "spine2": (0.07, 0.07, 0.05),
    "spine3": (0.07, 0.07, 0.05),
    "neck": (0.1, 0.15, 0.08),
    "head": (0.1, 0.2, 0.08),
}
"""Mean and spread of each joint's turn, radians: what people do, roughly. Right limbs mirror left ones."""


def motion_frames(split: str, folder: Path | None = None) -> Tensor:
    """Rotations `[T, 22, 3]` of all frames of the split's motions, ten a second.

    `folder`: motion files (`.npz`, docs/motions.md) to add; every fifth by name is for the test.
    """
    motions = [make_motion(name, fps=10.0) for name in MOTIONS if (name in HELD_OUT) == (split == "test")]
    if folder is not None:
        for number, path in enumerate(sorted(Path(folder).glob("*.npz"))):
            if (number % 5 == 4) == (split == "test"):
                motions.append(Motion.load(path).resampled(10.0))
    return torch.cat([motion.rotations for motion in motions])


def chance_pose(generator: torch.Generator) -> Tensor:
    """`[22, 3]`: a pose that need not belong to any motion, upright, facing the camera."""
    pose = torch.zeros(len(JOINTS), 3)
    for side in (0, 1):
        half = torch.zeros_like(pose)
        for name, (mean, spread) in _LEFT.items():
            turn = torch.tensor(mean) + torch.tensor(spread) * torch.randn(3, generator=generator)
            if name == "left_knee":
                turn[0] = turn[0].abs()
            if name == "left_elbow":
                turn[1] = -turn[1].abs()
            if name == "left_shoulder":
                turn[2] = turn[2].clamp(-1.35, 0.9)
            half[JOINTS.index(name)] = turn
        pose = pose + (mirror_pose(half) if side else half)
    for name, spread in _MIDDLE.items():
        pose[JOINTS.index(name)] = torch.tensor(spread) * torch.randn(3, generator=generator)
    return pose


def any_pose(frames: Tensor, generator: torch.Generator) -> Tensor:
    """`[22, 3]`: two thirds a frame of a motion with each joint a little off, one third by chance; without its turn."""
    if torch.rand(1, generator=generator) < 0.34:
        return chance_pose(generator)
    pose = frames[int(torch.randint(len(frames), (1,), generator=generator))].clone()
    if torch.rand(1, generator=generator) < 0.5:
        pose = mirror_pose(pose)
    pose = pose + 0.06 * torch.randn(pose.shape, generator=generator)
    pose[0] = 0
    return pose


def turned(pose: Tensor, yaw: float, generator: torch.Generator) -> Tensor:
    """The pose seen from `yaw` radians round, the body and the camera a little tilted."""
    tilt = torch.randn(3, generator=generator) * torch.tensor([0.06, 0.0, 0.04])
    view = axis_angle_to_matrix(tilt) @ axis_angle_to_matrix(torch.tensor([0.0, yaw, 0.0]))
    pose = pose.clone()
    pose[0] = matrix_to_axis_angle(view @ axis_angle_to_matrix(pose[0]))
    return pose


def yaw_of(generator: torch.Generator, *, faces: bool = False) -> float:
    """Radians from which a person is seen; `faces`: from before or a little aside, as who wants to see faces would."""
    yaw = (float(torch.rand(1, generator=generator)) * 2 - 1) * math.pi
    return 0.4 * yaw if faces else yaw


def pose_near(
    frames: Tensor, pose: Tensor, yaw: float, gap: float, generator: torch.Generator, *, faces: bool = False
) -> Tensor:
    """`[22, 3]`: another pose and view of who stands in `pose` seen from `yaw`, farther off with `gap` in [0, 1]."""
    other = any_pose(frames, generator)
    share = min(1.0, gap * (0.4 + 1.2 * float(torch.rand(1, generator=generator))))
    swing = (float(torch.rand(1, generator=generator)) * 2 - 1) * math.pi * max(gap, 0.05)
    between = slerp(pose, other, torch.full((len(JOINTS),), share))
    return turned(between, yaw + (0.4 * swing if faces else swing), generator)


def poses_of(frames: Tensor, count: int, gap: float, generator: torch.Generator, *, faces: bool = False) -> Tensor:
    """`[count, 22, 3]`: the target's pose first, then the sources', farther from it with `gap` in [0, 1].

    `faces`: as `yaw_of`.
    """
    target = any_pose(frames, generator)
    yaw = yaw_of(generator, faces=faces)
    result = [turned(target, yaw, generator)]
    result += [pose_near(frames, target, yaw, gap, generator, faces=faces) for _ in range(count - 1)]
    return torch.stack(result)
