"""Several people: who does what, where each stands, who hides whom, and what is refused with a sentence."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("typer", reason="needs the extra [person]")
import av
from typer.testing import CliRunner

from warpkit.models import Look, Pipeline, Role, Travel, Turn, Wear
from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion, Place
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.renderer import Layer
from warpkit.models.media.images import read_image
from warpkit.models.media.video import VideoReader
from warpkit.models.recovery import Clip, Person
from warpkit.models.tasks import Together, imitate, studio
from warpkit.models.tasks.course import Course, moving
from warpkit.models.tasks.imitate import Reference, in_step, read_references, reference_notes
from warpkit.models.tasks.sources import Shown, Source
from warpkit.models.tasks.together import check_together, draw_order, parse_place, placed, scene_of, who_drives


def standing(model: BodyModel, x: float = 300.0, y: float = 200.0, scale: float = 100.0) -> Body:
    camera = Camera(torch.tensor([scale]), torch.tensor([[x, y]]))
    return Body(torch.zeros(1, 22, 3), model.mean_shape[None], camera)


def shown(body: Body, image: np.ndarray | None = None, mask: torch.Tensor | None = None) -> Shown:
    """Somebody in a photo that was never looked at."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8) if image is None else image
    mask = torch.zeros(image.shape[:2]) if mask is None else mask
    rows, columns = (index.float() for index in torch.nonzero(torch.nn.functional.pad(mask, (0, 1, 0, 1))).T)
    box = (
        (float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())) if len(rows) else (0.0,) * 4
    )
    seen = torch.zeros(33)
    person = Person(image.shape[:2], body, mask, box, torch.zeros(33, 2), torch.zeros(33, 3), seen, 0.0, 1.0)
    appearance: Any = type("Shape", (), {"shape": body.shape})
    return Shown([Source("photo", image, person)], appearance)


def still(model: BodyModel, place: Place | None = None, frames: int = 4, height: float | None = None) -> Motion:
    tall = float(model.height(model.mean_shape[None])) if height is None else height
    return Motion(4.0, torch.zeros(frames, 22, 3), torch.zeros(frames, 2), torch.ones(frames), tall, place)


# --- who does as whom


def test_people_who_share_a_video_do_as_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warpkit.models.tasks.together.check_motion", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def numbers(*roles: tuple[str | Path, int | None]) -> list[int | None]:
        return who_drives([Role(["a.jpg"], motion, number) for motion, number in roles])

    assert numbers(("a.mp4", None)) == [None]  # the largest
    assert numbers(("a.mp4", None), (tmp_path / "a.mp4", None), ("b.mp4", None)) == [1, 2, None]
    assert numbers(("a.mp4", None), ("walk", None), ("a.mp4", None)) == [1, None, 2]
    assert numbers(("a.mp4", None), ("a.mp4", 1), ("a.mp4", None)) == [2, 1, 3]
    assert numbers(("a.mp4", 2), ("a.mp4", 2)) == [2, 2]


def test_motions_in_one_picture_have_one_rate_and_length(model: BodyModel) -> None:
    short, long = still(model), make_motion("squat", fps=8.0, seconds=2.5)
    found = [reference.motion for reference in in_step([(short, None), ("walk", None), (long, None)], model, None)]
    assert [(len(motion), motion.fps) for motion in found] == [(10, 4.0)] * 3
    torch.testing.assert_close(found[1].rotations, make_motion("walk", fps=4.0, seconds=2.5).rotations)
    assert torch.equal(found[0].rotations[4:], short.rotations[-1:].expand(6, -1, -1))  # stands still when it is over
    whole = in_step([("wave", None), ("walk", None)], model, 5.0)
    longest = max(make_motion(name, fps=5.0).seconds for name in ("wave", "walk"))
    assert [len(one.motion) for one in whole] == [round(5 * longest)] * 2


def test_a_video_with_several_people_is_told_where_nobody_was_chosen() -> None:
    reference = Reference(make_motion("walk", fps=5.0), Path("duo.mp4"), 2)
    assert "2 people were found in duo.mp4" in reference_notes(reference, None)[0]
    assert reference_notes(reference, 2) == reference_notes(reference._replace(people=1), None) == []


def test_a_video_without_legs_is_told() -> None:
    reference = Reference(make_motion("walk", fps=5.0), Path("talk.mp4"), 1, whole=0.25)
    (told,) = reference_notes(reference, None)
    assert told.startswith("only the upper body is in 75 % of talk.mp4")


def test_a_video_that_can_be_read_in_part_is_told(
    model: BodyModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 96, 3), np.uint8)
    whole, half = tmp_path / "whole.mp4", tmp_path / "half.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", 10, options={"g": "1"})
        stream.width = stream.height = 96
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    def recovered(frames: VideoReader, *_: Any, **__: Any) -> Clip:
        read = sum(1 for _ in frames)
        camera = Camera(torch.full((read,), 50.0), torch.zeros(read, 2))
        body = Body(torch.zeros(read, 22, 3), model.mean_shape.expand(read, -1), camera)
        return Clip(body, 10.0, (96, 96), torch.ones(read, dtype=torch.bool), 0.0)

    monkeypatch.setattr(imitate, "recover_clip", recovered)
    intact, cut = (read_references([(path, None)], model, None)[0] for path in (whole, half))
    assert (intact.read, reference_notes(intact, None)) == (1.0, [])
    assert 0.3 < cut.read < 0.7
    (told,) = reference_notes(cut, None)
    assert told.startswith(f"only the first {100 * cut.read:.0f} % of {half} can be read")


# --- where they stand


def feet(body: Body, model: BodyModel) -> float:
    return float(body.camera.pixels(model(body.pose, body.shape))[0, :, 1].amax())


def test_people_stand_in_metres_from_the_first(model: BodyModel) -> None:
    people = [shown(standing(model)), *(shown(standing(model, 9.0, 9.0, 7.0), np.zeros((9, 9, 3), np.uint8)),) * 3]
    places = [None, None, (-1.5, 0.0), (1.0, 5.0)]
    roles = [Role(["a.jpg"], "walk", place=place) for place in places]
    references = [Reference(still(model))] * 4
    first, beside, left, behind = placed(people, roles, references, model)
    assert beside.camera.offset[0].tolist() == pytest.approx([400, 200], abs=1e-3)
    assert left.camera.offset[0].tolist() == pytest.approx([150, 200], abs=1e-3)
    assert float(behind.camera.scale) == pytest.approx(50)  # as far again from the camera
    assert float(behind.camera.offset[0, 0]) == pytest.approx(350)
    assert feet(first, model) - feet(behind, model) == pytest.approx(75, abs=0.01)  # half way to the horizon


def test_people_stand_to_each_other_as_those_of_the_video(model: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tall = float(model.height(model.mean_shape[None]))
    lead = still(model, Place((50.0, 40.0), 20.0, (90, 120)))
    nearer = still(model, Place((90.0, 40.0), 30.0, (90, 120)), height=0.8 * tall)
    people = [shown(standing(model)), shown(standing(model, 1.0, 2.0, 3.0), np.zeros((9, 9, 3), np.uint8))]
    monkeypatch.setattr("warpkit.models.tasks.together.check_motion", lambda *_: None)
    roles = [Role(["a.jpg"], "duo.mp4")] * 2
    references = [Reference(motion, Path("duo.mp4")) for motion in (lead, nearer)]
    first, second = placed(people, roles, references, model)
    assert float(second.camera.scale) == pytest.approx(150)  # half as large again
    assert float(second.camera.offset[0, 0]) == pytest.approx(500)  # 40 pixels of the video are 2 m
    below = feet(standing(model, 0.0, 0.0, 1.0), model)
    assert feet(second, model) - feet(first, model) == pytest.approx(100 * below * (0.8 * 1.5 - 1), abs=0.1)


def test_people_of_one_photo_stay_where_it_shows_them_and_are_gone_from_it(model: BodyModel) -> None:
    image = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    masks = torch.zeros(2, 40, 60)
    masks[0, 5:35, 5:20], masks[1, 10:30, 40:55] = 1, 1
    bodies = standing(model), standing(model, 340.0)
    people = [shown(body, image, mask) for body, mask in zip(bodies, masks, strict=True)]
    roles, references = [Role(["a.jpg"], "walk")] * 2, [Reference(still(model))] * 2
    assert placed(people, roles, references, model)[1].camera.offset.tolist() == bodies[1].camera.offset.tolist()
    scene = scene_of([*people, shown(standing(model), 255 - image, 1 - masks[0])])
    assert torch.equal(scene.person.mask, masks.amax(0))
    assert scene.person.box == (5.0, 5.0, 54.0, 34.0)


def test_whoever_stands_lower_is_drawn_later_but_not_for_a_trifle(model: BodyModel) -> None:
    frames, fps = 60, 10.0
    camera = Camera(torch.full((frames,), 100.0), torch.tensor([[300.0, 200.0]]).repeat(frames, 1))
    stays = Body(torch.zeros(frames, 22, 3), model.mean_shape.expand(frames, -1), camera)
    down = torch.linspace(-30, 30, frames)
    comes = replace(stays, camera=replace(camera, offset=camera.offset + torch.stack((0 * down, down), 1)))
    order = draw_order([comes, stays], model, fps)
    assert order[0] == [0, 1]
    assert order[-1] == [1, 0]
    assert sum(one != other for one, other in pairwise(order)) == 1
    trembles = replace(stays, camera=replace(camera, offset=camera.offset + 2 * torch.randn(frames, 2)))
    assert len({tuple(one) for one in draw_order([stays, trembles], model, fps)}) == 1


# --- frames


@pytest.fixture(scope="module")
def photos() -> tuple[np.ndarray, np.ndarray]:
    """Two photos, the second the first one's mirror image."""
    openpeople = pytest.importorskip("openpeople", reason="needs the extra [demo]")
    folder = Path(openpeople.__file__).parent / "data" / "curated" / "P006" / "assets"
    photo = np.ascontiguousarray(read_image(folder / "studio_posture.jpg")[::8, ::8])
    return photo, np.ascontiguousarray(photo[:, ::-1])


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.from_pretrained(renderer="geometric", device="cpu", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pair(pipe: Pipeline, photos: tuple[np.ndarray, np.ndarray]) -> Together:
    one, other = photos
    roles = [Role([one], "wave"), Role([other], "squat", place=(0.25, -0.5))]
    return pipe.together(roles, look=Look(64, "white", fps=2.0))


def test_a_frame_shows_everybody_and_nearer_ones_hide_others(pair: Together) -> None:
    assert len(pair) == len(pair.order) == len(list(pair))
    assert pair.frame(1).shape == (64, 64, 3)
    back, front = (clip.render(1).alone((64, 64)) for clip in pair.clips)
    assert pair.order[1] == [0, 1]
    both = (back[3] > 0.99) & (front[3] > 0.99)
    assert both.sum() > 20
    drawn = pair.render(1)
    torch.testing.assert_close(drawn.colour[0][:, both], front[:3, both])
    alone = (back[3] > 0.99) & (front[3] == 0)
    torch.testing.assert_close(drawn.colour[0][:, alone], back[:3, alone])
    torch.testing.assert_close(drawn.alpha[0, 0], 1 - (1 - back[3]) * (1 - front[3]))


def test_laid_one_over_the_other_by_hand_they_look_the_same(pair: Together) -> None:
    ground = pair.ground(2)
    for number in pair.order[2]:
        ground = pair.clips[number].render(2).over(ground)
    expected = ground.add(1).mul(127.5).permute(1, 2, 0).numpy()
    assert np.abs(pair.frame(2) - expected).max() < 1


def test_frames_in_order_are_everybody_s_frames_in_order(pair: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a clip of one person does from frame to frame, it does among others."""
    asked: list[tuple[int, int]] = []

    def renders(number: int, frames: list[Layer]) -> Iterator[Layer]:
        for index, layer in enumerate(frames):
            asked.append((index, number))
            yield layer

    for number, clip in enumerate(pair.clips):
        frames = [clip.render(0) for _ in range(len(pair))]  # always the first one
        monkeypatch.setattr(clip, "renders", partial(renders, number, frames))
    first, *_, last = pair
    assert asked == [(index, number) for index in range(len(pair)) for number in (0, 1)]
    np.testing.assert_array_equal(first, last)
    assert (pair.frame(len(pair) // 2) != first).any()


def test_everybody_has_a_shadow_on_the_photo_and_none_where_it_is_transparent(
    pipe: Pipeline, photos: tuple[np.ndarray, np.ndarray]
) -> None:
    roles = [Role([photo], "wave") for photo in photos]
    kept = pipe.together(roles, look=Look(64, fps=2.0))
    plate = kept.clips[0].plate(0)
    dark = [(plate - clip.shaded(plate, 0)).amax(0) > 0.05 for clip in kept.clips]
    assert all(shade.any() for shade in dark)
    assert torch.equal((plate - kept.ground(0)).amax(0) > 0.05, dark[0] | dark[1])
    clear = pipe.together(roles, look=Look(64, "transparent", fps=2.0), travel=Travel("follow"))
    frame = clear.frame(0)
    assert frame.shape == (64, 64, 4)
    columns = np.flatnonzero((frame[..., 3] > 128).any(0))
    assert (np.diff(columns) > 2).sum() == 1  # two people, a gap between them


def test_what_roles_share_is_read_once(
    pipe: Pipeline, photos: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, resolved = [], []
    sources, motions = studio.read_sources, studio.resolve_motion
    monkeypatch.setattr(studio, "read_sources", lambda *a, **o: read.append(a[0]) or sources(*a, **o))
    monkeypatch.setattr(studio, "resolve_motion", lambda *a: resolved.append(a[0]) or motions(*a))
    roles = [Role([photo], motion) for photo in photos for motion in ("wave", "squat")]
    clips = list(pipe.each(roles, look=Look(64, "white", fps=2.0), turn=Turn(30.0)))
    assert [len(photos) for photos in read] == [1, 1]
    assert resolved == ["wave", "squat"]
    alone = pipe.imitate([photos[1]], "wave", look=Look(64, "white", fps=2.0), turn=Turn(30.0))
    np.testing.assert_array_equal(clips[2].frame(1), alone.frame(1))


def test_every_task_tells_that_a_video_shows_no_legs(
    pipe: Pipeline, photos: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        imitate,
        "read_references",
        lambda asked, *_: [Reference(make_motion("wave", fps=2.0), Path("talk.mp4"), whole=0.5) for _ in asked],
    )
    (one, other), look = photos, Look(64, "white", fps=2.0)
    tasks = {
        "imitate": pipe.imitate([one], "wave", look=look),
        "each": next(pipe.each([Role([other], "wave")], look=look)),
        "together": pipe.together([Role([one], "wave"), Role([other], "wave")], look=look),
        "transfer": pipe.transfer([one], [Wear([other], ("upper",))], motion="wave", look=look),
    }
    for task, clip in tasks.items():
        assert [note for note in clip.notes if "only the upper body is in 50 % of talk.mp4" in note], task


# --- what cannot be


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Role(["a.jpg"], "walk", 2), "the motion 'walk' is no video"),
        (lambda: Role(["a.jpg"], make_motion("walk"), 1), "the motion given is no video"),
        (lambda: Role(["a.jpg"], "walk", 0), "counted from 1, there is no person 0"),
        (lambda: Role(["a.jpg"], "hop"), "'hop' is neither a known motion"),
        (lambda: Role(["a.jpg"], "walk", place=(float("nan"), 0)), "metres to the right and behind"),
        (lambda: Role(["a.jpg"], "walk", place=(0, -4.5)), "at most 4 in front"),
        (lambda: parse_place("left"), "RIGHT,BACK in metres"),
        (lambda: parse_place("1,2,3"), "RIGHT,BACK in metres"),
    ],
)
def test_a_role_that_cannot_be_is_a_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()


def test_places_are_metres() -> None:
    assert (parse_place("1.5"), parse_place("-1,0.5")) == ((1.5, 0.0), (-1.0, 0.5))


@pytest.mark.parametrize(
    ("roles", "look", "travel", "sentence"),
    [
        ([], Look(64), Travel(), "1 to 8 people go into one picture, not 0"),
        ([Role(["a.jpg"], "walk")] * 9, Look(64), Travel(), "not 9"),
        ([Role(["a.jpg"], "walk", place=(1, 0))], Look(64), Travel(), "counted from the first person"),
        ([Role(["a.jpg"], "walk")], Look(64, "reference"), Travel(), "needs a video as the motion"),
        ([Role(["a.jpg"], "walk")], Look(64), Travel("copy"), "camera copy needs a video"),
        ([Role(["nobody.jpg"], "walk")] * 2, Look(64), Travel(), "nobody.jpg"),
    ],
)
def test_people_who_do_not_go_together_are_a_sentence(
    pipe: Pipeline, roles: list[Role], look: Look, travel: Travel, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        pipe.together(roles, look=look, travel=travel)


def test_pictures_of_several_videos_cannot_be_copied_at_once(model: BodyModel) -> None:
    places = Place((5.0, 5.0), 20.0, (40, 60)), Place((5.0, 5.0), 20.0, (60, 60)), None
    one, other, nowhere = (still(model, place) for place in places)

    def copy(*motions: Motion) -> Course:
        people, references = [standing(model)] * len(motions), [Reference(motion) for motion in motions]
        return moving(people, references, Travel("copy", slide=True), Turn(), Look(64), model)

    assert copy(one, one).picture == (40, 60)
    with pytest.raises(InputError, match="these motions come from several"):
        copy(one, other)
    with pytest.raises(InputError, match="camera copy needs a video"):
        copy(one, nowhere)


def test_the_scene_of_a_video_is_for_all_who_do_as_its_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warpkit.models.tasks.together.check_motion", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    check_together([Role(["a.jpg"], "a.mp4"), Role(["b.jpg"], tmp_path / "a.mp4")], True, True)
    for other in ("b.mp4", "walk"):
        with pytest.raises(InputError, match="the scene of one video"):
            check_together([Role(["a.jpg"], "a.mp4"), Role(["b.jpg"], other)], True, True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--motion", "walk", "--motion", "wave", "--out", "a.mp4"], "give --out a folder"),
        (["--motion", "walk", "--motion", "wave", "--and", "b.jpg", "--and", "c.jpg", "--out", "a.mp4"], "3 people do"),
        (["--motion", "a.mp4", "--and", "b.jpg", "--reference-person", "1", "--out", "a.mp4"], "1 came for 2"),
        (["--motion", "walk", "--and", "b.jpg", "--place", "1", "--place", "2", "--out", "a.mp4"], "2 came for 1"),
        (["--motion", "walk", "--and", "b.jpg", "--place", "near", "--out", "a.mp4"], "RIGHT,BACK"),
        (["--motion", "walk", "--and", "b.jpg", "--side-by-side", "--out", "a.mp4"], "--side-by-side shows one"),
        (["--motion", "walk", "--and", "b.jpg", "--place", "1", "--out", "all"], "a folder gets each by themselves"),
        (["--motion", "walk", "--motion", "wave", "--frames", "f", "--out", "all"], "a folder gets several"),
        (["--motion", "walk", "--reference-person", "2", "--out", "a.mp4"], "1 came for 0"),
        (["--motion", "walk", "--out", "all"], "must end in"),
        (["--motion", "walk", "--keep", "--out", "a.mp4"], "--keep is of videos in a folder"),
        (["--motion", "walk", "--motion", "wave", "--keep", "--force", "--out", "all"], "give one of them"),
    ],
)
def test_options_that_contradict_each_other_are_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    *options, out = options
    result = CliRunner().invoke(app, ["imitate", "a.jpg", *options, str(tmp_path / out)])
    assert result.exit_code == REFUSED, result.output
    assert sentence in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


# --- the command


def test_who_does_what_arrives_as_it_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d:3").touch()
    came: dict[str, list[Role]] = {}

    class Recorder:
        def __getattr__(self, name: str) -> Any:
            def call(roles: list[Role], **_: Any) -> None:
                came[name] = roles
                raise InputError("this is far enough")

            return call

    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *_, **__: Recorder())

    def ask(*options: str) -> None:
        assert "far enough" in CliRunner().invoke(app, ["imitate", *options]).stderr

    people = ["a1.jpg", "a2.jpg", "--person", "2", "--and", "b1.jpg+b2.jpg", "--and", "c.jpg:2", "--and", "d:3"]
    places = ["--place", "1", "--place", "-1,0.5", "--place", "0,1"]
    ask(*people, "--motion", "walk", *places, "--out", "a.mp4")
    walk = [Role([Path("a1.jpg"), Path("a2.jpg")], "walk", None, 2)]
    walk += [Role([Path("b1.jpg"), Path("b2.jpg")], "walk", place=(1.0, 0.0))]
    walk += [Role([Path("c.jpg")], "walk", None, 2, (-1.0, 0.5)), Role([Path("d:3")], "walk", place=(0.0, 1.0))]
    assert came.pop("together") == walk
    ask("a.jpg", "--and", "b.jpg", "--motion", "walk", "--motion", "wave", "--out", "a.mp4")
    assert came.pop("together") == [Role([Path("a.jpg")], "walk"), Role([Path("b.jpg")], "wave")]
    monkeypatch.setattr("warpkit.models.tasks.together.check_motion", lambda *_: None)  # there is no such video
    mixed = ["--motion", "walk", "--motion", "v.mp4", "--reference-person", "3"]
    ask("a.jpg", "--and", "b.jpg", *mixed, "--out", "a.mp4")
    assert came.pop("together") == [Role([Path("a.jpg")], "walk"), Role([Path("b.jpg")], "v.mp4", 3)]
    ask("a.jpg", *mixed, "--out", "all")
    assert came.pop("each") == [Role([Path("a.jpg")], "walk"), Role([Path("a.jpg")], "v.mp4", 3)]
    ask("a.jpg", "--and", "b.jpg", "--motion", "walk", "--motion", "wave", "--out", "all")
    assert came.pop("each") == [
        Role([Path(photo)], motion) for photo in ("a.jpg", "b.jpg") for motion in ("walk", "wave")
    ]


def test_a_folder_gets_every_person_with_every_motion(
    pair: Together, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *_, **__: Pipeline)
    monkeypatch.setattr(Pipeline, "each", lambda roles, **_: iter([pair] * len(roles)))
    arguments = ["imitate", "x/a.jpg", "--and", "y/a.jpg", "--motion", "walk", "--motion", "wave", "--out"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "all")])
    assert result.exit_code == 0, result.output
    names = {"a_walk.mp4", "a_wave.mp4", "a_walk-2.mp4", "a_wave-2.mp4"}
    assert {path.name for path in (tmp_path / "all").iterdir()} == names
    again = CliRunner().invoke(app, [*arguments, str(tmp_path / "all")])
    assert again.exit_code == REFUSED
    assert "a_walk.mp4" in again.stderr
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "all").iterdir()}
    (tmp_path / "all" / "a_wave.mp4").unlink()
    asked: list[Role] = []
    monkeypatch.setattr(Pipeline, "each", lambda roles, **_: asked.extend(roles) or iter([pair] * len(roles)))
    rest = CliRunner().invoke(app, [*arguments, str(tmp_path / "all"), "--keep"])
    assert rest.exit_code == 0, rest.output
    assert asked == [Role([Path("x/a.jpg")], "wave")]
    assert "3 videos of 4 there already" in rest.stderr
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "all").iterdir()}
    assert {name for name in names if now[name] == times[name]} == names - {"a_wave.mp4"}
    assert CliRunner().invoke(app, [*arguments, str(tmp_path / "all"), "--keep"]).exit_code == 0
    assert len(asked) == 1
