"""warp, compose_flow and mesh_flow on CUDA against the CPU, where a GPU and the CUDA kernels are there."""

from typing import Any

import pytest
import torch
from torch import Tensor

import warpkit

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and warpkit.build_info()["cuda_kernels"]), reason="needs a GPU and the CUDA kernels"
)

OPS = torch.ops.warpkit


def scene(channels: int, channels_last: bool, dtype: torch.dtype, grid_dtype: torch.dtype) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, channels, 19, 23, generator=generator).to(dtype)
    if channels_last:
        features = features.movedim(2, -1).contiguous().movedim(-1, 2)
    grid = torch.rand(2, 3, 40, 37, 2, generator=generator, dtype=grid_dtype) * 2.6 - 1.3
    grid[0, 0, 0, :3, 0] = torch.tensor([torch.nan, torch.inf, 2e6])
    return features, grid, torch.rand(2, 3, 40, 37, generator=generator) < 0.8


@pytest.mark.parametrize("channels", [1, 3, 8, 64, 320])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("deterministic", [False, True])
def test_warp_equals_cpu(channels: int, channels_last: bool, dtype: Any, grid_dtype: Any, deterministic: bool) -> None:
    features, grid, visible = scene(channels, channels_last, dtype, grid_dtype)
    expected = OPS.warp(features, grid, visible)
    out = OPS.warp(features.cuda(), grid.cuda(), visible.cuda())
    assert out.stride() == expected.stride()
    torch.testing.assert_close(out.cpu(), expected)
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    arguments = (gradient, features, grid, visible)
    expected = OPS.warp_backward(*arguments, True, True, True)
    result = OPS.warp_backward(*(tensor.cuda() for tensor in arguments), True, True, deterministic)
    for mine, cpu in zip(result, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), cpu, rtol=2e-2 if dtype.itemsize == 2 else 1e-4, atol=1e-3)


def test_deterministic_backward_repeats() -> None:
    features, grid, visible = (tensor.cuda() for tensor in scene(64, True, torch.float32, torch.float32))
    gradient = torch.randn_like(OPS.warp(features, grid, visible))
    first, *others = (OPS.warp_backward(gradient, features, grid, visible, True, True, True) for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("visibility", ["pixel", "face", None])
def test_flows_equal_cpu(components: int, visibility: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    sources, target = torch.randn(2, 3, 200, components, generator=generator), torch.randn(2, 200, components)
    if components == 4:
        sources[..., 3], target[..., 3] = sources[..., 3].abs() + 0.1, target[..., 3].abs() + 0.1
    faces = torch.randint(-1, 200, (300, 3), generator=generator)
    cpu = warpkit.mesh_flow(sources, target, faces, (65, 90), source_size=(80, 70), visibility=visibility)
    cuda = warpkit.mesh_flow(
        sources.cuda(), target.cuda(), faces.cuda(), (65, 90), source_size=(80, 70), visibility=visibility
    )
    assert cpu.visible is not None
    assert cuda.visible is not None
    same = cuda.visible.cpu() == cpu.visible
    assert same.float().mean() > 0.999  # a depth may lie on the tolerance
    torch.testing.assert_close(cuda.grid.cpu()[same], cpu.grid[same], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["masked", "bilinear"])
@pytest.mark.parametrize("size", [(17, 50), (80, 20)])
@pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64])
def test_resize_flow_equals_cpu(mode: str, size: tuple[int, int], grid_dtype: Any) -> None:
    _, _, visible = scene(1, False, torch.float32, grid_dtype)
    grid = torch.randn(*visible.shape, 2, generator=torch.Generator().manual_seed(1), dtype=grid_dtype)
    expected = OPS.resize_flow(grid, visible, *size, mode)
    out = OPS.resize_flow(grid.cuda(), visible.cuda(), *size, mode)
    assert torch.equal(out[1].cpu(), expected[1])
    torch.testing.assert_close(out[0].cpu(), expected[0])
    arguments = (expected[0], visible, *visible.shape[2:], mode)
    back = OPS.resize_flow_backward(*(part.cuda() if isinstance(part, Tensor) else part for part in arguments))
    torch.testing.assert_close(back.cpu(), OPS.resize_flow_backward(*arguments))
