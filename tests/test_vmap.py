"""torch.vmap through every op is what a loop gives, whichever arguments are mapped, and gradients pass through it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import warpkit
from warpkit import Flow, _vmap

N, B, S, V, F = 3, 2, 2, 12, 20
SIZE = (9, 11)
GENERATOR = torch.Generator().manual_seed(3)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR)


VERTICES = random(B, V, 3)
SOURCES = random(B, S, V, 3)
FACES = torch.randint(0, V, (F, 3), generator=GENERATOR)
FRAGMENTS = warpkit.rasterize(VERTICES, FACES, SIZE)
FLOW = warpkit.mesh_flow(SOURCES, VERTICES, FACES, SIZE)
FEATURES = random(B, S, 5, 8, 7)
WEIGHTS, QUERY, IMAGE = random(B, S, *SIZE), random(B, 5, *SIZE), random(B, 3, *SIZE)

CASES: dict[str, tuple[Callable[..., object], tuple[Tensor, ...]]] = {
    "rasterize": (lambda vertices: warpkit.rasterize(vertices, FACES, SIZE), (VERTICES,)),
    "rasterize, faces too": (lambda vertices, faces: warpkit.rasterize(vertices, faces, SIZE), (VERTICES, FACES)),
    "barycentrics": (lambda vertices: warpkit.barycentrics(vertices, FACES, FRAGMENTS.face_index), (VERTICES,)),
    "visible_faces": (lambda index: warpkit.visible_faces(index, F), (FRAGMENTS.face_index,)),
    "interpolate": (lambda attributes: warpkit.interpolate(attributes, FACES, FRAGMENTS), (random(B, V, 4),)),
    "interpolate, shared": (lambda attributes: warpkit.interpolate(attributes, FACES, FRAGMENTS), (random(V, 4),)),
    "compose_flow": (lambda sources: warpkit.compose_flow(sources, FACES, FRAGMENTS), (SOURCES,)),
    "mesh_flow": (lambda sources, target: warpkit.mesh_flow(sources, target, FACES, SIZE), (SOURCES, VERTICES)),
    "mesh_flow, sources": (lambda sources: warpkit.mesh_flow(sources, VERTICES, FACES, SIZE), (SOURCES,)),
    "resize_flow": (lambda grid: warpkit.resize_flow(Flow(grid, FLOW.visible), (5, 6)), (FLOW.grid,)),
    "warp": (lambda features: warpkit.warp(features, FLOW), (FEATURES,)),
    "warp, grid": (lambda grid: warpkit.warp(FEATURES, Flow(grid, FLOW.visible)), (FLOW.grid,)),
    "warp_reduce": (lambda x, weights: warpkit.warp_reduce(x, FLOW, "mean", weights), (FEATURES, WEIGHTS)),
    "warp_reduce, weights": (lambda weights: warpkit.warp_reduce(FEATURES, FLOW, weights=weights), (WEIGHTS,)),
    "warp_attention": (lambda query, features: warpkit.warp_attention(query, features, FLOW), (QUERY, FEATURES)),
    "warp_attention, value": (
        lambda value: warpkit.warp_attention(QUERY, FEATURES, FLOW, value=value),
        (random(B, S, 2, 8, 7),),
    ),
    "antialias": (lambda image: warpkit.antialias(image, FRAGMENTS, VERTICES, FACES), (IMAGE,)),
}


def several(value: Tensor) -> Tensor:
    """``[B, N, …]``: mapped in dimension 1; entries of floats differ."""
    stack = torch.stack([value] * N, 1)
    return stack + 0.1 * random(*stack.shape) if stack.is_floating_point() else stack


def flat(value: object) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [t for t in value if t is not None]  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES)
def test_a_map_is_a_loop(case: str) -> None:
    call, arguments = CASES[case]
    arguments = tuple(several(argument) for argument in arguments)
    mapped = torch.vmap(call, in_dims=1)(*arguments)
    loop = [call(*(argument.select(1, n) for argument in arguments)) for n in range(N)]
    for mine, theirs in zip(flat(mapped), zip(*map(flat, loop), strict=True), strict=True):
        assert torch.equal(mine, torch.stack(theirs))


def test_gradients_pass_through_a_map() -> None:
    features, grid = several(FEATURES).requires_grad_(), FLOW.grid.clone().requires_grad_()

    def call(one: Tensor) -> Tensor:
        return warpkit.warp(one, Flow(grid, FLOW.visible))

    torch.vmap(call, in_dims=1)(features).square().sum().backward()
    mapped = features.grad, grid.grad
    features.grad = grid.grad = None
    torch.stack([call(features[:, n]) for n in range(N)]).square().sum().backward()
    for mine, theirs in zip(mapped, (features.grad, grid.grad), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_gradients_can_be_taken_as_a_batch() -> None:
    features = FEATURES[:1, :1].clone().requires_grad_()
    flow = Flow(FLOW.grid[:1, :1], FLOW.visible[:1, :1] if FLOW.visible is not None else None)
    out = warpkit.warp(features, flow)
    outer = torch.stack([random(*out.shape) for _ in range(N)])
    (batched,) = torch.autograd.grad(out, features, outer, is_grads_batched=True, retain_graph=True)
    loop = [torch.autograd.grad(out, features, one, retain_graph=True)[0] for one in outer]
    torch.testing.assert_close(batched, torch.stack(loop))


def test_every_op_has_a_rule() -> None:
    schemas = [schema.name for schema in torch._C._jit_get_all_schemas() if schema.name.startswith("warpkit::")]
    assert set(_vmap.SHARED) == {name.removeprefix("warpkit::") for name in schemas}
