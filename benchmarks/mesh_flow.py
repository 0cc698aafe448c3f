"""Rows of mesh_flow and compose_flow."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch

import warpkit
from benchmarks.harness import Case, size_of
from benchmarks.meshes import body


def cases(device: torch.device, quick: bool) -> Iterator[Case]:
    vertices, faces = (tensor.to(device) for tensor in body(27_420))
    target = vertices.reshape(1, *vertices.shape[-2:])
    for size, sources in ((256, 2), (512, 2), (512, 4), (1024, 2)):
        if quick and size > 512:
            continue
        angles = torch.linspace(0.3, 2.0, sources, device=device).tolist()
        turned = torch.stack([turn(target[0], angle) for angle in angles])[None].contiguous()
        fragments = warpkit.rasterize(target, faces, (size, size))
        out = warpkit.compose_flow(turned, faces, fragments)
        name = f"{len(faces)} faces, {sources} x {size}²"
        yield Case(
            f"compose_flow {name}",
            {"warpkit": partial(warpkit.compose_flow, turned, faces, fragments)},
            size_of(turned, fragments.face_index, fragments.barycentric, out.grid, out.visible),
        )
        rules: tuple[Literal["pixel", "face"] | None, ...] = ("pixel", "face", None)
        for visibility in rules:
            yield Case(
                f"mesh_flow {visibility} {name}",
                {"warpkit": partial(warpkit.mesh_flow, turned, target, faces, (size, size), visibility=visibility)},
                size_of(turned, target, faces, out.grid, out.visible, fragments.face_index),
            )


def turn(vertices: torch.Tensor, angle: float) -> torch.Tensor:
    """Turned round the vertical axis."""
    x, y, z = vertices.unbind(-1)
    c, s = torch.tensor(angle).cos().item(), torch.tensor(angle).sin().item()
    return torch.stack([c * x + s * z, y, c * z - s * x], -1)
