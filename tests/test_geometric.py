"""The geometric picture: shell, appearance, atlas and renderer, on made-up people whose truth is known."""

import math

import pytest
import torch
from torch import Tensor

from warpkit import interpolate, rasterize
from warpkit.models.bodies import JOINTS, PARTS, Body, BodyModel, Camera, part_of_vertices
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.geometric.appearance import (
    Appearance,
    gather_appearance,
    mirrored_side,
    opposite_side,
    sight_quality,
)
from warpkit.models.geometric.atlas import charts, unfold
from warpkit.models.geometric.mesh import Surface, around_limbs, t_pose, vertex_normals
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.shadow import STRENGTH, contact_shadow
from warpkit.models.geometric.shell import fit_shell
from warpkit.models.geometric.trust import colour_trust, doubtful, parts_seen
from warpkit.models.geometric.view import View, sample, see
from warpkit.models.geometric.whole_frame import whole_frame
from warpkit.models.metrics import psnr

SIZE = 256


def stance(degrees: float = 0.0) -> Tensor:
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 1] = math.radians(degrees)
    pose[0, JOINTS.index("left_shoulder"), 2] = -1.1
    pose[0, JOINTS.index("right_shoulder"), 2] = 1.1
    return pose


def camera_for(model: BodyModel, person: MadeUpPerson) -> Camera:
    return Camera(0.8 * SIZE / model.height(person.shape), torch.tensor([[SIZE / 2, SIZE * 0.48]]))


def view_of(model: BodyModel, person: MadeUpPerson, degrees: float = 0.0) -> View:
    body = Body(stance(degrees), person.shape, camera_for(model, person))
    truth = person.render(body, (SIZE, SIZE))
    return View(truth.colour, truth.alpha, body)


@pytest.fixture(scope="module")
def person(model: BodyModel) -> MadeUpPerson:
    return MadeUpPerson(model, seed=2)


@pytest.fixture(scope="module")
def front(model: BodyModel, person: MadeUpPerson) -> Appearance:
    return gather_appearance([view_of(model, person)], model)


def compare(model: BodyModel, person: MadeUpPerson, appearance: Appearance, pose: Tensor) -> tuple[float, float]:
    """(PSNR in the true mask, share of pixels filled) of a rendering in `pose`."""
    body = Body(pose, person.shape, camera_for(model, person))
    truth = person.render(body, (SIZE, SIZE))
    drawn = GeometricRenderer(model, appearance)(body, (SIZE, SIZE))
    made = drawn.over(torch.zeros(3, SIZE, SIZE))
    filled = (drawn.filled * drawn.alpha).sum() / drawn.alpha.sum()
    return psnr(truth.image[None], made[None], (truth.alpha > 0.5)[None, None]).item(), filled.item()


def test_shell_carries_the_outline_to_the_persons(model: BodyModel, person: MadeUpPerson) -> None:
    view = view_of(model, person)
    offsets = fit_shell([view], model, Surface(model.faces, model.num_vertices))

    def overlap(offsets: Tensor | None) -> float:
        covered, theirs = see(view, model, offsets).covered, view.alpha > 0.5
        return ((covered & theirs).sum() / (covered | theirs).sum()).item()

    assert overlap(None) < 0.9
    assert overlap(offsets) > 0.96


def test_source_pose_gives_the_source_back(model: BodyModel, person: MadeUpPerson, front: Appearance) -> None:
    quality, filled = compare(model, person, front, stance())
    assert quality > 30
    assert filled < 0.1


def test_back_is_filled_from_the_front_and_said_to_be_filled(
    model: BodyModel, person: MadeUpPerson, front: Appearance
) -> None:
    quality, filled = compare(model, person, front, stance(180))
    assert quality > 15
    assert filled > 0.95


@pytest.fixture(scope="module")
def both(model: BodyModel, person: MadeUpPerson) -> Appearance:
    """From the front and from behind."""
    return gather_appearance([view_of(model, person), view_of(model, person, 180)], model)


def test_second_source_replaces_the_filling(
    model: BodyModel, person: MadeUpPerson, front: Appearance, both: Appearance
) -> None:
    alone, _ = compare(model, person, front, stance(180))
    helped, filled = compare(model, person, both, stance(180))
    assert helped > alone + 5
    assert filled < 0.1


@pytest.mark.parametrize(("degrees", "source"), [(0, 0), (180, 1)])
def test_each_pixel_says_which_source_it_comes_from(
    model: BodyModel, person: MadeUpPerson, both: Appearance, degrees: float, source: int
) -> None:
    renderer = GeometricRenderer(model, both)
    drawn = renderer(Body(stance(degrees), person.shape, camera_for(model, person)), (SIZE, SIZE))
    shares, somebody = renderer.shares(drawn), drawn.alpha > 0
    torch.testing.assert_close((shares.sum(1, keepdim=True) + drawn.filled)[somebody], torch.ones(int(somebody.sum())))
    assert shares.min() >= 0
    assert not shares.amax(1, keepdim=True)[~somebody].any()
    assert shares[:, source][somebody[0]].mean() > 0.8


def test_shares_sum_to_one(front: Appearance) -> None:
    torch.testing.assert_close(front.blend.sum(1), torch.ones(len(front.blend)))


def test_mirrored_counterpart_is_the_mirrored_place(model: BodyModel) -> None:
    rest = t_pose(model, model.mean_shape[None])[0]
    there = mirrored_side(model).carry(rest) * torch.tensor([-1.0, 1.0, 1.0])
    assert (there - rest).norm(dim=1).quantile(0.99) < 0.01


def test_opposite_counterpart_faces_the_other_way_at_the_same_height(model: BodyModel) -> None:
    rest = t_pose(model, model.mean_shape[None])
    normals = vertex_normals(rest, model.faces)[0]
    opposite = opposite_side(model)
    exists = opposite.worth > 0
    assert exists.float().mean() > 0.3
    there = opposite.carry(rest[0])[exists]
    assert (there - rest[0, exists])[:, :2].abs().max() < 0.005
    squarely = normals[exists, 2].abs() > 0.5
    turned = opposite.carry(normals)[exists, 2] * normals[exists, 2]
    assert (turned[squarely] < 0).float().mean() > 0.95


def test_what_is_next_to_a_strange_limb_is_doubted(model: BodyModel, person: MadeUpPerson) -> None:
    pose = stance()
    pose[0, JOINTS.index("left_shoulder"), 2] = -1.45  # the left arm hangs at the hip
    body = Body(pose, person.shape, camera_for(model, person))
    truth = person.render(body, (SIZE, SIZE))
    view = View(truth.colour, truth.alpha, body)
    sight = see(view, model)
    doubt, part = doubtful(view, sight, model).any(0), parts_seen(sight, model)
    assert doubt[part == PARTS.index("left_hand")].any()
    assert doubt[part == PARTS.index("left_upper_leg")].float().mean() > 0.1
    assert not doubt[part == PARTS.index("right_upper_leg")].any()
    assert not doubt[part == PARTS.index("left_foot")].any()
    assert not doubt[part < 0].any()


def test_a_hand_that_the_fit_misses_is_not_printed_on_the_hip(model: BodyModel, person: MadeUpPerson) -> None:
    pose = stance()
    pose[0, JOINTS.index("left_shoulder"), 2] = -1.45
    body = Body(pose, person.shape, camera_for(model, person))
    truth = person.render(body, (SIZE, SIZE))
    view = View(truth.colour.clone(), truth.alpha, body)
    sight = see(view, model)
    part = parts_seen(sight, model)
    leg = part == PARTS.index("left_upper_leg")
    hand = view.image[:, part == PARTS.index("left_hand")].median(1).values
    beside = leg & doubtful(view, sight, model).any(0)
    painted = beside & (torch.arange(SIZE)[:, None] % 8 < 4)  # as if fingers lay there
    view.image[:, painted] = hand[:, None]
    quality = sight_quality(view, sight)[None]
    surface = Surface(model.faces, model.num_vertices)
    trust = colour_trust([view], [sight], quality, sample(view.image, sight.pixels)[None], model, surface)[0]
    assert trust[painted].mean() < 0.1
    assert trust[leg & ~beside].mean() > 0.95


def test_what_a_limb_shows_on_one_side_is_carried_round_it_and_not_along(model: BodyModel) -> None:
    rest = t_pose(model, model.mean_shape[None])[0]
    arm = part_of_vertices(model) == PARTS.index("left_lower_arm")
    along, front = rest[:, 0].abs(), vertex_normals(rest[None], model.faces)[0, :, 2] > 0.3
    middle = float((along[arm].amax() + along[arm].amin()) / 2)
    skin = (along > middle).float()[:, None]  # a sleeve that ends half-way
    back = arm & (vertex_normals(rest[None], model.faces)[0, :, 2] < -0.3) & ((along - middle).abs() > 0.02)
    known = (front & arm) | (part_of_vertices(model) == PARTS.index("torso"))

    def off(surface: Surface) -> float:
        return float((surface.spread(skin, 10.0 * known) - skin)[back].abs().mean())

    plain = Surface(model.faces, model.num_vertices)
    round_limbs = Surface(model.faces, model.num_vertices, edge_weights=around_limbs(model, 50.0))
    assert off(round_limbs) < 0.6 * off(plain)


def test_the_dark_rim_of_an_arm_does_not_streak_it_when_it_turns(model: BodyModel, person: MadeUpPerson) -> None:
    bright = View(*_bright_with_dark_rims(view_of(model, person)), view_of(model, person).body)
    gathered = gather_appearance([bright], model)
    pose = stance()
    pose[0, JOINTS.index("left_shoulder"), 0] = pose[0, JOINTS.index("right_shoulder"), 0] = 0.9
    body = Body(pose, person.shape, camera_for(model, person))
    drawn = GeometricRenderer(model, gathered)(body, (SIZE, SIZE)).over(torch.ones(3, SIZE, SIZE))
    sight = see(View(drawn, torch.ones(SIZE, SIZE), body), model)
    part = parts_seen(sight, model)
    arms = (part == PARTS.index("left_upper_arm")) | (part == PARTS.index("right_upper_arm"))
    assert (drawn[:, arms] > 0).float().mean() > 0.98


def _bright_with_dark_rims(view: View) -> tuple[Tensor, Tensor]:
    """The image of a view in white but for the outermost pixels of the person, which are black; its alpha."""
    outside = (view.alpha < 0.5).float()[None]
    rim = torch.nn.functional.max_pool2d(outside, 3, stride=1, padding=1)[0] > 0
    return torch.where(rim, -0.9, 0.9).expand(3, -1, -1).clone(), view.alpha


def test_edges_weigh_what_is_said() -> None:
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    surface = Surface(faces, 4, edge_weights=torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    expected = torch.zeros(4, 4)
    for (one, other), weight in {(0, 1): 1.0, (1, 2): 3.0, (0, 2): 3.0, (1, 3): 5.0, (2, 3): 6.0}.items():
        expected[one, other] = expected[other, one] = weight
    assert torch.equal(torch.from_numpy(surface.adjacency.toarray()).float(), expected)
    assert abs(surface.laplacian.sum(1)).max() == 0


def test_model_without_uv_gets_charts_for_every_face(model: BodyModel) -> None:
    class Bare:
        uv = uv_faces = None

        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

        def __call__(self, *arguments: Tensor, **options: Tensor) -> Tensor:
            return model(*arguments, **options)

    vertices, faces = charts(Bare())  # type: ignore[arg-type]
    assert vertices.shape == (2 * model.num_vertices, 3)
    assert faces.shape == model.faces.shape
    assert vertices.abs().max() <= 1
    assert (vertices[faces.long(), 0].sign().sum(1).abs() == 3).all(), "a face lies in one chart"


def test_gathering_twice_gives_the_same(model: BodyModel, person: MadeUpPerson, front: Appearance) -> None:
    again = gather_appearance([view_of(model, person)], model)
    torch.testing.assert_close(again.atlas, front.atlas, rtol=0, atol=0)
    torch.testing.assert_close(again.offsets, front.offsets, rtol=0, atol=0)


def test_shadow_lies_under_the_feet_and_fades_with_their_height() -> None:
    feet = torch.tensor([[0.0, -0.9, 0.0], [0.5, -0.7, 0.0]])  # one stands, one is lifted
    dark = contact_shadow(feet, torch.tensor(200.0), torch.tensor([128.0, 40.0]), (256, 256))
    assert dark.min() >= 0
    assert dark.max() <= STRENGTH
    row, column = divmod(int(dark.argmax()), 256)
    assert abs(row - 220) <= 4
    assert abs(column - 128) <= 4
    assert dark[180:240, 200:256].max() < 0.1 * dark.max()
    assert dark[:180].max() < 0.01


def test_a_whole_frame_has_the_person_of_the_window_and_their_colours_beside(model: BodyModel) -> None:
    person = MadeUpPerson(model, 3)
    view = view_of(model, person)
    appearance = gather_appearance([view], model, atlas_size=128)
    assert appearance.atlas.shape == (1, 3, 128, 128)
    body = Body(stance(150.0), person.shape, camera_for(model, person))
    rendered = GeometricRenderer(model, appearance)(body, (SIZE, SIZE))
    whole = whole_frame(rendered, (SIZE, SIZE))
    black, white = torch.full((3, SIZE, SIZE), -1.0), torch.ones(3, SIZE, SIZE)
    for background in (black, white):
        over = whole.alpha[0] * whole.colour[0] + (1 - whole.alpha[0]) * background
        torch.testing.assert_close(over, rendered.over(background), atol=1e-5, rtol=0)
    assert (whole.seen[whole.alpha == 0] == 0).all()
    assert 0 < whole.seen[whole.alpha > 0].mean() < 0.1  # the back: next to nothing of it is seen from before
    front = Body(stance(0.0), person.shape, body.camera)
    whole = whole_frame(GeometricRenderer(model, appearance)(front, (SIZE, SIZE)), (SIZE, SIZE))
    assert whole.seen[whole.alpha > 0].mean() > 0.8
    assert whole.colour.abs().max() <= 1


def painted_head(model: BodyModel, hair: tuple[float, float, float], seed: int = 0) -> Appearance:
    """A person with a face of one colour and streaky hair of another, gathered from their front."""
    generator = torch.Generator().manual_seed(seed)
    rest = t_pose(model, model.mean_shape[None])[0]
    head = part_of_vertices(model) == PARTS.index("head")
    low, high = rest[head].amin(0), rest[head].amax(0)
    place = (rest - low) / (high - low)
    front = (place[:, 2] > 0.45) & (place[:, 1] < 0.78)
    hairy = head & ~front & (place[:, 1] > 0.3)
    colours = torch.tensor([0.5, 0.1, -0.1]).repeat(model.num_vertices, 1)
    streaks = 0.3 * torch.rand(model.num_vertices, 1, generator=generator)
    colours[hairy] = torch.tensor(hair) + streaks[hairy]
    body = Body(stance(), model.mean_shape[None], Camera(torch.tensor([700.0]), torch.tensor([[128.0, 620.0]])))
    fragments = rasterize(body.camera.project(model(body.pose, body.shape), (256, 256)), model.faces, (256, 256))
    covered = (fragments.face_index[0] >= 0).float()
    image = interpolate(colours, model.faces, fragments)[0].permute(2, 0, 1)
    view = View(torch.where(covered > 0, image, 0.0), covered, body)
    return gather_appearance([view], model, atlas_size=512)


def back_of_head(model: BodyModel, appearance: Appearance) -> Tensor:
    """[3, N] what the atlas has at the back of the head, above the nape."""
    *_, texels = unfold(model, appearance.atlas.shape[-1])
    rest = t_pose(model, model.mean_shape[None])[0]
    head = part_of_vertices(model) == PARTS.index("head")
    low, high = rest[head].amin(0), rest[head].amax(0)
    place = interpolate((rest - low) / (high - low), model.faces, texels)[0]
    index = texels.face_index[0]
    here = (index >= 0) & (model.parts[index.clamp(min=0).long()] == PARTS.index("head"))
    here &= (place[..., 2] < 0.3) & (place[..., 1] > 0.5) & (place[..., 1] < 0.8)
    return appearance.atlas[0][:, here]


def test_hair_is_grown_over_the_back_of_a_head_with_its_texture(model: BodyModel) -> None:
    dark = painted_head(model, (-0.9, -0.9, -0.9))
    back = back_of_head(model, dark)
    assert back.mean() < -0.6  # that of the hair, -0.75, and none of the face
    assert back.mean(0).std() > 0.03  # streaks: of what was seen they have 0.06, of a smooth fill none
    again = painted_head(model, (-0.9, -0.9, -0.9))
    assert torch.equal(dark.atlas, again.atlas)


def test_a_bald_head_stays_bald(model: BodyModel) -> None:
    bald = painted_head(model, (0.4, 0.0, -0.2))
    back = back_of_head(model, bald)
    assert (back.mean(1) - torch.tensor([0.5, 0.1, -0.1])).abs().max() < 0.1
    assert back.std(1).max() < 0.03
