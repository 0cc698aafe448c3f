"""Calling an op: where nothing asks for a gradient, past the Python of autograd, half of a small call's time."""

from typing import Any

import torch


def call(op: Any, *arguments: Any) -> Any:
    """``op(*arguments)``.

    Below autograd's kernel where that would only pass the call on: no argument asks for a gradient, and nothing
    traces or transforms the call.
    """
    if (
        torch.compiler.is_compiling()
        or (torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments))
        or torch._C._functorch.peek_interpreter_stack() is not None
    ):
        return op(*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return op(*arguments)
