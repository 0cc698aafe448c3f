"""The shell of clothes and hair round a naked body: offsets of its vertices that make its outline the person's.

In each view the body's outline is compared with the matte's along the surface's normals; between outlines the offsets
are the smoothest that fit. They live in rest space, so the shell moves with the bones.
"""

import torch
from torch import Tensor

from warpkit.models.bodies import PARTS, BodyModel, part_of_vertices
from warpkit.models.geometric.mesh import Surface, t_pose, vertex_normals
from warpkit.models.geometric.view import Sight, View, sample, see

# How far, in metres, hair or clothes may stand off each part, and how much slimmer than the body the person may be.
REACH = {"head": 0.10, "torso": 0.09, "upper_arm": 0.05, "lower_arm": 0.04, "hand": 0.01,
         "upper_leg": 0.08, "lower_leg": 0.06, "foot": 0.04}  # fmt: skip
SLIMMER = 0.03


def vertex_reach(model: BodyModel) -> Tensor:
    """[V] metres: REACH of the part that each vertex belongs to."""
    reach = torch.tensor([REACH[part.removeprefix("left_").removeprefix("right_")] for part in PARTS])
    return reach.to(model.parts.device)[part_of_vertices(model)]


def outline_distance(view: View, sight: Sight, reach: Tensor) -> tuple[Tensor, Tensor]:
    """How far the person's outline lies from the body's: (distance [V] metres outwards, known [V] bool).

    Known only for vertices on the body's outline whose way to the matte's edge crosses no other limb.
    """
    scale = view.body.camera.scale[0]
    direction = sight.normals[:, :2]
    facing = sight.normals[:, 2].abs()
    direction = torch.nn.functional.normalize(direction, dim=-1)
    covered = sight.covered.float()[None]
    inside = sample(covered, sight.pixels - 2.0 * direction)[:, 0] > 0.5
    outside = sample(covered, sight.pixels + 2.0 * direction)[:, 0] < 0.5
    depth = torch.where(sight.covered, sight.fragments.depth[0], torch.full_like(sight.fragments.depth[0], 1e3))
    nearest = sample(depth[None], sight.pixels - 2.0 * direction, mode="nearest")[:, 0]
    in_front = sight.projected[:, 2] < nearest + 0.1 * scale * 2 / view.resolution
    outline = (facing < 0.5) & inside & outside & in_front

    step = 0.5
    inward = int((SLIMMER * float(scale)) / step) + 2
    outward = int((float(reach.max()) * float(scale)) / step) + 2
    travel = torch.arange(-inward, outward + 1, device=reach.device) * step  # pixels
    points = sight.pixels[:, None] + travel[None, :, None] * direction[:, None]
    alpha = sample(view.alpha[None], points)[..., 0]
    other_limb = (sample(covered, points)[..., 0] > 0.5) & (travel > 3.0)

    ahead = travel >= 0
    person_at_outline = alpha[:, inward] >= 0.5
    leaves = ahead & (alpha < 0.5)
    first_leave = torch.where(leaves, travel, torch.inf).amin(1)
    blocked = torch.where(other_limb, travel, torch.inf).amin(1) < first_leave
    enters = ~ahead & (alpha >= 0.5)
    last_enter = torch.where(enters, travel, -torch.inf).amax(1)

    distance = torch.where(person_at_outline, first_leave, last_enter)
    known = outline & torch.isfinite(distance) & ~(person_at_outline & blocked)
    metres = torch.where(known, distance, 0.0) / scale
    known &= (metres <= reach) & (metres >= -torch.minimum(reach, torch.full_like(reach, SLIMMER)))
    return metres, known


def fit_shell(views: list[View], model: BodyModel, surface: Surface, rounds: int = 2) -> Tensor:
    """Offsets `[V, 3]` in rest space (metres) that carry the body's outline to the person's in every view.

    A least-squares problem on the surface: agree with each view's outline, stay smooth, fade to the naked body where
    nothing was seen. A second round starts from the first shell and finds what its changed outline still lacks.
    """
    reach = vertex_reach(model)
    shape = views[0].body.shape
    rest = t_pose(model, shape)
    normals = surface.smooth(vertex_normals(rest, model.faces)[0], 8)
    normals = torch.nn.functional.normalize(normals, dim=-1)
    amount = torch.zeros(model.num_vertices, device=rest.device)
    for _ in range(rounds):
        total = torch.zeros_like(amount)
        weight = torch.zeros_like(amount)
        for view in views:
            distance, known = outline_distance(view, see(view, model, amount[:, None] * normals), reach)
            total += torch.where(known, distance, 0.0)
            weight += known.float()
        target = amount + total / weight.clamp(min=1)
        amount = surface.spread(target[:, None], 2.0 * weight, stiffness=1.0, decay=0.002)[:, 0]
        amount = torch.minimum(torch.maximum(surface.smooth(amount[:, None], 2)[:, 0], -0.5 * reach), reach)
    return amount[:, None] * normals
