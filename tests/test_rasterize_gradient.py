"""Gradients of rasterize and barycentrics with respect to the vertices."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import reference

fast = settings(max_examples=30, deadline=None)
OPS = torch.ops.warpkit
KINDS = ["affine", "perspective", "cut by the near plane"]
NEAR = 0.05


def mesh(kind: str, seed: int = 0, *, batch: int = 2, num_faces: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randn(batch, 10, 3 if kind == "affine" else 4, generator=generator, dtype=torch.float64)
    if kind == "perspective":
        vertices[..., 3] = vertices[..., 3].abs() + 0.3
    return vertices, torch.randint(0, 10, (num_faces, 3), generator=generator)


def gradient(op: Any, vertices: Tensor, faces: Tensor, face_index: Tensor, weights: Tensor) -> Tensor:
    """Of barycentrics and depth, summed with weights ``[B, H, W, 4]``; depth counts where there is a face."""
    vertices = vertices.detach().clone().requires_grad_()
    barycentric, depth = op(vertices, faces, face_index, near=NEAR)
    weights = weights.to(vertices.dtype)
    shown = depth.detach().isfinite()
    loss = (barycentric * weights[..., :3]).sum() + (torch.where(shown, depth, 0) * weights[..., 3]).sum()
    return torch.autograd.grad(loss, vertices)[0]


def assert_close(mine: Tensor, other: Tensor, tolerance: float) -> None:
    assert mine.isfinite().all()
    scale = 1 + other.abs().amax().item()
    torch.testing.assert_close(mine.double() / scale, other.double() / scale, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: str) -> None:
    vertices, faces = mesh(kind)
    face_index = warpkit.rasterize(vertices, faces, (6, 7), near=NEAR).face_index
    assert (face_index >= 0).sum() > 20

    def values(vertices: Tensor) -> tuple[Tensor, Tensor]:
        barycentric, depth = warpkit.barycentrics(vertices, faces, face_index, near=NEAR)
        return barycentric, torch.where(face_index >= 0, depth, 0)

    assert torch.autograd.gradcheck(values, vertices.requires_grad_(), eps=1e-7, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), size=st.tuples(st.integers(1, 40), st.integers(1, 50)))
@fast
def test_equals_autograd_through_the_twin(kind: str, seed: int, size: tuple[int, int]) -> None:
    vertices, faces = mesh(kind, seed)
    face_index = warpkit.rasterize(vertices, faces, size, near=NEAR).face_index
    weights = torch.randn(*face_index.shape, 4, generator=torch.Generator().manual_seed(seed))
    mine, twin = (
        gradient(op, vertices, faces, face_index, weights) for op in (warpkit.barycentrics, reference.barycentrics)
    )
    assert_close(mine, twin, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_rasterize_has_the_gradient_of_barycentrics_at_its_faces(kind: str) -> None:
    vertices, faces = mesh(kind)
    weights = torch.randn(2, 20, 30, 4, dtype=torch.float64)
    face_index = warpkit.rasterize(vertices, faces, (20, 30), near=NEAR).face_index

    def rasterized(vertices: Tensor, faces: Tensor, face_index: Tensor, near: float) -> tuple[Tensor, Tensor]:
        fragments = warpkit.rasterize(vertices, faces, (20, 30), near=near)
        assert not fragments.face_index.requires_grad
        return fragments.barycentric, fragments.depth

    expected = gradient(warpkit.barycentrics, vertices, faces, face_index, weights)
    assert torch.equal(gradient(rasterized, vertices, faces, face_index, weights), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_near_float64(kind: str) -> None:
    vertices, faces = mesh(kind)
    vertices = vertices.float().double()
    face_index = warpkit.rasterize(vertices, faces, (20, 30), near=NEAR).face_index
    weights = torch.randn(2, 20, 30, 4)
    single, double = (
        gradient(warpkit.barycentrics, v, faces, face_index, weights) for v in (vertices.float(), vertices)
    )
    assert single.dtype == torch.float32
    assert_close(single, double, 1e-6)


def test_depth_pulls_a_flat_wall_with_weight_one() -> None:
    wall = torch.tensor([[[-2.0, -2, 0.5], [4, -2, 0.5], [-2, 4, 0.5]]], requires_grad=True)
    warpkit.rasterize(wall, torch.tensor([[0, 1, 2]]), (8, 8)).depth.mean().backward()
    assert wall.grad is not None
    torch.testing.assert_close(wall.grad[..., 2].sum(), torch.tensor(1.0))
    torch.testing.assert_close(wall.grad[..., :2], torch.zeros(1, 3, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("op", [warpkit.barycentrics, reference.barycentrics], ids=["op", "twin"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_what_draws_nothing_has_no_gradient_not_nan(op: Any, bad: float) -> None:
    """Background, ids and vertices out of range, vertices that are not finite, faces all behind the near plane."""
    vertices = torch.randn(1, 7, 4, generator=torch.Generator().manual_seed(0))
    vertices[0, :3, 3] = 1
    vertices[0, 3, 0] = bad
    vertices[0, 3:, 3] = bad if bad == 0 else -1.0
    faces = torch.tensor([[0, 1, 2], [3, 0, 1], [4, 5, 6], [0, 1, 9]])
    if bad == 0:
        faces[1] = faces[2]
    face_index = torch.tensor([[[-1, 1, 2, 3, 77, -(2**31)]]], dtype=torch.int32)
    ones = torch.full((1, 1, 6, 4), float("nan"))
    assert (gradient(op, vertices, faces, face_index, ones) == 0).all()


@pytest.mark.parametrize("op", [warpkit.barycentrics, reference.barycentrics], ids=["op", "twin"])
@pytest.mark.parametrize("components", [3, 4])
def test_a_face_without_area_passes_depth_on_in_thirds_and_nothing_else(op: Any, components: int) -> None:
    line = torch.tensor([[[0.0, 0, 1, 1], [0.5, 0.5, 2, 1], [0.25, 0.25, 6, 1]]])[..., :components]
    face_index = torch.zeros(1, 4, 4, dtype=torch.int32)
    mine = gradient(op, line, torch.tensor([[0, 1, 2]]), face_index, torch.ones(1, 4, 4, 4))
    torch.testing.assert_close(mine[..., 2], torch.full((1, 3), 16 / 3))
    assert (mine[..., :2] == 0).all()


def test_threads_do_not_change_the_gradient() -> None:
    generator = torch.Generator().manual_seed(3)
    vertices, faces = torch.randn(2, 300, 4, generator=generator), torch.randint(0, 300, (900, 3), generator=generator)
    face_index = warpkit.rasterize(vertices, faces, (120, 200), near=NEAR).face_index
    weights = torch.randn(2, 120, 200, 4, generator=generator)
    threads, answers = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            answers.append(gradient(warpkit.barycentrics, vertices, faces, face_index, weights))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_one_output_alone_has_a_gradient() -> None:
    vertices, faces = mesh("perspective")
    for k in (1, 2):
        leaf = vertices.clone().requires_grad_()
        output = warpkit.rasterize(leaf, faces, (9, 9))[k]
        torch.where(output.isfinite(), output, 0).square().sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        assert (leaf.grad != 0).any()


def test_a_second_derivative_is_refused() -> None:
    vertices, faces = mesh("affine")
    vertices.requires_grad_()
    barycentric = warpkit.rasterize(vertices, faces, (9, 9)).barycentric
    (first,) = torch.autograd.grad(barycentric.square().sum(), vertices, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        first.sum().backward()


@pytest.mark.parametrize("dynamic", [False, True])
def test_backward_compiles_whole(dynamic: bool) -> None:
    vertices, faces = mesh("perspective")

    def loss(vertices: Tensor) -> Tensor:
        fragments = warpkit.rasterize(vertices, faces, (12, 13))
        again, _ = warpkit.barycentrics(vertices, faces, fragments.face_index)
        return (again * fragments.barycentric).sum() + torch.where(fragments.face_index >= 0, fragments.depth, 0).sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    gradients = [
        torch.autograd.grad(function(leaf), leaf)[0]
        for function in (compiled, loss)
        for leaf in [vertices.clone().requires_grad_()]
    ]
    assert torch.equal(*gradients)


@pytest.mark.parametrize(("batch", "num_vertices", "num_faces"), [(0, 20, 5), (2, 0, 5), (2, 20, 0), (0, 0, 0)])
def test_empty_meshes_have_empty_or_zero_gradients(batch: int, num_vertices: int, num_faces: int) -> None:
    vertices = torch.zeros(batch, num_vertices, 3, requires_grad=True)
    faces = torch.zeros(num_faces, 3, dtype=torch.int64)
    warpkit.rasterize(vertices, faces, (5, 6)).barycentric.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad.shape == vertices.shape
    assert (vertices.grad == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(kind: str, dtype: torch.dtype) -> None:
    vertices, faces = mesh(kind)
    vertices = vertices.to(dtype)
    face_index = warpkit.rasterize(vertices, faces, (6, 7)).face_index
    gradients = torch.randn(2, 6, 7, 3, dtype=dtype), torch.randn(2, 6, 7, dtype=dtype)
    torch.library.opcheck(OPS.barycentrics_backward.default, (*gradients, vertices, faces, face_index, 1e-4, False))
    leaf = vertices.clone().requires_grad_()
    torch.library.opcheck(OPS.barycentrics.default, (leaf, faces, torch.zeros_like(face_index), 1e-4))
