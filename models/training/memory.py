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

    Blocks are the members of its lists and chains that have more than one layer (a single layer keeps its input alone,
    as it is). Only what goes in and out of them is kept.
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
    in_list = isinstance(module, nn.ModuleList | nn.Sequential)
    for child in module.children():
        if not in_list or isinstance(child, nn.ModuleList) or _of_blocks(child):
            yield from _blocks(child)
        elif any(True for _ in child.children()) and any(True for _ in child.parameters()):
            yield child


def _of_blocks(chain: nn.Module) -> bool:
    return isinstance(chain, nn.Sequential) and any(True for member in chain for _ in member.children())


@contextmanager
def memory_advice(doing: str, lower: str) -> Iterator[None]:
    """Out of memory inside becomes an InputError that says with what, and what to lower."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory with {doing}: {lower}") from error
