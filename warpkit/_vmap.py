"""`torch.vmap` through the ops: the mapped dimension is folded into the batch, so that a map is one call."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

SHARED: dict[str, tuple[str, ...]] = {
    "rasterize": ("faces",),
    "barycentrics": ("faces",),
    "barycentrics_backward": ("faces",),
    "visible_faces": (),
    "interpolate": ("faces",),
    "interpolate_backward": ("faces",),
    "compose_flow": ("faces",),
    "compose_flow_backward": ("faces",),
    "mesh_flow": ("faces",),
    "resize_flow": (),
    "resize_flow_backward": (),
    "warp": (),
    "warp_backward": (),
    "warp_reduce": (),
    "warp_reduce_backward": (),
    "warp_attention": (),
    "warp_attention_backward": (),
    "antialias": ("faces", "neighbours"),
    "antialias_backward": ("faces", "neighbours"),
}
"""Every op, and which of its tensors serve the whole batch; all its other tensors and its results have the batch first.
Attributes ``[V, D]`` of interpolate serve it too."""


def register_rules() -> None:
    """Give every op its vmap rule."""
    for name, shared in SHARED.items():
        op = getattr(torch.ops.warpkit, name).default
        torch.library.register_vmap(op, _make_rule(op, shared))


def _make_rule(op: Any, shared: Collection[str]) -> Callable[..., tuple[Any, Any]]:
    names = [argument.name for argument in op._schema.arguments]

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        folded = []
        for name, argument, dim in zip(names, arguments, in_dims, strict=True):
            serves_all = name in shared or (
                name == "attributes" and argument.dim() == (2 if dim is None else 3)  # the mapped dimension included
            )
            if serves_all and dim is not None:
                return _one_by_one(op, info.batch_size, in_dims, arguments)
            fold = isinstance(argument, Tensor) and not serves_all
            folded.append(_fold(argument, dim, info.batch_size) if fold else argument)
        if op is torch.ops.warpkit.interpolate_backward.default and folded[names.index("attributes")].dim() == 2:
            return _one_by_one(op, info.batch_size, in_dims, arguments)  # each entry sums over its own batch
        return _each(op(*folded), lambda out: out.unflatten(0, (info.batch_size, out.shape[0] // info.batch_size)))

    return rule


def _fold(tensor: Tensor, dim: int | None, count: int) -> Tensor:
    """``[count * B, …]``; a tensor that is not mapped is repeated, without a copy where its batch is one."""
    if dim is not None:
        return tensor.movedim(dim, 0).flatten(0, 1)
    if tensor.shape[0] == 1:
        return tensor.expand(count, *tensor.shape[1:])
    return tensor.expand(count, *tensor.shape).flatten(0, 1)


def _one_by_one(op: Any, count: int, in_dims: tuple[int | None, ...], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    calls = [
        op(*(a if dim is None else a.select(dim, index) for a, dim in zip(arguments, in_dims, strict=True)))
        for index in range(count)
    ]
    if isinstance(calls[0], Tensor):
        return torch.stack(calls), 0
    return _each(tuple(zip(*calls, strict=True)), torch.stack)


def _each(outputs: Any, change: Callable[[Any], Tensor]) -> tuple[Any, Any]:
    """Results with the mapped dimension first, and where it lies in each."""
    if isinstance(outputs, Tensor):
        return change(outputs), 0
    return tuple(change(out) for out in outputs), (0,) * len(outputs)
