"""What a run is asked for, and contenders that depend on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.harness import Contender


@dataclass(frozen=True)
class Options:
    """`compile` adds torch.compile (each first call costs 10 to 30 s on the CPU); `quick` leaves big cases out."""

    device: torch.device
    quick: bool = False
    compile: bool = False

    @property
    def batch(self) -> int:
        """Of the feature rows: one picture fills a CPU, not a GPU."""
        return 8 if self.device.type == "cuda" else 1

    def pytorch(self, name: str, function: Callable[..., Any], *arguments: Any) -> dict[str, Contender]:
        """What a user would write: as it is, and compiled by inductor where the run asks for it."""
        contenders = {f"eager {name}".strip(): Contender("eager", lambda: function(*arguments))}
        if self.compile:
            torch._dynamo.reset()
            compiled = torch.compile(function, dynamic=False)
            contenders[f"compiled {name}".strip()] = Contender("compiled", lambda: compiled(*arguments))
        return contenders


def differentiated(function: Callable[..., Any], *inputs: torch.Tensor) -> Callable[[], Any]:
    """A call that does backward alone: the graph of `function(*inputs)`, built once, differentiated in all inputs."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    output = function(*leaves)
    gradient = torch.randn_like(output)
    return lambda: torch.autograd.grad(output, leaves, gradient, retain_graph=True)
