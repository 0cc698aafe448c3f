"""The gradient of compose_flow: against autograd through the twin, where visible alone, repeatable, registration."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import Fragments, reference

OPS = torch.ops.warpkit
V, F = 10, 12


class Scene:
    """A random mesh in a target and in sources."""

    def __init__(
        self,
        components: int,
        batch: int = 2,
        sources: int = 2,
        size: tuple[int, int] = (15, 21),
        dtype: torch.dtype = torch.float64,
    ) -> None:
        rng = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=rng, dtype=torch.float64).to(dtype)

        self.sources = random(batch, sources, V, components) * 2 - 1
        if components == 4:
            self.sources[..., 3] = self.sources[..., 3].abs() + 0.2
        self.faces = torch.randint(0, V, (F, 3), generator=rng)
        self.mask = torch.rand(batch, sources, F, generator=rng) < 0.7
        self.fragments = warpkit.rasterize(random(batch, V, 3) * 2 - 1, self.faces, size)
        self.out = random(batch, sources, *size, 2) - 0.5

    def gradients(self, compose_flow: Any = warpkit.compose_flow, out: Tensor | None = None) -> tuple[Tensor, ...]:
        inputs = self.sources.clone().requires_grad_(), self.fragments.barycentric.clone().requires_grad_()
        target = self.fragments._replace(barycentric=inputs[1])
        grid, _ = compose_flow(inputs[0], self.faces, target, face_mask=self.mask)
        return torch.autograd.grad(grid, inputs, self.out if out is None else out)


@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_it_is_that_of_the_twin(components: int, batch: int, sources: int) -> None:
    scene = Scene(components, batch, sources)
    for mine, theirs in zip(scene.gradients(), scene.gradients(reference.compose_flow), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("components", [2, 3, 4])
def test_gradcheck(components: int) -> None:
    scene = Scene(components, size=(5, 6))

    def grid(sources: Tensor, barycentric: Tensor) -> Tensor:
        target = scene.fragments._replace(barycentric=barycentric)
        return warpkit.compose_flow(sources, scene.faces, target, face_mask=scene.mask).grid

    inputs = scene.sources.requires_grad_(), scene.fragments.barycentric.clone().requires_grad_()
    assert torch.autograd.gradcheck(grid, inputs)


@pytest.mark.parametrize("components", [2, 3, 4])
def test_float32_is_close_to_float64(components: int) -> None:
    scene, narrow = Scene(components, size=(60, 70)), Scene(components, size=(60, 70), dtype=torch.float32)
    narrow.faces, narrow.mask = scene.faces, scene.mask
    narrow.fragments = Fragments(scene.fragments[0], *(tensor.float() for tensor in scene.fragments[1:]))
    narrow.sources, narrow.out = scene.sources.float(), scene.out.float()
    for mine, wide in zip(narrow.gradients(), scene.gradients(), strict=True):
        torch.testing.assert_close(mine.double(), wide, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("components", [2, 3, 4])
def test_it_is_there_where_visible_alone(components: int) -> None:
    scene = Scene(components)
    scene.sources[0, 0, 3] = torch.nan
    visible = warpkit.compose_flow(scene.sources, scene.faces, scene.fragments, face_mask=scene.mask).visible
    assert visible is not None
    clean = scene.gradients(out=torch.where(visible[..., None], scene.out, 0))
    for spoilt in (torch.nan, torch.inf):
        mine = scene.gradients(out=torch.where(visible[..., None], scene.out, spoilt))
        for a, b in zip(mine, clean, strict=True):
            assert a.isfinite().all()
            assert torch.equal(a, b)
    assert (clean[1][~visible.any(1)] == 0).all()
    theirs = scene.gradients(reference.compose_flow)
    for a, b in zip(clean, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("op", [warpkit.compose_flow, reference.compose_flow], ids=["op", "twin"])
def test_depth_of_a_source_takes_no_part_be_it_nan(op: Any, components: int) -> None:
    scene = Scene(components)
    clean = scene.gradients(op)
    assert (clean[0][..., 2] == 0).all()
    scene.sources[..., 2] = torch.nan
    for mine, expected in zip(scene.gradients(op), clean, strict=True):
        assert torch.equal(mine, expected)


def test_it_does_not_depend_on_threads() -> None:
    scene = Scene(4, size=(150, 170), dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(scene.gradients())
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(("batch", "sources"), [(0, 2), (2, 0)])
def test_nothing_gives_zeros(batch: int, sources: int) -> None:
    scene = Scene(3, batch, sources)
    for gradient, like in zip(scene.gradients(), (scene.sources, scene.fragments.barycentric), strict=True):
        assert gradient.shape == like.shape
        assert (gradient == 0).all()


def test_faces_out_of_range_give_zeros() -> None:
    scene = Scene(4)
    for wrong in (scene.faces + 2**32, -scene.faces - 1, scene.faces + V, scene.faces[:0]):
        arguments = (scene.out, scene.sources, wrong, *scene.fragments[:2])
        visible = torch.ones(scene.out.shape[:-1], dtype=torch.bool)
        for gradient in OPS.compose_flow_backward(*arguments, visible, True, True, False):
            assert (gradient == 0).all()


def test_a_second_derivative_is_refused() -> None:
    scene = Scene(4)
    scene.sources.requires_grad_()
    flow = warpkit.compose_flow(scene.sources, scene.faces, scene.fragments)
    assert not flow.visible.requires_grad  # type: ignore[union-attr]
    (gradient,) = torch.autograd.grad(flow.grid.square().sum(), scene.sources, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.sum().backward()


SCENE = Scene(4, dtype=torch.float32)
VISIBLE = warpkit.compose_flow(SCENE.sources, SCENE.faces, SCENE.fragments).visible
INPUTS = (SCENE.faces, SCENE.fragments.face_index, SCENE.fragments.barycentric)
CALLS = {
    "forward": (
        OPS.compose_flow.default,
        (
            SCENE.sources.clone().requires_grad_(),
            *INPUTS[:2],
            INPUTS[2].clone().requires_grad_(),
            SCENE.mask,
            None,
        ),
    ),
    "backward": (
        OPS.compose_flow_backward.default,
        (SCENE.out, SCENE.sources, *INPUTS, VISIBLE, True, True, False),
    ),
    "backward of barycentrics alone": (
        OPS.compose_flow_backward.default,
        (SCENE.out, SCENE.sources[..., :2], *INPUTS, VISIBLE, False, True, True),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(dynamic: bool) -> None:
    def loss(sources: Tensor, barycentric: Tensor) -> Tensor:
        target = SCENE.fragments._replace(barycentric=barycentric)
        return warpkit.compose_flow(sources, SCENE.faces, target).grid.square().sum()

    results = []
    for call in (loss, torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")):
        inputs = SCENE.sources.clone().requires_grad_(), INPUTS[2].clone().requires_grad_()
        results.append(torch.autograd.grad(call(*inputs), inputs))
    for eager, compiled in zip(*results, strict=True):
        assert torch.equal(eager, compiled)
