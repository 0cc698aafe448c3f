"""Rows of warp_reduce and warp_attention, forward and backward, with the peak of memory."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

import warpkit
from benchmarks.harness import Case, Contender, size_of
from benchmarks.options import Options, differentiated
from benchmarks.warp import channels_last, swirl
from warpkit import Flow

SITES = ((64, 256), (128, 128), (256, 64))
"""Channels and size of the levels at which the paper attends, for a picture of 512²."""
SOURCES = (2, 8)


def cases(options: Options) -> Iterator[Case]:
    dtype = torch.bfloat16 if options.device.type == "cuda" else torch.float32
    for channels, size in SITES:
        for sources in SOURCES:
            if options.quick and (channels != 256 or sources != 2):
                continue
            shape = options.batch, sources, channels, size, size
            planes = torch.randn(shape, device=options.device, dtype=dtype)
            query = torch.randn_like(planes[:, 0])
            grid = swirl(sources, size, size, options.device).expand(options.batch, -1, -1, -1, -1).contiguous()
            name = f"S={sources} C={channels} {options.batch} x {size}²"
            yield from attention(name, query, planes, grid, options)
            if channels == 64:
                yield from reduction(name, planes, grid, options)


def attention(name: str, query: Tensor, planes: Tensor, grid: Tensor, options: Options) -> Iterator[Case]:
    last, query_last = channels_last(planes), query.contiguous(memory_format=torch.channels_last)
    flow = Flow(grid)
    out = warpkit.warp_attention(query_last, last, flow)
    needed = size_of(query, planes, grid, out)
    yield Case(
        f"warp_attention {name}",
        {
            "warpkit": Contender("ours", lambda: warpkit.warp_attention(query_last, last, flow)),
            **options.pytorch("planes", plain_attention, query, planes, grid),
            **options.pytorch("channels-last", plain_attention, query_last, last, grid),
        },
        needed,
        memory=True,
    )
    yield Case(
        f"warp_attention backward {name}",
        {
            "warpkit": Contender(
                "ours", differentiated(lambda q, x: warpkit.warp_attention(q, x, flow), query_last, last)
            ),
            "eager planes": Contender("eager", differentiated(lambda q, x: plain_attention(q, x, grid), query, planes)),
            "eager channels-last": Contender(
                "eager", differentiated(lambda q, x: plain_attention(q, x, grid), query_last, last)
            ),
        },
        2 * size_of(query, planes) + size_of(grid, out),
        memory=True,
    )


def reduction(name: str, planes: Tensor, grid: Tensor, options: Options) -> Iterator[Case]:
    last, flow = channels_last(planes), Flow(grid)
    weights = torch.rand(grid.shape[:-1], device=grid.device).softmax(1)
    out = warpkit.warp_reduce(last, flow, weights=weights)
    yield Case(
        f"warp_reduce {name}",
        {
            "warpkit": Contender("ours", lambda: warpkit.warp_reduce(last, flow, weights=weights)),
            **options.pytorch("planes", plain_sum, planes, grid, weights),
        },
        size_of(planes, grid, weights, out),
        memory=True,
    )
    yield Case(
        f"warp_reduce backward {name}",
        {
            "warpkit": Contender(
                "ours", differentiated(lambda x, w: warpkit.warp_reduce(x, flow, weights=w), last, weights)
            ),
            "eager planes": Contender("eager", differentiated(lambda x, w: plain_sum(x, grid, w), planes, weights)),
        },
        2 * size_of(planes, weights) + size_of(grid, out),
    )


def plain_warp(features: Tensor, grid: Tensor) -> Tensor:
    sampled = F.grid_sample(features.flatten(0, 1), grid.flatten(0, 1).to(features.dtype), align_corners=False)
    return sampled.unflatten(0, features.shape[:2])


def plain_attention(query: Tensor, features: Tensor, grid: Tensor) -> Tensor:
    """What one writes without the op: warp every source, score, softmax, add."""
    warped = plain_warp(features, grid)
    scores = (query[:, None] * warped).sum(2) * features.shape[2] ** -0.5
    return (scores.softmax(1)[:, :, None] * warped).sum(1)


def plain_sum(features: Tensor, grid: Tensor, weights: Tensor) -> Tensor:
    return (plain_warp(features, grid) * weights[:, :, None].to(features.dtype)).sum(1)
