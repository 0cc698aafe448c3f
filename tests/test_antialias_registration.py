"""antialias as PyTorch sees it: layouts, dtypes, opcheck, compile, autocast, threads, errors."""

from typing import Any

import pytest
import torch
from torch import Tensor

import warpkit
from warpkit import Fragments

GENERATOR = torch.Generator().manual_seed(0)
VERTICES = torch.randn(2, 20, 3, generator=GENERATOR) * 0.6
FACES = torch.randint(0, 20, (12, 3), generator=GENERATOR)
NEIGHBOURS = warpkit.face_neighbours(FACES)
SIZE = (17, 22)
FRAGMENTS = warpkit.rasterize(VERTICES, FACES, SIZE)
IMAGE = torch.randn(2, 5, *SIZE, generator=GENERATOR)
OPS = torch.ops.warpkit


def scene(dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return FRAGMENTS.face_index, FRAGMENTS.depth.to(dtype), VERTICES.to(dtype), FACES, NEIGHBOURS


LAST = IMAGE.to(memory_format=torch.channels_last)
CALLS = {
    "antialias": (OPS.antialias.default, (IMAGE, *scene())),
    "float64, channels-last": (OPS.antialias.default, (LAST.double(), *scene(torch.float64))),
    "with gradients": (
        OPS.antialias.default,
        (
            IMAGE.clone().requires_grad_(),
            FRAGMENTS.face_index,
            FRAGMENTS.depth,
            VERTICES.clone().requires_grad_(),
            FACES,
            NEIGHBOURS,
        ),
    ),
    "backward": (OPS.antialias_backward.default, (IMAGE, IMAGE, *scene(), True, True, False)),
    "backward, channels-last, image alone": (
        OPS.antialias_backward.default,
        (LAST, LAST, *scene(), True, False, False),
    ),
    "backward, vertices alone": (OPS.antialias_backward.default, (LAST, IMAGE, *scene(), False, True, True)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole_with_its_gradient(dynamic: bool) -> None:
    def loss(vertices: Tensor, faces: Tensor) -> Tensor:
        fragments = warpkit.rasterize(vertices.detach(), faces, SIZE)
        mask = (fragments.face_index >= 0).float()[:, None]
        return warpkit.antialias(mask, fragments, vertices, faces).square().sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    vertices = VERTICES.clone().requires_grad_()
    gradients = [torch.autograd.grad(call(vertices, FACES), vertices)[0] for call in (compiled, loss)]
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "flipped", "expanded"])
def test_any_layout_and_dtype(layout: str, dtype: torch.dtype) -> None:
    exact = IMAGE.to(dtype)
    if layout == "channels-last":
        image = exact.to(memory_format=torch.channels_last)
    elif layout == "flipped":
        image = exact.transpose(2, 3).contiguous().transpose(2, 3)
    elif layout == "expanded":
        exact = exact[:, :1].expand(-1, 5, -1, -1).contiguous()
        image = exact[:, :1].expand(-1, 5, -1, -1)
    else:
        image = exact
    image = image.detach().requires_grad_()
    out = warpkit.antialias(image, FRAGMENTS, VERTICES, FACES)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=torch.channels_last) == (layout == "channels-last")
    expected = warpkit.antialias(exact.double(), FRAGMENTS, VERTICES, FACES)
    rough = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(out.double(), expected, rtol=rough, atol=rough)
    unchanged = expected == exact.double()
    assert torch.equal(out[unchanged], exact[unchanged])
    assert torch.autograd.grad(out.sum(), image)[0].dtype == dtype


def test_the_gradient_of_the_image_keeps_the_sum() -> None:
    """Weights sum to one, so a constant gradient gives back as much as it had."""
    image = IMAGE.double().requires_grad_()
    (gradient,) = torch.autograd.grad(warpkit.antialias(image, FRAGMENTS, VERTICES, FACES).sum(), image)
    assert float(gradient.sum()) == pytest.approx(image.numel(), rel=1e-12)


def test_autocast_casts_the_image_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = warpkit.antialias(IMAGE, FRAGMENTS, VERTICES, FACES)
        wide = warpkit.antialias(IMAGE.double(), FRAGMENTS, VERTICES, FACES)
    assert out.dtype == torch.bfloat16
    assert wide.dtype == torch.float64
    assert torch.equal(out, warpkit.antialias(IMAGE.bfloat16(), FRAGMENTS, VERTICES, FACES))


def test_neighbours_may_be_kept() -> None:
    kept = warpkit.antialias(IMAGE, FRAGMENTS, VERTICES, FACES, neighbours=NEIGHBOURS)
    assert torch.equal(kept, warpkit.antialias(IMAGE, FRAGMENTS, VERTICES, FACES))


def test_the_number_of_threads_changes_no_bit() -> None:
    generator = torch.Generator().manual_seed(1)
    vertices, faces = torch.randn(3, 200, 3, generator=generator), torch.randint(0, 200, (300, 3), generator=generator)
    fragments = warpkit.rasterize(vertices, faces, (150, 130))
    image = torch.randn(3, 4, 150, 130, generator=generator)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            leaves = image.clone().requires_grad_(), vertices.clone().requires_grad_()
            out = warpkit.antialias(leaves[0], fragments, leaves[1], faces)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), leaves)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(result, results[0], strict=True))


def test_no_second_derivative() -> None:
    image, vertices = IMAGE.clone().requires_grad_(), VERTICES.clone().requires_grad_()
    out = warpkit.antialias(image, FRAGMENTS, vertices, FACES)
    (first,) = torch.autograd.grad(out.square().sum(), vertices, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        first.sum().backward()


def test_neighbours_of_another_mesh_do_no_harm() -> None:
    wrong = torch.randint(-5, 40, NEIGHBOURS.shape, generator=GENERATOR).int()
    out = warpkit.antialias(IMAGE, FRAGMENTS, VERTICES, FACES, neighbours=wrong)
    assert out.isfinite().all()


BAD_CALLS = {
    "image: expected a tensor": lambda: warpkit.antialias(IMAGE.int(), FRAGMENTS, VERTICES, FACES),
    "image: expected shape": lambda: warpkit.antialias(IMAGE[0], FRAGMENTS, VERTICES, FACES),
    "image: expected shape ": lambda: warpkit.antialias(IMAGE[..., 1:], FRAGMENTS, VERTICES, FACES),
    "image: expected batch": lambda: warpkit.antialias(IMAGE[:1], FRAGMENTS, VERTICES, FACES),
    "fragments: expected": lambda: warpkit.antialias(IMAGE, FRAGMENTS[0], VERTICES, FACES),  # type: ignore[arg-type]
    "fragments.face_index: expected": lambda: warpkit.antialias(
        IMAGE, Fragments(FRAGMENTS[0].long(), FRAGMENTS[1], FRAGMENTS[2]), VERTICES, FACES
    ),
    "fragments.depth: expected a tensor": lambda: warpkit.antialias(IMAGE, FRAGMENTS, VERTICES.double(), FACES),
    "fragments.depth: expected shape": lambda: warpkit.antialias(
        IMAGE, Fragments(FRAGMENTS[0], FRAGMENTS[1], FRAGMENTS[2][:1]), VERTICES, FACES
    ),
    "vertices: expected batch": lambda: warpkit.antialias(IMAGE, FRAGMENTS, VERTICES[:1], FACES),
    "vertices: expected a tensor": lambda: warpkit.antialias(IMAGE, FRAGMENTS, VERTICES.half(), FACES),
    "faces: expected shape": lambda: warpkit.antialias(IMAGE, FRAGMENTS, VERTICES, FACES[:, :2]),
    "neighbours: expected a tensor": lambda: warpkit.antialias(
        IMAGE, FRAGMENTS, VERTICES, FACES, neighbours=NEIGHBOURS.long()
    ),
    "neighbours: expected shape": lambda: warpkit.antialias(
        IMAGE, FRAGMENTS, VERTICES, FACES, neighbours=NEIGHBOURS[1:]
    ),
    "faces: expected a tensor": lambda: warpkit.face_neighbours(FACES.float()),
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message.strip()}"):
        call()
