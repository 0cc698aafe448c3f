"""warp against grid_sample: docs/migrate/grid_sample.md holds for random sizes, layouts and sources."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import DOCS, run_page

import warpkit
from warpkit import Flow

PAGE = run_page(DOCS / "migrate" / "grid_sample.md")
sides, seeds = st.integers(1, 20), st.integers(0, 10**6)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(sides, sides, sides, sides), st.integers(1, 3), st.integers(0, 9), st.booleans(), st.integers(0, 10**6)
)
def test_warp_is_grid_sample(size: tuple[int, ...], sources: int, channels: int, last: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    h, w, height, width = size
    features = torch.randn(2, sources, channels, h, w, generator=generator, dtype=torch.float64)
    if last:
        features = features.movedim(2, -1).contiguous().movedim(-1, 2)
    grid = torch.randn(2, sources, height, width, 2, generator=generator, dtype=torch.float64)
    visible = torch.rand(2, sources, height, width, generator=generator) < 0.7
    mine = warpkit.warp(features, Flow(grid, visible))
    if channels == 0:
        assert mine.shape == (2, sources, 0, height, width)
        return
    torch.testing.assert_close(mine, PAGE["with_grid_sample"](features, Flow(grid, visible)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_grid_samples(dtype: torch.dtype) -> None:
    features = torch.randn(2, 5, 9, 8, dtype=dtype, requires_grad=True)
    grid = (torch.rand(2, 7, 6, 2, dtype=dtype) * 2.2 - 1.1).requires_grad_()
    outer = torch.randn(2, 5, 7, 6, dtype=dtype)
    mine = torch.autograd.grad(warpkit.warp(features, Flow(grid[:, None])), (features, grid), outer)
    theirs = torch.autograd.grad(F.grid_sample(features, grid, align_corners=False), (features, grid), outer)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
