import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from warpkit import Flow, compose_flow, rasterize, warp
from warpkit.models.bodies.rotations import axis_angle_to_matrix
from warpkit.models.data.people import RenderedPeople
from warpkit.models.data.people.baked import PEOPLE, Baked, bake_people, photos_of
from warpkit.models.data.people.faults import jpeg
from warpkit.models.data.people.layers import HELPERS, Figure, body_frames, carried
from warpkit.models.data.people.paint import Paint
from warpkit.models.data.people.photos import Photos
from warpkit.models.data.people.poses import motion_frames
from warpkit.models.data.people.samples import IDENTITIES
from warpkit.models.data.people.wardrobe import people, photographic
from warpkit.models.errors import InputError
from warpkit.models.geometric.mesh import t_pose


def test_a_step_is_the_same_whatever_was_drawn_before(model):
    first = RenderedPeople(model, 48, seed=3)
    first.draw(0, 1, 1)
    sources, target = first.draw(7, 2, 2)
    again_sources, again_target = RenderedPeople(model, 48, seed=3).draw(7, 2, 2)
    for name in ("image", "alpha", "vertices", "plate"):
        assert torch.equal(getattr(sources, name), getattr(again_sources, name))
        assert torch.equal(getattr(target, name), getattr(again_target, name))
    other, _ = first.draw(8, 2, 2)
    assert not torch.equal(other.image, sources.image)


def test_pictures_have_the_shapes_and_ranges_that_systems_expect(model):
    sources, target = RenderedPeople(model, 64, scale=128, head_share=0.5).draw(0, 2, 3)
    assert sources.image.shape == (2, 3, 3, 64, 64)
    assert target.image.shape == (2, 1, 3, 64, 64)
    assert sources.vertices.shape == (2, 3, model.num_vertices, 3)
    assert target.alpha.shape == (2, 1, 1, 64, 64)
    for pictures in (sources, target):
        assert pictures.image.abs().max() <= 1
        assert pictures.alpha.min() >= 0
        assert pictures.alpha.max() <= 1
        assert pictures.valid.all()


def test_scales_lie_between_the_two_that_are_asked_for(model):
    people = RenderedPeople(model, 32, scale=(64, 256))
    drawn = [people.scale(number / 20) for number in range(21)]
    assert drawn == sorted(drawn)
    assert drawn[0] == 64
    assert drawn[10] == 128
    assert drawn[20] == 256
    assert all(side % 16 == 0 for side in drawn)
    assert {RenderedPeople(model, 32, scale=64).scale(number / 4) for number in range(5)} == {64}
    # people are as tall as their scale says: between 0.78 and 0.93 of it, wherever the crop lies
    vertices = torch.cat([people.draw(step, 2, 1)[1].vertices[:, 0, :, :2] for step in range(8)])
    spread = (vertices.amax(1) - vertices.amin(1)).amax(-1) * 16
    assert spread.min() < 128 < spread.max()
    for wrong in (16, 40, (64, 32), (32, 40)):
        with pytest.raises(ValueError, match="scale must be a multiple of 16"):
            RenderedPeople(model, 32, scale=wrong)


def test_the_target_is_the_person_over_the_plate(model):
    drawn = RenderedPeople(model, 48, flat_light=True).draw_with_truth(2, 2, 1)
    beside = drawn.target.alpha[:, 0] == 0
    difference = (drawn.target.image[:, 0] - drawn.target.plate).abs() * beside
    assert beside.any()
    assert difference.max() < 1e-6
    assert torch.equal(drawn.target.alpha, drawn.truth.alpha[:, -1:])


def test_nobody_of_the_test_split_is_drawn_in_training(model):
    assert not set(IDENTITIES["train"]) & set(IDENTITIES["test"])
    for split in ("train", "test"):
        data = RenderedPeople(model, 16, split, supersample=1)
        seen = {int(number) for step in range(4) for number in data.draw_with_truth(step, 3, 1).truth.identity}
        assert seen <= set(IDENTITIES[split])
        assert len(seen) > 6


def test_motions_of_the_test_split_are_not_those_of_training():
    train, test = motion_frames("train"), motion_frames("test")
    nearest = (test[:, None, 1:] - train[None, :, 1:]).flatten(2).norm(dim=-1).amin(1)
    assert (nearest > 0.05).float().mean() > 0.8


def test_a_person_looks_the_same_whenever_they_are_drawn(model):
    alone, among = people(model, [77]), people(model, [5, 77, 9])
    assert torch.equal(alone.top.colours, among.top.colours[1:2])
    assert torch.equal(alone.shape, among.shape[1:2])


def test_a_source_carried_by_the_true_flow_is_the_target_where_both_see_the_surface(model):
    data = RenderedPeople(model, 160, faults=False, flat_light=True, pose_gap=0.1, supersample=1)
    agreed = []
    for step in range(3):
        drawn = data.draw_with_truth(step, 1, 1)
        made = drawn.truth.rendered
        target = type(made.fragments)(*(part[1:] for part in made.fragments))
        flow = compose_flow(made.vertices[None, :1], data.figure.faces, target)
        # the point is visible in the source where the source shows the same layer at that depth
        depth = made.fragments.depth[:1, None].nan_to_num(posinf=1e3)
        seen = torch.nn.functional.grid_sample(depth, flow.grid[:, 0], mode="nearest", align_corners=False)[:, 0]
        corners = made.vertices[0][data.figure.faces.long()[target.face_index.clamp(min=0).long()], 2]
        own = (corners * target.barycentric).sum(-1)
        visible = (target.face_index >= 0) & ((own - seen).abs() < 0.02)
        carried = warp(made.colour[None, :1], Flow(flow.grid, visible[:, None]))[0]
        error = (carried - made.colour[1:]).abs().mean(1)[visible]
        assert visible.float().sum() > 0.4 * (target.face_index >= 0).float().sum()
        agreed.append(error)
        wrong = (carried.roll(6, -1) - made.colour[1:]).abs().mean(1)[visible]
        assert error.mean() < 0.5 * wrong.mean()
    assert torch.cat(agreed).median() < 0.05


def test_the_given_bodies_are_as_wrong_as_recovered_ones(model):
    data = RenderedPeople(model, 128, seed=5, supersample=1)
    errors, overlaps = [], []
    for step in range(6):
        drawn = data.draw_with_truth(step, 4, 1)
        errors.append(drawn.truth.landmark_error.flatten())
        given = torch.cat([drawn.sources.vertices, drawn.target.vertices], 1).flatten(0, 1)
        silhouette = rasterize(given, model.faces, (128, 128)).face_index >= 0
        person = drawn.truth.alpha.flatten(0, 1)[:, 0] > 0.5
        overlaps.append((silhouette & person).sum((1, 2)) / (silhouette | person).sum((1, 2)))
    assert 0.0023 < torch.cat(errors).mean() < 0.0038
    assert 0.845 < torch.cat(overlaps).mean() < 0.895


def test_masks_and_pictures_given_are_a_little_wrong_and_the_targets_exact(model):
    drawn = RenderedPeople(model, 96, seed=1).draw_with_truth(0, 4, 2)
    mask, true = drawn.sources.alpha > 0.5, drawn.truth.alpha[:, :-1] > 0.5
    overlap = (mask & true).sum() / (mask | true).sum()
    assert 0.85 < overlap < 0.995
    assert (drawn.sources.image - drawn.truth.image[:, :-1]).abs().mean() > 0.005
    assert torch.equal(drawn.target.image, drawn.truth.image[:, -1:])


@pytest.mark.parametrize("wrong", [{"split": "all"}, {"size": 50}, {"head_share": 2.0}])
def test_wrong_arguments_are_named(model, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RenderedPeople(model, **{"size": 64, **wrong})


def one_colour(model, colour, outwards):
    atlas = torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 64, 64).clone()
    return Baked("one", atlas, torch.full((model.num_vertices, 3), outwards), model.mean_shape, None)


def test_photographic_people_take_head_top_and_legs_from_whom_they_are_told(model, monkeypatch, tmp_path):
    outfits = [one_colour(model, colour, 0.0) for colour in ((200, 20, 20), (20, 200, 20), (20, 20, 200))]
    monkeypatch.setattr("warpkit.models.data.people.samples.bake_people", lambda *_: outfits)
    data = RenderedPeople(model, 64, faults=False, flat_light=True, supersample=1, baked=tmp_path, baked_share=1.0)
    # a texture of one colour is all skin: it takes the colour of the head's
    for step in range(3):
        drawn = data.draw_with_truth(step, 1, 1)
        covered = drawn.truth.alpha[0, 0, 0] == 1
        body = data.figure.layer_of_face[drawn.truth.rendered.fragments.face_index[0].clamp(min=0).long()] == 0
        colours = (drawn.truth.image[0, 0][:, covered & body] + 1) * 127.5
        assert (colours.amax(0) > 150).all()
        assert colours.std(1).max() < 2


def test_photographic_cloth_is_dyed_and_skin_is_not(model):
    outfit = one_colour(model, (180, 120, 90), 0.0)
    figure = Figure(model, torch.device("cpu"))
    photos = Photos([outfit], model, figure, torch.device("cpu"))
    photos.texels[:, 3] = 0  # no texel is skin
    places = torch.tensor([[0.0, 0.3, 0.1], [0.1, -0.5, 0.05], [0.0, 0.7, 0.12]])  # chest, leg, face
    wearer = photographic(people(model, [4, 4, 4]), torch.zeros(3, 3, dtype=torch.int64), photos.shapes.expand(3, -1))
    wearer = replace(wearer, dyed=torch.ones_like(wearer.dyed))
    blank = Paint(torch.zeros(3, 3), torch.zeros(3, 3), torch.zeros(3))
    dyed = photos.over(blank, wearer, places, torch.full((3, 2), 0.5), figure.marks).albedo
    own = torch.tensor([180, 120, 90]) / 255
    assert (dyed[:2] - own).abs().amax(1).min() > 0.02
    assert torch.allclose(dyed[2], own, atol=1e-3)


def test_people_kept_for_results_are_never_baked():
    for person in ("P008", "P009", "P010"):
        assert all(person not in names for names in PEOPLE.values())
        with pytest.raises(InputError, match="not baked"):
            photos_of(person)
    assert not set(PEOPLE["train"]) & set(PEOPLE["test"])


def test_what_was_baked_is_read_again_and_not_made_again(model, monkeypatch, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a picture")
    made = []

    def bake(name, file, sheet, body):
        made.append(name)
        return one_colour(body, (10, 20, 30), 0.01)

    monkeypatch.setattr("warpkit.models.data.people.baked.photos_of", lambda _: {"outdoors": [photo]})
    monkeypatch.setattr("warpkit.models.data.people.baked._bake", bake)
    first = bake_people(model, "test", tmp_path / "cache")
    again = bake_people(model, "test", tmp_path / "cache")
    assert made == ["P007 outdoors"]
    assert torch.equal(first[0].atlas, again[0].atlas)
    assert torch.equal(first[0].offsets, again[0].offsets)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    with pytest.raises(InputError, match="delete it"):
        bake_people(model, "test", tmp_path / "cache")
    photo.write_bytes(b"another picture")
    bake_people(model, "test", tmp_path / "cache")
    assert len(made) == 2


def test_skirt_and_hair_lie_where_they_were_written_and_turn_with_the_body(model):
    figure = Figure(model, torch.device("cpu"))
    straight = t_pose(model, model.mean_shape[None])
    pose = torch.zeros(1, 22, 3)
    pose[0, 0] = torch.tensor([0.4, 1.1, -0.3])
    turn = axis_angle_to_matrix(pose[0, 0])
    for layer in HELPERS:
        shell = figure.shells[layer]
        bound = shell.holders, shell.shares, shell.local
        there = carried(*bound, straight, body_frames(straight, model.faces))[0]
        assert (there - shell.places).norm(dim=1).max() < 1e-4
        body = model(pose, model.mean_shape[None])
        turned = carried(*bound, body, body_frames(body, model.faces))[0]
        assert (turned - shell.places @ turn.T).norm(dim=1).max() < 1e-3
        corners = shell.places[shell.faces.long()]
        outwards = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        from_axis = corners.mean(1) * torch.tensor([1.0, 0.0, 1.0])
        assert ((outwards * from_axis).sum(1) > 0).float().mean() > 0.6


def test_sources_come_nearer_to_the_target_as_the_pose_gap_shrinks(model):
    def distance(gap):
        data = RenderedPeople(model, 16, supersample=1, faults=False, pose_gap=gap)
        found = []
        for step in range(3):
            vertices = data.draw_with_truth(step, 3, 1).truth.vertices
            found.append((vertices[:, 0] - vertices[:, 1]).norm(dim=-1).mean())
        return torch.stack(found).mean()

    near, middle, far = distance(0.0), distance(0.4), distance(1.0)
    assert near < 0.5 * middle < 0.5 * far
    assert distance(lambda step: 1.0) == far


def test_jpeg_loses_what_jpeg_loses(model):
    pillow = pytest.importorskip("PIL.Image", reason="needs the extra [person]")
    picture = RenderedPeople(model, 64, faults=False).draw(1, 1, 1)[0].image[0]
    whole = ((picture[0] + 1) * 127.5).round().byte()
    for quality in (30, 80):
        file = io.BytesIO()
        pillow.fromarray(whole.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality, subsampling=2)
        theirs = torch.from_numpy(np.array(pillow.open(file))).permute(2, 0, 1).float() / 127.5 - 1
        ours = jpeg(whole[None].float() / 127.5 - 1, torch.tensor([float(quality)]))[0]
        lost = (theirs - picture[0]).abs().mean()
        assert (ours - theirs).abs().mean() < 0.4 * lost
