"""The preset `small`: it starts as the geometric picture, and what it is shown is the same for every mesh."""

from dataclasses import replace

import pytest
import torch
from liquid_warping_scene import body, pictures, project, scene

from warpkit import rasterize
from warpkit.models.batch import Geometric, SurfaceCondition, make_batch
from warpkit.models.systems.liquid_warping import PRESETS, Preset, build, geometric_picture

SIZE = (128, 96)


@pytest.fixture(scope="module")
def system():
    torch.manual_seed(0)
    return build("small").eval()


def test_it_starts_as_the_geometric_picture_where_a_source_saw_the_surface(system):
    batch = scene(system, sources=3, size=SIZE)
    with torch.no_grad():
        rendered = system.render(system.encode_sources(batch), batch)
    geometric = rendered.geometric
    seen = geometric.seen > 0.99
    unseen = geometric.seen == 0
    assert seen.sum() > 500
    assert (rendered.gate[seen] > 0.85).all()
    assert (rendered.gate[unseen] == 0).all()
    torch.testing.assert_close(rendered.colour, geometric.colour, atol=1e-5, rtol=0)
    assert (rendered.alpha[geometric.alpha == 1] > 0.9).all()
    assert (rendered.alpha[batch.target_silhouette == 0] < 0.1).all()


def test_it_corrects_the_geometric_picture_that_comes_with_the_batch(system):
    batch = scene(system, sources=1, size=SIZE)
    colour = torch.rand(1, 3, *SIZE)
    batch = replace(batch, geometric=Geometric(colour, *(torch.ones(1, 1, *SIZE) for _ in range(3))))
    with torch.no_grad():
        sources = system.encode_sources(batch)
        torch.testing.assert_close(system.render(sources, batch).colour, colour, atol=1e-5, rtol=0)
        given = geometric_picture(batch)
        torch.testing.assert_close(system.render(sources, batch, given).colour, given.colour, atol=1e-5, rtol=0)


def test_a_picture_of_itself_is_given_back(system):
    """One source, and the target is the source: geometry alone is right there."""
    seen = pictures([0.0], SIZE)
    model = body()
    batch = make_batch(seen, seen.vertices[:, 0], model, system.condition(model), visibility="pixel")
    geometric = geometric_picture(batch)
    known = (geometric.seen == 1).expand(-1, 3, -1, -1)
    assert known.sum() > 3000
    torch.testing.assert_close(geometric.colour[known], seen.image[:, 0][known], atol=5e-3, rtol=0)


def test_the_source_that_looks_straight_on_wins():
    system = build("small")
    model = body()
    seen = pictures([0.0, 60.0], SIZE)
    red, blue = (torch.tensor(c).view(3, 1, 1) for c in ([1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]))
    image = torch.stack([red.expand(3, *SIZE), blue.expand(3, *SIZE)])[None]
    seen = replace(seen, image=image, alpha=torch.ones_like(seen.alpha))
    target = project([0.0], SIZE)
    geometric = geometric_picture(make_batch(seen, target, model, system.condition(model), visibility="pixel"))
    front = rasterize(target, model.faces, SIZE)
    normal = system.condition(model)(front, target)[:, -4:-1]
    straight = ((normal[:, 2] < -0.95) & (geometric.seen[:, 0] == 1))[0]
    sideways = ((normal[:, 2] > -0.4) & (normal[:, 0] < 0) & (geometric.seen[:, 0] == 1))[0]
    assert geometric.colour[0, 0, straight].mean() > 0.8  # red: the source of the target's own view
    assert geometric.colour[0, 0].max() <= 1 + 1e-5
    assert sideways.any()
    assert geometric.colour[0, 2, sideways].mean() > geometric.colour[0, 2, straight].mean() + 0.2


def test_what_a_source_hides_is_not_drawn_from_it():
    system = build("small")
    model = body()
    seen = pictures([180.0], SIZE)
    seen = replace(seen, alpha=torch.ones_like(seen.alpha))
    batch = make_batch(seen, project([0.0], SIZE), model, system.condition(model), visibility="pixel")
    geometric = geometric_picture(batch)
    on_body = batch.target_silhouette > 0
    assert geometric.seen[on_body].mean() < 0.05  # the back shows next to nothing of the front
    assert (geometric.alpha[on_body] == 1).all()


class Finer:
    """A body model's surface with every face cut into four: another mesh, the same shape."""

    def __init__(self, model):
        self.model = model
        edges = torch.cat([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]]).long()
        self.ends, number = edges.sort(1).values.unique(dim=0, return_inverse=True)
        first, second, third = (number + model.num_vertices).to(torch.int32).view(3, -1)
        a, b, c = model.faces.unbind(1)
        corners = [(a, first, third), (first, b, second), (third, second, c), (first, second, third)]
        self.faces = torch.cat([torch.stack(each, 1) for each in corners])
        self.parts = model.parts.repeat(4)
        self.mean_shape = model.mean_shape

    def finer(self, vertices):
        return torch.cat([vertices, vertices[..., self.ends, :].mean(-2)], -2)

    def __call__(self, pose, shape):
        return self.finer(self.model(pose, shape))


def test_its_condition_means_the_same_on_another_mesh(system):
    model = body()
    finer = Finer(model)
    assert len(finer.faces) == 4 * len(model.faces)
    seen, target = pictures([30.0], SIZE), project([0.0], SIZE)
    also = replace(seen, vertices=finer.finer(seen.vertices))
    one = make_batch(seen, target, model, SurfaceCondition(model), visibility="pixel")
    other = make_batch(also, finer.finer(target), finer, SurfaceCondition(finer), visibility="pixel")
    both = (one.target_silhouette * other.target_silhouette)[0, 0] > 0
    assert (one.target_silhouette != other.target_silhouette).float().mean() < 0.002
    assert (one.target_condition - other.target_condition).abs()[..., both].mean() < 0.01
    with torch.no_grad():
        images = [system.render(system.encode_sources(batch), batch).image for batch in (one, other)]
    assert (images[0] - images[1]).abs().mean() < 0.01


def test_a_better_geometric_picture_can_be_given(system):
    batch = scene(system, size=SIZE)
    grey = replace(geometric_picture(batch), colour=torch.full((1, 3, *SIZE), 0.5), seen=torch.ones(1, 1, *SIZE))
    with torch.no_grad():
        colour = system.render(system.encode_sources(batch), batch, grey).colour
    torch.testing.assert_close(colour, torch.full_like(colour, 0.5))


def test_visible_background_is_kept_to_the_bit_and_holes_are_filled(system):
    batch = scene(system, size=SIZE)
    with torch.no_grad():
        system.generator.background.colour.weight.normal_()  # as if trained
        background = system.encode_sources(batch).background
        torch.nn.init.zeros_(system.generator.background.colour.weight)
    same = (background == batch.sources.image[:, 0]).all(1)
    person = (batch.sources.alpha[:, 0, 0] > 0) | (batch.source_silhouette[:, 0, 0] > 0)
    assert not (same & person).any()
    assert same.float().mean() > 0.2


def test_the_hole_starts_as_the_background_around_it(system):
    batch = scene(system, size=SIZE)
    image = torch.linspace(-0.8, 0.8, SIZE[0])[:, None].expand_as(batch.sources.image)
    person = batch.sources.alpha > 0
    hidden = replace(batch, sources=replace(batch.sources, image=torch.where(person, 1.0, image)))
    with torch.no_grad():
        background = system.encode_sources(hidden).background
    assert (background - image[:, 0]).abs().max() < 0.3


def test_a_background_that_is_known_is_used(system):
    batch = scene(system, size=SIZE)
    plate = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        rendered = system.render(system.encode_sources(batch, background=plate), batch)
    nobody = rendered.alpha < 1e-3
    assert (rendered.background == plate).all()
    expected = rendered.alpha * rendered.colour + (1 - rendered.alpha) * plate
    torch.testing.assert_close(rendered.image, expected)
    assert not nobody.all()


def test_presets_survive_a_file_of_settings_and_name_wrong_ones():
    for preset in PRESETS.values():
        assert Preset.from_dict(preset.to_dict()) == preset
    with pytest.raises(ValueError, match=r"no setting weights\.vgg"):
        Preset.from_dict({"name": "x", "weights": {"vgg": 1}})
    with pytest.raises(ValueError, match="fusion: expected one of concat"):
        replace(PRESETS["paper"], fusion="sum")
    with pytest.raises(ValueError, match="got 'uv'"):
        replace(PRESETS["small"], condition="uv")
    with pytest.raises(ValueError, match="preset: expected one of paper"):
        build("tiny")
    with pytest.raises(ValueError, match="vgg_layers: expected layers from relu1_1 to relu5_4, got 'relu9_1'"):
        replace(PRESETS["small"], vgg_layers=("relu1_1", "relu9_1"))


def test_a_batch_of_another_preset_or_size_is_refused(system):
    batch = scene(build(replace(PRESETS["paper"], width=8)), size=SIZE)
    with pytest.raises(ValueError, match=r"21 channels, got 3; make it with system\.condition"):
        system.encode_sources(batch)
    with pytest.raises(ValueError, match="multiples of 8, 16 at least, got 60 x 64"):
        system.encode_sources(scene(system, size=(60, 64)))
