"""A body-like mesh made in code: as many faces, of such sizes, as a person in the picture."""

import math

import torch
from torch import Tensor

# Centre (x, y) and radii (x, y, z) of the parts, in NDC of a picture the person stands in; y down.
PARTS = (
    ((0.0, -0.76), (0.072, 0.10, 0.08)),  # head
    ((0.0, -0.36), (0.155, 0.31, 0.11)),  # chest
    ((0.0, 0.0), (0.145, 0.14, 0.11)),  # hips
    *(((side * 0.25, -0.36), (0.050, 0.19, 0.05)) for side in (-1, 1)),  # upper arms
    *(((side * 0.30, -0.03), (0.041, 0.19, 0.04)) for side in (-1, 1)),  # lower arms
    *(((side * 0.32, 0.20), (0.036, 0.075, 0.03)) for side in (-1, 1)),  # hands
    *(((side * 0.09, 0.30), (0.075, 0.26, 0.08)) for side in (-1, 1)),  # upper legs
    *(((side * 0.09, 0.67), (0.052, 0.24, 0.055)) for side in (-1, 1)),  # lower legs
    *(((side * 0.09, 0.91), (0.045, 0.033, 0.11)) for side in (-1, 1)),  # feet
)


def ellipsoid(rings: int, segments: int) -> tuple[Tensor, Tensor]:
    """A unit sphere of `2 * segments * (rings - 1)` faces: vertices `[V, 3]`, faces `[F, 3]`."""
    polar = torch.linspace(0, math.pi, rings + 1)[1:-1, None]
    around = torch.arange(segments) * (2 * math.pi / segments)
    points = [polar.sin() * around.cos(), -polar.cos().expand(-1, segments), polar.sin() * around.sin()]
    poles = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    vertices = torch.cat([torch.stack(points, -1).reshape(-1, 3), poles])
    i, j = torch.meshgrid(torch.arange(rings - 2), torch.arange(segments), indexing="ij")
    a, b = i * segments + j, i * segments + (j + 1) % segments
    c, d = a + segments, b + segments
    sides = torch.stack([a, c, b, b, c, d], -1).reshape(-1, 3)
    first, last, top = torch.arange(segments), torch.arange(segments) + (rings - 2) * segments, (rings - 1) * segments
    turn = torch.roll(torch.arange(segments), -1)
    caps = [torch.stack([first, turn, torch.full_like(first, top)], -1),
            torch.stack([last, torch.full_like(last, top + 1), turn + (rings - 2) * segments], -1)]  # fmt: skip
    return vertices, torch.cat([sides, *caps])


def body(num_faces: int) -> tuple[Tensor, Tensor]:
    """A standing person over about 13 % of the picture: vertices `[V, 3]`, faces int32 `[num_faces, 3]`."""
    per_part = num_faces / len(PARTS)
    segments = round(math.sqrt(per_part))
    rings = math.ceil(per_part / (2 * segments)) + 1
    unit, unit_faces = ellipsoid(rings, segments)
    vertices, faces = [], []
    for n, ((x, y), radii) in enumerate(PARTS):
        vertices.append(unit * torch.tensor(radii) + torch.tensor([x, y, 2.0]))
        faces.append(unit_faces + n * len(unit))
    every = torch.cat(faces)
    kept = torch.linspace(0, len(every) - 1, num_faces).round().long()  # drops a few, evenly
    return torch.cat(vertices), every[kept].int()
