"""Novel views: angles as people write them, bodies turned about their own axis, and the pictures that come out."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("typer", reason="needs the extra [person]")
from typer.testing import CliRunner, Result

from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.media.images import read_image
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.media.video import VideoWriter
from warpkit.models.tasks import Clip, Look, Pipeline, Travel, Turn, studio
from warpkit.models.tasks.beside import Beside
from warpkit.models.tasks.course import Course, moving
from warpkit.models.tasks.imitate import Reference
from warpkit.models.tasks.view import (
    columns_of_person,
    own_axis,
    parse_angles,
    parse_shift,
    same_length,
    turned,
    view_rotations,
)

SIZE = 128


def warpkit_view(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


# --- angles


@pytest.mark.parametrize(
    ("text", "angles"),
    [
        ("30", [30]),
        ("0,90,-45.5", [0, 90, -45.5]),
        ("0:90:30", [0, 30, 60, 90]),
        ("0:80:30", [0, 30, 60]),
        ("90:0:45", [90, 45, 0]),
        ("90:0:-45", [90, 45, 0]),
        ("0:360:90", [0, 90, 180, 270]),
        ("-180:180:120", [-180, -60, 60]),
        ("0:360:7", [7 * step for step in range(52)]),
        ("1:3", [1, 2, 3]),
        ("5,0:360:180", [5, 0, 180]),
    ],
)
def test_angles_are_what_people_write(text: str, angles: list[float]) -> None:
    assert parse_angles(text) == pytest.approx(angles)


def test_a_full_turn_of_small_steps_leaves_the_start_out() -> None:
    assert len(parse_angles("0:360:0.1")) == 3600


@pytest.mark.parametrize("text", ["10:10:5", "0:90:0", "0:0"])
def test_a_range_without_views_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="holds no view"):
        parse_angles(text)


@pytest.mark.parametrize("text", ["", "left", "0:1:2:3", "nan", "0:inf:1", "1,,2"])
def test_what_is_no_angle_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="elevation must be degrees"):
        parse_angles(text, "elevation")


def test_more_views_than_anybody_wants_are_refused() -> None:
    with pytest.raises(InputError, match="3600001 views"):
        parse_angles("0:360:0.0001")


def test_lists_of_angles_go_together_or_are_refused() -> None:
    assert same_length(azimuth=[0, 90], elevation=[10]) == [[0, 90], [10, 10]]
    with pytest.raises(InputError, match="azimuth 2, elevation 3"):
        same_length(azimuth=[0, 90], elevation=[1, 2, 3])
    with pytest.raises(InputError, match="roll holds no view"):
        same_length(azimuth=[0], roll=[])


def test_a_turn_says_its_views_and_what_cannot_be() -> None:
    turn = Turn.parse("0:90:45", "30", shift="0.5,0")
    assert turn == Turn([0.0, 45.0, 90.0], [30.0], [0.0], (0.5, 0.0))
    assert (len(turn), turn.turns, turn.level) == (3, True, False)
    assert turn.labels == ["azimuth 0", "azimuth 45", "azimuth 90"]
    assert turn.spread(5).angles[0] == [0, 22.5, 45, 67.5, 90]
    assert not Turn().turns
    assert Turn(shift=(0, 0.1)).turns
    for wrong in (
        {"azimuth": []},
        {"azimuth": math.nan},
        {"azimuth": [0, 1], "roll": [0, 1, 2]},
        {"shift": (0, math.inf)},
    ):
        with pytest.raises(InputError):
            Turn(**wrong)


@pytest.mark.parametrize("wrong", [None, "abc", "30", [None], ["abc"], [[30.0]], object(), math.inf, [math.nan], 1j])
def test_what_is_no_number_is_a_sentence(wrong: Any) -> None:
    for name in ("azimuth", "elevation", "roll"):
        with pytest.raises(InputError, match=f"{name} must be degrees, one finite number or several, .* came"):
            Turn(**{name: wrong})
    with pytest.raises(InputError, match="shift must be two finite numbers"):
        Turn(shift=wrong)


def test_numbers_of_any_kind_are_angles() -> None:
    assert Turn(np.float32(30), np.int64(5), np.array([10, 20])).angles == [[30, 30], [5, 5], [10, 20]]
    for wrong in (1.0, (1.0,), (1.0, 2.0, 3.0)):
        with pytest.raises(InputError, match="shift must be two finite numbers"):
            Turn(shift=wrong)


def test_views_go_by_while_time_is_frozen() -> None:
    moments, views = Turn([0, 90, 180, 270], 10.0, freeze=0.2, hold=0.5).timed(6, 10.0)
    assert moments == [0, 1, 2, 2, 2, 2, 2, 3, 4, 5]
    assert views.angles[0] == [0, 0, 0, 90, 180, 270, 360, 360, 360, 360]  # all round, the start again included
    assert set(views.angles[1]) == {10.0}
    assert Turn([0, 60], freeze=0.0, hold=0.2).timed(3, 10.0)[1].angles[0] == [0, 60, 60, 60]
    assert Turn(30.0, freeze=0.1, hold=0.3).timed(2, 10.0)[1].angles[0] == [30, 30, 210, 390]
    assert Turn([0, 90]).timed(3, 10.0) == ([0, 1, 2], Turn([0.0, 45.0, 90.0], [0.0] * 3, [0.0] * 3))


def test_time_is_frozen_within_the_motion_or_a_sentence_says_so() -> None:
    with pytest.raises(InputError, match=r"frozen at 0\.6 s: the motion lasts 0\.6 s"):
        Turn([0, 90], freeze=0.6).timed(6, 10.0)
    for freeze in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="from 0 on"):
            Turn([0, 90], freeze=freeze)


def test_a_shift_beyond_sight_is_refused() -> None:
    with pytest.raises(InputError, match="at most 10 metres"):
        Turn(shift=(0.0, -10.5))
    for hold in (0.0, -1.0, math.nan, 1e6):
        with pytest.raises(InputError, match="up to 600 seconds"):
            Turn(freeze=0.0, hold=hold)
    with pytest.raises(InputError, match="no second to freeze at"):
        Turn(hold=2.0)


def test_shift_is_two_numbers() -> None:
    assert parse_shift("0.5,-1") == (0.5, -1.0)
    for text in ("1", "a,b", "1,2,3", "nan,0"):
        with pytest.raises(InputError, match="RIGHT,UP"):
            parse_shift(text)


# --- bodies


@pytest.fixture(scope="module")
def standing(model: BodyModel) -> Body:
    """Seen by a camera that looks down by 6 degrees, so leaning towards it."""
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 0] = math.radians(6)
    return Body(pose, model.mean_shape[None], Camera(torch.tensor([100.0]), torch.tensor([[150.0, 120.0]])))


def turn(body: Body, model: BodyModel, azimuth: float, elevation: float = 0.0, roll: float = 0.0) -> Body:
    return turned(body, model, view_rotations([azimuth], [elevation], [roll], own_axis(body, model)))


def facing(body: Body) -> torch.Tensor:
    """Where the front of the body looks: right, up, towards the camera."""
    return axis_angle_to_matrix(body.pose[0, 0])[:, 2]


def test_no_turn_is_the_photo_s_own_view(model: BodyModel, standing: Body) -> None:
    same = turn(standing, model, 0)
    torch.testing.assert_close(same.pose, standing.pose, atol=1e-6, rtol=0)
    torch.testing.assert_close(same.camera.offset, standing.camera.offset)


def test_azimuth_90_faces_the_right_edge_and_elevation_looks_down(model: BodyModel, standing: Body) -> None:
    assert facing(turn(standing, model, 90))[0] > 0.99
    top_down = facing(turn(standing, model, 0, elevation=90))
    assert top_down[1] < -0.99
    head = axis_angle_to_matrix(turn(standing, model, 0, roll=90).pose[0, 0])[:, 1]
    assert head[0] > 0.98


def test_a_person_seen_from_above_is_seen_from_above_from_every_side(model: BodyModel, standing: Body) -> None:
    for azimuth in (90, 180, 270):
        up = axis_angle_to_matrix(turn(standing, model, azimuth).pose[0, 0])[:, 1]
        assert math.degrees(math.atan2(up[2], up[1])) == pytest.approx(6, abs=1)


def test_feet_stay_where_they_stand(model: BodyModel, standing: Body) -> None:
    def between_the_feet(body: Body) -> torch.Tensor:
        joints = model.joints(body.pose, body.shape)
        pixels = body.camera.pixels(joints)[0]
        return (pixels[JOINTS.index("left_ankle")] + pixels[JOINTS.index("right_ankle")]) / 2

    before = between_the_feet(standing)
    for azimuth, elevation in ((180, 0), (0, 30), (120, 45)):
        assert (between_the_feet(turn(standing, model, azimuth, elevation)) - before).norm() < 10  # of 10 cm a pixel


def test_shift_moves_by_metres(model: BodyModel, standing: Body) -> None:
    moved = turned(standing, model, torch.eye(3)[None], (0.5, 0.2))
    torch.testing.assert_close(moved.camera.offset - standing.camera.offset, torch.tensor([[50.0, -20.0]]))


# --- pictures


@pytest.fixture(scope="module")
def round_about() -> Clip:
    openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
    folder = Path(openpeople.__file__).parent / "data" / "curated" / "P006" / "assets"
    photo = np.ascontiguousarray(read_image(folder / "studio_posture.jpg")[::4, ::4])
    return Pipeline.from_pretrained(renderer="geometric", cache=False).view(
        [photo], Turn([0.0, 180.0]), look=Look(SIZE)
    )


def test_every_view_is_a_frame(round_about: Clip) -> None:
    frames = list(round_about)
    assert len(frames) == 2
    assert all(frame.shape == (SIZE, SIZE, 3) for frame in frames)
    assert np.abs(frames[0].astype(int) - frames[1]).max() > 50


def test_background_is_the_photo_s_bit_for_bit_where_nobody_is_or_was(round_about: Clip) -> None:
    source, framing = round_about.sources[0], round_about.framing
    photo = to_image(framing.cut(to_tensor(source.image)))
    soft = framing.cut(source.person.mask[None], "border")[0]
    hole = torch.nn.functional.max_pool2d(soft[None], 25, stride=1, padding=12)[0] >= 0.01
    free = (framing.inside(source.person.size) & ~hole).numpy()
    for index in range(2):
        drawn = round_about.render(index)
        top, left = drawn.corner
        height, width = drawn.alpha.shape[-2:]
        free[max(0, top - 4) : top + height + 4, max(0, left - 8) : left + width + 8] = False
    assert free.mean() > 0.1
    for frame in round_about:
        np.testing.assert_array_equal(frame[free], photo[free])


def test_a_sheet_shows_the_columns_of_the_person(round_about: Clip) -> None:
    shown = columns_of_person(round_about)
    drawn = round_about.render(0)
    assert shown.start < drawn.corner[1]
    assert shown.stop > drawn.corner[1] + drawn.alpha.shape[-1]
    assert shown.stop - shown.start < SIZE


def test_a_motion_frozen_in_the_middle_turns_and_goes_on(model: BodyModel, standing: Body) -> None:
    walk = make_motion("walk", fps=10.0, seconds=0.6)
    course = moving([standing], [Reference(walk)], Travel(slide=True), Turn(freeze=0.2, hold=0.5), Look(64), model)
    (bodies,) = course.bodies
    assert len(bodies.pose) == 10
    assert course.frozen
    assert torch.equal(bodies.pose[:, 1:], walk.rotations[course.moments][:, 1:])
    facing = axis_angle_to_matrix(bodies.pose[:, 0])[:, :, 2]
    torch.testing.assert_close(facing[[2, 6]], facing[[2, 2]], atol=1e-4, rtol=0)
    assert facing[4, [0, 2]] @ facing[2, [0, 2]] < -0.9  # half way round


def test_the_reference_beside_the_frames_stands_still_with_them(
    model: BodyModel, standing: Body, tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10.0) as writer:
        for grey in (20, 120, 220):
            writer.write(np.full((32, 32, 3), grey, np.uint8))
    photo = np.zeros((32, 32, 3), np.uint8)
    beside = Beside(photo, standing, model, 32, video=tmp_path / "a.mp4", fps=10.0, moments=[0, 1, 1, 1, 2])
    shown = [round(float(beside.reference(index).mean()), -1) for index in (0, 1, 2, 3, 4, 1)]
    assert shown == [20, 120, 120, 120, 220, 120]


@pytest.mark.parametrize("audible", [True, False])
def test_sound_is_left_out_while_time_stands_still_and_that_is_told(
    audible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "VideoReader", lambda _: SimpleNamespace(has_audio=audible))
    video, flows, stops = Path("a.mp4"), [0, 1, 2], [0, 1, 1, 2]
    courses = [Course([], 10.0, "path", None, moments) for moments in (flows, stops)]
    assert studio._sound(video, courses[0]) == (video, [])
    assert studio._sound(None, courses[1]) == (None, [])
    sound, told = studio._sound(video, courses[1])
    assert (sound is None, len(told)) == (audible, int(audible))
    assert all("the sound of a.mp4 is left out" in note for note in told)


# --- the command


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--azimuth", "0:0:5", "--out", "a.mp4"], "holds no view"),
        (["--azimuth", "0:90:45", "--out", "a.png"], "give --sheet"),
        (["--azimuth", "0:90:45", "--sheet", "--out", "a.mp4"], "a sheet is a picture"),
        (["--azimuth", "0:360:1", "--sheet", "--out", "a.png"], "at most 100 views"),
        (["--azimuth", "0,1", "--elevation", "0,1,2", "--out", "a.mp4"], "equally many"),
        (["--out", "a.gifv"], "must end in"),
        (["--shift", "far", "--out", "a.mp4"], "RIGHT,UP"),
        (["--background", "beach.jpg", "--out", "a.mp4"], "background 'beach.jpg'"),
    ],
)
def test_what_cannot_be_is_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    *options, out = options
    result = warpkit_view("nobody.jpg", *options, tmp_path / out)
    assert result.exit_code == REFUSED
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_one_view_is_a_picture_and_several_are_a_sheet_or_a_video(
    tmp_path: Path, round_about: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warpkit.models.media.video import VideoReader

    monkeypatch.setattr(
        Pipeline, "from_pretrained", lambda *_, **__: Pipeline(round_about.model, None, round_about.device)
    )
    monkeypatch.setattr(Pipeline, "view", lambda *_, **__: round_about)
    assert warpkit_view("a.jpg", "--azimuth", "0,180", "--sheet", "--out", tmp_path / "a.png").exit_code == 0
    sheet = read_image(tmp_path / "a.png")
    shown = columns_of_person(round_about)
    assert sheet.shape[1] == 6 + 2 * (shown.stop - shown.start + 6)
    assert warpkit_view("a.jpg", "--azimuth", "0,180", "--out", tmp_path / "a.mp4").exit_code == 0
    assert VideoReader(tmp_path / "a.mp4").num_frames == 2
