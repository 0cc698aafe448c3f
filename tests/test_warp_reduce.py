"""warp_reduce: the twin, gradients, who adds nothing, registration, errors."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from multi_source import LAYOUTS, OUTSIDE, assert_near, cases, flow, generator, images, leaves, wide
from torch import Tensor

import warpkit
from warpkit import Flow, reference

OPS = torch.ops.warpkit
B, S, C, H, W = 2, 3, 5, 4, 9
FEATURES, FLOW = images(B, S, C, 6, 7), flow(B, S, H, W)
WEIGHTS = torch.randn(B, S, H, W, generator=generator(7))


@given(cases, st.booleans(), st.sampled_from(["sum", "mean"]))
@settings(max_examples=60, deadline=None)
def test_twin_agrees_with_gradients(case: dict[str, Any], weighted: bool, reduce: str) -> None:
    lead = (case["batch"], case["sources"])
    features = images(*lead, case["channels"], *case["in_size"], dtype=case["dtype"], layout=case["layout"])
    grid, visible = flow(*lead, *case["size"], dtype=torch.float64, masked=case["masked"], seed=case["seed"])
    sums = torch.float64 if case["dtype"] == torch.float64 else torch.float32
    weights = torch.randn(*lead, *case["size"], generator=generator(case["seed"]), dtype=sums) if weighted else None
    inputs, wide_inputs = leaves(features, grid, weights), wide(features, grid, weights)
    mine, theirs = (
        run(f, Flow(g, visible), reduce, w)
        for run, (f, g, w) in ((warpkit.warp_reduce, inputs), (reference.warp_reduce, wide_inputs))
    )
    assert mine.dtype == features.dtype
    assert_near(mine, theirs, case["dtype"])
    gradient = images(*mine.shape, dtype=mine.dtype, layout=case["other_layout"], seed=case["seed"])
    for a, b in zip(
        torch.autograd.grad(mine, [t for t in inputs if t is not None], gradient),
        torch.autograd.grad(theirs, [t for t in wide_inputs if t is not None], gradient.double()),
        strict=True,
    ):
        assert_near(a, b, case["dtype"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_gradcheck(layout: str, reduce: str) -> None:
    inputs = leaves(
        images(1, 3, 17, 4, 5, dtype=torch.float64, layout=layout),
        flow(1, 3, 2, 3, dtype=torch.float64).grid,
        torch.randn(1, 3, 2, 3, dtype=torch.float64, generator=generator()),
    )
    visible = flow(1, 3, 2, 3).visible
    assert torch.autograd.gradcheck(lambda f, g, w: warpkit.warp_reduce(f, Flow(g, visible), reduce, w), inputs)


def test_is_the_sum_of_warps_bit_for_bit_of_one_source() -> None:
    for layout in LAYOUTS:
        features = images(2, 1, 33, 6, 7, layout=layout)
        single = flow(2, 1, 8, 70)
        assert torch.equal(warpkit.warp_reduce(features, single), warpkit.warp(features, single)[:, 0])


def test_mean_divides_by_all_sources_whatever_is_visible() -> None:
    one = torch.zeros(B, S, H, W, dtype=torch.bool)
    one[:, 1] = True
    mean = warpkit.warp_reduce(FEATURES, Flow(FLOW.grid, one), "mean", WEIGHTS)
    alone = WEIGHTS[:, 1, None] * warpkit.warp(FEATURES, FLOW._replace(visible=None))[:, 1]
    torch.testing.assert_close(mean, alone / S)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_read_adds_nothing_be_it_nan(layout: str, dtype: torch.dtype) -> None:
    features = images(1, 3, 20, 6, 7, dtype=dtype)
    features[:, 1] = torch.nan
    features = LAYOUTS[layout](features)
    grid, visible = flow(1, 3, 5, 70, masked=False).grid, torch.ones(1, 3, 5, 70, dtype=torch.bool)
    weights = torch.randn(1, 3, 5, 70, generator=generator())
    visible[:, 1, :3] = False
    grid[:, 1, 3:] = OUTSIDE
    weights[:, 1] = torch.nan
    inputs = leaves(features, grid, weights)
    out = warpkit.warp_reduce(inputs[0], Flow(inputs[1], visible), weights=inputs[2])
    rest = [0, 2]
    expected = warpkit.warp_reduce(features[:, rest], Flow(grid[:, rest], visible[:, rest]), weights=weights[:, rest])
    assert torch.equal(out, expected)
    for gradient in torch.autograd.grad(out.float().square().sum(), inputs):
        assert gradient.isfinite().all()
        assert (gradient[:, 1] == 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keeps_channels_last(layout: str) -> None:
    features = images(2, 3, 5, 6, 7, layout=layout)
    assert (warpkit.warp_reduce(features, FLOW).stride(1) == 1) == (layout == "channels last")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_weights_are_cast_to_the_type_of_the_sums(dtype: torch.dtype) -> None:
    weights = WEIGHTS.clone().to(dtype).requires_grad_()
    out = warpkit.warp_reduce(FEATURES.bfloat16(), FLOW, weights=weights)
    (gradient,) = torch.autograd.grad(out.float().sum(), weights)
    assert (out.dtype, gradient.dtype) == (torch.bfloat16, dtype)


def test_saves_its_arguments_alone_for_backward() -> None:
    saved: list[Tensor] = []
    features, grid, weights = leaves(FEATURES, FLOW.grid, WEIGHTS)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):  # type: ignore[func-returns-value]
        warpkit.warp_reduce(features, Flow(grid, FLOW.visible), weights=weights)
    known = {t.data_ptr() for t in (features, grid, weights, FLOW.visible)}
    assert {t.data_ptr() for t in saved} <= known


CALLS = {
    "forward": (OPS.warp_reduce.default, (FEATURES, *FLOW, WEIGHTS, False)),
    "channels last": (OPS.warp_reduce.default, (images(B, S, C, 6, 7, layout="channels last"), *FLOW, None, True)),
    "differentiable": (
        OPS.warp_reduce.default,
        (*leaves(FEATURES, FLOW.grid), None, WEIGHTS.clone().requires_grad_(), True),
    ),
    "backward": (
        OPS.warp_reduce_backward.default,
        (images(B, C, H, W), FEATURES, *FLOW, WEIGHTS, False, True, True, True, False),
    ),
    "backward to weights": (
        OPS.warp_reduce_backward.default,
        (images(B, C, H, W), FEATURES, *FLOW, WEIGHTS, True, False, False, True, True),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole_with_gradients(dynamic: bool) -> None:
    compiled = torch.compile(warpkit.warp_reduce, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    answers = []
    for run in (compiled, warpkit.warp_reduce):
        features, grid, weights = leaves(FEATURES.clone(), FLOW.grid.clone(), WEIGHTS.clone())
        out = run(features, Flow(grid, FLOW.visible), "mean", weights)
        answers.append((out, *torch.autograd.grad(out.square().sum(), (features, grid, weights))))
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_autocast_casts_features_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = warpkit.warp_reduce(FEATURES, FLOW, weights=WEIGHTS)
    assert torch.equal(out, warpkit.warp_reduce(FEATURES.bfloat16(), FLOW, weights=WEIGHTS))


def test_threads_change_nothing() -> None:
    answers = []
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        features, grid, weights = leaves(
            images(1, 2, 20, 40, 30, layout="channels last"),
            flow(1, 2, 50, 70).grid,
            torch.randn(1, 2, 50, 70, generator=generator()),
        )
        out = warpkit.warp_reduce(features, Flow(grid), weights=weights)
        answers.append((out, *torch.autograd.grad(out.square().sum(), (features, grid, weights))))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_second_derivative_is_refused() -> None:
    features = FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(warpkit.warp_reduce(features, FLOW).square().sum(), features, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        gradient.sum().backward()


BAD_CALLS = {
    "features: expected shape": lambda: warpkit.warp_reduce(FEATURES[:, 0], FLOW),
    r"features: expected \[B, S": lambda: warpkit.warp_reduce(FEATURES[:, 1:], FLOW),
    "features: expected a tensor": lambda: warpkit.warp_reduce(FEATURES.int(), FLOW),
    "flow.grid: expected a tensor": lambda: warpkit.warp_reduce(FEATURES, Flow(FLOW.grid.half())),
    "reduce: expected": lambda: warpkit.warp_reduce(FEATURES, FLOW, "max"),
    "weights: expected shape": lambda: warpkit.warp_reduce(FEATURES, FLOW, weights=WEIGHTS[:1]),
    "weights: expected a tensor": lambda: warpkit.warp_reduce(FEATURES, FLOW, weights=WEIGHTS.long()),
    "weights: expected on": lambda: warpkit.warp_reduce(FEATURES, FLOW, weights=WEIGHTS.to("meta")),
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
