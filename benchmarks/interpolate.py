"""Rows of interpolate and antialias, forward and backward."""

from collections.abc import Iterator

import torch
from torch import Tensor

import warpkit
from benchmarks import peers
from benchmarks.harness import Case, Contender, size_of
from benchmarks.meshes import body
from benchmarks.options import Options, differentiated


def cases(options: Options) -> Iterator[Case]:
    size = 512 if options.quick else 1024
    batch = options.batch
    vertices, faces = (tensor.to(options.device) for tensor in body(27_420))
    vertices = vertices.expand(batch, -1, -1).contiguous()
    fragments = warpkit.rasterize(vertices, faces, (size, size))
    colours = torch.rand(batch, vertices.shape[1], 3, device=options.device)
    scene = f"27420 faces, {batch} x {size}²"

    def ours(attributes: Tensor) -> Tensor:
        return warpkit.interpolate(attributes, faces, fragments)

    def plain(attributes: Tensor) -> Tensor:
        return gather(attributes, faces, fragments.face_index, fragments.barycentric)

    needed = size_of(colours, faces, fragments.face_index, fragments.barycentric) + fragments.barycentric.nbytes
    yield Case(
        f"interpolate D=3 {scene}",
        {
            "warpkit": Contender("ours", lambda: ours(colours)),
            **options.pytorch("gather", plain, colours),
            **peers.interpolate(colours, vertices, faces, size),
        },
        needed,
    )
    yield Case(
        f"interpolate backward D=3 {scene}",
        {
            "warpkit": Contender("ours", differentiated(ours, colours)),
            "eager gather": Contender("eager", differentiated(plain, colours)),
        },
        needed,
    )
    image = ours(colours).movedim(-1, 1).contiguous()
    neighbours = warpkit.face_neighbours(faces)

    def smoothed(picture: Tensor, corners: Tensor) -> Tensor:
        return warpkit.antialias(picture, fragments, corners, faces, neighbours=neighbours)

    needed = 2 * size_of(image) + size_of(fragments.face_index)
    yield Case(
        f"antialias {scene}",
        {
            "warpkit": Contender("ours", lambda: smoothed(image, vertices)),
            **peers.antialias(image, vertices, faces),
        },
        needed,
    )
    yield Case(
        f"antialias backward {scene}",
        {"warpkit": Contender("ours", differentiated(smoothed, image, vertices))},
        needed + size_of(image),
    )


def gather(attributes: Tensor, faces: Tensor, face_index: Tensor, barycentric: Tensor) -> Tensor:
    """What one writes without the op: index, multiply, add."""
    corners = faces.long()[face_index.clamp(min=0).long()]  # [B, H, W, 3]
    picked = attributes.gather(1, corners.flatten(1)[..., None].expand(-1, -1, attributes.shape[-1]))
    return (picked.reshape(*corners.shape, -1) * barycentric[..., None]).sum(-2)
