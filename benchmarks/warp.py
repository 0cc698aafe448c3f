"""Rows of warp, forward and backward; what a user would write is grid_sample, on either layout."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

import warpkit
from benchmarks.harness import Case, Contender, size_of
from benchmarks.options import Options
from warpkit import Flow


def cases(options: Options) -> Iterator[Case]:
    dtypes = (torch.float32, torch.bfloat16) if options.device.type == "cuda" else (torch.float32,)
    for sources, channels, size, in_size, compiled in (
        (1, 64, (512, 512), (512, 512), True),
        (1, 256, (128, 128), (128, 128), True),
        (2, 4, (450, 800), (512, 512), False),
    ):
        if options.quick and channels != 256:
            continue
        for dtype in dtypes:
            flow = Flow(swirl(sources, *size, options.device).expand(options.batch, -1, -1, -1, -1).contiguous())
            shape = options.batch, sources, channels, *in_size
            planes = torch.randn(shape, device=options.device, dtype=dtype)
            name = " x ".join(map(str, (options.batch, sources, channels, f"{size[0]}x{size[1]}")))
            name += " bf16" if dtype == torch.bfloat16 else ""
            yield from both_ways(name, planes, flow, options if compiled else Options(options.device))


def channels_last(features: Tensor) -> Tensor:
    return features.movedim(2, -1).contiguous().movedim(-1, 2)


def both_ways(name: str, planes: Tensor, flow: Flow, options: Options) -> Iterator[Case]:
    last = channels_last(planes)
    grid = flow.grid.flatten(0, 1)
    peers = {"planes": planes.flatten(0, 1), "channels-last": last.flatten(0, 1)}
    typed = grid.to(planes.dtype)  # grid_sample wants one dtype, and so rounds the grid
    for layout, features in (("channels-last", last), ("planes", planes)):
        out = warpkit.warp(features, flow)
        contenders = {"warpkit": Contender("ours", partial(warpkit.warp, features, flow))}
        for layout_theirs, images in peers.items():
            with_compile = options if layout == layout_theirs else Options(options.device)
            contenders |= with_compile.pytorch(f"grid_sample {layout_theirs}", grid_sample, images, typed)
        if planes.is_cuda:
            same = torch.empty_like(out)
            contenders["copy"] = Contender("clone", partial(same.copy_, out))
        yield Case(f"warp {name} {layout}", contenders, size_of(features, flow.grid, out))

        backward = torch.ops.warpkit.warp_backward.default
        theirs = torch.ops.aten.grid_sampler_2d_backward.default
        upstream = out.flatten(0, 1)
        contenders = {
            "warpkit": Contender("ours", partial(backward, out, features, flow.grid, None, True, True, False)),
            **{
                f"eager grid_sample {peer}": Contender(
                    "eager", partial(theirs, upstream, images, typed, 0, 0, False, [True, True])
                )
                for peer, images in peers.items()
            },
        }
        if planes.is_cuda:
            repeatable = partial(backward, out, features, flow.grid, None, True, True, True)
            contenders["deterministic"] = Contender("variant", repeatable)
        yield Case(f"warp backward {name} {layout}", contenders, 2 * size_of(features, flow.grid) + size_of(out))


def grid_sample(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, align_corners=False)


def swirl(sources: int, height: int, width: int, device: torch.device) -> Tensor:
    """A smooth flow near the identity `[1, S, H, W, 2]`, another one for each source."""
    y, x = ((2 * torch.arange(size, device=device) + 1) / size - 1 for size in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    grids = [
        torch.stack([x + 0.1 * torch.sin((3 + s) * y), y + 0.1 * torch.sin((4 + s) * x)], -1) for s in range(sources)
    ]
    return torch.stack(grids)[None]
