"""Rows of rasterize, barycentrics, interpolate and visible_faces."""

from collections.abc import Iterator

import torch

import warpkit
from benchmarks.harness import Case, size_of
from benchmarks.meshes import body


def cases(device: torch.device, quick: bool) -> Iterator[Case]:
    for num_faces, size, batch in (
        (27_420, 1024, 1),
        (13_776, 1024, 1),
        (27_420, 512, 1),
        (27_420, 256, 1),
        (13_776, 256, 16),
        (27_420, 2048, 1),
    ):
        if quick and (size > 1024 or batch > 1):
            continue
        vertices, faces = (tensor.to(device) for tensor in body(num_faces))
        vertices = vertices.expand(batch, -1, -1).contiguous()
        name = f"{num_faces} faces, {batch} x {size}²"
        fragments = warpkit.rasterize(vertices, faces, (size, size))
        covered = (fragments.face_index >= 0).float().mean().item()
        yield Case(
            f"rasterize {name}",
            {"warpkit": lambda v=vertices, f=faces, s=size: warpkit.rasterize(v, f, (s, s))},  # type: ignore[misc]
            size_of(vertices, faces, fragments),
            f"{covered:.1%} covered",
        )
        if num_faces == 27_420 and size in (512, 1024):
            yield from companions(name, vertices, faces, fragments)


def companions(name: str, vertices: torch.Tensor, faces: torch.Tensor, fragments: warpkit.Fragments) -> Iterator[Case]:
    face_index, barycentric, depth = fragments
    yield Case(
        f"barycentrics {name}",
        {"warpkit": lambda: warpkit.barycentrics(vertices, faces, face_index)},
        size_of(vertices, faces, face_index, barycentric, depth),
    )
    colours = torch.rand(vertices.shape[1], 3, device=vertices.device)
    yield Case(
        f"interpolate D=3 {name}",
        {
            "warpkit": lambda: warpkit.interpolate(colours, faces, fragments),
            "torch": lambda: gather(colours, faces, fragments),
        },
        size_of(colours, faces, face_index, barycentric) + barycentric.nbytes,
    )
    yield Case(
        f"visible_faces {name}",
        {"warpkit": lambda: warpkit.visible_faces(face_index, len(faces))},
        size_of(face_index) + len(faces),
    )


def gather(colours: torch.Tensor, faces: torch.Tensor, fragments: warpkit.Fragments) -> torch.Tensor:
    """What one writes without the op: index, multiply, add."""
    corners = colours[faces[fragments.face_index.clamp(min=0).long()].long()]
    return (corners * fragments.barycentric[..., None]).sum(-2)
