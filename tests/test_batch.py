"""What systems are given: conditions, flows and boxes of bodies."""

from dataclasses import replace

import pytest
import torch

from warpkit import interpolate, rasterize, warp
from warpkit.models.batch import Geometric, Pictures, SurfaceCondition, UvCondition, make_batch, retarget
from warpkit.models.bodies import JOINTS, PARTS, Camera
from warpkit.models.geometric.mesh import vertex_normals

SIZE = (96, 64)


def project(model, degrees: float = 0.0):
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 1] = torch.deg2rad(torch.tensor(degrees))
    shape = model.mean_shape[None]
    camera = Camera(0.5 * SIZE[0] / model.height(shape), torch.tensor([[SIZE[1] / 2, SIZE[0] / 2.0]]))
    return camera.project(model(pose, shape), SIZE)


def pictures(vertices, valid=True):
    count = vertices.shape[1]
    image = torch.rand(1, count, 3, *SIZE) * 2 - 1
    return Pictures(image, torch.ones(1, count, 1, *SIZE), vertices, torch.full((1, count), valid))


@pytest.mark.parametrize("kind", [UvCondition, SurfaceCondition])
def test_conditions_have_their_channels_and_are_finite(model, kind):
    vertices = project(model)
    condition = kind(model)
    drawn = condition(rasterize(vertices, model.faces, SIZE), vertices)
    assert drawn.shape == (1, condition.channels, *SIZE)
    assert drawn.isfinite().all()
    assert drawn.abs().amax() <= 1 + 1e-5


def test_uv_condition_marks_what_lies_beside_the_body(model):
    vertices = project(model)
    fragments = rasterize(vertices, model.faces, SIZE)
    drawn = UvCondition(model)(fragments, vertices)
    beside = fragments.face_index[0] < 0
    assert (drawn[0, 2] == beside.float()).all()
    assert (drawn[0, :2, beside] == 0).all()


def test_flat_uv_is_one_colour_a_face(model):
    vertices = project(model)
    fragments = rasterize(vertices, model.faces, (512, 512))
    drawn = UvCondition(model, flat=True)(fragments, vertices)[0, :2]
    face = fragments.face_index[0].flatten()
    common = int(face[face >= 0].mode().values)
    colours = drawn.flatten(1)[:, face == common]
    torch.testing.assert_close(colours, colours[:, :1].expand_as(colours), atol=1e-6, rtol=0)


def test_normals_of_what_faces_the_camera_point_to_it(model):
    vertices = project(model)
    fragments = rasterize(vertices, model.faces, SIZE, cull="back")
    drawn = SurfaceCondition(model)(fragments, vertices)
    normal = drawn[0, len(PARTS) + 3 : len(PARTS) + 6]
    on_body = fragments.face_index[0] >= 0
    assert (normal[2][on_body] < 0.3).float().mean() > 0.97  # z grows away from the camera
    left, right = normal[0][:, : SIZE[1] // 2 - 6], normal[0][:, SIZE[1] // 2 + 6 :]
    assert left[on_body[:, : SIZE[1] // 2 - 6]].mean() < right[on_body[:, SIZE[1] // 2 + 6 :]].mean()


def test_normals_are_those_of_the_body_with_y_and_z_turned_round(model):
    """However wide the picture is: normals are not squeezed with it."""
    pose = 0.3 * torch.randn(1, len(JOINTS), 3, generator=torch.Generator().manual_seed(0))
    body = model(pose, model.mean_shape[None])
    camera = Camera(0.5 * SIZE[0] / model.height(model.mean_shape[None]), torch.tensor([[SIZE[1] / 2, SIZE[0] / 2.0]]))
    vertices = camera.project(body, SIZE)
    fragments = rasterize(vertices, model.faces, SIZE)
    drawn = SurfaceCondition(model)(fragments, vertices)[0, len(PARTS) + 3 : len(PARTS) + 6].movedim(0, -1)
    exact = interpolate(vertex_normals(body, model.faces), model.faces, fragments)[0] * torch.tensor([1.0, -1.0, -1.0])
    shown = (fragments.face_index[0] >= 0) & (exact.norm(dim=-1) > 0.1)
    exact = torch.nn.functional.normalize(exact[shown], dim=-1)
    torch.testing.assert_close(drawn[shown], exact, atol=1e-3, rtol=0)


def test_truth_and_background_come_along(model):
    vertices = project(model)
    sources = replace(pictures(vertices[:, None].expand(1, 2, -1, -1)), plate=torch.rand(1, 3, *SIZE))
    target = replace(pictures(vertices[:, None]), alpha=torch.rand(1, 1, 1, *SIZE))
    batch = make_batch(sources, vertices, model, UvCondition(model), target=target)
    assert torch.equal(batch.target_image, target.image[:, 0])
    assert torch.equal(batch.target_alpha, target.alpha[:, 0])
    assert torch.equal(batch.plate, sources.plate)
    assert batch.source_condition.shape == (1, 2, 3, *SIZE)
    assert torch.equal(batch.source_silhouette[0, 0], batch.target_silhouette[0])  # the same body
    without = make_batch(sources[:1], vertices, model, UvCondition(model))
    assert without.target_image is None
    assert without.source_condition.shape == (1, 1, 3, *SIZE)


def test_parts_are_one_hot_on_the_body_alone(model):
    vertices = project(model)
    fragments = rasterize(vertices, model.faces, SIZE)
    drawn = SurfaceCondition(model)(fragments, vertices)
    assert (drawn[:, : len(PARTS)].sum(1) == (fragments.face_index >= 0)).all()


def test_batch_of_the_same_pose_warps_the_source_onto_itself(model):
    vertices = project(model)
    sources = pictures(vertices[:, None].expand(1, 2, -1, -1))
    batch = make_batch(sources, vertices, model, UvCondition(model))
    assert batch.flow.visible is None
    warped = warp(sources.image, batch.flow)
    inside = batch.target_silhouette[0, 0] > 0
    torch.testing.assert_close(warped[0, :, :, inside], sources.image[0, :, :, inside], atol=1e-2, rtol=0)
    assert batch.size == SIZE


def test_visibility_leaves_out_what_a_source_does_not_show(model):
    front, back = project(model), project(model, 180.0)
    batch = make_batch(pictures(front[:, None]), back, model, UvCondition(model), visibility="pixel")
    inside = batch.target_silhouette[:, 0] > 0
    assert batch.flow.visible[:, 0][inside].float().mean() < 0.1


def test_pictures_that_fill_up_the_batch_are_never_read(model):
    vertices = project(model)
    sources = pictures(vertices[:, None].expand(1, 2, -1, -1))
    sources.valid[0, 1] = False
    for visibility in (None, "pixel"):
        batch = make_batch(sources, vertices, model, UvCondition(model), visibility=visibility)
        assert not batch.flow.visible[0, 1].any()
        assert batch.flow.visible[0, 0].any()
        assert (batch.flow.grid[0, 1] == -2).all()  # neither by those who sample without looking at what is visible
        assert (batch.flow.grid[0, 0][batch.target_silhouette[0, 0] > 0] != -2).any()


def test_boxes_hold_their_parts(model):
    vertices = project(model)
    batch = make_batch(pictures(vertices[:, None]), vertices, model, UvCondition(model))
    left, top, right, bottom = batch.body_box[0]
    points = vertices[0, :, :2]
    assert left <= points[:, 0].amin() + 1e-6
    assert bottom >= points[:, 1].amax() - 1e-6
    head = batch.head_box[0]
    assert left <= head[0] < head[2] <= right
    assert head[3] < (top + bottom) / 2


@pytest.mark.parametrize("visibility", [None, "pixel"])
def test_another_target_of_the_same_sources_is_what_a_batch_made_anew_has(model, visibility):
    condition = SurfaceCondition(model)
    sources = pictures(torch.stack([project(model), project(model, 90)], 1))
    first = make_batch(sources, project(model, 10), model, condition, visibility=visibility)
    other = project(model, 60)
    made = retarget(first, other, model, condition, visibility=visibility)
    expected = make_batch(sources, other, model, condition, visibility=visibility)
    for name, value in vars(expected).items():
        if name not in ("sources", "flow") and value is not None:
            torch.testing.assert_close(getattr(made, name), value, atol=0, rtol=0, msg=name)
    torch.testing.assert_close(made.flow.grid, expected.flow.grid, atol=0, rtol=0)
    assert (made.flow.visible is None) == (visibility is None)
    assert made.source_condition is first.source_condition


def test_arguments_that_do_not_fit_are_named(model):
    vertices = project(model)
    condition = SurfaceCondition(model)
    given = pictures(vertices[:, None])
    batch = make_batch(given, vertices, model, condition)
    mask = torch.ones(1, 1, len(model.faces))
    for make in (lambda *a, **o: make_batch(given, *a, **o), lambda *a, **o: retarget(batch, *a, **o)):
        for target, options, error, named in (
            (vertices[:, 1:], {}, ValueError, "source_vertices: .* V = "),
            (vertices.double(), {}, TypeError, "source_vertices: .* float64"),
            (vertices, {"face_mask": mask}, TypeError, "face_mask: .* bool"),
            (vertices, {"face_mask": mask[..., 1:].bool()}, ValueError, "face_mask: .* shape"),
            (vertices, {"visibility": "some"}, ValueError, "visibility: "),
        ):
            with pytest.raises(error, match=named):
                make(target, model, condition, **options)


def test_a_targets_geometric_picture_goes_along(model):
    vertices = project(model)
    colour = torch.rand(1, 2, 3, *SIZE)
    geometric = Geometric(colour, colour[:, :, :1], colour[:, :, 1:2], colour[:, :, 2:])
    target = replace(pictures(vertices[:, None].expand(-1, 2, -1, -1)), geometric=geometric)
    sources = pictures(vertices[:, None])
    condition = SurfaceCondition(model)
    batch = make_batch(sources, vertices, model, condition, target=target[1:])
    assert torch.equal(batch.geometric.colour, colour[:, 1])
    assert torch.equal(batch.geometric.alpha, colour[:, 1, 2:])
    away = batch.to(torch.device("meta"))
    assert away.geometric.seen.is_meta
    assert away.sources.image.is_meta
    assert retarget(batch, vertices, model, condition).geometric is None
    other = geometric[:, 0]
    assert retarget(batch, vertices, model, condition, geometric=other).geometric is other
    assert make_batch(sources, vertices, model, condition, target=target, geometric=other).geometric is other
