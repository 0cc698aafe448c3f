"""Calling an op: where nothing asks for a gradient, past the Python of autograd, half of a small call's time."""

from typing import Any

import torch


def call(op: Any, *arguments: Any) -> Any:
    """``op(*arguments)``; raises torch.OutOfMemoryError where PyTorch's own ops would.

    Below autograd's kernel where that would only pass the call on: no argument asks for a gradient, and nothing
    traces or transforms the call.
    """
    if torch.compiler.is_compiling():
        return op(*arguments)
    try:
        if (
            torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments)
        ) or torch._C._functorch.peek_interpreter_stack() is not None:
            return op(*arguments)
        with torch._C._AutoDispatchBelowAutograd():
            return op(*arguments)
    except RuntimeError as error:
        if "out of memory" in str(error) and not isinstance(error, torch.OutOfMemoryError):
            raise torch.OutOfMemoryError(str(error)) from error  # a type that the stable ABI does not carry
        raise
