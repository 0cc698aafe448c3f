"""CUDA graphs: what a function launches on a GPU is recorded once for each shape of its inputs, and played again.

A small network on a large GPU waits for the CPU that launches its kernels, one by one; a graph is one launch.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

MOST = 8
"""Graphs that are kept: each holds copies of its inputs and outputs. All work in the same memory."""
WARM_UP = 3
"""Calls before a recording, in which libraries choose their kernels and take their workspaces."""

Inputs = Sequence[Tensor | None]
Function = Callable[..., tuple[Tensor, ...]]


class Graphs:
    """A function of tensors on a GPU that neither waits for it nor keeps anything of a call, played from graphs.

    What the function closes over must stay where it is in memory: graphs read it from there.
    """

    def __init__(self, function: Function, record: Callable[[Function, Inputs], Function] | None = None) -> None:
        """`record`: makes what is called in place of the function for inputs of one shape; None: CUDA graphs."""
        self._function, self._record = function, record or record_graph
        self._kept: dict[Hashable, Function] = {}

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """What the function gives; an input may be None, but then always for inputs of these shapes."""
        key = tuple(None if one is None else (one.shape, one.dtype) for one in inputs)
        played = self._kept.pop(key, None) or self._record(self._function, inputs)
        self._kept[key] = played  # the last used is last
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]
        return played(*inputs)


def record_graph(function: Function, inputs: Inputs) -> Function:
    """`function` as a CUDA graph that reads copies of `inputs`, and of whatever else comes with their shapes."""
    copies = [None if one is None else one.clone() for one in inputs]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            function(*copies)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_pool()):
        outputs = function(*copies)

    def play(*others: Tensor | None) -> tuple[Tensor, ...]:
        for copy, other in zip(copies, others, strict=True):
            if copy is not None and other is not None:
                copy.copy_(other)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    return play


@lru_cache(maxsize=1)
def _pool() -> Any:
    """The memory that graphs work in: as much as the largest needs, for they are played one after the other, and what
    one gives is copied before the next."""
    return torch.cuda.graph_pool_handle()
