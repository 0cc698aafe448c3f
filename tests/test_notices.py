"""What people are told about their photos: where something is wrong, with its number, and not where nothing is."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from warpkit.models.bodies import JOINTS, PARTS, Body, BodyModel, Camera, load_body
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.media.tensors import to_image
from warpkit.models.recovery import Person
from warpkit.models.tasks.notices import _backgrounds, _light, enlarged, is_straight, notes
from warpkit.models.tasks.sources import Source

SIDE = 160
DOWN = {"left_shoulder": (0, 0, -1.1), "right_shoulder": (0, 0, 1.1)}
CROSSED = {
    "left_shoulder": (0, -0.9, -1.0),
    "right_shoulder": (0, 0.9, 1.0),
    "left_elbow": (0, -1.8, 0),
    "right_elbow": (0, 1.8, 0),
}
SEATED = DOWN | {
    "left_hip": (-1.5, 0, 0.1),
    "right_hip": (-1.5, 0, -0.1),
    "left_knee": (1.5, 0, 0),
    "right_knee": (1.5, 0, 0),
}
POSES = {"DOWN": DOWN, "CROSSED": CROSSED, "SEATED": SEATED}


@cache
def photo(
    name: str, degrees: float = 0.0, pose: str = "DOWN", gain: float = 1.0, blue: float = 1.0, wall: float = 0.0
) -> Source:
    """A photo of one made-up person, as it would have been recovered without a fault; light and wall as said."""
    person, model = MadeUpPerson(load_body("anny"), 3), load_body("anny")
    turned = torch.zeros(1, len(JOINTS), 3)
    for joint, angles in POSES[pose].items():
        turned[0, JOINTS.index(joint)] = torch.tensor(angles)
    turned[0, 0, 1] = degrees * torch.pi / 180
    camera = Camera(0.75 * SIDE / model.height(person.shape), torch.tensor([[SIDE / 2, SIDE * 0.48]]))
    body = Body(turned, person.shape, camera)
    made = person.render(body, (SIDE, SIDE))
    light = gain * torch.tensor([1.0, 1.0, blue])[:, None, None]
    lit = (made.colour + 1) * light - 1
    image = to_image(lit * made.alpha + wall * (1 - made.alpha))
    rows, columns = (made.alpha > 0.5).nonzero().T
    box = (float(columns.min()), float(rows.min()), float(columns.max()) + 1, float(rows.max()) + 1)
    none = torch.zeros(33, 3)
    found = Person((SIDE, SIDE), body, made.alpha, box, none[:, :2], none, none[:, 0], 0.003, 0.9)
    return Source(name, image, found)


def test_good_photos_leave_nothing_to_say(model: BodyModel) -> None:
    assert notes([photo("front")], None, model) == ()
    assert notes([photo("front"), photo("back", 180), photo("side", 90)], None, model) == ()


def test_a_poor_fit_is_told_with_both_numbers(model: BodyModel) -> None:
    good = photo("a.jpg")
    for change, number in (({"mask_iou": 0.7}, "IoU 0.70"), ({"landmark_error": 0.02}, "off by 2.0 %")):
        (told,) = notes([replace(good, person=replace(good.person, **change))], None, model)
        assert "fits a.jpg poorly" in told
        assert number in told
        assert "arms and legs apart" in told


def test_an_upper_body_is_told_and_what_becomes_of_the_legs(model: BodyModel) -> None:
    good = photo("a.jpg")
    cut = replace(photo("b.jpg", 180), person=replace(photo("b.jpg", 180).person, whole=False, mask_iou=0.6))
    assert notes([good, cut], None, model) == (
        "only the upper body of the person is in b.jpg: legs are taken from the other photos",
    )
    (told,) = notes([cut], None, model)
    assert "legs are made up" in told


@pytest.mark.parametrize("pose", ["CROSSED", "SEATED"])
def test_what_the_body_hides_is_told_unless_another_photo_shows_it(pose: str, model: BodyModel) -> None:
    (told,) = notes([photo("a.jpg", 0, pose)], None, model)
    assert "of what faces the camera in a.jpg lies behind other parts" in told
    assert notes([photo("a.jpg", 0, pose), photo("b.jpg")], None, model) == ()


def test_a_view_from_the_side_hides_half_and_is_welcome_beside_others(model: BodyModel) -> None:
    assert not is_straight(photo("side", 90), model)
    (told,) = notes([photo("side", 90)], None, model)
    assert "views from the side" in told
    assert notes([photo("front"), photo("side", 90)], None, model) == ()


@pytest.mark.parametrize(
    ("light", "number"), [({"gain": 0.7}, "1.1 stops"), ({"blue": 0.75}, "in colour"), ({"gain": 0.93}, None)]
)
def test_unlike_light_is_told(light: dict[str, float], number: str | None, model: BodyModel) -> None:
    told = notes([photo("a.jpg"), photo("b.jpg", **light)], None, model)
    if number is None:
        assert told == ()
    else:
        assert "the light in a.jpg and b.jpg is unlike" in told[0]
        assert number in told[0]
        assert len(told) == 1


def test_unlike_backgrounds_are_told(model: BodyModel) -> None:
    (told,) = notes([photo("a.jpg"), photo("c.jpg", wall=0.05), photo("b.jpg", wall=0.5)], None, model)
    assert "backgrounds of a.jpg and b.jpg are unlike (colours differ by 0.49" in told
    assert "only that of a.jpg is shown" in told
    assert notes([photo("a.jpg"), photo("c.jpg", wall=0.05)], None, model) == ()


@pytest.mark.parametrize("place", range(3))
def test_a_photo_that_shows_no_background_or_no_part_hides_no_note(place: int) -> None:
    behind = [("a.jpg", torch.zeros(3, 33)), ("b.jpg", torch.ones(3, 33))]
    behind.insert(place, ("none.jpg", torch.full((3, 33), torch.nan)))
    (told,) = _backgrounds(behind)
    assert "backgrounds of a.jpg and b.jpg are unlike (colours differ by 1.00" in told
    assert _backgrounds([behind[place], behind[place - 1]]) == []
    parts = [("a.jpg", torch.zeros(len(PARTS), 3)), ("b.jpg", torch.full((len(PARTS), 3), 0.9))]
    parts.insert(place, ("none.jpg", torch.full((len(PARTS), 3), torch.nan)))
    (told,) = _light(parts)
    assert "the light in a.jpg and b.jpg is unlike" in told
    assert "nan" not in told


def test_a_source_too_small_for_the_frames_is_told() -> None:
    small = photo("a.jpg")
    body = small.person.body
    larger = replace(body, camera=Camera(3 * body.camera.scale, body.camera.offset))
    (told,) = enlarged([small], larger)
    assert "pixels tall in a.jpg and 3.0 times that in the frames" in told
    assert "--size" in told
    assert enlarged([small], body) == []
