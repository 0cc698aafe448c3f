"""AttentionWarp: projections folded round warp_attention equal those applied to warped sources."""

from collections.abc import Callable

import pytest
import torch
from multi_source import LAYOUTS, flow, images
from torch import Tensor, nn

from warpkit import AttentionWarp, Flow, reference


def project_after_warp(module: AttentionWarp, target: Tensor, sources: Tensor, flow: Flow) -> Tensor:
    """The formula as it is written: every source warped, then projected, biases and all."""
    warped = reference.warp(sources, flow)
    keys, values = (
        convolution(warped.flatten(0, 1)).unflatten(0, warped.shape[:2]) for convolution in (module.key, module.value)
    )
    scores = (module.query(target)[:, None] * keys).sum(2, keepdim=True) * keys.shape[2] ** -0.5
    taking_part = torch.ones_like(scores, dtype=torch.bool) if flow.visible is None else flow.visible[:, :, None]
    alpha = scores.masked_fill(~taking_part, torch.finfo(scores.dtype).min).softmax(1)
    return torch.where(taking_part.any(1, keepdim=True), alpha * values, 0).sum(1)


@pytest.mark.parametrize("sources", [*range(1, 9), 12])
@pytest.mark.parametrize(("key_channels", "value_channels"), [(None, None), (1, 1), (9, 2)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_project_after_warp(
    sources: int, key_channels: int | None, value_channels: int | None, bias: bool, masked: bool
) -> None:
    torch.manual_seed(0)
    module = AttentionWarp(7, key_channels, value_channels, bias).double()
    layout = list(LAYOUTS)[sources % len(LAYOUTS)]
    target = images(2, 7, 4, 9, dtype=torch.float64, seed=1).requires_grad_()
    read = images(2, sources, 7, 5, 6, dtype=torch.float64, layout=layout).requires_grad_()
    where = flow(2, sources, 4, 9, dtype=torch.float64, masked=masked)
    inputs = [target, read, where.grid.requires_grad_(), *module.parameters()]
    mine, plain = module(target, read, where), project_after_warp(module, target, read, where)
    torch.testing.assert_close(mine, plain, rtol=0, atol=1e-10)
    gradient = images(*plain.shape, dtype=torch.float64, seed=2)
    for a, b in zip(
        torch.autograd.grad(mine, inputs, gradient), torch.autograd.grad(plain, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10 * max(1, b.abs().max().item()))


@pytest.mark.parametrize("masked", [False, True])
def test_weights_are_those_by_which_values_are_mixed(masked: bool) -> None:
    torch.manual_seed(0)
    module = AttentionWarp(5, 3, 4).double()
    target, read = images(2, 5, 6, 7, dtype=torch.float64, seed=1), images(2, 3, 5, 8, 6, dtype=torch.float64)
    where = flow(2, 3, 6, 7, dtype=torch.float64, masked=masked)
    if where.visible is not None:
        read[~where.visible.any(2).any(2)] = torch.nan  # what no pixel sees does not matter
    weights = module.weights(target, read, where)
    values = module.value(reference.warp(read, where).flatten(0, 1)).unflatten(0, (2, 3))
    torch.testing.assert_close((weights[:, :, None] * values).sum(1), module(target, read, where), rtol=0, atol=1e-12)
    taking_part = torch.ones(2, 6, 7, dtype=torch.bool) if where.visible is None else where.visible.any(1)
    torch.testing.assert_close(weights.sum(1), taking_part.double())
    assert where.visible is None or not weights[~where.visible].any()


def test_weights_of_half_precision_features_are_in_float32() -> None:
    module, where = AttentionWarp(4).bfloat16(), flow(1, 2, 5, 5, masked=False)
    arguments = images(1, 4, 5, 5, dtype=torch.bfloat16), images(1, 2, 4, 5, 5, dtype=torch.bfloat16)
    weights = module.weights(*arguments, where)
    assert weights.dtype == torch.float32
    wide = module.float().weights(*(one.float() for one in arguments), where)
    torch.testing.assert_close(weights, wide)
    assert module.weights(arguments[0].float(), images(1, 0, 4, 5, 5), flow(1, 0, 5, 5)).shape == (1, 0, 5, 5)


def test_thin_projections_of_small_sources_are_made_first() -> None:
    thin, full = AttentionWarp(64, 4, 4), AttentionWarp(64)
    sources, grid = torch.zeros(1, 2, 64, 8, 8), torch.zeros(1, 2, 8, 8, 2)
    assert not thin._absorbs(sources, grid)
    assert full._absorbs(sources, grid)


def test_state_dict_is_that_of_three_convolutions() -> None:
    plain = nn.ModuleDict({"query": nn.Conv2d(6, 3, 1), "key": nn.Conv2d(6, 3, 1), "value": nn.Conv2d(6, 5, 1)})
    AttentionWarp(6, 3, 5).load_state_dict(plain.state_dict())


@pytest.mark.parametrize("sources", [0, 3])
def test_no_source_visible_gives_zeros(sources: int) -> None:
    module = AttentionWarp(5)
    where = Flow(torch.zeros(2, sources, 4, 6, 2), torch.zeros(2, sources, 4, 6, dtype=torch.bool))
    assert (module(images(2, 5, 4, 6), images(2, sources, 5, 3, 3), where) == 0).all()


@pytest.mark.parametrize("widths", [(None, None), (1, 1)])
def test_works_under_autocast(widths: tuple[int | None, int | None]) -> None:
    module, where = AttentionWarp(5, *widths), flow(2, 3, 4, 6)
    target, sources = images(2, 5, 4, 6), images(2, 3, 5, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(target, sources, where)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), module(target, sources, where), rtol=0, atol=5e-2)
    out.sum().backward()


def test_compiles_whole() -> None:
    module, where = AttentionWarp(5), flow(2, 3, 4, 6)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    inputs = images(2, 5, 4, 6), images(2, 3, 5, 3, 3)
    torch.testing.assert_close(compiled(*inputs, where), module(*inputs, where))


MODULE, TARGET, SOURCES, FLOW = AttentionWarp(5), images(2, 5, 4, 6), images(2, 3, 5, 3, 3), flow(2, 3, 4, 6)
BAD_CALLS: dict[str, Callable[[], object]] = {
    "target: expected shape": lambda: MODULE(TARGET[:, 1:], SOURCES, FLOW),
    "target: expected a tensor": lambda: MODULE(TARGET.long(), SOURCES, FLOW),
    "sources: expected shape": lambda: MODULE(TARGET, SOURCES[:, 1:], FLOW),
    "sources: expected a tensor": lambda: MODULE(TARGET, SOURCES.double(), FLOW),
    "flow: expected": lambda: MODULE(TARGET, SOURCES, FLOW.grid),
    "key_channels: expected at least 1": lambda: AttentionWarp(5, 0),
    "channels: expected an integer": lambda: AttentionWarp(2.5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
