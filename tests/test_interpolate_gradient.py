"""The gradient of interpolate: against autograd through the twin, repeatable, zero for background, registration."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import Fragments, reference

OPS = torch.ops.warpkit
V, F = 20, 30


def make_scene(dtype: torch.dtype = torch.float64, batch: int = 2, size: tuple[int, int] = (33, 45)) -> Any:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(batch, V, 3, generator=generator, dtype=torch.float64).to(dtype)
    faces = torch.randint(0, V, (F, 3), generator=generator)
    return faces, warpkit.rasterize(vertices, faces, size)


def gradients(interpolate: Any, attributes: Tensor, faces: Tensor, fragments: Fragments, out: Tensor) -> Any:
    attributes = attributes.clone().requires_grad_()
    barycentric = fragments.barycentric.detach().clone().requires_grad_()
    image = interpolate(attributes, faces, fragments._replace(barycentric=barycentric))
    return torch.autograd.grad(image, (attributes, barycentric), out)


@given(dims=st.integers(0, 40), shared=st.booleans(), narrow=st.booleans(), batch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_it_is_that_of_the_twin(dims: int, shared: bool, narrow: bool, batch: int) -> None:
    faces, fragments = make_scene(batch=batch)
    attributes = torch.randn(*(() if shared else (batch,)), V, dims, dtype=torch.float64)
    out = torch.randn(*fragments.face_index.shape, dims, dtype=torch.float64)
    mine = gradients(warpkit.interpolate, attributes, faces.int() if narrow else faces, fragments, out)
    theirs = gradients(reference.interpolate, attributes, faces, fragments, out)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dims", [1, 3, 8, 21])
@pytest.mark.parametrize("shared", [False, True])
def test_gradcheck(dims: int, shared: bool) -> None:
    faces, fragments = make_scene(size=(5, 6))
    attributes = torch.randn(*(() if shared else (2,)), V, dims, dtype=torch.float64, requires_grad=True)
    barycentric = fragments.barycentric.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: warpkit.interpolate(a, faces, fragments._replace(barycentric=b)), (attributes, barycentric)
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_each_dtype_sums_wide(dtype: torch.dtype, tolerance: float) -> None:
    faces, fragments = make_scene(torch.float32, size=(120, 90))
    attributes, out = torch.randn(2, V, 6).to(dtype), torch.rand(2, 120, 90, 6).to(dtype)
    mine = gradients(warpkit.interpolate, attributes, faces, fragments, out)
    wide = [tensor.double() for tensor in fragments]
    theirs = gradients(
        reference.interpolate, attributes.double(), faces, Fragments(fragments[0], *wide[1:]), out.double()
    )
    assert mine[0].dtype == dtype
    assert mine[1].dtype == torch.float32
    torch.testing.assert_close(mine[0].double(), theirs[0], rtol=tolerance, atol=1e-5)
    torch.testing.assert_close(mine[1].double(), theirs[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_attributes_give_the_rounded_image(dtype: torch.dtype) -> None:
    faces, fragments = make_scene(torch.float32)
    attributes = torch.randn(V, 5).to(dtype)
    image = warpkit.interpolate(attributes, faces, fragments)
    assert torch.equal(image, warpkit.interpolate(attributes.float(), faces, fragments).to(dtype))


def test_it_does_not_depend_on_threads() -> None:
    faces, fragments = make_scene(torch.float32, size=(150, 170))
    generator = torch.Generator().manual_seed(1)
    before, results = torch.get_num_threads(), []
    out = [torch.randn(2, 150, 170, dims, generator=generator) for dims in (3, 37)]
    attributes = [torch.randn(V, dims, generator=generator) for dims in (3, 37)]
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(
            [
                gradient
                for one, given in zip(attributes, out, strict=True)
                for gradient in gradients(warpkit.interpolate, one, faces, fragments, given)
            ]
        )
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_background_and_bad_ids_get_zero_not_nan() -> None:
    faces, fragments = make_scene()
    face = int(fragments.face_index.max())
    for bad in (-1, V, 2**32):
        wrong = faces.clone()
        wrong[face, 1] = bad
        hidden = (fragments.face_index < 0) | (fragments.face_index == face)
        nan = torch.where(hidden, torch.nan, 1.0).double()[..., None]
        attributes, out = torch.randn(2, V, 4, dtype=torch.float64), torch.randn(2, 33, 45, 4, dtype=torch.float64)
        clean = gradients(warpkit.interpolate, attributes, wrong, fragments, torch.where(hidden[..., None], 0, out))
        spoilt = fragments._replace(barycentric=fragments.barycentric * nan)
        mine = gradients(warpkit.interpolate, attributes, wrong, spoilt, out * nan)
        for a, b in zip(mine, clean, strict=True):
            assert torch.equal(a, b)
        assert (mine[1][hidden] == 0).all()
    beyond = fragments._replace(face_index=torch.full_like(fragments.face_index, F))
    for zero in gradients(warpkit.interpolate, attributes, faces, beyond, out):
        assert (zero == 0).all()


def test_nan_reaches_the_vertices_of_its_face_alone() -> None:
    faces, fragments = make_scene()
    out = torch.ones(2, 33, 45, 3, dtype=torch.float64)
    at = tuple((fragments.face_index >= 0).nonzero()[0].tolist())
    out[at] = torch.nan
    mine = gradients(warpkit.interpolate, torch.ones(2, V, 3, dtype=torch.float64), faces, fragments, out)[0]
    expected = torch.zeros(2, V, dtype=torch.bool)
    expected[at[0], faces[int(fragments.face_index[at])]] = True
    assert torch.equal(mine.isnan().all(-1), expected)
    assert torch.equal(mine.isnan().any(-1), expected)


@pytest.mark.parametrize(("batch", "num_vertices", "num_faces"), [(0, 5, 4), (2, 0, 4), (2, 5, 0)])
@pytest.mark.parametrize("shared", [False, True])
def test_empty_inputs_give_zeros(batch: int, num_vertices: int, num_faces: int, shared: bool) -> None:
    fragments = Fragments(
        torch.zeros(batch, 3, 4, dtype=torch.int32), torch.rand(batch, 3, 4, 3), torch.rand(batch, 3, 4)
    )
    attributes = torch.rand(*(() if shared else (batch,)), num_vertices, 2)
    faces = torch.full((num_faces, 3), num_vertices)
    for zero in gradients(warpkit.interpolate, attributes, faces, fragments, torch.ones(batch, 3, 4, 2)):
        assert (zero == 0).all()


def test_only_what_is_asked_for_is_made() -> None:
    faces, fragments = make_scene()
    attributes = torch.rand(V, 3, dtype=torch.float64, requires_grad=True)
    warpkit.interpolate(attributes, faces, fragments).sum().backward()
    assert attributes.grad is not None
    arguments = (torch.rand(2, 33, 45, 3, dtype=torch.float64), attributes.detach(), faces, *fragments[:2])
    made = OPS.interpolate_backward(*arguments, False, True, False)
    assert [tensor.numel() for tensor in made] == [0, fragments.barycentric.numel()]


def test_a_second_derivative_is_refused() -> None:
    faces, fragments = make_scene()
    attributes = torch.rand(V, 3, dtype=torch.float64, requires_grad=True)
    image = warpkit.interpolate(attributes, faces, fragments._replace(barycentric=fragments.barycentric.clone()))
    (gradient,) = torch.autograd.grad(image.square().sum(), attributes, create_graph=True)
    with pytest.raises(NotImplementedError, match="interpolate has no second derivative"):
        gradient.sum().backward()


SCENE = make_scene(torch.float32, size=(12, 13))
CALLS = {
    "attributes and barycentrics": (
        OPS.interpolate.default,
        (
            torch.rand(2, V, 4, requires_grad=True),
            SCENE[0],
            SCENE[1].face_index,
            SCENE[1].barycentric.clone().requires_grad_(),
        ),
    ),
    "shared bfloat16": (
        OPS.interpolate.default,
        (torch.rand(V, 4, dtype=torch.bfloat16, requires_grad=True), SCENE[0], *SCENE[1][:2]),
    ),
    "backward": (
        OPS.interpolate_backward.default,
        (torch.rand(2, 12, 13, 4), torch.rand(V, 4), SCENE[0], *SCENE[1][:2], True, True, False),
    ),
    "backward of attributes alone": (
        OPS.interpolate_backward.default,
        (torch.rand(2, 12, 13, 4), torch.rand(2, V, 4), SCENE[0], *SCENE[1][:2], True, False, True),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(dynamic: bool) -> None:
    def loss(attributes: Tensor, barycentric: Tensor) -> Tensor:
        return warpkit.interpolate(attributes, SCENE[0], SCENE[1]._replace(barycentric=barycentric)).square().sum()

    results = []
    for call in (loss, torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")):
        inputs = torch.ones(2, V, 4, requires_grad=True), SCENE[1].barycentric.clone().requires_grad_()
        results.append(torch.autograd.grad(call(*inputs), inputs))
    for eager, compiled in zip(*results, strict=True):
        assert torch.equal(eager, compiled)
