"""Every op as a row of one table, which the tests on the CPU and on CUDA, the sanitizers and the fuzzer walk over.

A row says how to make an op's inputs and how to call it; `run` gives outputs and gradients, `check_same` compares two.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import warpkit
from warpkit import Flow, Fragments


@dataclass(frozen=True)
class Sizes:
    batch: int = 2
    sources: int = 3
    vertices: int = 60
    faces: int = 90
    channels: int = 8
    height: int = 33
    width: int = 46
    source_height: int = 25
    source_width: int = 38

    @property
    def target(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def source(self) -> tuple[int, int]:
        return self.source_height, self.source_width


TINY = Sizes(1, 2, 12, 10, 3, 9, 11, 7, 8)


@dataclass
class Draw:
    """Random inputs of given sizes and dtypes, the same for the same seed."""

    sizes: Sizes = field(default_factory=Sizes)
    geometry: torch.dtype = torch.float32
    features: torch.dtype = torch.float32
    seed: int = 0

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.randn(*shape, generator=self.generator).to(dtype or self.geometry)

    def flags(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator) < 0.8

    def vertices(self, *lead: int, components: int = 3) -> Tensor:
        """Spread over the image and beyond its edges; with w, some lie behind the near plane."""
        vertices = self.normal(*lead, self.sizes.vertices, components, dtype=torch.float64) * 0.8
        if components == 4:
            vertices[..., 3] = vertices[..., 3].abs() * 2 + 0.3
            vertices[..., ::7, 3] *= -1
        return vertices.to(self.geometry)

    def faces(self) -> Tensor:
        """Indices, a few of them out of range, which draw nothing."""
        count = self.sizes.vertices
        return torch.randint(-1, max(count, 1) + 1, (self.sizes.faces, 3), generator=self.generator)

    def fragments(self, components: int = 3) -> dict[str, Tensor]:
        """What a target shows: faces, face_index, barycentric."""
        faces = self.faces()
        vertices = self.vertices(self.sizes.batch, components=components)
        shown = warpkit.rasterize(vertices, faces, self.sizes.target)
        return {"faces": faces, "face_index": shown.face_index, "barycentric": shown.barycentric}

    def grid(self) -> Tensor:
        """Mostly inside the source, some outside, some not finite."""
        sizes = self.sizes
        grid = self.normal(sizes.batch, sizes.sources, *sizes.target, 2) * 0.7
        for index, value in enumerate((torch.nan, torch.inf, 2e6, -1.0, 1.0)):
            grid.view(-1)[11 * index + 1 : 11 * index + 2] = value
        return grid

    def visible(self) -> Tensor:
        return self.flags(self.sizes.batch, self.sizes.sources, *self.sizes.target)

    def image(self, *lead: int, channels: int | None = None, target: bool = False) -> Tensor:
        """Features of that dtype: [*lead, C, h, w], of the sources' size or of the target's."""
        sizes = self.sizes
        channels = sizes.channels if channels is None else channels
        return self.normal(*lead, channels, *(sizes.target if target else sizes.source), dtype=self.features)


Make = Callable[[Draw], dict[str, Tensor]]


@dataclass(frozen=True)
class Case:
    name: str
    make: Make
    call: Callable[..., Any]
    """call(sizes, **inputs): a tensor, or a tuple of tensors and None."""
    differentiable: tuple[str, ...] = ()
    """Inputs that have a gradient."""
    features: bool = False
    """Whether it reads features, which come in more dtypes than geometry."""
    may_turn: int | None = None
    """The output (a mask) where a comparison of depths may fall otherwise by rounding."""

    def inputs(self, draw: Draw, device: str | torch.device = "cpu", layout: str = "contiguous") -> dict[str, Tensor]:
        return {name: laid_out(tensor.to(device), layout) for name, tensor in self.make(draw).items()}

    def __str__(self) -> str:
        return self.name


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The same values in another layout, where the tensor has the dimensions for it; "expanded" repeats the first."""
    if layout == "channels_last" and tensor.dim() >= 4:
        return tensor.movedim(-3, -1).contiguous().movedim(-1, -3)
    if layout == "transposed" and tensor.dim() >= 2:
        return tensor.mT.contiguous().mT
    if layout == "strided" and tensor.dim() >= 1:
        return torch.stack([tensor, tensor], -1)[..., 0]
    if layout == "expanded" and tensor.dim() >= 3:
        return tensor[:1].expand_as(tensor)
    return tensor


LAYOUTS = ("contiguous", "channels_last", "transposed", "strided", "expanded")


def pattern(like: Tensor) -> Tensor:
    """Numbers between -0.5 and 0.5, the same on every device."""
    number = torch.arange(like.numel(), device=like.device) * 7919 % 1009
    return (number.float() / 1009 - 0.5).to(like.dtype).reshape(like.shape)


def run(
    case: Case, sizes: Sizes, inputs: dict[str, Tensor], gradients: Callable[[Tensor], Tensor] = pattern
) -> list[Tensor]:
    """Outputs, then the gradients of the differentiable inputs under `gradients` of the outputs.

    Nothing here waits for the device or copies to it, so a run can be captured in a CUDA graph.
    """
    leaves = {name: tensor.detach().requires_grad_(name in case.differentiable) for name, tensor in inputs.items()}
    result = case.call(sizes, **leaves)
    outputs = [result] if isinstance(result, Tensor) else [part for part in result if part is not None]
    followed = [output for output in outputs if output.requires_grad]
    found = [output.detach() for output in outputs]
    if followed:
        wanted = [leaves[name] for name in case.differentiable]
        found += torch.autograd.grad(followed, wanted, [gradients(output) for output in followed])
    return found


ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 4e-2}
"""How far two ways of summing may differ, as a share of a tensor's largest value."""


def check_same(case: Case, mine: list[Tensor], other: list[Tensor]) -> None:
    """Integers and masks are equal, numbers within rounding, and strides and dtypes the same."""
    assert len(mine) == len(other)
    outputs, same = mine, torch.tensor(True)
    if case.may_turn is not None:
        same = mine[case.may_turn].cpu() == other[case.may_turn].cpu()
        if not same.all():
            assert same.double().mean() > 0.999
            outputs = mine[: case.may_turn]  # sums hold what was turned
    for number, (one, two) in enumerate(zip(outputs, other, strict=False)):
        assert one.dtype == two.dtype
        one, two = one.cpu(), two.cpu()
        if not one.is_floating_point():
            assert torch.equal(one, two), f"{case}: output {number}"
            continue
        if not same.all():
            one, two = one[same], two[same]
        finite = two[two.isfinite()].abs()
        most = finite.max().item() if finite.numel() else 1.0
        rounding = ROUNDING[one.dtype]
        torch.testing.assert_close(
            one, two, rtol=rounding, atol=rounding * max(most, 1e-6), equal_nan=True, msg=lambda text: f"{case}: {text}"
        )


def _rasterize(components: int, **options: Any) -> tuple[Make, Callable[..., Any]]:
    def make(draw: Draw) -> dict[str, Tensor]:
        return {"vertices": draw.vertices(draw.sizes.batch, components=components), "faces": draw.faces()}

    return make, lambda sizes, vertices, faces: warpkit.rasterize(vertices, faces, sizes.target, **options)


def _make_barycentrics(draw: Draw) -> dict[str, Tensor]:
    vertices, faces = draw.vertices(draw.sizes.batch, components=4), draw.faces()
    return {
        "vertices": vertices,
        "faces": faces,
        "face_index": warpkit.rasterize(vertices, faces, draw.sizes.target).face_index,
    }


def _make_interpolate(draw: Draw, shared: bool) -> dict[str, Tensor]:
    lead = () if shared else (draw.sizes.batch,)
    return {"attributes": draw.normal(*lead, draw.sizes.vertices, 5, dtype=draw.features), **draw.fragments()}


def _interpolate(sizes: Sizes, attributes: Tensor, faces: Tensor, face_index: Tensor, barycentric: Tensor) -> Tensor:
    return warpkit.interpolate(attributes, faces, Fragments(face_index, barycentric, barycentric[..., 0]))


def _make_compose(draw: Draw, components: int, masked: bool) -> dict[str, Tensor]:
    sizes = draw.sizes
    made = {
        "source_vertices": draw.vertices(sizes.batch, sizes.sources, components=components),
        **draw.fragments(4 if components == 4 else 3),
    }
    if masked:
        made["source_visible"] = draw.flags(sizes.batch, sizes.sources, sizes.faces)
        made["face_mask"] = draw.flags(sizes.batch, sizes.sources, sizes.faces)
    return made


def _compose(
    sizes: Sizes, source_vertices: Tensor, faces: Tensor, face_index: Tensor, barycentric: Tensor, **masks: Tensor
) -> Flow:
    fragments = Fragments(face_index, barycentric, barycentric[..., 0])
    return warpkit.compose_flow(source_vertices, faces, fragments, **masks)


def _mesh_flow(components: int, visibility: Any) -> tuple[Make, Callable[..., Any]]:
    def make(draw: Draw) -> dict[str, Tensor]:
        sizes = draw.sizes
        return {
            "source_vertices": draw.vertices(sizes.batch, sizes.sources, components=components),
            "target_vertices": draw.vertices(sizes.batch, components=components),
            "faces": draw.faces(),
            "face_mask": draw.flags(sizes.batch, sizes.sources, sizes.faces),
        }

    def call(sizes: Sizes, source_vertices: Tensor, target_vertices: Tensor, faces: Tensor, face_mask: Tensor) -> Flow:
        return warpkit.mesh_flow(
            source_vertices,
            target_vertices,
            faces,
            sizes.target,
            source_size=sizes.source,
            visibility=visibility,
            face_mask=face_mask,
        )

    return make, call


def _make_flow(draw: Draw) -> dict[str, Tensor]:
    return {"grid": draw.grid().nan_to_num(0, 0, 0).clamp(-3, 3), "visible": draw.visible()}


def _make_warp(draw: Draw, channels: int | None = None, masked: bool = True) -> dict[str, Tensor]:
    sizes = draw.sizes
    made = {"features": draw.image(sizes.batch, sizes.sources, channels=channels), "grid": draw.grid()}
    if masked:
        made["visible"] = draw.visible()
    return made


def _warp(sizes: Sizes, features: Tensor, grid: Tensor, visible: Tensor | None = None) -> Tensor:
    return warpkit.warp(features, Flow(grid, visible))


def _make_reduce(draw: Draw, channels: int | None = None, weighted: bool = False) -> dict[str, Tensor]:
    made = _make_warp(draw, channels)
    if weighted:
        made["weights"] = draw.normal(draw.sizes.batch, draw.sizes.sources, *draw.sizes.target, dtype=draw.features)
    return made


def _make_attention(
    draw: Draw, channels: int | None = None, masked: bool = True, value: bool = False
) -> dict[str, Tensor]:
    sizes = draw.sizes
    made = {**_make_warp(draw, channels, masked), "query": draw.image(sizes.batch, channels=channels, target=True)}
    if value:
        made["value"] = draw.image(sizes.batch, sizes.sources, channels=5)
    return made


def _reduce(
    sizes: Sizes, features: Tensor, grid: Tensor, visible: Tensor, weights: Tensor | None = None, reduce: str = "sum"
) -> Tensor:
    return warpkit.warp_reduce(features, Flow(grid, visible), reduce, weights)


def _mean(sizes: Sizes, **inputs: Tensor) -> Tensor:
    return _reduce(sizes, **inputs, reduce="mean")


def _attend(
    sizes: Sizes,
    features: Tensor,
    grid: Tensor,
    query: Tensor,
    visible: Tensor | None = None,
    value: Tensor | None = None,
) -> Tensor:
    return warpkit.warp_attention(query, features, Flow(grid, visible), value=value)


def _make_antialias(draw: Draw, components: int) -> dict[str, Tensor]:
    vertices, faces = draw.vertices(draw.sizes.batch, components=components), draw.faces()
    face_index, _, depth = warpkit.rasterize(vertices, faces, draw.sizes.target)
    return {
        "image": draw.image(draw.sizes.batch, target=True),
        "face_index": face_index,
        "depth": depth,
        "vertices": vertices,
        "faces": faces,
        "neighbours": warpkit.face_neighbours(faces),
    }


def _antialias(
    sizes: Sizes, image: Tensor, face_index: Tensor, depth: Tensor, vertices: Tensor, faces: Tensor, neighbours: Tensor
) -> Tensor:
    fragments = Fragments(face_index, torch.zeros_like(depth), depth)
    return warpkit.antialias(image, fragments, vertices, faces, neighbours=neighbours)


def _resize(size: Callable[[Sizes], tuple[int, int]], mode: Any) -> Callable[..., Any]:
    return lambda sizes, grid, visible: warpkit.resize_flow(Flow(grid, visible), size(sizes), mode=mode)


def _twice(sizes: Sizes) -> tuple[int, int]:
    return 2 * sizes.height + 1, 2 * sizes.width


def _third(sizes: Sizes) -> tuple[int, int]:
    return sizes.height // 3 + 1, sizes.width // 3 + 1


CASES = (
    Case("rasterize affine", *_rasterize(3), ("vertices",)),
    Case("rasterize perspective", *_rasterize(4), ("vertices",)),
    Case("rasterize without back faces", *_rasterize(3, cull="back"), ("vertices",)),
    Case("rasterize cut by a far near plane", *_rasterize(4, near=0.7), ("vertices",)),
    Case("barycentrics", _make_barycentrics, lambda sizes, **inputs: warpkit.barycentrics(**inputs), ("vertices",)),
    Case(
        "visible_faces",
        lambda draw: {"face_index": draw.fragments()["face_index"]},
        lambda sizes, face_index: warpkit.visible_faces(face_index, sizes.faces),
    ),
    Case("interpolate", lambda draw: _make_interpolate(draw, False), _interpolate, ("attributes", "barycentric"), True),
    Case(
        "interpolate shared",
        lambda draw: _make_interpolate(draw, True),
        _interpolate,
        ("attributes", "barycentric"),
        True,
    ),
    Case("compose_flow 2", lambda draw: _make_compose(draw, 2, False), _compose, ("source_vertices", "barycentric")),
    Case(
        "compose_flow 3 masked", lambda draw: _make_compose(draw, 3, True), _compose, ("source_vertices", "barycentric")
    ),
    Case("compose_flow 4", lambda draw: _make_compose(draw, 4, False), _compose, ("source_vertices", "barycentric")),
    Case("mesh_flow affine by pixel", *_mesh_flow(3, "pixel"), ("source_vertices", "target_vertices"), may_turn=1),
    Case("mesh_flow perspective by pixel", *_mesh_flow(4, "pixel"), ("source_vertices", "target_vertices"), may_turn=1),
    Case("mesh_flow by face", *_mesh_flow(3, "face"), ("source_vertices", "target_vertices")),
    Case("mesh_flow all visible", *_mesh_flow(4, None), ("source_vertices", "target_vertices")),
    Case("resize_flow masked, larger", _make_flow, _resize(_twice, "masked"), ("grid",)),
    Case("resize_flow masked, smaller", _make_flow, _resize(_third, "masked"), ("grid",)),
    Case("resize_flow bilinear", _make_flow, _resize(_third, "bilinear"), ("grid",)),
    Case("warp", _make_warp, _warp, ("features", "grid"), True),
    Case("warp 1 channel", lambda draw: _make_warp(draw, 1), _warp, ("features", "grid"), True),
    Case("warp 3 channels", lambda draw: _make_warp(draw, 3), _warp, ("features", "grid"), True),
    Case("warp 70 channels, all visible", lambda draw: _make_warp(draw, 70, False), _warp, ("features", "grid"), True),
    Case("warp_reduce", _make_reduce, _reduce, ("features", "grid"), True),
    Case(
        "warp_reduce mean, weighted",
        lambda draw: _make_reduce(draw, 3, True),
        _mean,
        ("features", "grid", "weights"),
        True,
    ),
    Case("warp_reduce 70 channels", lambda draw: _make_reduce(draw, 70), _reduce, ("features", "grid"), True),
    Case("warp_attention", _make_attention, _attend, ("query", "features", "grid"), True),
    Case(
        "warp_attention with values",
        lambda draw: _make_attention(draw, value=True),
        _attend,
        ("query", "features", "grid", "value"),
        True,
    ),
    Case(
        "warp_attention 70 channels, all visible",
        lambda draw: _make_attention(draw, 70, False),
        _attend,
        ("query", "features", "grid"),
        True,
    ),
    Case("antialias affine", lambda draw: _make_antialias(draw, 3), _antialias, ("image", "vertices"), True),
    Case("antialias perspective", lambda draw: _make_antialias(draw, 4), _antialias, ("image", "vertices"), True),
)


def dtypes(case: Case) -> list[tuple[torch.dtype, torch.dtype]]:
    """(geometry, features) that a case comes in."""
    double = (torch.float64, torch.float64)
    halves = [(torch.float32, torch.bfloat16), (torch.float32, torch.float16)] if case.features else []
    return [(torch.float32, torch.float32), *halves, double]
