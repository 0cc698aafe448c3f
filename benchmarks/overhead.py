"""Rows of what a call costs before any work: tiny inputs, with and without gradient, torch.add beside it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

import warpkit
from benchmarks.harness import Case, Contender
from benchmarks.options import Options

LOOP = 200


def cases(options: Options) -> Iterator[Case]:
    device = options.device
    vertices = torch.tensor([[[-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [0.0, 0.5, 1.0]]], device=device)
    faces = torch.tensor([[0, 1, 2]], device=device, dtype=torch.int32)
    colours = torch.rand(1, 3, 1, device=device)
    fragments = warpkit.rasterize(vertices, faces, (1, 1))
    grid = torch.zeros(1, 1, 1, 1, 2, device=device)
    features, query = torch.rand(1, 1, 1, 1, 1, device=device), torch.rand(1, 1, 1, 1, device=device)
    flow = warpkit.Flow(grid)

    # Each with the tensor that a gradient is asked for.
    calls: dict[str, tuple[Callable[[torch.Tensor], Any], torch.Tensor]] = {
        "rasterize": (lambda v: warpkit.rasterize(v, faces, (1, 1)), vertices),
        "barycentrics": (lambda v: warpkit.barycentrics(v, faces, fragments.face_index), vertices),
        "interpolate": (lambda a: warpkit.interpolate(a, faces, fragments), colours),
        "compose_flow": (lambda v: warpkit.compose_flow(v, faces, fragments), vertices[None]),
        "mesh_flow": (lambda v: warpkit.mesh_flow(v, vertices, faces, (1, 1)), vertices[None]),
        "resize_flow": (lambda g: warpkit.resize_flow(warpkit.Flow(g), (1, 1)), grid),
        "warp": (lambda x: warpkit.warp(x, flow), features),
        "warp_reduce": (lambda x: warpkit.warp_reduce(x, flow), features),
        "warp_attention": (lambda x: warpkit.warp_attention(query, x, flow), features),
    }
    for name, (call, argument) in calls.items():
        wanted = argument.detach().clone().requires_grad_()
        yield Case(
            f"overhead {name}",
            {
                "warpkit": Contender("ours", without_gradient(call, argument)),
                "with gradient": Contender("variant", lambda call=call, wanted=wanted: call(wanted)),
                "torch.add": Contender("eager", lambda: torch.add(colours, colours)),
            },
            0,
            "tiny inputs",
            loop=LOOP,
        )


def without_gradient(call: Callable[[torch.Tensor], Any], argument: torch.Tensor) -> Callable[[], Any]:
    return lambda: call(argument)
