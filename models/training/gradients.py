"""Gradients of several processes that train one network."""

import torch
from torch import nn


def average_gradients(parameters: list[nn.Parameter], world: int) -> None:
    """Gradients become their mean over all processes; one that is nowhere computed stays so.

    One buffer for all: gradients meet once a step, after all pieces, so there is nothing to overlap with.
    """
    grads = [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
    given = torch.tensor([value.grad is not None for value in parameters], dtype=torch.float32, device=grads[0].device)
    flat = torch.cat([grad.float().flatten() for grad in grads] + [given])
    torch.distributed.all_reduce(flat)
    *means, given = (flat / world).split([grad.numel() for grad in grads] + [len(grads)])
    for parameter, mean, somewhere in zip(parameters, means, given.tolist(), strict=True):
        if somewhere:
            parameter.grad = mean.view_as(parameter).to(parameter.dtype)
