"""mesh_flow: from meshes to flow in one call."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import warpkit
from warpkit import reference

Mesh = tuple[Tensor, Tensor]


def make_sphere(rings: int = 40, spokes: int = 60, dtype: torch.dtype = torch.float32) -> Mesh:
    across = torch.linspace(1e-3, math.pi - 1e-3, rings, dtype=dtype)[:, None]
    around = torch.arange(spokes, dtype=dtype) * (2 * math.pi / spokes)
    y = across.cos().expand(rings, spokes)
    vertices = torch.stack([across.sin() * around.cos(), y, across.sin() * around.sin()], -1).reshape(-1, 3) * 0.8
    i, j = torch.arange(rings - 1)[:, None] * spokes, torch.arange(spokes)
    k = (j + 1) % spokes
    quads = torch.stack([i + j, i + k, i + spokes + k, i + spokes + j], -1).reshape(-1, 4)
    return vertices, torch.cat([quads[:, [0, 1, 3]], quads[:, [1, 2, 3]]])


def turn(vertices: Tensor, angle: float) -> Tensor:
    x, y, z = vertices.unbind(-1)
    c, s = math.cos(angle), math.sin(angle)
    return torch.stack([c * x + s * z, y, c * z - s * x], -1)


def look(vertices: Tensor) -> Tensor:
    """Clip space of a camera 2.5 in front of the origin."""
    x, y, z = vertices.unbind(-1)
    return torch.stack([1.5 * x, 1.5 * y, z + 1.5, z + 2.5], -1)


def turns(vertices: Tensor) -> Tensor:
    """Which way each face turns in the image."""
    a, b, c = vertices[FACES].unbind(1)
    return ((b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1]).sign()


def mesh_flow(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    grid, visible = warpkit.mesh_flow(*arguments, **options)
    assert visible is not None
    return grid, visible


VERTICES, FACES = make_sphere()
TARGET = turn(VERTICES, 0.1)[None]
SOURCES = torch.stack([turn(VERTICES, 0.7), turn(VERTICES, 2.0), turn(VERTICES, 0.1)])[None]


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("visibility", ["pixel", "face", None])
def test_agrees_with_rasterize_and_compose(perspective: bool, visibility: str | None) -> None:
    camera = look if perspective else Tensor.clone
    target, sources = camera(TARGET), camera(SOURCES)
    face_mask = torch.rand(1, 3, len(FACES), generator=torch.Generator().manual_seed(0)) < 0.8
    grid, visible = mesh_flow(sources, target, FACES, (70, 90), visibility=visibility, face_mask=face_mask)
    fragments = warpkit.rasterize(target, FACES, (70, 90))
    shown = None
    if visibility == "face":
        views = warpkit.rasterize(sources[0], FACES, (2048, 2048)).face_index
        shown = warpkit.visible_faces(views, len(FACES))[None]
    composed = warpkit.compose_flow(sources, FACES, fragments, source_visible=shown, face_mask=face_mask)
    assert composed.visible is not None
    if visibility == "pixel":
        assert not (visible & ~composed.visible).any()
        assert torch.equal(grid[visible], composed.grid[visible])
        assert (grid[~visible] == -2).all()
    else:
        assert torch.equal(visible, composed.visible)
        assert torch.equal(grid, composed.grid)


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("visibility", ["pixel", None])
def test_twin(perspective: bool, visibility: str | None) -> None:
    vertices, faces = make_sphere(12, 16, torch.float64)
    camera = look if perspective else Tensor.clone
    target = camera(turn(vertices, 0.1))[None]
    sources = camera(torch.stack([turn(vertices, 0.7), turn(vertices, 2.0), vertices + 0.4]))[None]
    face_mask = torch.rand(1, 3, len(faces), generator=torch.Generator().manual_seed(0)) < 0.8
    options: dict[str, Any] = {"source_size": (37, 45), "visibility": visibility, "face_mask": face_mask}
    grid, visible = mesh_flow(sources, target, faces, (40, 33), **options)
    twin = reference.mesh_flow(sources, target, faces, (40, 33), **options)
    assert twin.visible is not None
    assert torch.equal(visible, twin.visible)
    torch.testing.assert_close(grid, twin.grid)


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (150, 97)])
def test_a_surface_does_not_hide_itself(perspective: bool, size: tuple[int, int]) -> None:
    target = look(TARGET) if perspective else TARGET
    _, visible = mesh_flow(target[:, None], target, FACES, size)
    assert torch.equal(visible[:, 0], warpkit.rasterize(target, FACES, size).face_index >= 0)


@pytest.mark.parametrize("size", [128, 256])
def test_a_sphere_shows_its_near_side(size: int) -> None:
    _, visible = mesh_flow(SOURCES, TARGET, FACES, (size, size))
    face_index = warpkit.rasterize(TARGET, FACES, (size, size)).face_index[0]
    for s in range(3):
        near = (turns(SOURCES[0, s]) == turns(TARGET[0]))[face_index.clamp(min=0).long()] & (face_index >= 0)
        assert not (near & ~visible[0, s]).any()
        assert (visible[0, s] & ~near).sum() <= 0.01 * near.sum()  # at the rim


def test_what_stands_in_front_hides() -> None:
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]])
    back = torch.cat([square * 0.9, torch.full((4, 1), 0.5)], 1)
    front = torch.cat([square * 0.3, torch.full((4, 1), 0.2)], 1)
    aside = front + torch.tensor([5.0, 0.0, 0.0])
    target, source = torch.cat([back, aside])[None], torch.cat([back, front])[None, None]
    _, visible = mesh_flow(source, target, faces, (40, 40))
    x = (2 * torch.arange(40) + 1) / 40 - 1
    covered = (x.abs() < 0.3)[:, None] & (x.abs() < 0.3)
    drawn = (x.abs() < 0.9)[:, None] & (x.abs() < 0.9)
    assert torch.equal(visible[0, 0], drawn & ~covered)


def test_points_outside_the_source_frame_stay_visible() -> None:
    outside = SOURCES + torch.tensor([5.0, 0.0, 0.0])
    _, visible = mesh_flow(outside, TARGET, FACES, (32, 32))
    _, everything = mesh_flow(outside, TARGET, FACES, (32, 32), visibility=None)
    assert visible.any()
    assert torch.equal(visible, everything)


def test_not_finite_or_behind_the_camera_is_not_visible() -> None:
    sources = look(SOURCES).clone()
    sources[0, 0, : len(VERTICES) // 2] = torch.nan
    sources[0, 1, :, 3] = -1
    grid, visible = mesh_flow(sources, look(TARGET), FACES, (32, 32))
    assert grid.isfinite().all()
    assert not visible[0, 1].any()
    assert visible[0, 2].any()


@pytest.mark.parametrize("visibility", ["pixel", "face", None])
def test_images_and_sources_are_independent(visibility: str | None) -> None:
    sources = torch.cat([SOURCES, SOURCES.flip(1)])
    targets = torch.cat([TARGET, turn(TARGET, 0.4)])
    both = mesh_flow(sources, targets, FACES, (33, 47), visibility=visibility)
    for b in range(2):
        for s in range(3):
            one = mesh_flow(sources[b, s][None, None], targets[b][None], FACES, (33, 47), visibility=visibility)
            for whole, part in zip(both, one, strict=True):
                assert torch.equal(whole[b, s], part[0, 0])


def test_one_thread_as_many() -> None:
    threads = torch.get_num_threads()
    flows = []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            flows.append(mesh_flow(SOURCES, TARGET, FACES, (130, 140)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, many) for one, many in zip(*flows, strict=True))


@pytest.mark.parametrize("visibility", ["pixel", "face", None])
def test_empty(visibility: str | None) -> None:
    for sources, target, faces in (
        (SOURCES[:0], TARGET[:0], FACES),
        (SOURCES[:, :0], TARGET, FACES),
        (SOURCES, TARGET, FACES[:0]),
        (SOURCES[:, :, :0], TARGET[:, :0], FACES),
    ):
        grid, visible = mesh_flow(sources, target, faces, (5, 6), visibility=visibility)
        assert grid.shape == (*sources.shape[:2], 5, 6, 2)
        assert (grid == -2).all()
        assert not visible.any()


def test_opcheck_and_compile() -> None:
    vertices, faces = make_sphere(6, 8)
    sources, target = torch.stack([vertices, turn(vertices, 1.0)])[None], vertices[None]
    torch.library.opcheck(torch.ops.warpkit.mesh_flow.default, (sources, target, faces, 12, 10, 9, 8, "pixel", None))

    def flow(sources: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return mesh_flow(sources, target, faces, (12, 10))

    compiled = torch.compile(flow, fullgraph=True, backend="aot_eager")
    for mine, eager in zip(compiled(sources, target), flow(sources, target), strict=True):
        assert torch.equal(mine, eager)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("source_vertices", {"source_vertices": SOURCES[:, :, :5]}),
        ("source_vertices", {"source_vertices": SOURCES.half()}),
        ("source_vertices", {"source_vertices": SOURCES.double()}),
        ("target_vertices", {"target_vertices": TARGET[0]}),
        ("faces", {"faces": FACES.float()}),
        ("size", {"size": 5}),
        ("size", {"size": (0, 5)}),
        ("source_size", {"source_size": (5, -1)}),
        ("visibility", {"visibility": "depth"}),
        ("face_mask", {"face_mask": torch.ones(1, 2, len(FACES), dtype=torch.bool)}),
    ],
)
def test_errors_name_the_argument(name: str, change: dict[str, object]) -> None:
    arguments: dict[str, Any] = {
        "source_vertices": SOURCES,
        "target_vertices": TARGET,
        "faces": FACES,
        "size": (8, 8),
        **change,
    }
    with pytest.raises((ValueError, TypeError), match=f"^{name}"):
        warpkit.mesh_flow(**arguments)
