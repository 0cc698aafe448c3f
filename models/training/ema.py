"""The moving average of a network's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averages of a module's parameters, in float32; its buffers are taken as they are.

    Early on the average is shorter, (1 + n) / (10 + n) after n steps, so that it forgets where training began.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights: dict[str, Tensor] = {}
        self.start()

    def start(self) -> None:
        """From the weights that the module has now."""
        self.weights = {name: value.detach().clone().float() for name, value in self.module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.module.named_parameters():
            self.weights[name].lerp_(value.detach().float(), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        own = {name: value.detach().clone() for name, value in self.module.named_parameters()}
        self._put(self.weights)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, value in self.module.named_parameters():
            value.copy_(weights[name])
