"""CUDA graphs: what a function launches on a GPU is recorded once for each shape of its inputs, and played again.

A small network on a large GPU waits for the CPU that launches its kernels, one by one; a graph is one launch.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

MOST = 8
"""Graphs that are kept: each holds copies of its inputs and outputs. All work in the same memory."""
WARM_UP = 3
"""Calls before a recording, in which libraries choose their kernels and take their workspaces."""

Inputs = Sequence[Tensor | None]
Function = Callable[..., tuple[Tensor, ...]]
Pool = Any
"""The memory that a graph works in, as PyTorch names it; None: none yet."""
Record = Callable[[Function, Inputs, Pool], tuple[Function, Pool]]
"""Makes what is called in place of a function for inputs of these shapes, to work in a pool; and says in which it does.

What works in one pool is called one after the other, and what a call gives is copied before the next."""


class Graphs:
    """A function of tensors on a GPU that neither waits for it nor keeps anything of a call, played from graphs.

    What the function closes over must stay where it is in memory: graphs read it from there.
    """

    def __init__(self, function: Function, record: Record | None = None) -> None:
        """`record`: None: of CUDA graphs."""
        self._function, self._record = function, record or record_graph
        self._kept: dict[Hashable, tuple[Function, Pool]] = {}

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """What the function gives; an input may be None, but then always for inputs of these shapes."""
        key = tuple(None if one is None else (one.shape, one.dtype) for one in inputs)
        if key in self._kept:
            recorded = self._kept.pop(key)
        else:
            pool = next(iter(self._kept.values()))[1] if self._kept else None  # it lives as long as one of its graphs
            recorded = self._record(self._function, inputs, pool)
        self._kept[key] = recorded  # the last used is last
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]
        return recorded[0](*inputs)


def record_graph(function: Function, inputs: Inputs, pool: Pool) -> tuple[Function, Pool]:
    """`function` as a CUDA graph that reads copies of `inputs`, and of whatever else comes with their shapes."""
    copies = [None if one is None else one.clone() for one in inputs]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            function(*copies)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        outputs = function(*copies)

    def play(*others: Tensor | None) -> tuple[Tensor, ...]:
        for copy, other in zip(copies, others, strict=True):
            if copy is not None and other is not None:
                copy.copy_(other)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    return play, graph.pool()
