"""warp_attention: the twin, gradients, who takes part, registration, errors."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from multi_source import LAYOUTS, assert_near, cases, flow, images, leaves, wide
from torch import Tensor

import warpkit
from warpkit import Flow, reference

OPS = torch.ops.warpkit
B, S, C, CV, H, W = 2, 3, 5, 4, 4, 9
QUERY, FEATURES, VALUE = images(B, C, H, W, seed=1), images(B, S, C, 6, 7), images(B, S, CV, 6, 7, seed=2)
FLOW = flow(B, S, H, W)


def present(*tensors: Any) -> list[Tensor]:
    return [t for t in tensors if t is not None]


@given(cases, st.sampled_from([None, 0, 1, 7, 64]), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=60, deadline=None)
def test_twin_agrees_with_gradients(case: dict[str, Any], value_channels: int | None, value_layout: str) -> None:
    lead, dtype, seed = (case["batch"], case["sources"]), case["dtype"], case["seed"]
    features = images(*lead, case["channels"], *case["in_size"], dtype=dtype, layout=case["layout"], seed=seed)
    query = images(case["batch"], case["channels"], *case["size"], dtype=dtype, layout=case["other_layout"], seed=seed)
    value = None
    if value_channels is not None:
        value = images(*lead, value_channels, *case["in_size"], dtype=dtype, layout=value_layout, seed=seed + 1)
    grid, visible = flow(*lead, *case["size"], dtype=torch.float64, masked=case["masked"], seed=seed)
    inputs, wide_inputs = leaves(query, features, grid, value), wide(query, features, grid, value)
    mine, theirs = (
        run(q, f, Flow(g, visible), value=v)
        for run, (q, f, g, v) in ((warpkit.warp_attention, inputs), (reference.warp_attention, wide_inputs))
    )
    assert mine.dtype == dtype
    assert_near(mine, theirs, dtype)
    gradient = images(*mine.shape, dtype=dtype, layout=case["other_layout"], seed=seed)
    for a, b in zip(
        torch.autograd.grad(mine, present(*inputs), gradient),
        torch.autograd.grad(theirs, present(*wide_inputs), gradient.double(), materialize_grads=True),
        strict=True,
    ):
        assert_near(a, b, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value_channels", [None, 3])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_gradcheck(layout: str, value_channels: int | None, scale: float | None) -> None:
    make = {"dtype": torch.float64, "layout": layout}
    value = None if value_channels is None else images(1, 3, value_channels, 4, 5, **make, seed=3)  # type: ignore[arg-type]
    inputs = leaves(
        images(1, 17, 2, 3, **make, seed=1),  # type: ignore[arg-type]
        images(1, 3, 17, 4, 5, **make),  # type: ignore[arg-type]
        flow(1, 3, 2, 3, dtype=torch.float64).grid,
        value,
    )
    visible = flow(1, 3, 2, 3).visible

    def run(query: Tensor, features: Tensor, grid: Tensor, *value: Tensor) -> Tensor:
        return warpkit.warp_attention(
            query, features, Flow(grid, visible), value=value[0] if value else None, scale=scale
        )

    assert torch.autograd.gradcheck(run, present(*inputs))


def test_one_source_is_a_warp() -> None:
    for layout in LAYOUTS:
        features, query = images(2, 1, 33, 6, 7, layout=layout), images(2, 33, 8, 70, layout=layout)
        single = flow(2, 1, 8, 70)
        expected = warpkit.warp(features, single)[:, 0]
        torch.testing.assert_close(warpkit.warp_attention(query, features, single), expected, rtol=0, atol=1e-6)


def test_a_value_that_is_the_features_changes_nothing() -> None:
    alone = warpkit.warp_attention(QUERY, FEATURES, FLOW)
    torch.testing.assert_close(warpkit.warp_attention(QUERY, FEATURES, FLOW, value=FEATURES), alone)


def test_sources_in_any_order_give_the_same() -> None:
    order = [2, 0, 1]
    turned = Flow(FLOW.grid[:, order], FLOW.visible[:, order])  # type: ignore[index]
    out = warpkit.warp_attention(QUERY, FEATURES, FLOW)
    torch.testing.assert_close(warpkit.warp_attention(QUERY, FEATURES[:, order], turned), out)


def test_big_scores_do_not_overflow() -> None:
    out = warpkit.warp_attention(QUERY * 1e4, FEATURES * 1e4, FLOW)
    assert_near(out, reference.warp_attention(QUERY.double() * 1e4, FEATURES.double() * 1e4, FLOW), torch.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value_channels", [None, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_visible_takes_no_part_be_it_nan(
    layout: str, value_channels: int | None, dtype: torch.dtype
) -> None:
    features = images(1, 3, 20, 6, 7, dtype=dtype)
    features[:, 1] = torch.nan
    features = LAYOUTS[layout](features)
    value = features.clone() if value_channels else None
    query = images(1, 20, 5, 70, dtype=dtype, layout=layout, seed=1)
    grid, visible = flow(1, 3, 5, 70, masked=False).grid, torch.ones(1, 3, 5, 70, dtype=torch.bool)
    visible[:, 1] = False
    grid[:, 1, 0] = torch.nan
    inputs = leaves(query, features, grid, value)
    out = warpkit.warp_attention(*inputs[:2], Flow(inputs[2], visible), value=inputs[3])
    rest = [0, 2]
    expected = warpkit.warp_attention(
        query, features[:, rest], Flow(grid[:, rest], visible[:, rest]), value=None if value is None else value[:, rest]
    )
    torch.testing.assert_close(out, expected)
    gradients = torch.autograd.grad(out.float().square().sum(), present(*inputs))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all((gradient[:, 1] == 0).all() for gradient in gradients[1:])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bad", [5.0, torch.nan, torch.inf, 1e7])
@pytest.mark.parametrize("masked", [False, True])
def test_a_visible_source_that_reads_nothing_takes_part_with_score_zero(layout: str, bad: float, masked: bool) -> None:
    features = images(1, 2, 20, 6, 7)
    features[:, 1] = torch.nan
    features = LAYOUTS[layout](features)
    query = images(1, 20, 3, 7, layout=layout, seed=1)
    grid = flow(1, 2, 3, 7).grid.clamp(-0.9, 0.9)
    grid[:, 1] = bad
    inputs = leaves(query, features, grid)
    out = warpkit.warp_attention(
        *inputs[:2], Flow(inputs[2], torch.ones(1, 2, 3, 7, dtype=torch.bool) if masked else None)
    )
    first = warpkit.warp(features, Flow(grid))[:, 0]
    alpha = ((query * first).sum(1, keepdim=True) * 20**-0.5).sigmoid()
    torch.testing.assert_close(out, alpha * first)
    gradients = torch.autograd.grad(out.square().sum(), inputs)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [None, VALUE])
def test_nothing_visible_gives_zeros_and_no_gradient(layout: str, value: Tensor | None) -> None:
    inputs = leaves(LAYOUTS[layout](QUERY), LAYOUTS[layout](FEATURES), FLOW.grid, value)
    hidden = Flow(inputs[2], torch.zeros(B, S, H, W, dtype=torch.bool))
    out = warpkit.warp_attention(*inputs[:2], hidden, value=inputs[3])
    assert (out == 0).all()
    for gradient in torch.autograd.grad(out, present(*inputs), torch.full_like(out, torch.nan)):
        assert (gradient == 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keeps_the_layout_of_what_is_read(layout: str) -> None:
    last = layout == "channels last"
    out = warpkit.warp_attention(QUERY, LAYOUTS[layout](FEATURES), FLOW)
    with_value = warpkit.warp_attention(QUERY, FEATURES, FLOW, value=LAYOUTS[layout](VALUE))
    assert (out.stride(1) == 1, with_value.stride(1) == 1) == (last, last)


def test_saves_its_arguments_alone_for_backward() -> None:
    saved: list[Tensor] = []
    query, features, grid, value = leaves(QUERY, FEATURES, FLOW.grid, VALUE)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):  # type: ignore[func-returns-value]
        warpkit.warp_attention(query, features, Flow(grid, FLOW.visible), value=value)
    known = {t.data_ptr() for t in (query, features, grid, value, FLOW.visible)}
    assert {t.data_ptr() for t in saved} <= known


CALLS = {
    "forward": (OPS.warp_attention.default, (QUERY, FEATURES, *FLOW, None, 0.5)),
    "with value": (OPS.warp_attention.default, (QUERY, FEATURES, *FLOW, LAYOUTS["channels last"](VALUE), 0.5)),
    "differentiable": (
        OPS.warp_attention.default,
        (*leaves(QUERY, FEATURES, FLOW.grid), None, VALUE.clone().requires_grad_(), 0.5),
    ),
    "backward": (
        OPS.warp_attention_backward.default,
        (images(B, C, H, W), QUERY, FEATURES, *FLOW, None, 0.5, True, True, False, True, False),
    ),
    "backward with value": (
        OPS.warp_attention_backward.default,
        (images(B, CV, H, W), QUERY, FEATURES, *FLOW, VALUE, 0.5, True, False, True, False, True),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole_with_gradients(dynamic: bool) -> None:
    compiled = torch.compile(warpkit.warp_attention, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    answers = []
    for run in (compiled, warpkit.warp_attention):
        query, features, grid, value = leaves(*(t.clone() for t in (QUERY, FEATURES, FLOW.grid, VALUE)))
        out = run(query, features, Flow(grid, FLOW.visible), value=value)
        answers.append((out, *torch.autograd.grad(out.square().sum(), (query, features, grid, value))))
    for a, b in zip(*answers, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_autocast_casts_all_but_the_grid() -> None:
    grid = FLOW.grid.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = warpkit.warp_attention(QUERY.bfloat16(), FEATURES, Flow(grid, FLOW.visible), value=VALUE)
        wide = warpkit.warp_attention(QUERY.double(), FEATURES.double(), FLOW)
    assert (out.dtype, wide.dtype) == (torch.bfloat16, torch.float64)
    expected = warpkit.warp_attention(QUERY.bfloat16(), FEATURES.bfloat16(), FLOW, value=VALUE.bfloat16())
    assert torch.equal(out, expected)
    out.sum().backward()
    assert grid.grad is not None
    assert grid.grad.dtype == torch.float32


def test_threads_change_nothing() -> None:
    answers = []
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        query, features, grid = leaves(
            images(1, 20, 50, 70, layout="channels last"),
            images(1, 2, 20, 40, 30, layout="channels last", seed=1),
            flow(1, 2, 50, 70).grid,
        )
        out = warpkit.warp_attention(query, features, Flow(grid))
        answers.append((out, *torch.autograd.grad(out.square().sum(), (query, features, grid))))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_second_derivative_is_refused() -> None:
    query = QUERY.clone().requires_grad_()
    out = warpkit.warp_attention(query, FEATURES, FLOW)
    (gradient,) = torch.autograd.grad(out.square().sum(), query, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        gradient.sum().backward()


BAD_CALLS = {
    "features: expected shape": lambda: warpkit.warp_attention(QUERY, FEATURES[:, 0], FLOW),
    r"features: expected \[B, S": lambda: warpkit.warp_attention(QUERY, FEATURES[:, 1:], FLOW),
    "flow.grid: expected a tensor": lambda: warpkit.warp_attention(QUERY, FEATURES, Flow(FLOW.grid.half())),
    "query: expected a tensor": lambda: warpkit.warp_attention(QUERY.double(), FEATURES, FLOW),
    "query: expected shape": lambda: warpkit.warp_attention(QUERY[:, 1:], FEATURES, FLOW),
    "value: expected a tensor": lambda: warpkit.warp_attention(QUERY, FEATURES, FLOW, value=VALUE.half()),
    "value: expected shape": lambda: warpkit.warp_attention(QUERY, FEATURES, FLOW, value=VALUE[..., 1:]),
    "scale: expected": lambda: warpkit.warp_attention(QUERY, FEATURES, FLOW, scale="1"),  # type: ignore[arg-type]
    "query: expected on": lambda: warpkit.warp_attention(QUERY.to("meta"), FEATURES, FLOW),
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
