"""rasterize, barycentrics and visible_faces: coverage, order, values."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

import warpkit
from warpkit import reference

fast = settings(max_examples=30, deadline=None)


def to_ndc(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """``[..., 2]`` pixels (x right, y down) to NDC."""
    height, width = size
    return pixels * 2 / torch.tensor([width, height], dtype=pixels.dtype) - 1


def random_mesh(seed: int, *, batch: int = 1, num_faces: int = 30, components: int = 3, spread: float = 0.8) -> Any:
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randn(batch, 20, components, generator=generator) * spread
    if components == 4:
        vertices[..., 3] = vertices[..., 3].abs() + 0.2
    return vertices, torch.randint(0, 20, (num_faces, 3), generator=generator)


def assert_same(a: warpkit.Fragments, b: warpkit.Fragments) -> None:
    for name, mine, other in zip(a._fields, a, b, strict=True):
        assert torch.equal(mine, other), name


def signed_coverage(pixels: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """How often each pixel is covered: faces drawn one by one, front faces count +1, back faces -1."""
    corners = to_ndc(pixels, size)[faces]  # [F, 3, 2]
    vertices = torch.cat([corners, torch.ones_like(corners[..., :1])], dim=-1)
    one = torch.tensor([[0, 1, 2]])
    front, back = (warpkit.rasterize(vertices, one, size, cull=side).face_index >= 0 for side in ("back", "front"))
    return front.sum(0) - back.sum(0)


def grid_faces(rows: int, columns: int) -> Tensor:
    faces = []
    for i, j in itertools.product(range(rows - 1), range(columns - 1)):
        a, b, c, d = (i * columns + j, i * columns + j + 1, (i + 1) * columns + j, (i + 1) * columns + j + 1)
        faces += [[a, c, b], [b, c, d]]
    return torch.tensor(faces)


# ---- coverage -------------------------------------------------------------------------------------------------------

UNITS = {"half pixels: on centres and corners": 2, "snapped units": 256, "finer than snapped": 1000}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
@pytest.mark.parametrize("frame", [10, 5_000_000], ids=["near", "beyond 2^22 pixels"])
@given(data=st.data(), size=st.tuples(st.integers(1, 40), st.integers(1, 70)))
@fast
def test_closed_grid_covers_every_pixel_once(unit: int, frame: int, data: st.DataObject, size: tuple[int, int]) -> None:
    rows, columns = 4, 5
    reach = (max(size) + 10) * unit
    inside = data.draw(hnp.arrays("int64", (rows, columns, 2), elements=st.integers(-reach, reach)))
    pixels = torch.from_numpy(inside).double() / unit
    # The frame of the grid lies outside the image and is straight; what is inside it may lie, and fold, anyhow.
    height, width = size
    pixels[0, :, 1], pixels[-1, :, 1] = -frame, height + frame
    pixels[:, 0, 0], pixels[:, -1, 0] = -frame, width + frame
    pixels[0, :, 0] = pixels[-1, :, 0] = torch.linspace(-frame, width + frame, columns, dtype=torch.float64)
    pixels[:, 0, 1] = pixels[:, -1, 1] = torch.linspace(-frame, height + frame, rows, dtype=torch.float64)
    assert (signed_coverage(pixels.reshape(-1, 2), grid_faces(rows, columns), size) == 1).all()


def test_vertices_beyond_any_pixel_grid_still_cover_once() -> None:
    far = 2.0**50
    pixels = torch.tensor([[-far, -far], [far, -far], [-far, far], [far, far], [3.5, 2.5]], dtype=torch.float64)
    faces = torch.tensor([[0, 4, 1], [1, 4, 3], [3, 4, 2], [2, 4, 0]])
    assert (signed_coverage(pixels, faces, (6, 9)) == 1).all()


def test_shared_edge_on_pixel_centres_belongs_to_one_face() -> None:
    pixels = torch.tensor([[0.5, 0.5], [4.5, 0.5], [0.5, 4.5], [4.5, 4.5]], dtype=torch.float64)
    coverage = signed_coverage(pixels, torch.tensor([[0, 2, 1], [1, 2, 3]]), (6, 6))
    # Top-left rule: centres on the top and left border are in, on the right and bottom border out.
    expected = torch.zeros(6, 6, dtype=torch.int64)
    expected[:4, :4] = 1
    assert torch.equal(coverage, expected)


@pytest.mark.parametrize("size", [(4096, 4096), (1, 1), (1023, 77), (33, 65), (1, 3000)])
def test_frame_is_covered_whole_at_any_size(size: tuple[int, int]) -> None:
    pixels = torch.tensor([[-1.0, -1.0], [1.3, -1.0], [-1.0, 1.2], [1.3, 1.2]], dtype=torch.float64)
    vertices = torch.cat([pixels, torch.ones(4, 1)], dim=1)[None].float()
    face_index = warpkit.rasterize(vertices, torch.tensor([[0, 2, 1], [1, 2, 3]]), size).face_index
    assert (face_index >= 0).all()


def test_cull_front_is_counter_clockwise_as_seen() -> None:
    triangle = torch.tensor([[[-0.5, 0.5, 1.0], [0.5, 0.5, 1.0], [0.0, -0.5, 1.0]]])  # lower left, lower right, top
    faces = torch.tensor([[0, 1, 2]])
    drawn = {
        cull: bool((warpkit.rasterize(triangle, faces, (8, 8), cull=cull)[0] >= 0).any())
        for cull in (None, "back", "front")
    }
    assert drawn == {None: True, "back": True, "front": False}


# ---- order ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), components=st.sampled_from([3, 4]))
@fast
def test_permuting_faces_permutes_the_answer(seed: int, components: int) -> None:
    vertices, faces = random_mesh(seed, components=components)
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(seed))
    plain, permuted = (warpkit.rasterize(vertices, f, (40, 50)) for f in (faces, faces[order]))
    back = torch.where(permuted.face_index >= 0, order[permuted.face_index.long()], -1)
    corners = [f[i.long()].sort(-1).values for f, i in ((faces, plain.face_index), (faces, back))]
    tie = (corners[0] == corners[1]).all(-1)  # the same triangle drawn twice
    assert ((plain.face_index == back) | tie).all()
    torch.testing.assert_close(plain.depth, permuted.depth, rtol=1e-5, atol=1e-6)  # a tie differs by rounding


def test_tie_goes_to_the_lower_index_and_negative_zero_is_zero() -> None:
    one = torch.tensor([[-1.0, -1.0], [3.0, -1.0], [-1.0, 3.0]])
    for depths in ([0.0, -0.0], [-0.0, 0.0], [1.0, 1.0]):
        vertices = torch.cat([torch.cat([one, torch.full((3, 1), z)], dim=1) for z in depths])[None]
        assert (warpkit.rasterize(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), (5, 7)).face_index == 0).all()


def test_nearest_wins_also_behind_the_camera_plane() -> None:
    one = torch.tensor([[-1.0, -1.0], [3.0, -1.0], [-1.0, 3.0]])
    vertices = torch.cat([torch.cat([one, torch.full((3, 1), z)], dim=1) for z in (0.5, -3.0, -2.0)])[None]
    fragments = warpkit.rasterize(vertices, torch.arange(9).reshape(3, 3), (5, 7))
    assert (fragments.face_index == 1).all()
    assert torch.allclose(fragments.depth, torch.tensor(-3.0))


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 10**6),
    components=st.sampled_from([3, 4]),
    spread=st.sampled_from([0.02, 0.8, 30.0]),
    size=st.tuples(st.integers(1, 90), st.integers(1, 150)),
    cull=st.sampled_from([None, "back", "front"]),
)
@fast
def test_rasterize_equals_its_twin(
    dtype: torch.dtype, seed: int, components: int, spread: float, size: tuple[int, int], cull: Any
) -> None:
    vertices, faces = random_mesh(seed, batch=2, components=components, spread=spread)
    mine, twin = (op(vertices.to(dtype), faces, size, cull=cull) for op in (warpkit.rasterize, reference.rasterize))
    assert torch.equal(mine.face_index, twin.face_index)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(mine.barycentric, twin.barycentric, rtol=0, atol=tolerance)
    torch.testing.assert_close(mine.depth, twin.depth, rtol=tolerance, atol=tolerance * spread)


@given(seed=st.integers(0, 10**6), components=st.sampled_from([3, 4]))
@fast
def test_float32_agrees_with_a_float64_ray_through_the_pixel(seed: int, components: int) -> None:
    size = (60, 80)
    vertices, faces = random_mesh(seed, components=components)
    face_index, barycentric, depth = warpkit.rasterize(vertices, faces, size)
    corners = vertices.double()[0][faces[face_index[0].clamp(0).long()]]  # [H, W, 3, 3|4]
    point = (barycentric[0].double()[..., None] * corners).sum(-2)
    w = point[..., 3] if components == 4 else torch.ones_like(depth[0])
    drawn = face_index[0] >= 0
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(80), indexing="ij")
    centre = to_ndc(torch.stack([columns, rows], -1).double() + 0.5, size)
    # Clamping moves the point by no more than what snapping let in: half a unit at each end of a thin face.
    error = ((point[..., :2] / w[..., None] - centre).abs() * torch.tensor([80, 60]) / 2)[drawn]
    assert error.numel() == 0 or (error < 0.05).float().mean() > 0.99
    torch.testing.assert_close(depth[0][drawn].double(), (point[..., 2] / w)[drawn], rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 10**6), components=st.sampled_from([3, 4]), spread=st.sampled_from([0.01, 0.8, 1e4, 1e20]))
@fast
def test_barycentrics_are_not_negative_and_sum_to_one(seed: int, components: int, spread: float) -> None:
    vertices, faces = random_mesh(seed, components=components, spread=spread)
    face_index, barycentric, depth = warpkit.rasterize(vertices, faces, (50, 41))
    drawn = face_index >= 0
    assert (barycentric >= 0).all()
    assert ((barycentric.sum(-1) - 1).abs()[drawn] <= 1e-6).all()
    assert (barycentric[~drawn] == 0).all()
    assert (depth[~drawn] == torch.inf).all()
    assert depth[drawn].isfinite().all()


def test_perspective_with_equal_w_is_exactly_affine() -> None:
    vertices, faces = random_mesh(3)
    affine = warpkit.rasterize(vertices, faces, (64, 64))
    perspective = warpkit.rasterize(
        torch.cat([vertices * 2, torch.full_like(vertices[..., :1], 2)], -1), faces, (64, 64)
    )
    assert torch.equal(affine.face_index, perspective.face_index)
    assert torch.equal(affine.barycentric, perspective.barycentric)


def test_face_flat_before_snapping_weighs_its_corners_equally() -> None:
    line = torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.5, 2.0], [0.25, 0.25, 6.0]]])
    face_index = torch.zeros(1, 4, 4, dtype=torch.int32)
    barycentric, depth = warpkit.barycentrics(line, torch.tensor([[0, 1, 2]]), face_index)
    torch.testing.assert_close(barycentric, torch.full((1, 4, 4, 3), 1 / 3))
    torch.testing.assert_close(depth, torch.full((1, 4, 4), 3.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("components", [3, 4])
def test_barycentrics_are_those_of_rasterize_bit_for_bit(dtype: torch.dtype, components: int) -> None:
    vertices, faces = random_mesh(5, batch=3, components=components)
    face_index, barycentric, depth = warpkit.rasterize(vertices.to(dtype), faces.int(), (70, 90))
    again = warpkit.barycentrics(vertices.to(dtype), faces.int(), face_index)
    assert torch.equal(again[0], barycentric)
    assert torch.equal(again[1], depth)


def test_barycentrics_of_unknown_ids_are_none() -> None:
    vertices, faces = random_mesh(5)
    face_index = torch.tensor([[[-1, -5, len(faces), 2**31 - 1, -(2**31)]]], dtype=torch.int32)
    barycentric, depth = warpkit.barycentrics(vertices, faces, face_index)
    assert (barycentric == 0).all()
    assert (depth == torch.inf).all()


@given(seed=st.integers(0, 10**6), num_faces=st.integers(0, 50))
@fast
def test_visible_faces_equals_its_twin(seed: int, num_faces: int) -> None:
    face_index = torch.randint(-3, 60, (3, 20, 30), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    face_index[0, 0, 0] = 2**31 - 1
    assert torch.equal(warpkit.visible_faces(face_index, num_faces), reference.visible_faces(face_index, num_faces))


# ---- bad meshes -----------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6),
    value=st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    component=st.integers(0, 3),
)
@fast
def test_bad_vertex_takes_its_faces_and_nothing_else(seed: int, value: float, component: int) -> None:
    vertices, faces = random_mesh(seed, components=4)
    without = warpkit.rasterize(vertices, faces[(faces != 7).all(1)], (30, 40))
    kept = (faces != 7).all(1).nonzero()[:, 0]
    vertices[0, 7, component] = value
    broken = warpkit.rasterize(vertices, faces, (30, 40))
    expected = torch.where(without.face_index >= 0, kept[without.face_index.long()], -1)
    assert torch.equal(broken.face_index.long(), expected)
    assert torch.equal(broken.barycentric, without.barycentric)
    assert torch.equal(broken.depth, without.depth)


@pytest.mark.parametrize("bad", [-1, 20, 2**31 + 3, 2**32 + 1, -(2**40)])
def test_index_out_of_range_draws_nothing(bad: int) -> None:
    vertices, faces = random_mesh(1)
    expected = warpkit.rasterize(vertices, faces[1:], (30, 40))
    faces[0, 1] = bad
    face_index = warpkit.rasterize(vertices, faces, (30, 40)).face_index
    assert torch.equal(face_index, torch.where(expected.face_index >= 0, expected.face_index + 1, -1))


def test_face_that_snaps_to_no_area_draws_nothing() -> None:
    tiny = torch.tensor([[[0.0, 0.0, 1.0], [1e-6, 0.0, 1.0], [0.0, 1e-6, 1.0]]])
    assert (warpkit.rasterize(tiny, torch.tensor([[0, 1, 2]]), (9, 9)).face_index == -1).all()


@pytest.mark.parametrize(("batch", "num_vertices", "num_faces"), [(0, 20, 5), (2, 0, 5), (2, 20, 0), (0, 0, 0)])
def test_empty_meshes_give_background(batch: int, num_vertices: int, num_faces: int) -> None:
    faces = torch.zeros(num_faces, 3, dtype=torch.int64)
    fragments = warpkit.rasterize(torch.zeros(batch, num_vertices, 3), faces, (5, 6))
    assert_same(fragments, reference.rasterize(torch.zeros(batch, num_vertices, 3), faces, (5, 6)))
    assert fragments.barycentric.shape == (batch, 5, 6, 3)
    assert (fragments.face_index == -1).all()


# ---- the same whatever the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", range(1, 6))
def test_batch_equals_its_images(batch: int) -> None:
    vertices, faces = random_mesh(batch, batch=batch, num_faces=3000)
    together = warpkit.rasterize(vertices, faces, (130, 140))
    apart = [warpkit.rasterize(image[None], faces, (130, 140)) for image in vertices]
    assert_same(together, warpkit.Fragments(*(torch.cat(parts) for parts in zip(*apart, strict=True))))


def test_one_thread_or_many_give_the_same() -> None:
    vertices, faces = random_mesh(2, batch=2, num_faces=5000)
    threads = torch.get_num_threads()
    answers = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            answers.append(warpkit.rasterize(vertices, faces, (200, 300)))
    finally:
        torch.set_num_threads(threads)
    for answer in answers[1:]:
        assert_same(answer, answers[0])


def test_any_strides_and_index_dtype_give_the_same() -> None:
    vertices, faces = random_mesh(4, batch=2)
    expected = warpkit.rasterize(vertices, faces, (50, 60))
    strided = torch.stack([vertices, vertices], -1).permute(3, 0, 2, 1)[0].transpose(1, 2)
    assert_same(warpkit.rasterize(strided, faces.int(), (50, 60)), expected)
    assert_same(warpkit.rasterize(vertices, torch.cat([faces, faces], 1)[:, :3], (50, 60)), expected)
