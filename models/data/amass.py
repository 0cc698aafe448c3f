"""Motions in the layout of AMASS: poses of SMPL's family, fingers and jaw among them, and the pelvis' path in a room.

N. Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes", 2019. Many tools write such files.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import FULL_JOINTS, JOINTS
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.errors import InputError

RATES = ("mocap_framerate", "mocap_frame_rate")
AMASS_KEYS = ("poses", "trans", *RATES)
HEIGHT = 1.7
"""Metres: such a file tells its body's height only to who has the body model."""
COLUMNS = {
    66: range(22),
    72: range(22),
    156: [*range(22), *range(25, 55)],
    165: range(55),
}
"""Numbers a frame, and the joints that they turn: SMPL's 22, or 24 of which the last two are hands without fingers;
SMPL-H's 52; SMPL-X's 55."""


def amass(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Arguments of `Motion`, from the arrays of a file.

    The room's up is told by how the body stands, and the camera looks at it from the front, level, from far away.

    Raises InputError where an array is missing, misshapen or of no numbers.
    """
    rate = next((name for name in RATES if name in arrays), None)
    if rate is None:
        raise InputError(f"a motion file with poses needs {' or '.join(RATES)}, frames a second")
    poses = numbers(arrays, "poses")
    if poses.ndim != 2 or poses.shape[1] not in COLUMNS:
        widths = ", ".join(map(str, COLUMNS))
        raise InputError(f"poses must have the shape [frames, {widths}], not {list(poses.shape)}")
    trans = numbers(arrays, "trans") if "trans" in arrays else torch.zeros(len(poses), 3)
    if tuple(trans.shape) != (len(poses), 3):
        raise InputError(f"trans must have the shape {(len(poses), 3)}, not {tuple(trans.shape)}")
    if not len(poses) or not poses.isfinite().all() or not trans.isfinite().all():
        raise InputError("poses and trans must hold at least one frame, of finite numbers")
    joints = list(COLUMNS[poses.shape[1]])
    rotations = torch.zeros(len(poses), len(JOINTS if max(joints) < len(JOINTS) else FULL_JOINTS), 3)
    rotations[:, joints] = poses.unflatten(1, (-1, 3))[:, : len(joints)]
    roots = axis_angle_to_matrix(rotations[:, 0])
    seen = _camera(roots)
    rotations[:, 0] = matrix_to_axis_angle(seen @ roots)
    way = (trans - trans[:1]) @ seen.T
    return {
        "fps": number(arrays, rate),
        "rotations": rotations,
        "path": way[:, :2] * way.new_tensor([1.0, -1.0]),
        "scale": torch.ones(len(poses)),
        "height": HEIGHT,
    }


def _camera(roots: Tensor) -> Tensor:
    """[3, 3] from the room to a camera's view: x right, y up, z towards it; the body of frame 0 faces it.

    `roots` `[T, 3, 3]`: turns of the body in the room. Its up is the axis nearest to the body's, on the whole.
    """
    mean = roots[:, :, 1].mean(0)
    axis = int(mean.abs().argmax())
    up = torch.zeros(3)
    up[axis] = mean[axis].sign()
    ahead = roots[0, :, 2] - up * (roots[0, :, 2] @ up)
    if ahead.norm() < 1e-3:  # lying: the head's direction instead
        ahead = roots[0, :, 1] - up * (roots[0, :, 1] @ up)
    ahead = ahead / ahead.norm().clamp(min=1e-6)
    return torch.stack((torch.linalg.cross(up, ahead), up, ahead))


def numbers(arrays: dict[str, np.ndarray], name: str) -> Tensor:
    """An array of a file in float32. Raises InputError where it holds no numbers."""
    if arrays[name].dtype.kind not in "fiu":
        raise InputError(f"{name} must be numbers, not {arrays[name].dtype}")
    return torch.from_numpy(arrays[name].astype(np.float32))


def number(arrays: dict[str, np.ndarray], name: str) -> float:
    """Likewise the one number that it holds."""
    if arrays[name].size != 1 or arrays[name].dtype.kind not in "fiu":
        raise InputError(f"{name} must be one number, not {arrays[name].dtype} of shape {list(arrays[name].shape)}")
    return float(arrays[name].reshape(()))
