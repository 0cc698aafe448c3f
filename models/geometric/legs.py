"""Legs that reach: hips and knees turned so that feet come to where they should stand, without turning the feet."""

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, PARENTS, BodyModel
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle

MOST_BEND = 0.15
"""Radians that a knee is bent or stretched by at most: nearly straight legs would spring for millimetres."""
STRAIGHT = 0.1
"""Radians of bend from which on a leg's own plane tells the axis of its knee."""


@torch.no_grad()
def reach(pose: Tensor, shape: Tensor, model: BodyModel, moves: Tensor) -> Tensor:
    """Poses `[T, 22, 3]` whose ankles lie elsewhere, by hip and knee; the feet stay turned as they are.

    Args:
        pose: `[T, 22, 3]` axis-angle.
        shape: `[1, K]`.
        model: of both.
        moves: `[T, 2, 3]` metres in body space of the left and the right ankle. Centimetres: what a leg is too short
            for, or a knee would have to bend by more than `MOST_BEND` for, is left out.
    """
    turned = global_rotations(axis_angle_to_matrix(pose)).unbind(1)
    places = torch.cat([model.joints(part, shape) for part in pose.split(256)])
    result = pose.clone()
    for number, side in enumerate(("left", "right")):
        hip, knee, ankle = (JOINTS.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        thigh, shin = places[:, knee] - places[:, hip], places[:, ankle] - places[:, knee]
        wanted = thigh + shin + moves[:, number]
        a, b = thigh.norm(dim=-1), shin.norm(dim=-1)
        bend = _between(thigh, shin)
        cosine = (wanted.square().sum(-1) - a.square() - b.square()) / (2 * a * b)
        change = (cosine.clamp(-1, 1).acos() - bend).clamp(-MOST_BEND, MOST_BEND)
        across = torch.linalg.cross(thigh, shin)
        own = turned[hip][..., 0]  # a knee's axis is the thigh's x: positive bends
        axis = torch.where((bend > STRAIGHT)[:, None], torch.nn.functional.normalize(across, dim=-1), own)
        bent = axis_angle_to_matrix(axis * change[:, None])
        swung = _shortest(thigh + (bent @ shin[..., None])[..., 0], wanted)
        new_hip, new_knee = swung @ turned[hip], swung @ bent @ turned[knee]
        joints = torch.stack((turned[PARENTS[hip]].mT @ new_hip, new_hip.mT @ new_knee, new_knee.mT @ turned[ankle]), 1)
        here = (moves[:, number] != 0).any(-1)[:, None, None]
        result[:, [hip, knee, ankle]] = torch.where(here, matrix_to_axis_angle(joints), pose[:, [hip, knee, ankle]])
    return result


def global_rotations(local: Tensor) -> Tensor:
    """`[T, 22, 3, 3]`: how each joint is turned in body space, from how it is against its parent."""
    turned = [local[:, 0]]
    for joint in range(1, len(PARENTS)):
        turned.append(turned[PARENTS[joint]] @ local[:, joint])
    return torch.stack(turned, 1)


def _between(first: Tensor, second: Tensor) -> Tensor:
    """[T] radians between vectors `[T, 3]`."""
    return torch.atan2(torch.linalg.cross(first, second).norm(dim=-1), (first * second).sum(-1))


def _shortest(start: Tensor, end: Tensor) -> Tensor:
    """[T, 3, 3] that turn the directions of `start` into those of `end`, `[T, 3]`, by the shortest way."""
    axis = torch.nn.functional.normalize(torch.linalg.cross(start, end), dim=-1)
    return axis_angle_to_matrix(axis * _between(start, end)[:, None])
