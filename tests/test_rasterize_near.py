"""Clipping of [B, V, 4] faces at the near plane."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import reference

fast = settings(max_examples=30, deadline=None)


def clip_space(points: Tensor, *, focal: float = 1.0) -> Tensor:
    """``[..., 3]`` camera space (x right, y down, z ahead) to clip space ``[..., 4]`` with w = z and depth -1 / z."""
    x, y, z = points.unbind(-1)
    return torch.stack([focal * x, focal * y, -torch.ones_like(z), z], -1)


def rays(size: tuple[int, int], *, focal: float = 1.0) -> Tensor:
    """Directions through the pixels' centres with z = 1: ``[H, W, 3]`` float64."""
    height, width = size
    y = ((2 * torch.arange(height).double() + 1) / height - 1) / focal
    x = ((2 * torch.arange(width).double() + 1) / width - 1) / focal
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width)], -1)


def hit(triangle: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays from the origin meet the plane of a triangle ``[3, 3]``: barycentrics ``[H, W, 3]``, z ``[H, W]``."""
    solution = torch.linalg.solve(triangle.double().T, directions[..., None])[..., 0]  # sum of c_k v_k = direction
    return solution / solution.sum(-1, keepdim=True), 1 / solution.sum(-1)


def crossing_triangles(seed: int, count: int) -> Tensor:
    """Triangles ``[count, 3, 3]`` with corners on both sides of the camera plane."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(20 * count, 3, 3, generator=generator, dtype=torch.float64)
    crossing = (points[..., 2] > 0.2).any(1) & (points[..., 2] < 0).any(1)
    seen_from_the_side = torch.linalg.det(points).abs() < 0.05
    return points[crossing & ~seen_from_the_side][:count]


def signed_coverage(vertices: Tensor, faces: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """How often each pixel is covered by faces drawn one by one: front faces count +1, back faces -1."""
    corners, one = vertices[faces], torch.tensor([[0, 1, 2]])
    front, back = (
        warpkit.rasterize(corners, one, size, cull=side, near=near).face_index >= 0 for side in ("back", "front")
    )
    return front.long().sum(0) - back.long().sum(0)


@pytest.mark.parametrize("near", [1e-4, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_a_cut_face_covers_what_rays_hit_in_front_of_the_near_plane(seed: int, near: float) -> None:
    size = (48, 64)
    for triangle in crossing_triangles(seed, 20):
        drawn = warpkit.rasterize(clip_space(triangle)[None], torch.tensor([[0, 1, 2]]), size, near=near)[0][0] >= 0
        barycentric, z = hit(triangle, rays(size))
        margin = torch.minimum(barycentric.amin(-1), (z - near) / z.abs())
        decided = margin.abs() > 2e-3  # rays within a snapped unit or so of an edge may go either way
        assert torch.equal(drawn[decided], (margin > 0)[decided])
        assert decided.double().mean() > 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("near", [1e-4, 0.1])
def test_barycentrics_and_depth_of_a_cut_face_are_those_of_rays(near: float, dtype: torch.dtype) -> None:
    size, pixels = (48, 64), 0
    for triangle in crossing_triangles(0, 30):
        vertices = clip_space(triangle.to(dtype))
        vertices[:, 2] = torch.tensor([0.3, -0.7, 0.9])
        face_index, mine, depth = warpkit.rasterize(vertices[None], torch.tensor([[0, 1, 2]]), size, near=near)
        expected, z = hit(triangle.to(dtype), rays(size))
        inside = (face_index[0] >= 0) & (expected.amin(-1) > 0)  # outside by snapping: clamped
        expected_depth = (expected * vertices[:, 2].double()).sum(-1) / z
        tolerance = 1e-9 if dtype == torch.float64 else 1e-4
        torch.testing.assert_close(mine[0][inside].double(), expected[inside], rtol=0, atol=tolerance)
        torch.testing.assert_close(depth[0][inside].double(), expected_depth[inside], rtol=10 * tolerance, atol=1e-4)
        pixels += int(inside.sum())
    assert pixels > 1000


def test_a_floor_that_passes_under_the_camera_fills_the_lower_half() -> None:
    floor = torch.tensor([[-100.0, 1, -50], [100, 1, -50], [-100, 1, 1e4], [100, 1, 1e4]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    face_index = warpkit.rasterize(clip_space(floor)[None], faces, (64, 64)).face_index[0]
    assert (face_index[33:] >= 0).all()
    assert (face_index[:32] == -1).all()


@given(seed=st.integers(0, 10**6), near=st.sampled_from([1e-4, 0.05, 0.5]), size=st.sampled_from([(24, 40), (33, 17)]))
@fast
def test_a_closed_surface_round_the_camera_covers_every_pixel_once(
    seed: int, near: float, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    cube = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    cube = cube * 3 + 0.5 * torch.randn(8, 3, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    if torch.linalg.det(turn) < 0:
        turn[:, 0] = -turn[:, 0]
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = torch.tensor([[q[a], q[b], q[c]] for q in quads for a, b, c in ((0, 1, 2), (0, 2, 3))])
    coverage = signed_coverage(clip_space(cube @ turn), faces, size, near)
    assert (coverage == coverage[0, 0]).all()
    assert coverage[0, 0].abs() == 1


@given(seed=st.integers(0, 10**6), near=st.sampled_from([1e-3, 0.3]))
@fast
def test_neighbours_that_are_cut_share_every_pixel_of_their_edge(seed: int, near: float) -> None:
    """A fan round a vertex ahead, its rim behind the camera and outside the image, leaves no hole and no double."""
    generator = torch.Generator().manual_seed(seed)
    count = 7
    angle = torch.arange(count) * (2 * torch.pi / count) + 0.5 * torch.rand(count, generator=generator)
    rim = torch.stack([9 * angle.cos(), 9 * angle.sin(), -torch.rand(count, generator=generator)], -1)
    hub = torch.tensor([[0.05, -0.1, 2.0]])
    faces = torch.tensor([[0, 1 + k, 1 + (k + 1) % count] for k in range(count)])
    for turned in (faces, faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]):
        coverage = signed_coverage(clip_space(torch.cat([hub, rim])), turned, (40, 30), near)
        assert (coverage == coverage[0, 0]).all()
        assert coverage[0, 0].abs() == 1


@pytest.mark.parametrize("near", [1e-4, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(1, 90), st.integers(1, 150)),
    cull=st.sampled_from([None, "back", "front"]),
)
@fast
def test_a_mesh_that_is_cut_equals_its_twin(
    near: float, dtype: torch.dtype, seed: int, size: tuple[int, int], cull: Any
) -> None:
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randn(2, 20, 4, generator=generator).to(dtype)
    faces = torch.randint(0, 20, (30, 3), generator=generator)
    mine, twin = (op(vertices, faces, size, cull=cull, near=near) for op in (warpkit.rasterize, reference.rasterize))
    assert torch.equal(mine.face_index, twin.face_index)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(mine.barycentric, twin.barycentric, rtol=0, atol=tolerance)
    torch.testing.assert_close(mine.depth, twin.depth, rtol=1e3 * tolerance, atol=tolerance / near)
    again = warpkit.barycentrics(vertices, faces, mine.face_index, near=near)
    assert torch.equal(again[0], mine.barycentric)
    assert torch.equal(again[1], mine.depth)


def test_cull_goes_by_the_turn_of_what_is_in_front() -> None:
    triangle = clip_space(crossing_triangles(5, 1)[0])
    drawn = {}
    for name, order in {"as it is": [0, 1, 2], "turned round": [0, 2, 1], "begun elsewhere": [1, 2, 0]}.items():
        for cull in ("back", "front"):
            face_index = warpkit.rasterize(triangle[None, order], torch.tensor([[0, 1, 2]]), (40, 40), cull=cull)[0]
            drawn[name, cull] = bool((face_index >= 0).any())
    assert drawn["as it is", "back"] != drawn["as it is", "front"]
    for cull, other in (("back", "front"), ("front", "back")):
        assert drawn["turned round", cull] == drawn["as it is", other]
        assert drawn["begun elsewhere", cull] == drawn["as it is", cull]


def test_a_face_behind_the_near_plane_draws_nothing() -> None:
    vertices = torch.tensor([[[-1.0, -1, 1, 1], [3, -1, 1, 1], [-1, 3, 1, 0.05]]])
    faces = torch.tensor([[0, 1, 2]])
    assert (warpkit.rasterize(vertices, faces, (8, 8), near=1.5).face_index == -1).all()
    assert (warpkit.rasterize(-vertices, faces, (8, 8)).face_index == -1).all()


def test_a_larger_near_cuts_more_away() -> None:
    triangle = clip_space(torch.tensor([[-1.0, 0.5, 0.2], [1.0, 0.5, 0.2], [0.0, 0.5, 9.0]]))[None]
    counts = []
    for near in (0.1, 0.7, 1.0, 3.0, 9.5):
        face_index = warpkit.rasterize(triangle, torch.tensor([[0, 1, 2]]), (64, 64), near=near).face_index
        counts.append(int((face_index >= 0).sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > counts[3] > counts[4] == 0


def test_a_cut_face_whose_hidden_corner_is_not_finite_draws_nothing() -> None:
    triangle = clip_space(crossing_triangles(5, 1)[0])
    hidden = int(triangle[:, 3].argmin())
    for component, value in itertools.product(range(4), (float("nan"), float("inf"), -float("inf"))):
        broken = triangle.clone()
        broken[hidden, component] = value
        assert (warpkit.rasterize(broken[None], torch.tensor([[0, 1, 2]]), (40, 40)).face_index == -1).all()


@pytest.mark.parametrize("visibility", ["pixel", None])
@given(seed=st.integers(0, 10**6))
@fast
def test_mesh_flow_of_meshes_that_are_cut_equals_its_twin(visibility: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(1, 20, 4, generator=generator, dtype=torch.float64)
    sources = torch.randn(1, 2, 20, 4, generator=generator, dtype=torch.float64)
    faces = torch.randint(0, 20, (25, 3), generator=generator)
    mine, twin = (
        op(sources, target, faces, (24, 30), visibility=visibility) for op in (warpkit.mesh_flow, reference.mesh_flow)
    )
    assert torch.equal(mine.visible, twin.visible)
    torch.testing.assert_close(mine.grid, twin.grid, rtol=1e-9, atol=1e-9)
