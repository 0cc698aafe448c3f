"""Rows of mesh_flow (against our own ops called one by one), compose_flow and resize_flow."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

import warpkit
from benchmarks.harness import Case, Contender, size_of
from benchmarks.meshes import body
from benchmarks.options import Options, differentiated

TOLERANCE = 1e-2
"""Depth: what `one_by_one` lets a point lie behind the source's surface."""


def cases(options: Options) -> Iterator[Case]:
    for num_faces, size, batch in ((13_776, 1024, 8), (27_420, 512, 1)):
        if options.quick and batch > 1:
            continue
        vertices, faces = (tensor.to(options.device) for tensor in body(num_faces))
        target = vertices.expand(batch, -1, -1).contiguous()
        turned = torch.stack([turn(vertices, angle) for angle in (0.3, 2.0)]).expand(batch, -1, -1, -1).contiguous()
        yield from scene(f"{num_faces} faces, {batch} x 2 x {size}²", turned, target, faces, size)
    sources, size = 2, 512
    flow = warpkit.Flow(
        identity(sources, size, options.device), torch.rand(1, sources, size, size).to(options.device) < 0.5
    )
    for small in (256, 128):
        resized = warpkit.resize_flow(flow, (small, small))
        yield Case(
            f"resize_flow {sources} x {size}² to {small}²",
            {
                "warpkit": Contender("ours", partial(warpkit.resize_flow, flow, (small, small))),
                **options.pytorch("masked mean", masked_mean, *flow, small),
            },
            size_of(*flow, *resized),
        )


def scene(name: str, turned: Tensor, target: Tensor, faces: Tensor, size: int) -> Iterator[Case]:
    fragments = warpkit.rasterize(target, faces, (size, size))
    out = warpkit.compose_flow(turned, faces, fragments)
    maps = (1 + turned.shape[1]) * size_of(fragments.face_index)  # four bytes a pixel, of the target and each source
    rules: tuple[Literal["pixel", "face"], ...] = ("pixel", "face")
    for visibility in rules:
        whole = partial(warpkit.mesh_flow, turned, target, faces, (size, size), visibility=visibility)
        steps = by_pixel if visibility == "pixel" else by_face
        yield Case(
            f"mesh_flow {visibility} {name}",
            {
                "warpkit": Contender("ours", whole),
                "one by one": Contender("variant", partial(steps, turned, target, faces, size)),
            },
            size_of(turned, target, faces, out.grid, out.visible) + maps,
        )
    needed = size_of(turned, fragments.face_index, fragments.barycentric, out.grid, out.visible)
    yield Case(
        f"compose_flow {name}",
        {"warpkit": Contender("ours", partial(warpkit.compose_flow, turned, faces, fragments))},
        needed,
    )
    backward = differentiated(lambda v: warpkit.compose_flow(v, faces, fragments).grid, turned)
    yield Case(f"compose_flow backward {name}", {"warpkit": Contender("ours", backward)}, needed)


def by_face(turned: Tensor, target: Tensor, faces: Tensor, size: int) -> warpkit.Flow:
    """Algorithm 1 with our own ops, one by one."""
    sources = warpkit.rasterize(turned.flatten(0, 1), faces, (size, size))
    seen = warpkit.visible_faces(sources.face_index, len(faces)).unflatten(0, turned.shape[:2])
    return warpkit.compose_flow(turned, faces, warpkit.rasterize(target, faces, (size, size)), source_visible=seen)


def by_pixel(turned: Tensor, target: Tensor, faces: Tensor, size: int) -> warpkit.Flow:
    """The target's points in the source, against the source's depth map, with our own ops one by one."""
    sources = warpkit.rasterize(turned.flatten(0, 1), faces, (size, size))
    fragments = warpkit.rasterize(target, faces, (size, size))
    flow = warpkit.compose_flow(turned, faces, fragments)
    batch, count = turned.shape[:2]
    depth = torch.stack([warpkit.interpolate(turned[:, s, :, 2:], faces, fragments) for s in range(count)], 1)[..., 0]
    far = sources.depth.nan_to_num(posinf=1e6)[:, None]
    stored = F.grid_sample(far, flow.grid.flatten(0, 1), mode="nearest", align_corners=False)
    return warpkit.Flow(flow.grid, flow.visible & (depth <= stored.reshape(batch, count, size, size) + TOLERANCE))


def masked_mean(grid: Tensor, visible: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """What one writes for resize_flow, for whole factors."""
    weight = visible.flatten(0, 1)[:, None].to(grid.dtype)
    planes = grid.flatten(0, 1).movedim(-1, 1)
    share = F.adaptive_avg_pool2d(weight, size)
    mean = F.adaptive_avg_pool2d(planes * weight, size) / share.clamp(min=1e-6)
    seen = share >= 0.5
    return torch.where(seen, mean, -2.0).movedim(1, -1).unflatten(0, grid.shape[:2]), seen


def identity(sources: int, size: int, device: torch.device) -> Tensor:
    centres = (2 * torch.arange(size, device=device) + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], -1).expand(1, sources, -1, -1, -1).contiguous()


def turn(vertices: Tensor, angle: float) -> Tensor:
    """Turned round the body's vertical axis."""
    x, y, z = vertices.unbind(-1)
    c, s = torch.tensor(angle).cos().item(), torch.tensor(angle).sin().item()
    middle = (z.amin() + z.amax()) / 2
    return torch.stack([c * x + s * (z - middle), y, c * (z - middle) - s * x + middle], -1)
