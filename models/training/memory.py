"""Less memory: activations computed again, and what to say when it was not enough."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from warpkit.models.errors import InputError


def recompute(module: nn.Module) -> int:
    """Makes the blocks of a network compute their activations again in the backward pass; returns how many.

    Blocks are the members of its lists, and of the chains in those lists; only what goes in and out of them is kept.
    """
    count = 0
    for member in _blocks(module):
        member.forward = functools.partial(_again, member.forward)
        count += 1
    return count


def _again(forward, *args, **kwargs):  # type: ignore[no-untyped-def]
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            for member in child:
                if isinstance(member, nn.ModuleList | nn.Sequential):
                    yield from _blocks(member) if any(True for _ in member.children()) else ()
                elif any(True for _ in member.parameters()):
                    yield member
        else:
            yield from _blocks(child)


@contextmanager
def memory_advice(batch: int, sources: int, accumulate: int, frugal: bool) -> Iterator[None]:
    """Out of memory inside becomes an InputError that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "DefaultCPUAllocator" not in text:
            raise
        more = "" if frugal else ', set training.precision = "bf16" and training.checkpointing = true'
        raise InputError(
            f"out of memory with {batch} people a step in {accumulate} piece{'s' if accumulate > 1 else ''} and up to "
            f"{sources} sources: raise training.accumulate (the gradient stays the same){more}, or lower "
            "training.sources or data.size; the last checkpoint is as it was"
        ) from error
