"""Whatever is wrong with an argument, the error names it; what is allowed to be odd gives the documented result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.torch_version import TorchVersion

import warpkit
from warpkit import Flow, Fragments, _check
from warpkit._dispatch import call

B, S, V, F, C, H, W = 2, 3, 10, 12, 4, 6, 7
GENERATOR = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def flags(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=GENERATOR) < 0.7


VERTICES, SOURCES, FACES = random(B, V, 3), random(B, S, V, 3), torch.randint(0, V, (F, 3), generator=GENERATOR)
FRAGMENTS = warpkit.rasterize(VERTICES, FACES, (H, W))
FACE_INDEX, BARYCENTRIC, DEPTH = FRAGMENTS
GRID, VISIBLE = random(B, S, H, W, 2), flags(B, S, H, W)


@dataclass(frozen=True)
class Op:
    """A call, its tensors by the names that errors use, and which of them have the batch first."""

    call: Callable[..., Any]
    tensors: dict[str, Tensor]
    batched: tuple[str, ...]
    optional: tuple[str, ...] = ()


OPS = {
    "rasterize": Op(
        lambda vertices, faces: warpkit.rasterize(vertices, faces, (H, W)),
        {"vertices": VERTICES, "faces": FACES},
        (),
    ),
    "barycentrics": Op(
        warpkit.barycentrics,
        {"vertices": VERTICES, "faces": FACES, "face_index": FACE_INDEX},
        ("vertices", "face_index"),
    ),
    "visible_faces": Op(lambda face_index: warpkit.visible_faces(face_index, F), {"face_index": FACE_INDEX}, ()),
    "interpolate": Op(
        lambda attributes, faces, face_index, barycentric: warpkit.interpolate(
            attributes, faces, Fragments(face_index, barycentric, DEPTH)
        ),
        {"attributes": random(B, V, 5), "faces": FACES, "face_index": FACE_INDEX, "barycentric": BARYCENTRIC},
        ("attributes", "face_index", "barycentric"),
    ),
    "compose_flow": Op(
        lambda source_vertices, faces, face_index, barycentric, source_visible, face_mask: warpkit.compose_flow(
            source_vertices,
            faces,
            Fragments(face_index, barycentric, DEPTH),
            source_visible=source_visible,
            face_mask=face_mask,
        ),
        {
            "source_vertices": SOURCES,
            "faces": FACES,
            "face_index": FACE_INDEX,
            "barycentric": BARYCENTRIC,
            "source_visible": flags(B, S, F),
            "face_mask": flags(B, S, F),
        },
        ("source_vertices", "face_index", "barycentric", "source_visible", "face_mask"),
        ("source_visible", "face_mask"),
    ),
    "mesh_flow": Op(
        lambda source_vertices, target_vertices, faces, face_mask: warpkit.mesh_flow(
            source_vertices, target_vertices, faces, (H, W), face_mask=face_mask
        ),
        {
            "source_vertices": SOURCES,
            "target_vertices": VERTICES,
            "faces": FACES,
            "face_mask": flags(B, S, F),
        },
        ("source_vertices", "target_vertices", "face_mask"),
        ("face_mask",),
    ),
    "resize_flow": Op(
        lambda grid, visible: warpkit.resize_flow(Flow(grid, visible), (3, 4)),
        {"grid": GRID, "visible": VISIBLE},
        ("grid", "visible"),
        ("visible",),
    ),
    "warp": Op(
        lambda features, grid, visible: warpkit.warp(features, Flow(grid, visible)),
        {"features": random(B, S, C, 5, 8), "grid": GRID, "visible": VISIBLE},
        ("features", "grid", "visible"),
        ("visible",),
    ),
    "warp_reduce": Op(
        lambda features, grid, visible, weights: warpkit.warp_reduce(features, Flow(grid, visible), weights=weights),
        {"features": random(B, S, C, 5, 8), "grid": GRID, "visible": VISIBLE, "weights": random(B, S, H, W)},
        ("features", "grid", "visible", "weights"),
        ("visible", "weights"),
    ),
    "warp_attention": Op(
        lambda query, features, grid, visible, value: warpkit.warp_attention(
            query, features, Flow(grid, visible), value=value
        ),
        {
            "query": random(B, C, H, W),
            "features": random(B, S, C, 5, 8),
            "grid": GRID,
            "visible": VISIBLE,
            "value": random(B, S, 2, 5, 8),
        },
        ("query", "features", "grid", "visible", "value"),
        ("visible", "value"),
    ),
    "antialias": Op(
        lambda image, face_index, depth, vertices, faces, neighbours: warpkit.antialias(
            image, Fragments(face_index, BARYCENTRIC, depth), vertices, faces, neighbours=neighbours
        ),
        {
            "image": random(B, C, H, W),
            "face_index": FACE_INDEX,
            "depth": DEPTH,
            "vertices": VERTICES,
            "faces": FACES,
            "neighbours": warpkit.face_neighbours(FACES),
        },
        ("image", "face_index", "depth", "vertices"),
        ("neighbours",),
    ),
    "face_neighbours": Op(warpkit.face_neighbours, {"faces": FACES}, ()),
}


GEOMETRY = ("vertices", "source_vertices", "target_vertices", "grid")


def cases(wanted: Callable[[Op, str], bool] = lambda op, argument: True) -> list[Any]:
    return [
        pytest.param(op, argument, id=f"{name}-{argument}")
        for name, op in OPS.items()
        for argument in op.tensors
        if wanted(op, argument)
    ]


def refused(op: Op, argument: str, value: Any, *errors: type[Exception]) -> str:
    with pytest.raises(errors) as caught:
        op.call(**{**op.tensors, argument: value})
    return str(caught.value)


def names_it(message: str, argument: str) -> bool:
    return message.split(":")[0].split(".")[-1].split("'s ")[0] == argument


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_the_table_itself_is_accepted(op: Op) -> None:
    op.call(**op.tensors)


@pytest.mark.parametrize(("op", "argument"), cases(lambda op, argument: argument not in op.optional))
@pytest.mark.parametrize("value", [None, 3.0, [[1.0]]], ids=["none", "number", "list"])
def test_no_tensor(op: Op, argument: str, value: Any) -> None:
    assert names_it(refused(op, argument, value, TypeError), argument)


@pytest.mark.parametrize(("op", "argument"), cases())
@pytest.mark.parametrize("more", [True, False], ids=["higher", "lower"])
def test_wrong_rank(op: Op, argument: str, more: bool) -> None:
    tensor = op.tensors[argument]
    message = refused(op, argument, tensor[None] if more else tensor[0, 0], ValueError)
    assert names_it(message, argument)
    assert "expected shape" in message


@pytest.mark.parametrize(("op", "argument"), cases())
def test_wrong_dtype(op: Op, argument: str) -> None:
    wrong = op.tensors[argument].to(torch.int8)
    message = refused(op, argument, wrong, TypeError)
    assert names_it(message, argument)
    assert "int8" in message


@pytest.mark.parametrize(("op", "argument"), cases(lambda op, argument: argument in GEOMETRY))
def test_half_precision_geometry_is_refused(op: Op, argument: str) -> None:
    assert names_it(refused(op, argument, op.tensors[argument].half(), TypeError), argument)


@pytest.mark.parametrize(("op", "argument"), cases(lambda op, argument: argument in op.batched))
def test_wrong_batch(op: Op, argument: str) -> None:
    message = refused(op, argument, torch.cat([op.tensors[argument]] * 2), ValueError)
    assert any(name in message for name in op.batched)


@pytest.mark.parametrize("op", [op for op in OPS.values() if "grid" in op.tensors or "source_vertices" in op.tensors])
def test_wrong_number_of_sources(op: Op) -> None:
    for argument in op.tensors:
        if op.tensors[argument].dim() >= 3 and op.tensors[argument].shape[1] == S and len(op.tensors) > 1:
            message = refused(op, argument, op.tensors[argument][:, :1], ValueError)
            assert any(name in message for name in op.tensors)


@pytest.mark.parametrize(("op", "argument"), cases(lambda op, argument: len(op.tensors) > 1))
def test_devices_mixed(op: Op, argument: str) -> None:
    message = refused(op, argument, op.tensors[argument].to("meta"), ValueError)
    assert "expected on" in message
    assert "meta" in message


@pytest.mark.parametrize(("op", "argument"), cases())
def test_sparse_tensors_are_refused(op: Op, argument: str) -> None:
    message = refused(op, argument, op.tensors[argument].to_sparse(), TypeError)
    assert names_it(message, argument)


CHOICES = {
    "cull": lambda value: warpkit.rasterize(VERTICES, FACES, (H, W), cull=value),
    "visibility": lambda value: warpkit.mesh_flow(SOURCES, VERTICES, FACES, (H, W), visibility=value),
    "mode": lambda value: warpkit.resize_flow(Flow(GRID), (3, 4), mode=value),
    "reduce": lambda value: warpkit.warp_reduce(random(B, S, C, 5, 8), Flow(GRID), value),
}


@pytest.mark.parametrize("value", ["all", 1, ["pixel"], {}], ids=repr)
@pytest.mark.parametrize(("name", "call"), CHOICES.items(), ids=CHOICES)
def test_no_such_choice(name: str, call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected .*'.* or .*, got "):
        call(value)


@pytest.mark.parametrize(("op", "argument"), cases(lambda op, argument: op.tensors[argument].is_floating_point()))
def test_forward_mode_tangents_are_refused(op: Op, argument: str) -> None:
    """They would be lost in silence."""
    tensor = op.tensors[argument]
    with forward_ad.dual_level():
        op.call(**op.tensors)
        with pytest.raises(NotImplementedError, match="forward-mode tangent") as caught:
            op.call(**{**op.tensors, argument: forward_ad.make_dual(tensor, torch.ones_like(tensor))})
    assert names_it(str(caught.value), argument)
    with pytest.raises(NotImplementedError, match="forward-mode tangent"):
        torch.func.jvp(lambda x: op.call(**{**op.tensors, argument: x}), (tensor,), (torch.ones_like(tensor),))


def test_what_came_is_told_in_short() -> None:
    with pytest.raises(TypeError, match="got list of int32") as caught:
        warpkit.interpolate(random(B, V, 5), FACES, list(FRAGMENTS))  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


def test_out_of_range_faces_count_as_none() -> None:
    faces = FACES.clone()
    faces[0, 1], faces[1, 2], faces[2, 0] = V, -1, 2**40
    fragments = warpkit.rasterize(VERTICES, faces, (H, W))
    assert not torch.isin(fragments.face_index, torch.tensor([0, 1, 2])).any()
    known = torch.full((B, H, W), 1, dtype=torch.int32)
    assert (warpkit.barycentrics(VERTICES, faces, known)[0] == 0).all()
    assert (warpkit.interpolate(random(B, V, 2), faces, Fragments(known, BARYCENTRIC, DEPTH)) == 0).all()
    flow = warpkit.compose_flow(SOURCES, faces, Fragments(known, BARYCENTRIC, DEPTH))
    assert (flow.grid == -2).all()
    assert flow.visible is not None
    assert not flow.visible.any()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e30, 2e6])
def test_flow_that_is_not_finite_or_far_away_reads_zero(bad: float) -> None:
    grid = torch.full((B, S, H, W, 2), bad)
    features = random(B, S, C, 5, 8).requires_grad_()
    out = warpkit.warp(features, Flow(grid.requires_grad_()))
    assert (out == 0).all()
    out.sum().backward()
    assert (features.grad == 0).all()
    assert (grid.grad == 0).all()


def test_cuda_tensor_without_cuda_kernels_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnCuda:
        device = torch.device("cuda", 0)
        is_cuda = True

    monkeypatch.setattr(_check, "WITH_CUDA", False)
    with pytest.raises(RuntimeError, match=r"vertices is on cuda:0, but .* no CUDA kernels.* reinstall"):
        _check.check_device(vertices=OnCuda())  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    size = np.int64(H), np.int32(W)
    for ours, theirs in zip(warpkit.rasterize(VERTICES, FACES, size, near=np.float32(1)), FRAGMENTS, strict=True):  # type: ignore[arg-type]
        assert torch.equal(ours, theirs)
    visible = warpkit.visible_faces(FACE_INDEX, np.int64(F))  # type: ignore[arg-type]
    assert torch.equal(visible, warpkit.visible_faces(FACE_INDEX, F))
    query, features = random(B, C, H, W), random(B, S, C, 5, 8)
    ours = warpkit.warp_attention(query, features, Flow(GRID), scale=np.float32(0.5))  # type: ignore[arg-type]
    assert torch.equal(ours, warpkit.warp_attention(query, features, Flow(GRID), scale=0.5))


@pytest.mark.parametrize("size", [(True, 4), (np.bool_(True), 4), (4.0, 4), (np.float32(4), 4), (4, torch.tensor(4))])
def test_a_size_that_is_not_of_integers_is_refused(size: Any) -> None:
    with pytest.raises(TypeError, match="size: expected two integers"):
        warpkit.rasterize(VERTICES, FACES, size)


@pytest.mark.parametrize("value", [True, "1", None, [1.0], torch.tensor(1.0), 1j], ids=repr)
def test_a_near_plane_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="near: expected a number"):
        warpkit.rasterize(VERTICES, FACES, (H, W), near=value)


def test_without_memory_the_error_tells_what_was_wanted() -> None:
    side = _check.MAX_SIZE  # 2^44 pixels: more than a processor can address
    with pytest.raises(RuntimeError, match=rf"found no memory for a tensor \[{B}, {side}, {side}") as caught:
        warpkit.rasterize(VERTICES, FACES, (side, side))
    if TorchVersion(torch.__version__) < (2, 13):
        pytest.skip("before 2.13 PyTorch does not hand on what failed")
    assert "allocate" in str(caught.value)
    with pytest.raises(RuntimeError, match="allocate"):
        warpkit.visible_faces(FACE_INDEX, 2**50)


def test_memory_short_on_a_gpu_is_an_out_of_memory_error() -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("found no memory for a tensor [1]: CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(torch.OutOfMemoryError, match=r"tensor \[1\].*2.00 GiB"):
        call(fail, FACES)
