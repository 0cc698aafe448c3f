"""antialias: what it computes. Areas and their gradients, silhouettes inside and outside, the twin, NaN, empty."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import warpkit
from warpkit import reference

ONE_FACE = torch.tensor([[0, 1, 2]])


def render(vertices: Tensor, faces: Tensor, size: tuple[int, int], image: Tensor | None = None) -> Tensor:
    """The antialiased mask, or image."""
    fragments = warpkit.rasterize(vertices.detach(), faces, size)
    if image is None:
        image = (fragments.face_index >= 0).to(vertices.dtype)[:, None]
    return warpkit.antialias(image, fragments, vertices, faces)


def pixel_area(vertices: Tensor, size: tuple[int, int]) -> Tensor:
    """The area of a triangle [3, 3|4] in pixels."""
    points = vertices[:, :2] / vertices[:, 3:] if vertices.shape[1] == 4 else vertices[:, :2]
    a, b, c = points * torch.tensor([size[1] / 2, size[0] / 2], dtype=vertices.dtype)
    return 0.5 * ((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]).abs()


def triangle(seed: int, components: int = 3) -> Tensor:
    """A triangle [1, 3, 3|4] round the middle, well inside the frame, with random depth and w."""
    generator = torch.Generator().manual_seed(seed)
    angle = (torch.arange(3) + torch.rand(3, generator=generator) * 0.6) * (2 * math.pi / 3)
    radius = 0.6 + 0.3 * torch.rand(3, generator=generator)
    points = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.rand(3, generator=generator)], 1).double()
    if components == 4:
        w = 1 + torch.rand(3, 1, generator=generator).double()
        points = torch.cat([points * w, w], 1)
    return points[None]


def sphere(rings: int, components: int = 3) -> tuple[Tensor, Tensor]:
    """A closed sphere of radius 0.7: vertices [1, V, 3|4], faces [F, 3]."""
    polar = torch.linspace(0, math.pi, rings + 1).double()[1:-1, None]
    around = torch.arange(2 * rings).double() * math.pi / rings
    ring = torch.stack([polar.sin() * around.cos(), polar.cos().expand(-1, 2 * rings), polar.sin() * around.sin()], -1)
    poles = torch.tensor([[0.0, 1, 0], [0, -1, 0]]).double()
    vertices = 0.7 * torch.cat([poles, ring.flatten(0, 1)])
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(rings)).double())[0]
    vertices = vertices @ turned
    count, faces = 2 * rings, []
    for k in range(count):
        n = (k + 1) % count
        faces += [[0, 2 + k, 2 + n], [1, 2 + (rings - 2) * count + n, 2 + (rings - 2) * count + k]]
        for row in range(rings - 2):
            a, b, c, d = (2 + r * count + m for r, m in ((row, k), (row, n), (row + 1, k), (row + 1, n)))
            faces += [[a, c, d], [a, d, b]]
    if components == 4:
        vertices = torch.cat([vertices, vertices[:, 2:] + 3], 1)
    return vertices[None], torch.tensor(faces)


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_sum_of_a_mask_is_the_area_that_a_triangle_covers(seed: int, components: int) -> None:
    size = (240, 320)
    vertices = triangle(seed, components)
    assert float(render(vertices, ONE_FACE, size).sum()) == pytest.approx(
        float(pixel_area(vertices[0], size)), rel=1e-4
    )


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_the_sum_is_that_of_the_area(seed: int, components: int) -> None:
    """To 2 % of the largest entry: at a corner of the triangle rows and columns count with their whole pixel."""
    size = (240, 320)
    vertices = triangle(seed, components).requires_grad_()
    (mine,) = torch.autograd.grad(render(vertices, ONE_FACE, size).sum(), vertices)
    (exact,) = torch.autograd.grad(pixel_area(vertices[0], size), vertices)
    assert (mine - exact).abs().max() < 0.02 * exact.abs().max()
    assert (mine[..., 2] == 0).all()


def test_a_triangle_moved_as_a_whole_keeps_its_area() -> None:
    """To a pixel's row or column at each corner."""
    vertices = triangle(3).requires_grad_()
    (gradient,) = torch.autograd.grad(render(vertices, ONE_FACE, (200, 200)).sum(), vertices)
    assert gradient[0, :, :2].sum(0).abs().max() < 3 * 100
    assert gradient[0, :, :2].abs().max() > 5000


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_gradient_is_the_finite_difference_of_any_linear_function(seed: int, components: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    vertices = triangle(seed, components).requires_grad_()
    size = (23, 31)
    weights = torch.randn(1, 1, *size, generator=generator).double()
    step = torch.randn(vertices.shape, generator=generator).double()
    (gradient,) = torch.autograd.grad((render(vertices, ONE_FACE, size) * weights).sum(), vertices)
    ahead, behind = (render(vertices.detach() + t * step, ONE_FACE, size) for t in (1e-7, -1e-7))
    difference = ((ahead - behind) * weights).sum() / 2e-7
    torch.testing.assert_close((gradient * step).sum(), difference, rtol=1e-5, atol=1e-5)


def test_the_picture_is_continuous_as_an_edge_passes_centres() -> None:
    """A wall moves over two pixels in small steps: no pixel jumps by more than the step and the snapping."""
    wall = torch.tensor([[[-2.0, -9, 0], [0, -9, 0], [0, 9, 0], [-2, 9, 0]]]).double()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    offset = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]]).double() * 2 / 8
    frames = [render(wall + offset * t, faces, (6, 8))[0, 0] for t in torch.linspace(0, 2, 201).tolist()]
    steps = torch.stack(frames).diff(dim=0)
    assert steps.abs().max() < 0.01 + 1 / 256
    torch.testing.assert_close(frames[-1].sum() - frames[0].sum(), torch.tensor(12.0).double(), rtol=0, atol=0.05)


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("rings", [6, 20, 90])
def test_the_inside_of_a_closed_surface_stays_as_it_is(rings: int, components: int) -> None:
    """Whether its faces are larger than a pixel or much smaller; only the outline blends."""
    vertices, faces = sphere(rings, components)
    fragments = warpkit.rasterize(vertices, faces, (64, 64))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    changed = (warpkit.antialias(image, fragments, vertices, faces) != image).any(1)
    mask = (fragments.face_index >= 0).double()[:, None]
    spread = torch.nn.functional.max_pool2d(mask, 3, 1, 1) + torch.nn.functional.max_pool2d(-mask, 3, 1, 1)
    assert not (changed & (spread[:, 0] == 0)).any()
    assert changed.sum() > 30


def test_faces_smaller_than_a_pixel_tell_the_outline_as_well() -> None:
    """A sphere of 32,000 faces on 40 pixels, most of which no centre sees: its area and how that grows are right."""
    vertices, faces = sphere(90)
    size = torch.ones((), dtype=torch.float64, requires_grad=True)
    covered = render(vertices * size, faces, (40, 40)).sum()
    (growth,) = torch.autograd.grad(covered, size)
    area = math.pi * (0.7 * 20) ** 2
    assert float(covered.detach()) == pytest.approx(area, rel=0.005)
    assert float(growth) == pytest.approx(2 * area, rel=0.02)


def test_an_outline_in_front_of_another_part_blends() -> None:
    near, far = triangle(1), triangle(2)
    near, far = near * 0.5, far + torch.tensor([0.0, 0.0, 5.0]).double()
    vertices, faces = torch.cat([near, far], 1).requires_grad_(), torch.tensor([[0, 1, 2], [3, 4, 5]])
    fragments = warpkit.rasterize(vertices.detach(), faces, (50, 50))
    image = (fragments.face_index == 0).double()[:, None]
    inside = torch.nn.functional.max_pool2d((fragments.face_index < 0).double(), 3, 1, 1) == 0
    out = warpkit.antialias(image, fragments, vertices, faces)
    assert ((out != image)[:, 0] & inside).any()
    (gradient,) = torch.autograd.grad(out.sum(), vertices)
    (expected,) = torch.autograd.grad(pixel_area(vertices[0, :3], (50, 50)), vertices)
    assert (gradient - expected).abs().max() < 0.06 * expected.abs().max()
    assert (gradient[0, 3:] == 0).all()  # the far one's outline lies elsewhere, where image is 0 on both sides


def test_an_edge_of_45_degrees_counts_once() -> None:
    diamond = torch.tensor([[[0.0, -0.75, 0], [0.75, 0, 0], [0, 0.75, 0], [-0.75, 0, 0]]]).double() + 1 / 128
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    out = render(diamond, faces, (64, 64))
    assert float(out.sum()) == pytest.approx(2 * 24**2, abs=0.6)
    fragments = warpkit.rasterize(diamond, faces, (64, 64))
    image = (fragments.face_index >= 0).double()[:, None]
    assert torch.equal(out, reference.antialias(image, fragments, diamond, faces))


def test_a_single_pixel_never_gives_more_than_it_has() -> None:
    """A diamond smaller than a pixel, cut on all four sides: weights stay within 0 and 1."""
    diamond = torch.tensor([[[0.0, -0.1, 0], [0.1, 0, 0], [0, 0.1, 0], [-0.1, 0, 0]]]).double() * 0.9
    out = render(diamond, torch.tensor([[0, 1, 2], [0, 2, 3]]), (5, 5))
    assert (out >= 0).all()
    assert (out <= 1).all()


def test_what_is_not_seen_has_no_gradient() -> None:
    shown = triangle(0) * 0.8
    hidden = shown * 0.5 + torch.tensor([0.0, 0, 3]).double()
    outside = shown + torch.tensor([9.0, 0, 0]).double()
    vertices = torch.cat([shown, hidden, outside], 1).requires_grad_()
    faces = torch.arange(9).view(3, 3)
    (gradient,) = torch.autograd.grad(render(vertices, faces, (40, 40)).sum(), vertices)
    assert (gradient[0, :3, :2] != 0).all()
    assert (gradient[0, 3:] == 0).all()


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "components": st.sampled_from([3, 4]),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
        "size": st.tuples(st.integers(1, 20), st.integers(1, 20)),
        "spread": st.sampled_from([0.3, 1.0, 4.0]),
        "faces": st.integers(0, 40),
        "last": st.booleans(),
    }
)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_twin_agrees_forward_and_backward(case: dict[str, Any]) -> None:
    """On meshes of faces and vertices at random, with indices out of range and vertices that are not finite."""
    generator = torch.Generator().manual_seed(case["seed"])
    vertices = torch.randn(2, 25, case["components"], generator=generator).double() * case["spread"]
    if case["components"] == 4:
        vertices[..., 3] = vertices[..., 3] + 1
    vertices[0, 3, 0] = math.nan
    vertices = vertices.to(case["dtype"]).requires_grad_()
    faces = torch.randint(-1, 26, (case["faces"], 3), generator=generator)
    fragments = warpkit.rasterize(vertices.detach(), faces, case["size"])
    image = torch.randn(2, 3, *case["size"], generator=generator).double()
    image = image.to(memory_format=torch.channels_last) if case["last"] else image
    image.requires_grad_()
    weights = torch.randn(2, 3, *case["size"], generator=generator).double()
    mine = warpkit.antialias(image, fragments, vertices, faces)
    theirs = reference.antialias(image, fragments, vertices, faces)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    if theirs.requires_grad:
        gradients = torch.autograd.grad((mine * weights).sum(), [image, vertices])
        expected = torch.autograd.grad((theirs * weights).sum(), [image, vertices], allow_unused=True)
        torch.testing.assert_close(gradients[0], expected[0], rtol=0, atol=1e-9)
        if expected[1] is not None:
            rough = 1e-9 if case["dtype"] == torch.float64 else 2e-5
            scale = max(1.0, float(expected[1].abs().max()))
            torch.testing.assert_close(gradients[1], expected[1], rtol=0, atol=rough * scale)


@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_gradcheck(seed: int, components: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    vertices, faces = sphere(4, components)
    vertices = (vertices + 0.01 * torch.randn(vertices.shape, generator=generator)).requires_grad_()
    fragments = warpkit.rasterize(vertices.detach(), faces, (9, 11))
    image = torch.randn(1, 2, 9, 11, generator=generator).double().requires_grad_()
    torch.autograd.gradcheck(lambda i, v: warpkit.antialias(i, fragments, v, faces), (image, vertices))


def test_face_neighbours_agree_with_the_twin() -> None:
    generator = torch.Generator().manual_seed(0)
    for count, most in ((0, 5), (1, 3), (40, 6), (300, 100)):
        for dtype in (torch.int32, torch.int64):
            faces = torch.randint(-1, most, (count, 3), generator=generator).to(dtype)
            mine = warpkit.face_neighbours(faces)
            assert mine.dtype == torch.int32
            assert torch.equal(mine, reference.face_neighbours(faces))
    assert (warpkit.face_neighbours(sphere(7)[1]) >= 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("components", [3, 4])
def test_a_vertex_that_is_not_finite_disturbs_its_faces_alone(bad: float, components: int) -> None:
    vertices, faces = sphere(10, components)
    spoilt = vertices.clone()
    spoilt[0, 5] = bad
    spoilt.requires_grad_()
    out = render(spoilt, faces, (40, 40))
    assert out.isfinite().all()
    (gradient,) = torch.autograd.grad(out.square().sum(), spoilt)
    assert gradient.isfinite().all()
    assert (gradient[0, 5] == 0).all()


def test_nan_in_the_image_reaches_only_pixels_that_take_from_it() -> None:
    vertices, faces = sphere(10)
    fragments = warpkit.rasterize(vertices, faces, (40, 40))
    image = torch.zeros(1, 1, 40, 40).double()
    image[0, 0, 20, 20] = math.nan  # the middle: no silhouette
    image[0, 0, 0, :] = math.nan  # background
    out = warpkit.antialias(image, fragments, vertices, faces)
    assert torch.equal(out.isnan(), image.isnan())


def test_a_vertex_behind_the_camera_ends_the_walk_without_a_silhouette() -> None:
    vertices = torch.tensor([[[-0.5, -0.5, 0, 1], [0.5, -0.5, 0, 1], [0, 0.5, 0, 1], [0.5, 0.5, 0, -1]]]).double()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    vertices.requires_grad_()
    fragments = warpkit.rasterize(vertices.detach()[:, :3], faces[:1], (30, 30))
    image = (fragments.face_index >= 0).double()[:, None]
    (gradient,) = torch.autograd.grad(warpkit.antialias(image, fragments, vertices, faces).sum(), vertices)
    assert gradient.isfinite().all()
    assert (gradient[0, 3] == 0).all()
    assert (gradient[0, 0] != 0).any()


@pytest.mark.parametrize(
    ("batch", "channels", "num_vertices", "num_faces"), [(0, 2, 9, 3), (2, 0, 9, 3), (2, 2, 0, 3), (2, 2, 9, 0)]
)
def test_empty(batch: int, channels: int, num_vertices: int, num_faces: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(batch, num_vertices, 3, generator=generator).requires_grad_()
    faces = torch.arange(3 * num_faces).view(num_faces, 3)
    image = torch.rand(batch, channels, 6, 5, generator=generator).requires_grad_()
    fragments = warpkit.rasterize(vertices.detach(), faces, (6, 5))
    out = warpkit.antialias(image, fragments, vertices, faces)
    assert out.shape == image.shape
    gradients = torch.autograd.grad(out.sum(), [image, vertices])
    assert gradients[0].shape == image.shape
    assert gradients[1].shape == vertices.shape
    if min(num_vertices, num_faces) == 0:
        assert torch.equal(out, image)
        assert (gradients[1] == 0).all()
