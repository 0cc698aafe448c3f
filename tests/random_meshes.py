"""Batches of random meshes of the kinds on which two rasterizers are likeliest to differ."""

import torch
from torch import Tensor

KINDS = ("affine", "perspective", "near-crossing", "degenerate", "huge", "equal depths", "not finite")


def random_meshes(kind: str, count: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vertices ``[count, 40, 3 or 4]`` of a kind, and faces ``[60, 3]`` some of which have an index out of range."""
    generator = torch.Generator().manual_seed(seed)
    components = 4 if kind in ("perspective", "near-crossing") else 3
    vertices = torch.randn(count, 40, components, generator=generator, dtype=torch.float64) * 0.8
    spread = torch.rand(count, 1, 1, generator=generator, dtype=torch.float64)
    match kind:
        case "perspective":
            vertices[..., 3] = vertices[..., 3].abs() * 3 + 0.1
        case "near-crossing":
            vertices[..., 3] = vertices[..., 3] * 10 ** (4 * spread[..., 0] - 4)  # w down to the near plane and behind
        case (
            "degenerate"
        ):  # whole pixels and half pixels of a 64-pixel image: edges through centres, faces without area
            vertices[..., :2] = (vertices[..., :2] * 4).round() / 64 + spread.round() * vertices[..., :1]
            vertices[:, 20:30] = vertices[:, 10:20]
        case "huge":  # up to, and beyond, what 128 bits hold
            vertices[..., :2] *= 10 ** (17 * spread)
            vertices[..., 2] *= 10 ** (30 * spread[..., 0])
        case "equal depths":
            vertices[..., 2] = vertices[..., 2].round()
        case "not finite":
            bad = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=torch.float64)
            some = torch.rand(vertices.shape, generator=generator) < 0.03
            vertices[some] = bad[torch.randint(3, (int(some.sum()),), generator=generator)]
    faces = torch.randint(0, 40, (60, 3), generator=generator)
    faces[0, 0], faces[1, 1], faces[2, 2] = -1, 40, 2**40
    return vertices.to(dtype), faces
