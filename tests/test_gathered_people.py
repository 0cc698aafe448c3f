"""Rendered people with the geometric pictures of their targets."""

import hashlib
import subprocess
import sys

import pytest
import torch

from warpkit import rasterize
from warpkit.models.data.people import GatheredPeople, RenderedPeople
from warpkit.models.data.people import gathered as module
from warpkit.models.data.people.samples import IDENTITIES
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.view import View
from warpkit.models.metrics import psnr

SIZE = 64


def gathered(model, split="train", *, reuse=4, pool=1, **options):
    people = RenderedPeople(model, SIZE, split, seed=3, supersample=1, **options)
    return GatheredPeople(people, reuse=reuse, pool=pool, atlas_size=128)


def tensors(drawn):
    sources, target = drawn
    geometric = target.geometric
    return [
        *(sources.image, sources.alpha, sources.vertices, sources.plate, target.image, target.alpha, target.vertices),
        *(geometric.colour, geometric.seen, geometric.confidence, geometric.alpha),
    ]


def digest(drawn) -> str:
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in tensors(drawn))).hexdigest()


TOLD = """
import torch
from test_gathered_people import digest, gathered
from warpkit.models.bodies import load_body
torch.set_num_threads(1)
print(digest(gathered(load_body("anny")).draw(5, 1, 2)))
"""


def test_another_process_that_comes_to_a_step_draws_the_same(model):
    torch.set_num_threads(1)
    here = gathered(model)
    here.draw(4, 1, 2)
    mine = digest(here.draw(5, 1, 2))
    paths = {"PYTHONPATH": ":".join(sys.path)}
    told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, env=paths, check=True)
    assert told.stdout.strip() == mine


def test_a_person_with_their_sources_serves_the_steps_of_a_window_and_no_other(model):
    data = gathered(model, reuse=2)
    first, second, third = (data.draw(step, 1, 1) for step in (4, 5, 6))
    assert torch.equal(first[0].image, second[0].image)
    assert torch.equal(first[0].vertices, second[0].vertices)
    assert not torch.equal(first[1].image, second[1].image)
    assert not torch.equal(first[0].image, third[0].image)


def test_everybody_of_a_pool_comes_up_once_in_each_turn_and_is_gathered_once(model, monkeypatch):
    calls = []
    gather = module.gather_appearance
    monkeypatch.setattr(module, "gather_appearance", lambda *args, **rest: calls.append(1) or gather(*args, **rest))
    data = gathered(model, reuse=2, pool=2)
    assert data.window == 4
    seen = [data.draw(step, 1, 1)[0].image for step in range(4)]
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[2], seen[3])
    assert all(any(torch.equal(one, other) for other in seen[:2]) for one in seen[2:])
    assert len(calls) == 2


def test_nobody_of_the_test_split_is_gathered_for_training(model, monkeypatch):
    seen = []
    outfits = RenderedPeople.outfits
    monkeypatch.setattr(RenderedPeople, "outfits", lambda self, who, dice: seen.extend(who) or outfits(self, who, dice))
    for split in ("train", "test"):
        seen.clear()
        gathered(model, split).draw(0, 2, 1)
        assert len(seen) == 2
        assert set(seen) <= set(IDENTITIES[split])


def test_the_geometric_picture_is_that_of_the_renderer_for_the_bodies_given(model, monkeypatch):
    views, bodies = [], []
    monkeypatch.setattr(
        module,
        "gather_appearance",
        lambda given, *args, **rest: views.extend(given) or gather_appearance(given, *args, **rest),
    )
    call = GeometricRenderer.__call__
    monkeypatch.setattr(
        GeometricRenderer, "__call__", lambda self, body, size: bodies.append(body) or call(self, body, size)
    )
    sources, target = gathered(model).draw(1, 1, 2)
    assert [type(view) for view in views] == [View, View]
    for index, view in enumerate(views):
        given = view.body.camera.project(model(view.body.pose, view.body.shape), (SIZE, SIZE))
        assert torch.equal(sources.vertices[0, index], given[0])
        assert torch.equal(sources.alpha[0, index, 0], view.alpha)
        person = view.alpha > 0.05
        assert torch.equal(sources.image[0, index][:, person], view.image[:, person])
    (body,) = bodies
    assert torch.equal(target.vertices[0], body.camera.project(model(body.pose, body.shape), (SIZE, SIZE)))
    drawn = call(GeometricRenderer(model, gather_appearance(views, model, atlas_size=128)), body, (SIZE, SIZE))
    geometric, plate = target.geometric, target.plate[0]
    mine = torch.lerp(plate, geometric.colour[0, 0], geometric.alpha[0, 0])
    torch.testing.assert_close(mine, drawn.over(plate), atol=1e-4, rtol=0)
    assert ((geometric.seen > 0.999) & (geometric.alpha == 1)).sum() > 100


def test_the_geometric_picture_shows_the_person(model):
    data = gathered(model, reuse=8)
    better = 0
    for step in range(4):
        _, target = data.draw(step, 1, 2)
        geometric = target.geometric
        drawn = torch.lerp(target.plate, geometric.colour[:, 0], geometric.alpha[:, 0])
        mask = (target.alpha[:, 0] > 0.1).float()
        better += int(psnr(drawn, target.image[:, 0], mask) > psnr(target.plate, target.image[:, 0], mask) + 3)
        overlap = (geometric.alpha[0, 0] > 0.5) & (target.alpha[0, 0] > 0.5)
        assert overlap.sum() > 0.75 * (target.alpha[0, 0] > 0.5).sum()
    assert better >= 3


def test_crops_lie_on_their_bodies_and_over_the_plate(model):
    data = gathered(model, scale=128, head_share=0.5, faults=False, flat_light=True)
    for step in (0, 4):
        sources, target = data.draw(step, 2, 2)
        assert sources.image.shape == (2, 2, 3, SIZE, SIZE)
        assert target.image.shape == target.geometric.colour.shape == (2, 1, 3, SIZE, SIZE)
        beside = (sources.alpha[:, 0] == 0).expand(-1, 3, -1, -1)
        assert beside.any()
        torch.testing.assert_close(sources.image[:, 0][beside], sources.plate[beside], atol=1e-5, rtol=0)
        for pictures in (sources, target):
            x, y = ((pictures.vertices[..., :2].flatten(0, 1) + 1) * SIZE / 2).long().unbind(-1)
            inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
            alpha = pictures.alpha.flatten(0, 2)
            row = torch.arange(len(x))[:, None].expand_as(x)
            on_person = alpha[row[inside], y[inside], x[inside]] > 0.3
            assert inside.sum() > 500
            assert on_person.float().mean() > 0.9


def test_bodies_of_targets_are_as_wrong_as_recovered_ones(model):
    def overlap(faults):
        data, shares = gathered(model, reuse=2, faults=faults), []
        for step in range(4):
            _, target = data.draw(step, 2, 1)
            body = rasterize(target.vertices[:, 0], model.faces, (SIZE, SIZE)).face_index >= 0
            person = target.alpha[:, 0, 0] > 0.5
            shares.append((body & person).sum((1, 2)) / (body | person).sum((1, 2)))
        return torch.cat(shares).mean()

    as_given, exact = overlap(True), overlap(False)
    assert 0.82 < as_given < 0.9
    assert exact < as_given - 0.005  # a fit fills the clothes; the naked body does not


def test_people_of_several_scales_are_gathered_at_theirs(model):
    data = gathered(model, scale=(64, 160), head_share=0.3, faults=False)
    sides = {one.person.side for step in range(4) for one in data._shown(step, 2, 1)}
    assert len(sides) > 1
    assert sides <= set(range(64, 161, 16))
    sources, target = data.draw(0, 2, 1)
    assert sources.image.shape == target.image.shape == (2, 1, 3, SIZE, SIZE)
    again = gathered(model, scale=(64, 160), head_share=0.3, faults=False).draw(0, 2, 1)[1]
    assert torch.equal(again.image, target.image)


def test_what_cannot_be_reused_is_refused(model):
    with pytest.raises(ValueError, match="reuse"):
        gathered(model, reuse=0)
