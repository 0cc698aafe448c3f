"""Meshes in front of a camera, and how maps of two rasterizers are compared."""

import torch
from torch import Tensor


def solids(seed: int, count: int = 3) -> tuple[Tensor, Tensor]:
    """Spheres at several distances, x, y in [-1, 1], z > 0: vertices ``[1, V, 3]``, faces int32 ``[F, 3]``."""
    generator = torch.Generator().manual_seed(seed)
    rings, segments = 7, 12
    polar = torch.linspace(0.05, 3.09, rings)[:, None]
    around = torch.arange(segments) * (2 * torch.pi / segments)
    ball = torch.stack([polar.sin() * around.cos(), polar.cos().expand(-1, segments), polar.sin() * around.sin()], -1)
    i, j = torch.meshgrid(torch.arange(rings - 1), torch.arange(segments), indexing="ij")
    a, b = i * segments + j, i * segments + (j + 1) % segments
    quads = torch.stack([a, a + segments, b, b, a + segments, b + segments], -1).view(-1, 3)
    vertices, faces = [], []
    for n in range(count):
        centre = torch.rand(3, generator=generator) * torch.tensor([1.2, 1.2, 2.0]) + torch.tensor([-0.6, -0.6, 3.0])
        vertices.append(ball.reshape(-1, 3) * (0.2 + 0.3 * torch.rand(3, generator=generator)) + centre)
        faces.append(quads + n * rings * segments)
    return torch.cat(vertices)[None], torch.cat(faces).int()


def same_but_at_edges(mine: Tensor, theirs: Tensor) -> Tensor:
    """Pixels ``[B, H, W]`` where the ids agree: all but a few next to another id, where an edge passes close by."""
    same = mine == theirs
    inner = torch.ones_like(same)
    for axis in (1, 2):
        for step in (-1, 1):
            inner &= mine == mine.roll(step, axis)
    assert (same | ~inner).all()
    assert same.float().mean() > 0.985
    return same
