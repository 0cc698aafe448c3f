"""Where parts that people speak of lie on a body: head, hair, upper, left_arm, …, and soft borders between them.

The surface is cut in the T-pose by planes through joints, not along the mesh's edges, which zigzag by centimetres.
Every point gets a share of each cell; a part is a set of cells.
"""

from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from warpkit.models.bodies import JOINTS, PARTS, BodyModel, part_of_vertices
from warpkit.models.geometric.hair import scalp
from warpkit.models.geometric.mesh import t_pose

_LIMBS = ("upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot")
CELLS: tuple[str, ...] = (
    "face", "hair", "torso", "hips", *(f"left_{limb}" for limb in _LIMBS), *(f"right_{limb}" for limb in _LIMBS),
)  # fmt: skip
"""What the surface is cut into."""


def _sides(*limbs: str) -> tuple[str, ...]:
    return tuple(f"{side}_{limb}" for side in ("left", "right") for limb in limbs)


_UPPER = ("torso", *_sides("upper_arm", "lower_arm"))
_LOWER = ("hips", *_sides("upper_leg", "lower_leg"))
WEARABLE: dict[str, tuple[str, ...]] = {
    "head": ("face", "hair"),
    "hair": ("hair",),
    "face": ("face",),
    "upper": _UPPER,
    "lower": _LOWER,
    "clothes": (*_UPPER, *_LOWER, *_sides("foot")),
    "torso": ("torso",),
    "arms": _sides("upper_arm", "lower_arm"),
    "hands": _sides("hand"),
    "legs": _sides("upper_leg", "lower_leg"),
    "feet": _sides("foot"),
    **{f"{side}_arm": (f"{side}_upper_arm", f"{side}_lower_arm") for side in ("left", "right")},
    **{f"{side}_hand": (f"{side}_hand",) for side in ("left", "right")},
    **{f"{side}_leg": (f"{side}_upper_leg", f"{side}_lower_leg") for side in ("left", "right")},
    **{f"{side}_foot": (f"{side}_foot",) for side in ("left", "right")},
    "body": tuple(cell for cell in CELLS if cell not in ("face", "hair")),
    "all": CELLS,
}
"""Parts by the names that people use, as cells. `upper` and `lower` meet at the waist; hands and feet are neither."""

BORDER = 0.008
"""Metres: over about twice as much one cell turns into the next."""
LEAST = 0.01
"""A share that counts as none."""
WAIST = 0.35
"""Share of the way from the hips to the second joint of the spine at which `upper` meets `lower`."""
COLLAR = 0.35
"""Likewise from the neck's joint to the head's, where `torso` meets `face` and `hair`; higher at the nape."""
NAPE = 0.35
"""Metres that the border between torso and head rises for each metre backwards."""
GROIN = 0.06
"""Metres below the hips' joints at which hips end and legs begin."""
CUFF = 0.02
"""Metres above the ankle at which legs end and feet begin: where shoes do."""


@dataclass(frozen=True)
class Planes:
    """The borders that depend on what somebody wears: heights in the mean T-pose, metres; None: not known."""

    waist: float | None = None
    """Between `torso` and `hips`."""
    cuff: float | None = None
    """Between legs and feet."""


def rest_joints(model: BodyModel) -> dict[str, Tensor]:
    """Where the joints of the mean T-pose are, `[3]` each."""
    shape = model.mean_shape[None]
    return dict(zip(JOINTS, model.joints(shape.new_zeros(1, len(JOINTS), 3), shape)[0], strict=True))


def anatomical(model: BodyModel) -> tuple[float, float]:
    """Waist and cuff of a body that nothing is known about."""
    joints = rest_joints(model)
    waist = torch.lerp(joints["left_hip"][1], joints["spine2"][1], WAIST)
    return float(waist), float(joints["left_ankle"][1] + CUFF)


def cell_fields(model: BodyModel, planes: Planes = Planes()) -> Tensor:  # frozen
    """[V, C] metres that each vertex lies inside each of `CELLS` (negative: outside), in the mean T-pose.

    `planes`: where what is worn ends; the anatomical borders where that is not known.
    """
    usual = anatomical(model)
    rest = t_pose(model, model.mean_shape[None])[0]
    joints = rest_joints(model)
    x, y, z = rest.unbind(-1)
    across = x.abs()

    def between(*fields: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(*fields)).amin(0)

    hip = joints["left_hip"][1]
    waist = rest.new_tensor(usual[0] if planes.waist is None else planes.waist)
    ankle = rest.new_tensor(usual[1] if planes.cuff is None else planes.cuff)
    collar = torch.lerp(joints["neck"], joints["head"], COLLAR)
    above = y - collar[1] + NAPE * (z - collar[2])
    middle = joints["left_shoulder"][0] - across
    shoulder, elbow, wrist = (joints[f"left_{name}"][0] for name in ("shoulder", "elbow", "wrist"))
    knee = joints["left_knee"][1]
    groin = torch.minimum(hip - GROIN, waist - 0.02)  # a shirt may hang lower
    part = part_of_vertices(model)
    is_arm = torch.tensor([name.endswith(("_arm", "hand")) for name in PARTS], device=rest.device)[part]
    trunk = torch.where(is_arm, middle, torch.maximum(middle, middle.new_tensor(0.05)))
    hair = _inside(scalp(model)[0], rest)
    fields = {
        "face": between(above, -hair, trunk),
        "hair": between(above, hair, trunk),
        "torso": between(-above, y - waist, trunk),
        "hips": between(waist - y, y - groin, trunk),
    }
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = sign * x
        fields |= {
            f"{side}_upper_arm": between(out - shoulder, elbow - out, y - hip),
            f"{side}_lower_arm": between(out - elbow, wrist - out, y - hip),
            f"{side}_hand": between(out - wrist, y - hip),
            f"{side}_upper_leg": between(groin - y, y - knee, out),
            f"{side}_lower_leg": between(knee - y, y - ankle, out),
            f"{side}_foot": between(ankle - y, out),
        }
    return torch.stack([fields[cell] for cell in CELLS], -1)


def _inside(chosen: Tensor, rest: Tensor) -> Tensor:
    """[V] metres from each vertex to the nearest that is not like it; negative where not `chosen` `[V]`."""
    points = rest.cpu().numpy()
    mask = chosen.cpu().numpy()
    distance = torch.zeros(len(rest))
    if mask.any() and not mask.all():
        for side in (mask, ~mask):
            nearest, _ = cKDTree(points[~side]).query(points[side])
            distance[torch.from_numpy(side)] = torch.from_numpy(nearest).float()
    return torch.where(chosen, distance.to(rest), -distance.to(rest))


def cell_shares(fields: Tensor) -> Tensor:
    """[..., C] in [0, 1], sums to one: how much of each cell a point is, from `fields` `[..., C]` as `cell_fields`.

    Exactly 0 a few centimetres beyond the border.
    """
    shares = torch.softmax(fields / BORDER, -1)
    shares = (shares - LEAST).clamp(min=0)
    return shares / shares.sum(-1, keepdim=True)
