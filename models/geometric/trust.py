"""Which of the colours that views give to vertices to believe, where the fit is least sure.

A fitted arm or hand is a few centimetres off, so that a hip next to it may show the hand, and the hand the trousers.
There, and only there, a colour must agree with what the surface around it suggests.
"""

import torch
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.geometric.mesh import Surface, t_pose, vertex_normals
from warpkit.models.geometric.shell import part_of_vertices
from warpkit.models.geometric.view import Sight, View, sample

REACH = 0.05
"""Metres round a limb in front of another part within which colours are doubted."""
HAND_REACH = 0.11
"""Likewise round hands: fingers are not fitted."""
AGREES, DIFFERS = 0.35, 0.6
"""Distances of colours in [-1, 1]^3: wholly believed below the first, not at all beyond the second."""

COARSE = 4
"""Pixels a side of the blocks in which such limbs are looked for."""

_CHAINS = (("upper_arm", "lower_arm", "hand"), ("upper_leg", "lower_leg", "foot"))


def _neighbours() -> Tensor:
    """[P, P] bool: parts that the surface joins, or that lie too close to tell apart."""
    near = torch.eye(len(PARTS), dtype=torch.bool)

    def join(first: str, second: str) -> None:
        near[PARTS.index(first), PARTS.index(second)] = near[PARTS.index(second), PARTS.index(first)] = True

    join("head", "torso")
    join("left_upper_leg", "right_upper_leg")
    for side in ("left_", "right_"):
        for chain in _CHAINS:
            for first, second in zip(
                ("torso", *(side + part for part in chain)), (side + part for part in chain), strict=False
            ):
                join(first, second)
    return near


def doubtful(view: View, sight: Sight, model: BodyModel) -> Tensor:
    """[R, R] bool: pixels of the body close to a part which is not their neighbour, and all of the hands."""
    part = torch.where(sight.covered, model.parts[sight.fragments.face_index[0].clamp(min=0).long()], -1)
    blocks = float(view.body.camera.scale[0]) / COARSE  # a metre
    hands = torch.tensor([name.endswith("hand") for name in PARTS], device=part.device)
    strangers = ~_neighbours().to(part.device)
    result = torch.zeros_like(sight.covered)
    for number, name in enumerate(PARTS):
        mine = part == number
        if name.endswith("hand"):
            result |= mine
        elif mine.any():
            near = torch.zeros_like(result)
            for which, metres in ((strangers[number] & ~hands, REACH), (strangers[number] & hands, HAND_REACH)):
                others = (which[part.clamp(min=0)] & sight.covered).float()[None, None]
                reach = max(1, round(metres * blocks))
                others = torch.nn.functional.max_pool2d(others, COARSE, ceil_mode=True)
                others = torch.nn.functional.max_pool2d(others, 2 * reach + 1, stride=1, padding=reach)
                others = torch.nn.functional.interpolate(others, scale_factor=COARSE)[0, 0]
                near |= others[: part.shape[0], : part.shape[1]] > 0.5
            result |= mine & near
    return result


def skin_colour(model: BodyModel, quality: Tensor, colours: Tensor) -> Tensor:
    """[3] the colour of the face: the median over the front of the head of what was seen best."""
    normal = vertex_normals(t_pose(model, model.mean_shape[None]), model.faces)[0]
    face = (part_of_vertices(model) == PARTS.index("head")) & (normal[:, 2] > 0.5)
    best = quality.argmax(0)
    chosen = face & (quality.amax(0) > 0.2)
    if not chosen.any():
        chosen = face
    return colours[best, torch.arange(len(best), device=best.device)][chosen].median(0).values


def colour_trust(
    views: list[View], sights: list[Sight], quality: Tensor, colours: Tensor, model: BodyModel, surface: Surface
) -> Tensor:
    """[S, R, R] in [0, 1] how far to believe each pixel of the views.

    `colours` `[S, V, 3]` are what the views show at the vertices, seen with `quality` `[S, V]`.
    """
    doubt = torch.stack([doubtful(view, sight, model) for view, sight in zip(views, sights, strict=True)])
    doubted = torch.stack(
        [sample(mask.float()[None], sight.pixels)[:, 0] > 0.1 for mask, sight in zip(doubt, sights, strict=True)]
    )
    sure = torch.where(doubted, 0.0, quality)
    total = sure.sum(0)
    mean = (sure[..., None] * colours).sum(0) / total[:, None].clamp(min=1e-6)
    expected = surface.spread(mean, torch.where(total > 0.05, 10.0 * total, 0.0))
    skin = skin_colour(model, quality, colours)
    trust = torch.ones_like(doubt, dtype=colours.dtype)
    for number, (view, sight) in enumerate(zip(views, sights, strict=True)):
        here = interpolate(expected, model.faces, sight.fragments)[0].permute(2, 0, 1)
        distance = (view.image - here).norm(dim=0)
        hands = _hands(model)[sight.fragments.face_index[0].clamp(min=0).long()] & sight.covered
        to_skin = (view.image - skin[:, None, None]).norm(dim=0)
        distance = torch.where(hands, torch.minimum(distance, to_skin), distance)
        agrees = ((DIFFERS - distance) / (DIFFERS - AGREES)).clamp(0, 1)
        agrees = torch.where(doubt[number], agrees, 1.0)
        # The rim of what differs is a mixture: it goes too.
        trust[number] = -torch.nn.functional.max_pool2d(-agrees[None], 3, stride=1, padding=1)[0]
    return trust


def _hands(model: BodyModel) -> Tensor:
    """[F] bool: faces of the hands."""
    return torch.tensor([name.endswith("hand") for name in PARTS], device=model.parts.device)[model.parts]
