"""Maps over pixels are read where they lie: any strides, the same bits, no copy."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from op_table import Draw
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import warpkit

OPS = torch.ops.warpkit

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "planes": lambda t: t.movedim(-1, 1).contiguous().movedim(1, -1),
    "turned": lambda t: t.transpose(1, 2).contiguous().transpose(1, 2),
    "every other number": lambda t: torch.stack([t, t + 1], -1)[..., 0] if t.dtype != torch.bool else t,
    "inner part": lambda t: torch.nn.functional.pad(t, (1, 2) * (t.dim() - 1), value=1)[
        (slice(None), *(slice(1, -2),) * (t.dim() - 1))
    ],
    "one image for all": lambda t: t[:1].expand_as(t),
    "one row for all": lambda t: t[..., :1, :, :].expand_as(t),
    "one number for all": lambda t: t.flatten()[0].expand_as(t),
}


def _interpolate(dims: int) -> Callable[[Draw], Iterator[Any]]:
    def make(draw: Draw) -> Iterator[Any]:
        shown = draw.fragments()
        maps = {name: shown[name] for name in ("face_index", "barycentric")}
        attributes = draw.normal(2, 60, dims, dtype=draw.features)
        gradient = {"gradient": draw.normal(2, 33, 46, dims, dtype=draw.features)}
        yield lambda face_index, barycentric: OPS.interpolate(attributes, shown["faces"], face_index, barycentric), maps
        yield (
            lambda gradient, face_index, barycentric: OPS.interpolate_backward(
                gradient, attributes, shown["faces"], face_index, barycentric, True, True, False
            ),
            gradient | maps,
        )

    return make


def _compose(components: int) -> Callable[[Draw], Iterator[Any]]:
    def make(draw: Draw) -> Iterator[Any]:
        shown, sources = draw.fragments(), draw.vertices(2, 3, components=components)
        maps = {name: shown[name] for name in ("face_index", "barycentric")}
        backward = {"gradient": draw.normal(2, 3, 33, 46, 2), "visible": draw.visible()}
        yield (
            lambda face_index, barycentric: OPS.compose_flow(
                sources, shown["faces"], face_index, barycentric, None, None
            ),
            maps,
        )
        backward["visible"] &= OPS.compose_flow(sources, shown["faces"], *maps.values(), None, None)[1]
        yield (
            lambda gradient, visible, face_index, barycentric: OPS.compose_flow_backward(
                gradient, sources, shown["faces"], face_index, barycentric, visible, True, True, False
            ),
            backward | maps,
        )

    return make


def _barycentrics(components: int) -> Callable[[Draw], Iterator[Any]]:
    def make(draw: Draw) -> Iterator[Any]:
        vertices, faces = draw.vertices(2, components=components), draw.faces()
        shown = {"face_index": warpkit.rasterize(vertices, faces, (33, 46)).face_index}
        yield lambda face_index: OPS.barycentrics(vertices, faces, face_index, 1e-3), shown
        yield lambda face_index: OPS.visible_faces(face_index, len(faces)), shown
        yield (
            lambda barycentric, depth, face_index: OPS.barycentrics_backward(
                barycentric, depth, vertices, faces, face_index, 1e-3, False
            ),
            {"barycentric": draw.normal(2, 33, 46, 3), "depth": draw.normal(2, 33, 46)} | shown,
        )

    return make


def _resize(mode: str, height: int, width: int) -> Callable[[Draw], Iterator[Any]]:
    def make(draw: Draw) -> Iterator[Any]:
        visible = draw.visible()
        yield (
            lambda grid, visible: OPS.resize_flow(grid, visible, height, width, mode),
            {"grid": draw.normal(2, 3, 33, 46, 2), "visible": visible},
        )
        yield (
            lambda gradient, visible: OPS.resize_flow_backward(gradient, visible, 33, 46, mode),
            {"gradient": draw.normal(2, 3, height, width, 2), "visible": visible},
        )

    return make


CASES: dict[str, Callable[[Draw], Iterator[Any]]] = {
    "interpolate 1": _interpolate(1),
    "interpolate 3": _interpolate(3),
    "interpolate 23": _interpolate(23),
    "compose_flow 2": _compose(2),
    "compose_flow 4": _compose(4),
    "barycentrics 3": _barycentrics(3),
    "barycentrics 4": _barycentrics(4),
    "resize_flow masked, smaller": _resize("masked", 14, 21),
    "resize_flow masked, larger": _resize("masked", 50, 61),
    "resize_flow bilinear": _resize("bilinear", 20, 70),
}

ROWS = [(name, dtype) for name in CASES for dtype in (torch.float32, torch.float64)]
ROWS += [(name, torch.bfloat16) for name in CASES if name.startswith("interpolate")]


def bits(result: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    tensors = [result] if isinstance(result, Tensor) else list(result)
    return [tensor.contiguous().view(torch.uint8) for tensor in tensors if tensor.numel() > 0]


def copies(run: Callable[[], Any]) -> list[str]:
    with profile(activities=[ProfilerActivity.CPU]) as events:
        run()
    return [event.name for event in events.events() if event.name in ("aten::clone", "aten::copy_")]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "dtype"), ROWS)
def test_any_strides_give_the_same_bits(name: str, dtype: torch.dtype, layout: str) -> None:
    geometry = torch.float64 if dtype == torch.float64 else torch.float32
    for op, maps in CASES[name](Draw(geometry=geometry, features=dtype)):
        for one in [*([key] for key in maps), list(maps)]:  # each map alone, then all
            laid_out = {key: LAYOUTS[layout](value) if key in one else value for key, value in maps.items()}
            mine, plain = op(**laid_out), op(**{key: value.contiguous() for key, value in laid_out.items()})
            for a, b in zip(bits(mine), bits(plain), strict=True):
                assert torch.equal(a, b), one


@pytest.mark.parametrize("layout", ["planes", "one number for all"])
@pytest.mark.parametrize("name", CASES)
def test_no_map_is_copied(name: str, layout: str) -> None:
    for op, maps in CASES[name](Draw()):
        laid_out = {key: LAYOUTS[layout](value) for key, value in maps.items()}
        assert copies(lambda op=op, laid_out=laid_out: op(**laid_out)) == []


def test_the_gradient_of_a_sum_is_not_written_out() -> None:
    """It comes as one number, expanded."""
    shown = Draw().fragments()
    attributes = Draw().normal(60, 8).requires_grad_()
    out = OPS.interpolate(attributes, shown["faces"], shown["face_index"], shown["barycentric"])
    total = out.sum()
    assert copies(total.backward) == []
    assert attributes.grad is not None
    assert attributes.grad.count_nonzero() > 0


def test_a_copy_would_be_seen() -> None:
    assert copies(lambda: torch.ones(3, 4).mT.contiguous()) != []
