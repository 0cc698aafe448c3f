"""warp_reduce on CUDA against the CPU, where a GPU and the CUDA kernels are there."""

from typing import Any

import pytest
import torch
from needs_gpu import NEEDS_GPU
from torch import Tensor

pytestmark = NEEDS_GPU

OPS = torch.ops.warpkit


def channels_last(image: Tensor) -> Tensor:
    return image.movedim(-3, -1).contiguous().movedim(-1, -3)


def scene(sources: int, channels: int, last: bool, dtype: torch.dtype, grid_dtype: torch.dtype) -> list[Tensor]:
    """gradient, features, grid, visible, weights: half of the points read nothing or only a part of their taps."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, channels, 20, 37, generator=generator).to(dtype)
    features = torch.randn(2, sources, channels, 9, 13, generator=generator).to(dtype)
    if last:
        gradient, features = channels_last(gradient), channels_last(features)
    grid = torch.rand(2, sources, 20, 37, 2, generator=generator, dtype=grid_dtype) * 2.6 - 1.3
    grid[0, 0, 0, :3, 0] = torch.tensor([torch.nan, torch.inf, 2e6])
    visible = torch.rand(2, sources, 20, 37, generator=generator) < 0.8
    weights = torch.randn(2, sources, 20, 37, generator=generator)
    return [gradient, features, grid, visible, weights.to(torch.float64 if dtype == torch.float64 else torch.float32)]


@pytest.mark.parametrize(("sources", "channels"), [(1, 8), (2, 64), (3, 3), (5, 264), (40, 16)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("deterministic", [False, True])
def test_warp_reduce_equals_cpu(
    sources: int, channels: int, last: bool, dtype: Any, grid_dtype: Any, deterministic: bool
) -> None:
    arguments = scene(sources, channels, last, dtype, grid_dtype)
    _, features, grid, visible, weights = arguments
    on_gpu = [tensor.cuda() for tensor in arguments]
    rtol, atol = (2e-2, 2e-2) if dtype.itemsize == 2 else (1e-4, 1e-3)
    for mean in (False, True):
        expected = OPS.warp_reduce(features, grid, visible, weights, mean)
        out = OPS.warp_reduce(*on_gpu[1:], mean)
        assert out.stride() == expected.stride()
        torch.testing.assert_close(out.cpu(), expected, rtol=rtol, atol=atol)
        expected = OPS.warp_reduce_backward(*arguments, mean, True, True, True, True)
        result = OPS.warp_reduce_backward(*on_gpu, mean, True, True, True, deterministic)
        for mine, cpu in zip(result, expected, strict=True):
            torch.testing.assert_close(mine.cpu(), cpu, rtol=rtol, atol=atol)


def test_without_mask_and_weights_equals_cpu() -> None:
    gradient, features, grid, _, _ = arguments = scene(3, 24, True, torch.float32, torch.float32)
    gpu = [tensor.cuda() for tensor in arguments]
    expected = OPS.warp_reduce(features, grid, None, None, True)
    torch.testing.assert_close(OPS.warp_reduce(gpu[1], gpu[2], None, None, True).cpu(), expected)
    expected = OPS.warp_reduce_backward(gradient, features, grid, None, None, True, True, False, False, True)
    result = OPS.warp_reduce_backward(*gpu[:3], None, None, True, True, False, False, False)
    torch.testing.assert_close(result[0].cpu(), expected[0], rtol=1e-4, atol=1e-4)
    assert result[1].numel() == result[2].numel() == 0


def test_gradient_of_another_layout_equals_cpu() -> None:
    arguments = scene(2, 64, True, torch.bfloat16, torch.float32)
    arguments[0] = arguments[0].contiguous()
    expected = OPS.warp_reduce_backward(*arguments, False, True, True, True, True)
    result = OPS.warp_reduce_backward(*(tensor.cuda() for tensor in arguments), False, True, True, True, True)
    for mine, cpu in zip(result, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), cpu, rtol=2e-2, atol=2e-2)


def test_forward_and_deterministic_backward_repeat() -> None:
    gpu = [tensor.cuda() for tensor in scene(3, 64, True, torch.float32, torch.float32)]
    outs = [OPS.warp_reduce(*gpu[1:], False) for _ in range(3)]
    assert all(torch.equal(outs[0], out) for out in outs[1:])
    first, *others = (OPS.warp_reduce_backward(*gpu, False, True, True, True, True) for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("deterministic", [False, True])
def test_warp_reduce_replays_from_a_graph(deterministic: bool) -> None:
    gpu = [tensor.cuda() for tensor in scene(2, 64, True, torch.bfloat16, torch.float32)]

    def run() -> tuple[Tensor, ...]:
        out = OPS.warp_reduce(*gpu[1:], True)
        return (out, *OPS.warp_reduce_backward(*gpu, True, True, True, True, deterministic))

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run()
    gpu[1].mul_(2)
    graph.replay()
    for mine, eager in zip(captured, run(), strict=True):
        torch.testing.assert_close(mine, eager, rtol=2e-2, atol=2e-2)
