"""Rows of warp, forward and backward, and resize_flow; the peer is grid_sample on either layout."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

import warpkit
from benchmarks.harness import Case, size_of
from warpkit import Flow


def cases(device: torch.device, quick: bool) -> Iterator[Case]:
    for sources, channels, size, in_size in (
        (1, 64, (512, 512), (512, 512)),
        (1, 64, (256, 256), (256, 256)),
        (4, 256, (64, 64), (64, 64)),
        (1, 3, (450, 800), (512, 512)),
        (1, 4, (450, 800), (512, 512)),
        (2, 4, (450, 800), (512, 512)),
        (4, 4, (450, 800), (512, 512)),
    ):
        if quick and channels == 64 and size[0] > 256:
            continue
        flow = Flow(swirl(sources, *size, device))
        planes = torch.randn(1, sources, channels, *in_size, device=device)
        yield from both_ways(f"{sources} x {channels} x {size[0]}x{size[1]}", planes, flow)
    flow = Flow(swirl(2, 512, 512, device), torch.rand(1, 2, 512, 512, device=device) < 0.5)
    for small in (256, 128):
        resized = warpkit.resize_flow(flow, (small, small))
        yield Case(
            f"resize_flow 2 x 512² to {small}²",
            {"warpkit": partial(warpkit.resize_flow, flow, (small, small))},
            size_of(*flow, *resized),
        )


def both_ways(name: str, planes: Tensor, flow: Flow) -> Iterator[Case]:
    last = planes.movedim(2, -1).contiguous().movedim(-1, 2)
    grid = flow.grid[0]
    for layout, features in (("channels-last", last), ("planes", planes)):
        out = warpkit.warp(features, flow)
        peers = {"planes": planes[0].contiguous(), "channels-last": last[0]}
        yield Case(
            f"warp {name} {layout}",
            {
                "warpkit": partial(warpkit.warp, features, flow),
                **{
                    f"grid_sample {peer}": partial(F.grid_sample, images, grid, align_corners=False)
                    for peer, images in peers.items()
                },
            },
            size_of(features, flow.grid, out),
        )
        backward = torch.ops.warpkit.warp_backward.default
        theirs = torch.ops.aten.grid_sampler_2d_backward.default
        yield Case(
            f"warp backward {name} {layout}",
            {
                "warpkit": partial(backward, out, features, flow.grid, None, True, True, False),
                **{
                    f"grid_sample {peer}": partial(theirs, out[0], images, grid, 0, 0, False, [True, True])
                    for peer, images in peers.items()
                },
            },
            2 * size_of(features, flow.grid) + size_of(out),
        )


def swirl(sources: int, height: int, width: int, device: torch.device) -> Tensor:
    """A smooth flow near the identity, another one for each source."""
    y, x = ((2 * torch.arange(size, device=device) + 1) / size - 1 for size in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    grids = [
        torch.stack([x + 0.1 * torch.sin((3 + s) * y), y + 0.1 * torch.sin((4 + s) * x)], -1) for s in range(sources)
    ]
    return torch.stack(grids)[None]
