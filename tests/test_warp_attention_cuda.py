"""warp_attention on CUDA against the CPU, where a GPU and the CUDA kernels are there."""

from typing import Any

import pytest
import torch
from needs_gpu import NEEDS_GPU
from torch import Tensor

pytestmark = NEEDS_GPU

OPS = torch.ops.warpkit
SCALE = 0.2


def channels_last(image: Tensor) -> Tensor:
    return image.movedim(-3, -1).contiguous().movedim(-1, -3)


def scene(
    sources: int, channels: int, value_channels: int, last: bool, dtype: torch.dtype, grid_dtype: torch.dtype
) -> list[Tensor]:
    """gradient, query, features, grid, visible, value: some points see no source, some read outside every frame."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, value_channels, 20, 37), (2, channels, 20, 37), (2, sources, channels, 9, 13)
    images = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    images.append(torch.randn(2, sources, value_channels, 9, 13, generator=generator).to(dtype))
    if last:
        images = [channels_last(image) for image in images]
    gradient, query, features, value = images
    grid = torch.rand(2, sources, 20, 37, 2, generator=generator, dtype=grid_dtype) * 2.6 - 1.3
    grid[0, 0, 0, :3, 0] = torch.tensor([torch.nan, torch.inf, 2e6])
    return [gradient, query, features, grid, torch.rand(2, sources, 20, 37, generator=generator) < 0.6, value]


def on_gpu(arguments: list[Any]) -> list[Any]:
    return [argument.cuda() if isinstance(argument, Tensor) else argument for argument in arguments]


def assert_equals_cpu(arguments: list[Any], deterministic: bool) -> None:
    dtype = arguments[1].dtype
    rtol, atol = (2e-2, 2e-2) if dtype.itemsize == 2 else (1e-4, 1e-3)
    expected = OPS.warp_attention(*arguments[1:], SCALE)
    out = OPS.warp_attention(*on_gpu(arguments[1:]), SCALE)
    assert out.stride() == expected.stride()
    torch.testing.assert_close(out.cpu(), expected, rtol=rtol, atol=atol)
    wanted = [True, True, arguments[5] is not None, True]
    expected = OPS.warp_attention_backward(*arguments, SCALE, *wanted, True)
    result = OPS.warp_attention_backward(*on_gpu(arguments), SCALE, *wanted, deterministic)
    for mine, cpu in zip(result, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), cpu, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("sources", "channels"), [(1, 8), (2, 64), (3, 3), (5, 264), (2, 520), (2, 1032), (40, 16)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("deterministic", [False, True])
def test_warp_attention_equals_cpu(
    sources: int, channels: int, last: bool, dtype: Any, grid_dtype: Any, deterministic: bool
) -> None:
    gradient, query, features, grid, visible, _ = scene(sources, channels, channels, last, dtype, grid_dtype)
    assert_equals_cpu([gradient, query, features, grid, visible, None], deterministic)


@pytest.mark.parametrize(("channels", "value_channels"), [(8, 64), (64, 8), (64, 3), (3, 64), (16, 520)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("deterministic", [False, True])
def test_value_of_its_own_equals_cpu(
    channels: int, value_channels: int, last: bool, dtype: Any, deterministic: bool
) -> None:
    assert_equals_cpu(scene(3, channels, value_channels, last, dtype, torch.float32), deterministic)


def test_mixed_layouts_and_no_mask_equal_cpu() -> None:
    gradient, query, features, grid, _, value = scene(2, 64, 64, True, torch.float32, torch.float32)
    assert_equals_cpu([gradient.contiguous(), query.contiguous(), features, grid, None, value], True)
    assert_equals_cpu([gradient, query, features, grid, None, value.contiguous()], True)


def test_forward_and_deterministic_backward_repeat() -> None:
    gpu = on_gpu([*scene(3, 64, 64, True, torch.float32, torch.float32)[:5], None])
    outs = [OPS.warp_attention(*gpu[1:], SCALE) for _ in range(3)]
    assert all(torch.equal(outs[0], out) for out in outs[1:])
    wanted = (True, True, False, True, True)
    first, *others = (OPS.warp_attention_backward(*gpu, SCALE, *wanted) for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("deterministic", [False, True])
def test_warp_attention_replays_from_a_graph(deterministic: bool) -> None:
    gpu = on_gpu(scene(2, 64, 32, True, torch.bfloat16, torch.float32))

    def run() -> tuple[Tensor, ...]:
        out = OPS.warp_attention(*gpu[1:], SCALE)
        return (out, *OPS.warp_attention_backward(*gpu, SCALE, True, True, True, True, deterministic))

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
