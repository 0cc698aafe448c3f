"""The gradient of mesh_flow: that of its steps, of its twin, and of finite differences."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import warpkit
from warpkit import reference

Meshes = tuple[Tensor, Tensor, Tensor]
SIZE = (21, 25)


def make_meshes(perspective: bool, dtype: torch.dtype = torch.float64, batch: int = 2) -> Meshes:
    """Sources, targets, faces: an open wavy sheet, turned in each source; half of it folds over."""
    v, u = torch.meshgrid(*(torch.linspace(-0.83, 0.79, 5, dtype=torch.float64),) * 2, indexing="ij")
    sheet = torch.stack([u, v, 0.3 * (2.1 * u).sin() * (1.7 * v).cos()], -1).reshape(-1, 3)
    at = (torch.arange(4)[:, None] * 5 + torch.arange(4)).reshape(-1, 1)
    faces = torch.cat([at + torch.tensor([0, 1, 6]), at + torch.tensor([0, 6, 5])])

    def look(angle: float) -> Tensor:
        c, s = math.cos(angle), math.sin(angle)
        x, y, z = sheet.unbind(-1)
        turned = torch.stack([c * x + s * z + 0.01, y - 0.02, c * z - s * x], -1)
        depth = turned[:, 2:] + 2.0
        return torch.cat([1.6 * turned[:, :2], depth - 1, depth], -1) if perspective else turned

    sources = torch.stack([torch.stack([look(0.2 + b), look(-0.9 + b)]) for b in range(batch)])
    return sources.to(dtype), torch.stack([look(0.4 * b + 0.1) for b in range(batch)]).to(dtype), faces


def gradients(mesh_flow: Any, meshes: Meshes, out: Tensor, **options: Any) -> tuple[Tensor, ...]:
    sources, target = (tensor.clone().requires_grad_() for tensor in meshes[:2])
    return torch.autograd.grad(mesh_flow(sources, target, meshes[2], SIZE, **options)[0], (sources, target), out)


def composed(sources: Tensor, target: Tensor, faces: Tensor, size: tuple[int, int], visible: Tensor) -> Any:
    fragments = warpkit.rasterize(target, faces, size)
    flow = warpkit.compose_flow(sources, faces, fragments)
    return torch.where(visible[..., None], flow.grid, -2), visible


def some_out(meshes: Meshes) -> Tensor:
    shape = (*meshes[0].shape[:2], *SIZE, 2)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(meshes[0].dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("visibility", ["pixel", "face", None])
def test_it_is_that_of_rasterize_and_compose(perspective: bool, visibility: str | None, dtype: torch.dtype) -> None:
    meshes = make_meshes(perspective, dtype)
    out = some_out(meshes)
    mask = torch.rand(2, 2, len(meshes[2]), generator=torch.Generator().manual_seed(1)) < 0.8
    options: dict[str, Any] = {"visibility": visibility, "face_mask": mask}
    visible = warpkit.mesh_flow(*meshes, SIZE, **options).visible
    assert visible is not None
    assert visible.any()
    mine = gradients(warpkit.mesh_flow, meshes, out, **options)
    for a, b in zip(mine, gradients(composed, meshes, out, visible=visible), strict=True):
        torch.testing.assert_close(a, b)
        assert (a != 0).any()


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("visibility", ["pixel", None])
def test_it_is_that_of_the_twin(perspective: bool, visibility: str | None) -> None:
    meshes = make_meshes(perspective)
    mine = gradients(warpkit.mesh_flow, meshes, some_out(meshes), visibility=visibility)
    theirs = gradients(reference.mesh_flow, meshes, some_out(meshes), visibility=visibility)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("perspective", [False, True])
def test_gradcheck(perspective: bool) -> None:
    sources, target, faces = make_meshes(perspective, batch=1)
    inputs = sources.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: warpkit.mesh_flow(s, t, faces, (9, 11)).grid, inputs)


def test_one_of_the_two_may_be_wanted() -> None:
    sources, target, faces = meshes = make_meshes(True)
    both = gradients(warpkit.mesh_flow, meshes, some_out(meshes))
    for which in range(2):
        inputs = [sources.clone(), target.clone()]
        inputs[which].requires_grad_()
        warpkit.mesh_flow(*inputs, faces, SIZE).grid.backward(some_out(meshes))
        assert inputs[1 - which].grad is None
        assert inputs[which].grad is not None
        assert torch.equal(inputs[which].grad, both[which])


def test_what_is_not_visible_gets_none() -> None:
    meshes = make_meshes(True)
    meshes[0][0, 0, 12] = torch.nan
    visible = warpkit.mesh_flow(*meshes, SIZE).visible
    assert visible is not None
    out = torch.where(visible[..., None], some_out(meshes), torch.nan)
    for gradient in gradients(warpkit.mesh_flow, meshes, out):
        assert gradient.isfinite().all()


def test_it_does_not_depend_on_threads() -> None:
    meshes = make_meshes(True, torch.float32)
    before, results = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(gradients(warpkit.mesh_flow, meshes, some_out(meshes)))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_empty() -> None:
    sources, target, faces = make_meshes(False)
    for meshes in (
        (sources[:0], target[:0], faces),
        (sources[:, :0], target, faces),
        (sources, target, faces[:0]),
        (sources[:, :, :0], target[:, :0], faces),
    ):
        for gradient, like in zip(gradients(warpkit.mesh_flow, meshes, some_out(meshes)), meshes, strict=False):
            assert gradient.shape == like.shape
            assert (gradient == 0).all()


def test_a_second_derivative_is_refused() -> None:
    sources, target, faces = make_meshes(False)
    sources.requires_grad_()
    grid = warpkit.mesh_flow(sources, target, faces, SIZE).grid
    (gradient,) = torch.autograd.grad(grid.square().sum(), sources, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.sum().backward()


def test_opcheck() -> None:
    sources, target, faces = make_meshes(True, torch.float32)
    arguments = sources.requires_grad_(), target.requires_grad_(), faces, 9, 10, 11, 12, "pixel", None
    torch.library.opcheck(torch.ops.warpkit.mesh_flow.default, arguments)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(dynamic: bool) -> None:
    sources, target, faces = make_meshes(True, torch.float32)

    def loss(sources: Tensor, target: Tensor) -> Tensor:
        return warpkit.mesh_flow(sources, target, faces, SIZE).grid.square().sum()

    results = []
    for call in (loss, torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")):
        inputs = sources.clone().requires_grad_(), target.clone().requires_grad_()
        results.append(torch.autograd.grad(call(*inputs), inputs))
    for eager, compiled in zip(*results, strict=True):
        assert torch.equal(eager, compiled)
