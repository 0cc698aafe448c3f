"""compose_flow and resize_flow: properties, twins, gradients, registration."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import Flow, Fragments, reference

OPS = torch.ops.warpkit


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def identity(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    y, x = ((2 * torch.arange(n, dtype=dtype) + 1) / n - 1 for n in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None, None]


class Scene:
    """A random mesh in a target and in sources."""

    def __init__(
        self,
        components: int = 3,
        batch: int = 2,
        sources: int = 2,
        faces: int = 12,
        size: tuple[int, int] = (15, 21),
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> None:
        rng = generator(seed)
        self.target = (torch.rand(batch, 10, 3, generator=rng, dtype=torch.float64) * 2 - 1).to(dtype)
        self.sources = (torch.rand(batch, sources, 10, components, generator=rng, dtype=torch.float64) * 2 - 1).to(
            dtype
        )
        if components == 4:
            self.sources[..., 3] = self.sources[..., 3].abs() + 0.2
        self.faces = torch.randint(0, 10, (faces, 3), generator=rng)
        self.source_visible = torch.rand(batch, sources, faces, generator=rng) < 0.7
        self.face_mask = torch.rand(batch, sources, faces, generator=rng) < 0.7
        self.fragments = warpkit.rasterize(self.target, self.faces, size)

    def flow(self, **options: Any) -> Flow:
        return warpkit.compose_flow(self.sources, self.faces, self.fragments, **options)


# ---- compose_flow ---------------------------------------------------------------------------------------------------


@given(
    st.integers(2, 4),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 20),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_composed_twin_agrees(
    components: int, batch: int, sources: int, faces: int, seen: bool, masked: bool, dtype: torch.dtype, seed: int
) -> None:
    scene = Scene(components, batch, sources, faces, dtype=dtype, seed=seed)
    options = {
        "source_visible": scene.source_visible if seen else None,
        "face_mask": scene.face_mask if masked else None,
    }
    mine = scene.flow(**options)
    theirs = reference.compose_flow(scene.sources, scene.faces, scene.fragments, **options)
    assert torch.equal(mine.visible, theirs.visible)  # type: ignore[arg-type]
    torch.testing.assert_close(mine.grid, theirs.grid, rtol=1e-5, atol=1e-5)


def test_composing_a_mesh_with_itself_is_identity() -> None:
    scene = Scene(size=(30, 40))
    flow = warpkit.compose_flow(scene.target[:, None], scene.faces, scene.fragments)
    assert flow.visible is not None
    shown = flow.visible[:, 0]
    assert torch.equal(shown, scene.fragments.face_index >= 0)
    expected = identity(30, 40)[0].expand(2, -1, -1, -1)
    torch.testing.assert_close(flow.grid[:, 0][shown], expected[shown], rtol=0, atol=1e-5)
    assert (flow.grid[:, 0][~shown] == -2).all()


def test_perspective_divides_sums_not_vertices() -> None:
    faces = torch.tensor([[0, 1, 2]])
    fragments = Fragments(
        torch.zeros(1, 1, 1, dtype=torch.int32), torch.tensor([[[[0.25, 0.5, 0.25]]]]), torch.zeros(1, 1, 1)
    )
    source = torch.tensor([[1.0, 0, 0, 1], [2, 4, 0, 2], [0, -4, 0, 4]])[None, None]
    flow = warpkit.compose_flow(source, faces, fragments)
    torch.testing.assert_close(flow.grid.flatten(), torch.tensor([1.25 / 2.25, 1 / 2.25]))
    behind = warpkit.compose_flow(source * torch.tensor([1, 1, 1, -1.0]), faces, fragments)
    assert not behind.visible.any()  # type: ignore[union-attr]
    assert (behind.grid == -2).all()


def test_a_vertex_that_is_not_finite_hides_its_faces_alone() -> None:
    scene = Scene()
    before = scene.flow()
    scene.sources[:, :, 3] = torch.nan
    after = scene.flow()
    face = scene.fragments.face_index.clamp(min=0).long()
    touched = (scene.faces[face] == 3).any(-1)[:, None].expand(before.grid.shape[:-1])
    assert not after.visible[touched].any()  # type: ignore[index]
    assert torch.equal(after.grid[~touched], before.grid[~touched])
    assert (after.grid[touched] == -2).all()


def test_out_of_range_faces_are_not_visible() -> None:
    scene = Scene()
    for wrong in (scene.faces + 2**32, -scene.faces - 1, scene.faces + 10):
        assert not warpkit.compose_flow(scene.sources, wrong, scene.fragments).visible.any()  # type: ignore[union-attr]
    beyond = scene.fragments._replace(face_index=torch.full_like(scene.fragments.face_index, 12))
    assert not warpkit.compose_flow(scene.sources, scene.faces, beyond).visible.any()  # type: ignore[union-attr]


def test_composing_strided_inputs() -> None:
    scene = Scene()
    flow = scene.flow(face_mask=scene.face_mask)
    strided = warpkit.compose_flow(
        scene.sources.mT.contiguous().mT,
        scene.faces.int().mT.contiguous().mT,
        scene.fragments,
        face_mask=scene.face_mask.mT.contiguous().mT,
    )
    assert torch.equal(flow.grid, strided.grid)


# ---- resize_flow ----------------------------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_resized_identity_is_identity(before: tuple[int, int], after: tuple[int, int]) -> None:
    resized = warpkit.resize_flow(Flow(identity(*before)), after)
    assert resized.visible is None
    torch.testing.assert_close(resized.grid, identity(*after), rtol=0, atol=1e-6)


@given(sizes, sizes, st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_is_not_visible_never_bleeds(
    before: tuple[int, int], after: tuple[int, int], seed: int, share: float
) -> None:
    visible = torch.rand(1, 1, *before, generator=generator(seed)) < share
    for hidden in (-2.0, torch.nan):
        grid = torch.where(visible[..., None], identity(*before), hidden)
        resized = warpkit.resize_flow(Flow(grid, visible), after)
        assert resized.visible is not None
        shown = resized.visible
        torch.testing.assert_close(resized.grid[shown], identity(*after)[shown], rtol=0, atol=1e-6)
        assert (resized.grid[~shown] == -2).all()
    if visible.all() or not visible.any():
        assert (shown == visible.all()).all()


@given(
    sizes,
    sizes,
    st.sampled_from(["masked", "bilinear"]),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_resized_twin_agrees(
    before: tuple[int, int], after: tuple[int, int], mode: Any, masked: bool, dtype: torch.dtype, seed: int
) -> None:
    rng = generator(seed)
    grid = torch.randn(2, 2, *before, 2, generator=rng, dtype=dtype).requires_grad_()
    flow = Flow(grid, torch.rand(2, 2, *before, generator=rng) < 0.6 if masked else None)
    mine, theirs = warpkit.resize_flow(flow, after, mode=mode), reference.resize_flow(flow, after, mode=mode)
    assert (mine.visible is None) == (theirs.visible is None)
    if mine.visible is not None:
        assert torch.equal(mine.visible, theirs.visible)  # type: ignore[arg-type]
    torch.testing.assert_close(mine.grid, theirs.grid, rtol=1e-5, atol=1e-5)
    gradient = torch.randn(mine.grid.shape, generator=rng, dtype=dtype)
    (a,), (b,) = (torch.autograd.grad(resized.grid, grid, gradient) for resized in (mine, theirs))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


def test_half_of_the_area_is_enough() -> None:
    visible = torch.tensor([[[[True, False], [False, True]]]])
    assert warpkit.resize_flow(Flow(identity(2, 2), visible), (1, 1)).visible.item()  # type: ignore[union-attr]
    visible[..., 1, 1] = False
    assert not warpkit.resize_flow(Flow(identity(2, 2), visible), (1, 1)).visible.item()  # type: ignore[union-attr]


@given(sizes, sizes)
@settings(max_examples=30, deadline=None)
def test_bilinear_is_the_public_resize(before: tuple[int, int], after: tuple[int, int]) -> None:
    grid = torch.randn(1, 2, *before, 2, generator=generator())
    mine = warpkit.resize_flow(Flow(grid, torch.zeros(grid.shape[:-1], dtype=torch.bool)), after, mode="bilinear")
    theirs = F.interpolate(grid[0].movedim(-1, 1), after, mode="bilinear", align_corners=True).movedim(1, -1)[None]
    assert mine.visible is None
    torch.testing.assert_close(mine.grid, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("mode", ["masked", "bilinear"])
@pytest.mark.parametrize("after", [(3, 4), (9, 11), (4, 9)])
def test_resize_gradcheck(mode: Any, after: tuple[int, int]) -> None:
    visible = torch.rand(1, 2, 6, 7, generator=generator()) < 0.6
    grid = torch.randn(1, 2, 6, 7, 2, generator=generator(), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda grid: warpkit.resize_flow(Flow(grid, visible), after, mode=mode).grid, grid)


def test_resize_of_no_image_is_empty() -> None:
    flow = Flow(torch.zeros(0, 2, 4, 5, 2, requires_grad=True), torch.zeros(0, 2, 4, 5, dtype=torch.bool))
    resized = warpkit.resize_flow(flow, (3, 7))
    assert resized.grid.shape == (0, 2, 3, 7, 2)
    assert resized.visible is not None
    assert resized.visible.shape == (0, 2, 3, 7)
    resized.grid.sum().backward()


# ---- registration ---------------------------------------------------------------------------------------------------

SCENE = Scene()
FLOW = SCENE.flow()
CALLS = {
    "compose_flow": (OPS.compose_flow.default, (SCENE.sources, SCENE.faces, *SCENE.fragments[:2], None, None)),
    "compose_flow with flags": (
        OPS.compose_flow.default,
        (SCENE.sources, SCENE.faces, *SCENE.fragments[:2], SCENE.source_visible, SCENE.face_mask),
    ),
    "resize_flow": (OPS.resize_flow.default, (*FLOW, 7, 5, "masked")),
    "resize_flow differentiable": (
        OPS.resize_flow.default,
        (FLOW.grid.clone().requires_grad_(), None, 7, 5, "bilinear"),
    ),
    "resize_flow_backward": (
        OPS.resize_flow_backward.default,
        (torch.ones(2, 2, 7, 5, 2), FLOW.visible, 15, 21, "masked"),
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


def levels(sources: Tensor, grid: Tensor) -> tuple[Tensor | None, ...]:
    flow = warpkit.compose_flow(sources, SCENE.faces, SCENE.fragments, face_mask=SCENE.face_mask)
    return *flow, *warpkit.resize_flow(Flow(grid, flow.visible), (6, 7)), *warpkit.resize_flow(Flow(grid), (30, 31))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(dynamic: bool) -> None:
    compiled = torch.compile(levels, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for mine, eager in zip(compiled(SCENE.sources, FLOW.grid), levels(SCENE.sources, FLOW.grid), strict=True):
        assert (mine is None) == (eager is None)
        assert mine is None or torch.equal(mine, eager)  # type: ignore[arg-type]


def test_exports_and_saves(tmp_path: Any) -> None:
    class Levels(torch.nn.Module):
        def forward(self, grid: Tensor, visible: Tensor) -> Flow:
            return warpkit.resize_flow(Flow(grid, visible), (6, 7))

    torch.export.save(torch.export.export(Levels(), tuple(FLOW)), tmp_path / "levels.pt2")
    resized = torch.export.load(tmp_path / "levels.pt2").module()(*FLOW)
    assert isinstance(resized, Flow)
    assert torch.equal(resized.grid, warpkit.resize_flow(FLOW, (6, 7)).grid)


def compose(**changes: Any) -> Flow:
    arguments = {"source_vertices": SCENE.sources, "faces": SCENE.faces, "target": SCENE.fragments, **changes}
    return warpkit.compose_flow(**arguments)


BAD_CALLS = {
    "source_vertices: expected a tensor": lambda: compose(source_vertices=SCENE.sources.half()),
    "source_vertices: expected shape": lambda: compose(source_vertices=SCENE.sources[0]),
    "source_vertices: expected batch": lambda: compose(source_vertices=SCENE.sources[:1]),
    "faces: expected a tensor": lambda: compose(faces=SCENE.faces.float()),
    "target: expected": lambda: compose(target=SCENE.fragments.face_index),
    "target.face_index: expected": lambda: compose(target=SCENE.fragments._replace(face_index=SCENE.faces)),
    "target.barycentric: expected a tensor": lambda: compose(source_vertices=SCENE.sources.double()),
    "source_visible: expected a tensor": lambda: compose(source_visible=SCENE.source_visible.float()),
    "source_visible: expected shape": lambda: compose(source_visible=SCENE.source_visible[0]),
    "face_mask: expected shape": lambda: compose(face_mask=SCENE.face_mask[..., :3]),
    "faces: expected on": lambda: compose(faces=SCENE.faces.to("meta")),
    "flow: expected": lambda: warpkit.resize_flow(FLOW.grid, (3, 3)),  # type: ignore[arg-type]
    "flow.grid: expected": lambda: warpkit.resize_flow(Flow(FLOW.grid.half()), (3, 3)),
    "flow's height and width": lambda: warpkit.resize_flow(Flow(FLOW.grid[:, :, :0]), (3, 3)),
    "size: expected": lambda: warpkit.resize_flow(FLOW, (3, 0)),
    "mode: expected": lambda: warpkit.resize_flow(FLOW, (3, 3), mode="nearest"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()


def test_saved_flows_and_fragments_load_as_weights(tmp_path: Any) -> None:
    fragments = warpkit.rasterize(torch.randn(1, 6, 3), torch.tensor([[0, 1, 2], [3, 4, 5]]), (4, 5))
    saved = {"flow": Flow(torch.randn(1, 2, 4, 5, 2), torch.rand(1, 2, 4, 5) < 0.5), "fragments": fragments}
    torch.save(saved, tmp_path / "saved.pt")
    loaded = torch.load(tmp_path / "saved.pt", weights_only=True)
    assert type(loaded["flow"]) is Flow
    assert type(loaded["fragments"]) is warpkit.Fragments
    for name, parts in saved.items():
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded[name], parts, strict=True))
