"""What the tests of warp_reduce and warp_attention draw: sources, flows, layouts."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from warpkit import Flow

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
OUTSIDE = torch.tensor([5.0, 0.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def channels_last(images: Tensor) -> Tensor:
    return images.movedim(-3, -1).contiguous().movedim(-1, -3)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda t: t,
    "channels last": channels_last,
    "transposed": lambda t: t.mT.contiguous().mT,
    "every other channel": lambda t: t.repeat_interleave(2, -3)[..., ::2, :, :],
}


def images(*shape: int, dtype: torch.dtype = torch.float32, layout: str = "contiguous", seed: int = 0) -> Tensor:
    return LAYOUTS[layout](torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype))


def flow(*shape: int, dtype: torch.dtype = torch.float32, masked: bool = True, seed: int = 0) -> Flow:
    """A flow over the frame and 30 % beyond."""
    grid = torch.rand(*shape, 2, generator=generator(seed), dtype=torch.float64) * 2.6 - 1.3
    return Flow(grid.to(dtype), torch.rand(shape, generator=generator(seed + 1)) < 0.7 if masked else None)


cases = st.fixed_dictionaries(
    {
        "batch": st.integers(0, 2),
        "sources": st.sampled_from([0, 1, 2, 3, 8, 17]),
        "channels": st.sampled_from([0, 1, 2, 3, 5, 16, 33, 64, 70]),
        "in_size": st.tuples(st.integers(1, 12), st.integers(1, 12)),
        "size": st.tuples(st.integers(0, 3), st.integers(1, 80)),
        "layout": st.sampled_from(list(LAYOUTS)),
        "other_layout": st.sampled_from(list(LAYOUTS)),
        "masked": st.booleans(),
        "dtype": st.sampled_from(list(TOLERANCE)),
        "seed": st.integers(0, 1000),
    }
)


def assert_near(mine: Tensor, wide: Tensor, dtype: torch.dtype) -> None:
    """Equal to a float64 result within what sums in ``dtype`` give."""
    scale = max(1.0, wide.abs().max().item()) if wide.numel() else 1.0
    torch.testing.assert_close(mine.double(), wide, rtol=0, atol=TOLERANCE[dtype] * scale)


def wide(*tensors: Any) -> list[Any]:
    """The same values in float64, as leaves of their own."""
    return [t if t is None else t.detach().double().requires_grad_() for t in tensors]


def leaves(*tensors: Any) -> list[Any]:
    """The same tensors, strides too, as leaves that want a gradient."""
    return [t if t is None else t.detach().requires_grad_() for t in tensors]
