"""warp: properties, the twin, grid_sample, gradients, layouts, registration."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import Flow, reference

OPS = torch.ops.warpkit
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_features(*shape: int, dtype: torch.dtype = torch.float32, last: bool = False, seed: int = 0) -> Tensor:
    features = torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype)
    return features.movedim(-3, -1).contiguous().movedim(-1, -3) if last else features


def random_flow(*shape: int, dtype: torch.dtype = torch.float32, masked: bool = True, seed: int = 0) -> Flow:
    """A flow over the frame and 30 % beyond."""
    grid = torch.rand(*shape, 2, generator=generator(seed), dtype=torch.float64) * 2.6 - 1.3
    return Flow(grid.to(dtype), torch.rand(shape, generator=generator(seed + 1)) < 0.7 if masked else None)


def identity(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    y, x = ((2 * torch.arange(n, dtype=dtype) + 1) / n - 1 for n in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None, None]


sizes = st.integers(1, 40)
cases = st.fixed_dictionaries(
    {
        "batch": st.integers(0, 2),
        "sources": st.integers(1, 3),
        "channels": st.sampled_from([0, 1, 2, 3, 4, 5, 16, 33]),
        "in_size": st.tuples(sizes, sizes),
        "size": st.tuples(sizes, st.integers(1, 150)),
        "last": st.booleans(),
        "masked": st.booleans(),
        "dtype": st.sampled_from(list(TOLERANCE)),
        "seed": st.integers(0, 1000),
    }
)


@given(cases)
@settings(max_examples=80, deadline=None)
def test_twin_agrees(case: dict[str, Any]) -> None:
    lead = (case["batch"], case["sources"])
    features = random_features(
        *lead, case["channels"], *case["in_size"], dtype=case["dtype"], last=case["last"], seed=case["seed"]
    )
    flow = random_flow(*lead, *case["size"], dtype=torch.float64, masked=case["masked"], seed=case["seed"])
    out = warpkit.warp(features, flow)
    assert out.dtype == features.dtype
    expected = reference.warp(features.double(), flow)
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=TOLERANCE[case["dtype"]])


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_grid_sample_forward_and_backward(last: bool, dtype: torch.dtype) -> None:
    features = random_features(2, 5, 13, 17, dtype=dtype, last=last).requires_grad_()
    flow = random_flow(2, 1, 30, 70, dtype=dtype, masked=False)
    grid = flow.grid.requires_grad_()
    mine, theirs = (
        warpkit.warp(features, Flow(grid)),
        F.grid_sample(features, grid[:, 0], mode="bilinear", padding_mode="zeros", align_corners=False),
    )
    gradient = torch.randn(mine.shape, generator=generator(3), dtype=dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance)
    for a, b in zip(
        torch.autograd.grad(mine, (features, grid), gradient),
        torch.autograd.grad(theirs, (features, grid), gradient),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * 10)


@given(sizes, sizes, st.booleans(), st.sampled_from([1, 3, 4, 20]))
@settings(max_examples=25, deadline=None)
def test_identity_flow_is_identity(height: int, width: int, last: bool, channels: int) -> None:
    features = random_features(1, channels, height, width, last=last)
    torch.testing.assert_close(warpkit.warp(features, Flow(identity(height, width))), features, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 2, 20, 5, 7), (1, 1, 4, 6, 1)])
@pytest.mark.parametrize("last", [False, True])
def test_gradcheck(shape: tuple[int, ...], last: bool) -> None:
    features = random_features(*shape, dtype=torch.float64, last=last).requires_grad_()
    flow = random_flow(shape[0], shape[1] if len(shape) == 5 else 1, 3, 4, dtype=torch.float64)

    def run(features: Tensor, grid: Tensor) -> Tensor:
        return warpkit.warp(features, Flow(grid, flow.visible))

    assert torch.autograd.gradcheck(run, (features, flow.grid.requires_grad_()))


@given(cases)
@settings(max_examples=40, deadline=None)
def test_gradients_agree_with_the_twin(case: dict[str, Any]) -> None:
    lead = (case["batch"], case["sources"])
    features = random_features(
        *lead, case["channels"], *case["in_size"], dtype=case["dtype"], last=case["last"], seed=case["seed"]
    ).requires_grad_()
    flow = random_flow(*lead, *case["size"], dtype=torch.float64, masked=case["masked"], seed=case["seed"])
    grid = flow.grid.requires_grad_()
    wide = features.detach().double().requires_grad_()
    out, expected = warpkit.warp(features, Flow(grid, flow.visible)), reference.warp(wide, Flow(grid, flow.visible))
    gradient = torch.randn(out.shape, generator=generator(case["seed"])).to(out.dtype)
    gradient = gradient.movedim(-3, -1).contiguous().movedim(-1, -3) if case["seed"] % 2 else gradient
    mine = torch.autograd.grad(out, (features, grid), gradient)
    theirs = torch.autograd.grad(expected, (wide, grid), gradient.double())
    for a, b in zip(mine, theirs, strict=True):
        scale = max(1.0, b.abs().max().item()) if b.numel() else 1.0
        torch.testing.assert_close(a.double(), b, rtol=0, atol=TOLERANCE[case["dtype"]] * scale)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_nothing_leaks_from_what_is_not_visible(last: bool, dtype: torch.dtype) -> None:
    features = torch.full((1, 2, 4, 8, 8), torch.nan, dtype=dtype)
    features = features.movedim(-3, -1).contiguous().movedim(-1, -3) if last else features
    features.requires_grad_()
    grid = random_flow(1, 2, 9, 70, masked=False).grid
    grid[..., 0, :] = torch.nan
    grid.requires_grad_()
    out = warpkit.warp(features, Flow(grid, torch.zeros(1, 2, 9, 70, dtype=torch.bool)))
    assert (out == 0).all()
    for gradient in torch.autograd.grad(out, (features, grid), torch.full_like(out, torch.nan)):
        assert (gradient == 0).all()


@pytest.mark.parametrize("op", [warpkit.warp, reference.warp], ids=["op", "twin"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1.1e6, -1e30, 3.0])
@pytest.mark.parametrize("last", [False, True])
def test_unusable_grid_entries_sample_zero_with_zero_gradient(op: Any, bad: float, last: bool) -> None:
    features = torch.full((1, 3, 4, 4), torch.nan)
    features = (features.contiguous(memory_format=torch.channels_last) if last else features).requires_grad_()
    for axis in (0, 1):
        grid = torch.zeros(1, 1, 1, 3, 2)
        grid[..., axis] = bad
        grid.requires_grad_()
        out = op(features, Flow(grid))
        assert (out == 0).all()
        gradients = torch.autograd.grad(out, (features, grid), torch.full_like(out, torch.nan))
        assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("last", [False, True])
def test_taps_outside_or_of_weight_zero_are_not_read(last: bool) -> None:
    features = torch.full((1, 2, 4, 4), torch.nan)
    features[..., 1, 2] = torch.inf
    features[..., 0, 0] = 5.0
    features = features.contiguous(memory_format=torch.channels_last) if last else features
    x, y = torch.tensor([2.0, 0.0]) * 0.5 - 0.75, torch.tensor([1.0, 0.0]) * 0.5 - 0.75  # the centres of two pixels
    grid = torch.stack([torch.cat([x, torch.tensor([-1.0])]), torch.cat([y, torch.tensor([-1.0])])], -1)
    out = warpkit.warp(features, Flow(grid[None, None, None]))
    assert out[0, 0, 0].tolist() == [torch.inf, 5.0, 1.25]


@pytest.mark.parametrize("last", [False, True])
def test_on_a_pixels_centre_the_slope_is_that_to_the_right_and_down(last: bool) -> None:
    features = random_features(1, 5, 8, 4, dtype=torch.float64, last=last)
    grid = identity(8, 4, torch.float64).requires_grad_()  # exact, as sizes are powers of two
    steps = features.diff(dim=-1)[..., :-1, :], features.diff(dim=-2)[..., :-1]
    slopes = torch.stack([steps[0].sum(1) * 2, steps[1].sum(1) * 4], -1)  # pixels a unit of NDC
    for op in (warpkit.warp, reference.warp):
        (gradient,) = torch.autograd.grad(op(features, Flow(grid)).sum(), grid)
        torch.testing.assert_close(gradient[:, 0, :-1, :-1], slopes)


@pytest.mark.parametrize("last", [False, True])
def test_a_tap_of_weight_zero_stays_out_of_the_slope_across_it(last: bool) -> None:
    features = random_features(1, 20, 4, 4, last=last)
    grid = torch.tensor([[-0.25, -0.25]]).view(1, 1, 1, 1, 2).requires_grad_()  # the centre of pixel (1, 1)
    (expected,) = torch.autograd.grad(warpkit.warp(features, Flow(grid)).sum(), grid)
    for axis, tap in ((0, (2, 1)), (1, (1, 2))):  # the pixel below, the pixel to the right
        broken = features.clone()
        broken[0, 0, tap[0], tap[1]] = torch.nan
        (gradient,) = torch.autograd.grad(warpkit.warp(broken, Flow(grid)).sum(), grid)
        assert gradient.flatten()[axis] == expected.flatten()[axis]
        assert gradient.flatten()[1 - axis].isnan()


LAYOUTS = {
    "contiguous": lambda t: t,
    "channels last": lambda t: t.movedim(-3, -1).contiguous().movedim(-1, -3),
    "transposed": lambda t: t.mT.contiguous().mT,
    "sliced": lambda t: F.pad(t, (1, 2, 3, 1))[..., 3:-1, 1:-2],
    "channels last sliced": lambda t: F.pad(t.movedim(-3, -1), (2, 3, 1, 1)).movedim(-1, -3)[..., 2:-3, :, 1:-1],
    "every other": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "flipped memory": lambda t: t.flip(-3).movedim(-3, 0).contiguous().movedim(0, -3).flip(-3),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("shape", [(2, 6, 9, 11), (2, 3, 6, 9, 11)])
def test_layouts_agree(layout: Any, shape: tuple[int, ...]) -> None:
    plain = random_features(*shape)
    flow = random_flow(2, shape[1] if len(shape) == 5 else 1, 7, 80)
    features = layout(plain)
    assert torch.equal(features, plain)
    out = warpkit.warp(features, flow)
    torch.testing.assert_close(out, warpkit.warp(plain, flow), rtol=0, atol=1e-6)
    assert (out.stride(-3) == 1) == (features.stride(-3) == 1)


def test_any_strides_of_the_flow() -> None:
    features, flow = random_features(2, 3, 4, 9, 11), random_flow(2, 3, 7, 80)
    grid = flow.grid.movedim(-1, 2).contiguous().movedim(2, -1)
    visible = flow.visible.mT.contiguous().mT  # type: ignore[union-attr]
    assert torch.equal(warpkit.warp(features, Flow(grid, visible)), warpkit.warp(features, flow))
    one = Flow(*(tensor[:1].expand(2, *[-1] * (tensor.dim() - 1)) for tensor in (flow.grid, visible)))
    assert torch.equal(warpkit.warp(features, one)[0], warpkit.warp(features[:1], Flow(*(t[:1] for t in one)))[0])  # type: ignore[index]


def test_images_and_sources_are_independent() -> None:
    features, flow = random_features(2, 3, 4, 9, 11), random_flow(2, 3, 7, 80)
    whole = warpkit.warp(features, flow)
    for b in range(2):
        for s in range(3):
            alone = Flow(flow.grid[b, s][None, None], flow.visible[b, s][None, None])  # type: ignore[index]
            assert torch.equal(whole[b, s], warpkit.warp(features[b, s][None], alone)[0])


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (1, 0, 4, 4), (0, 2, 3, 4, 4), (1, 0, 3, 4, 4)])
def test_empty(shape: tuple[int, ...]) -> None:
    features = torch.zeros(shape, requires_grad=True)
    grid = torch.zeros(shape[0], shape[1] if len(shape) == 5 else 1, 5, 6, 2, requires_grad=True)
    out = warpkit.warp(features, Flow(grid))
    assert out.shape == (*shape[:-2], 5, 6)
    out.sum().backward()
    assert warpkit.warp(torch.zeros(1, 3, 4, 4), Flow(torch.zeros(1, 1, 0, 6, 2))).shape == (1, 3, 0, 6)


def digest(threads: int = 1) -> str:
    """A fingerprint of forward and backward in every dtype and layout."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    total = hashlib.sha256()
    for dtype in TOLERANCE:
        for last in (False, True):
            for channels in (1, 3, 4, 40):
                features = random_features(1, 2, channels, 50, 60, dtype=dtype, last=last).requires_grad_()
                flow = random_flow(1, 2, 90, 130)
                grid = flow.grid.requires_grad_()
                out = warpkit.warp(features, Flow(grid, flow.visible))
                gradients = torch.autograd.grad(out.sum(-1).square().sum(), (features, grid))
                for tensor in (out, *gradients):
                    total.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    torch.set_num_threads(before)
    return total.hexdigest()


def test_answers_do_not_depend_on_threads() -> None:
    assert digest(1) == digest(3)


@pytest.mark.parametrize("channels", [40, 64, 80])
def test_big_outputs_equal_those_made_in_pieces(channels: int) -> None:
    side = 200  # more than 8 MB: the rows are then written past the caches
    features = random_features(1, channels, 30, 30, last=True)
    flow = random_flow(1, 1, side, side)
    assert flow.visible is not None
    whole = warpkit.warp(features, flow)
    for row in range(0, side, 20):
        piece = Flow(flow.grid[:, :, row : row + 20], flow.visible[:, :, row : row + 20])
        assert torch.equal(warpkit.warp(features, piece), whole[:, :, row : row + 20])


@pytest.mark.parametrize("level", warpkit.build_info()["simd_levels"])
def test_each_simd_level_gives_the_same_bits(level: str) -> None:
    code = f"import runpy; print(runpy.run_path({__file__!r})['digest']())"
    environment = {**os.environ, "WARPKIT_SIMD": level}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest()


FEATURES, FLOW = random_features(2, 3, 5, 6), random_flow(2, 1, 7, 8)
CALLS = {
    "warp": (OPS.warp.default, (FEATURES, *FLOW)),
    "warp differentiable": (
        OPS.warp.default,
        (FEATURES.clone().requires_grad_(), FLOW.grid.clone().requires_grad_(), None),
    ),
    "warp channels last": (OPS.warp.default, (random_features(2, 1, 3, 5, 6, last=True), *FLOW)),
    "warp backward": (OPS.warp_backward.default, (random_features(2, 3, 7, 8), FEATURES, *FLOW, True, True, False)),
    "warp backward to the grid": (
        OPS.warp_backward.default,
        (random_features(2, 3, 7, 8), FEATURES, *FLOW, False, True, True),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole_with_gradients(dynamic: bool) -> None:
    compiled = torch.compile(warpkit.warp, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    answers = []
    for run in (compiled, warpkit.warp):
        features, grid = FEATURES.clone().requires_grad_(), FLOW.grid.clone().requires_grad_()
        out = run(features, Flow(grid, FLOW.visible))
        answers.append((out, *torch.autograd.grad(out.square().sum(), (features, grid))))
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_exports() -> None:
    class Warp(torch.nn.Module):
        def forward(self, features: Tensor, flow: Flow) -> Tensor:
            return warpkit.warp(features, flow)

    program = torch.export.export(Warp(), (FEATURES, FLOW))
    assert torch.equal(program.module()(FEATURES, FLOW), warpkit.warp(FEATURES, FLOW))


def test_autocast_casts_features_and_leaves_the_grid() -> None:
    grid = FLOW.grid.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = warpkit.warp(FEATURES, Flow(grid, FLOW.visible))
        wide = warpkit.warp(FEATURES.double(), Flow(grid, FLOW.visible))
    assert (out.dtype, wide.dtype) == (torch.bfloat16, torch.float64)
    assert torch.equal(out, warpkit.warp(FEATURES.bfloat16(), FLOW))
    out.sum().backward()
    assert grid.grad is not None
    assert grid.grad.dtype == torch.float32


def test_second_derivative_is_refused() -> None:
    features = FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(warpkit.warp(features, FLOW).square().sum(), features, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        gradient.sum().backward()


BAD_CALLS = {
    "features: expected a tensor": lambda: warpkit.warp(FEATURES.long(), FLOW),
    "features: expected shape": lambda: warpkit.warp(FEATURES[0], FLOW),
    r"features: expected \[B, C": lambda: warpkit.warp(FEATURES[:1], FLOW),
    r"features: expected \[B, S": lambda: warpkit.warp(torch.zeros(2, 2, 3, 4, 4), FLOW),
    "features' height and width": lambda: warpkit.warp(FEATURES[..., :0], FLOW),
    "flow: expected": lambda: warpkit.warp(FEATURES, FLOW.grid),  # type: ignore[arg-type]
    "flow.grid: expected a tensor": lambda: warpkit.warp(FEATURES, Flow(FLOW.grid.half())),
    "flow.grid: expected shape": lambda: warpkit.warp(FEATURES, Flow(FLOW.grid[0])),
    "flow.visible: expected a tensor": lambda: warpkit.warp(FEATURES, Flow(FLOW.grid, FLOW.grid[..., 0])),
    "flow.visible: expected shape": lambda: warpkit.warp(FEATURES, Flow(FLOW.grid, FLOW.visible[0])),  # type: ignore[index]
    "grid: expected on": lambda: warpkit.warp(FEATURES, Flow(FLOW.grid.to("meta"))),
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()
