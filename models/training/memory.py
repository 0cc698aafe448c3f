"""Less memory: activations computed again, and what to say when it was not enough."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from warpkit.models.errors import InputError, out_of_memory


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
def memory_advice(doing: str, lower: str) -> Iterator[None]:
    """Out of memory inside becomes an InputError that says with what, and what to lower."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory with {doing}: {lower}") from error
