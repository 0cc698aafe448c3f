"""People from pictures and video: real runs on openpeople's pictures, and the sentences for bad input."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.smoothing import smooth
from warpkit.models.recovery import Person, choose_person, detect_people, fit_detection, recover, recover_clip
from warpkit.models.recovery.crops import Pyramid, Square, paste
from warpkit.models.recovery.fit import BODY_HEIGHT, HIPS, Targets
from warpkit.models.recovery.photo import fitter
from warpkit.models.recovery.priors import PosePrior
from warpkit.models.recovery.solver import minimise
from warpkit.models.recovery.track import Track

for package in ("ai_edge_litert", "openpeople"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: the extra [demo] brings it", allow_module_level=True)

FULL_BODIES = {"front": (72, 880, 546, 1630), "left": (665, 880, 1140, 1630), "back": (1262, 880, 1736, 1630)}
FULL_BODIES |= {"right": (1854, 880, 2328, 1630)}


def picture(person: int, name: str, height: int = 800) -> np.ndarray:
    """One of openpeople's pictures, made smaller; `name` may be a full body of the character sheet."""
    spec = find_spec("openpeople")
    assert spec is not None
    assert spec.origin is not None
    assets = Path(spec.origin).parent / "data" / "curated" / f"P{person:03d}" / "assets"
    image = Image.open(assets / f"{'character_sheet' if name in FULL_BODIES else name}.jpg").convert("RGB")
    image = image.crop(FULL_BODIES[name]) if name in FULL_BODIES else image
    return np.array(image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def studio(model: BodyModel) -> Person:
    return recover(picture(8, "studio_posture"), model)


def yaw(person: Person) -> float:
    """Degrees by which the body is turned to the picture's right."""
    facing = torch.linalg.matrix_exp(_cross(person.body.pose[0, 0])) @ torch.tensor([0.0, 0.0, 1.0])
    return math.degrees(math.atan2(float(facing[0]), float(facing[2])))


def _cross(vector: Tensor) -> Tensor:
    x, y, z = vector.tolist()
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


# --- crops


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_pasted_crop_lies_where_it_was_cut(angle: float) -> None:
    rows, columns = np.mgrid[:240, :200]
    blob = np.exp(-((columns + 0.5 - 90.3) ** 2 + (rows + 0.5 - 120.7) ** 2) / (2 * 12.0**2))
    image = np.repeat((255 * blob).astype(np.uint8)[..., None], 3, 2)
    square = Square((95.0, 118.0), 150.0, angle)
    pasted = paste(Pyramid(image).crop(square, 128)[..., 0], square, (240, 200))
    assert float((pasted - torch.from_numpy(blob)).abs().max()) < 0.03


def test_a_crop_of_a_large_picture_is_free_of_aliasing() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = Pyramid(stripes).crop(Square((512.0, 512.0), 1000.0), 128)
    assert np.abs(crop - 0.5).max() < 0.02


# --- who is there


def test_nobody_is_found_in_pictures_without_people() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert detect_people(noise) == []
    assert detect_people(np.full((300, 400, 3), 127, np.uint8)) == []


def test_a_picture_without_a_person_is_an_input_error(model: BodyModel) -> None:
    with pytest.raises(InputError, match="no person was found"):
        recover(np.full((300, 300, 3), 200, np.uint8), model)


def test_a_tiny_picture_is_an_input_error(model: BodyModel) -> None:
    with pytest.raises(InputError, match=r"50x60 pixels.*at least 64"):
        recover(np.zeros((60, 50, 3), np.uint8), model)


def test_a_picture_of_another_type_is_an_input_error(model: BodyModel) -> None:
    with pytest.raises(InputError, match="uint8"):
        recover(np.zeros((100, 100), np.float32), model)


def test_an_upper_body_is_told_from_a_whole_one(model: BodyModel) -> None:
    image = picture(5, "studio_posture")[:380]
    with pytest.raises(InputError, match="only the upper body"):
        recover(image, model)
    assert choose_person(detect_people(image), None, allow_upper_body=True).score > 0.9


def test_several_people_are_found_the_largest_first() -> None:
    small, large = picture(7, "amateur_posture", 500), picture(5, "amateur_posture", 800)
    image = np.full((800, small.shape[1] + large.shape[1], 3), 128, np.uint8)
    image[150:650, : small.shape[1]] = small
    image[:, small.shape[1] :] = large
    people = detect_people(image)
    assert len(people) == 2
    assert people[0].area > people[1].area
    assert people[0].box[0] > small.shape[1] > people[1].box[2]
    assert choose_person(people, None) is people[0]
    assert choose_person(people, 2) is people[1]
    with pytest.raises(InputError, match=r"no person 3.*2 people were found"):
        choose_person(people, 3)


def test_a_small_person_beside_a_large_one_is_found() -> None:
    image = picture(1, "amateur_posture", 1200)
    small = picture(6, "studio_posture", 180)
    image[660:840, 40 : 40 + small.shape[1]] = small
    people = detect_people(image)
    assert len(people) == 2
    assert 600 < people[1].box[1] < people[1].box[3] < 900


# --- the fit


def test_a_standing_person_is_fitted_closely(studio: Person, model: BodyModel) -> None:
    assert studio.landmark_error < 0.0045
    assert studio.mask_iou > 0.84
    assert float(model.shape_penalty(studio.body.shape)) < 4
    assert abs(yaw(studio)) < 10
    assert studio.people == 1


def test_a_person_comes_with_everything_in_the_pictures_size(studio: Person) -> None:
    height, width = studio.size
    assert studio.mask.shape == (height, width)
    assert studio.mask.dtype == torch.float32
    assert float(studio.mask.min()) >= 0
    assert float(studio.mask.max()) <= 1
    assert studio.landmarks.shape == (33, 2)
    assert studio.world.shape == (33, 3)
    assert studio.visibility.shape == (33,)
    x0, y0, x1, y1 = studio.box
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert studio.body.pose.shape == (1, 22, 3)


@pytest.mark.parametrize(("view", "expected"), [("left", 80), ("back", 180), ("right", -80)])
def test_side_and_back_views_are_turned_the_right_way(view: str, expected: float, model: BodyModel) -> None:
    person = recover(picture(8, view, 500), model)
    off = (yaw(person) - expected + 180) % 360 - 180
    assert abs(off) < 25
    assert person.landmark_error < 0.006
    assert person.mask_iou > 0.84


def test_a_fit_does_not_depend_on_the_size_of_the_picture(studio: Person, model: BodyModel) -> None:
    larger = recover(picture(8, "studio_posture", 1200), model)
    joints = [model.joints(person.body.pose, person.body.shape) for person in (studio, larger)]
    assert float((joints[0] - joints[1]).norm(dim=-1).mean()) < 0.03
    assert float(larger.body.camera.scale) == pytest.approx(1.5 * float(studio.body.camera.scale), rel=0.03)


def test_the_same_picture_gives_the_same_body(model: BodyModel) -> None:
    detection = detect_people(picture(9, "amateur_posture", 500))[0]
    first, second = fit_detection(detection, model), fit_detection(detection, model)
    assert torch.equal(first.body.pose, second.body.pose)


def test_knees_that_bend_forward_cost_more_than_knees_that_bend_back() -> None:
    prior = PosePrior()
    joints = torch.zeros(2, 21, 3)
    knee = JOINTS.index("left_knee") - 1
    joints[0, knee, 0], joints[1, knee, 0] = 0.4, -0.4
    backward, forward = prior(joints).square().sum(1)
    assert forward > backward + 10


# --- the solver


def test_outliers_do_not_move_the_minimum() -> None:
    data = torch.tensor([1.0, 1.1, 0.9, 1.0, 9.0])
    x = minimise(
        lambda rows, frames: rows - data,
        torch.zeros(1, 1),
        torch.tensor([True]),
        torch.full((5,), 2.0),
        steps=20,
        apart=1,
    )
    assert float(x) == pytest.approx(1.0, abs=0.05)


def test_smoothness_fills_frames_without_data() -> None:
    truth = torch.linspace(0, 3, 21)[:, None]
    known = torch.ones(21, 1)
    known[8:13] = 0

    def residuals(rows: Tensor, frames: Tensor) -> Tensor:
        return (rows - truth[frames]) * known[frames] * 10

    x = minimise(
        residuals, torch.zeros(21, 1), torch.tensor([True]), torch.tensor([math.inf]), steps=10, apart=1,
        smooth=torch.tensor([1.0]),
    )  # fmt: skip
    assert float((x - truth).abs().max()) < 1e-2


# --- video


def moving(count: int) -> list[np.ndarray]:
    """A person who is carried sideways through the picture, 4 pixels a frame, and comes 10 % nearer."""
    image = Image.fromarray(picture(10, "studio_posture", 480))
    frames = []
    for t in range(count):
        scale = 1 + 0.1 * t / (count - 1)
        place = (scale**-1, 0, -4 * t / scale, 0, scale**-1, 0)
        size = (image.width + 4 * count + 40, 540)
        frames.append(np.array(image.transform(size, Image.Transform.AFFINE, place, Image.Resampling.BILINEAR)))
    return frames


def test_a_video_gives_one_shape_and_a_steady_path(model: BodyModel) -> None:
    frames, seen = moving(12), []
    clip = recover_clip(iter(frames), model, 25.0, progress=seen.append)
    assert seen == list(range(1, 13))
    assert clip.body.pose.shape == (12, 22, 3)
    assert clip.size == frames[0].shape[:2]
    assert bool(clip.found.all())
    assert clip.landmark_error < 0.005
    assert torch.equal(clip.body.shape, clip.body.shape[:1].expand(12, -1))
    scale = clip.body.camera.scale
    assert float(scale[-1] / scale[0]) == pytest.approx(1.1, rel=0.02)
    step = clip.body.camera.offset[1:, 0] - clip.body.camera.offset[:-1, 0]
    assert float(step.min()) > 2
    joints = model.joints(clip.body.pose, clip.body.shape)
    assert float((joints[1:] - joints[:-1]).norm(dim=-1).mean()) < 0.008


def test_frames_in_which_the_person_is_lost_are_interpolated(model: BodyModel) -> None:
    frames = moving(10)
    for t in (5, 6):
        frames[t] = np.full_like(frames[t], 127)
    clip = recover_clip(iter(frames), model, 25.0)
    assert clip.found.tolist() == [t not in (5, 6) for t in range(10)]
    offset = clip.body.camera.offset[:, 0]
    assert float(offset[4]) < float(offset[5]) < float(offset[6]) < float(offset[7])


def test_a_clip_longer_than_a_window_is_one_motion(model: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from warpkit.models.recovery import video

    frames = moving(10)
    whole = recover_clip(iter(frames), model, 25.0)
    monkeypatch.setattr(video, "WINDOW", 8)
    monkeypatch.setattr(video, "OVERLAP", 3)
    parts = recover_clip(iter(frames), model, 25.0)
    joints = [model.joints(clip.body.pose, clip.body.shape) for clip in (whole, parts)]
    assert float((joints[0] - joints[1]).norm(dim=-1).max()) < 0.03


def test_an_upper_body_is_followed_where_that_is_allowed(model: BodyModel) -> None:
    upper = [frame[:280] for frame in moving(8)]
    with pytest.raises(InputError, match="only the upper body"):
        recover_clip(iter(upper), model, 25.0)
    clip = recover_clip(iter(upper), model, 25.0, allow_upper_body=True)
    assert clip.whole == 0
    whole = recover_clip(iter(moving(8)), model, 25.0, allow_upper_body=True)
    assert whole.whole == 1
    shoulders = [JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
    places = [
        one.body.camera.pixels(model.joints(one.body.pose, one.body.shape))[:, shoulders] for one in (clip, whole)
    ]
    assert float((places[0] - places[1]).norm(dim=-1).mean()) < 6  # of 400 pixels
    legs = [JOINTS.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee")]
    assert float(clip.body.pose[:, legs].abs().max()) < 0.6  # straight enough to stand on


def test_a_shape_is_taken_from_frames_that_show_a_whole_person(model: BodyModel) -> None:
    upper, whole = detect_people(moving(2)[0][:280])[0], detect_people(moving(2)[0])[0]
    track = Track()
    for detection in (upper, upper, whole):
        track.keep(detection)
    assert [key.whole for key in track.keys] == [False, False]  # one frame may be misjudged
    for detection in (upper, whole):
        track.keep(detection)
    assert [key.whole for key in track.keys] == [True, True]


def test_whoever_is_whole_is_followed_after_a_close_up(model: BodyModel) -> None:
    whole = moving(14)
    close = [np.array(Image.fromarray(frame[:190, 80:240]).resize((364, 540))) for frame in whole[:4]]
    assert close[0].shape == whole[0].shape
    clip = recover_clip(iter([*close, *whole[4:]]), model, 5.0, allow_upper_body=True)
    assert clip.found.tolist() == [False] * 4 + [True] * 10
    assert clip.whole == 1


def test_a_video_without_frames_is_an_input_error(model: BodyModel) -> None:
    with pytest.raises(InputError, match="no frames"):
        recover_clip(iter([]), model, 25.0)


def test_a_video_without_people_is_an_input_error(model: BodyModel) -> None:
    with pytest.raises(InputError, match="no person was found"):
        recover_clip(iter([np.zeros((100, 100, 3), np.uint8)] * 3), model, 25.0)


def test_a_video_that_hardly_shows_the_person_is_an_input_error(model: BodyModel) -> None:
    shown = moving(4)[:3]
    frames = [*shown, *([np.full_like(shown[0], 90)] * 5)]
    with pytest.raises(InputError, match="found in only 3 of the video's 8 frames"):
        recover_clip(iter(frames), model, 25.0)


def test_frames_of_several_sizes_are_an_input_error(model: BodyModel) -> None:
    frames = [np.zeros((100, 100, 3), np.uint8), np.zeros((100, 120, 3), np.uint8)]
    with pytest.raises(InputError, match="frame 1 is 120x100"):
        recover_clip(iter(frames), model, 25.0)


# --- without the extra


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from warpkit.models.recovery import networks

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"extra \[person\]"):
        networks.Network(networks.DATA / "pose_detection.tflite")


def test_a_recovered_path_is_as_smooth_at_50_as_at_25_frames_a_second(model: BodyModel) -> None:
    generator = torch.Generator().manual_seed(0)
    tremor = 6 * smooth(torch.randn(80, 2, generator=generator), 50, 0.03)  # pixels, of a person of 170
    dance = make_motion("dance", fps=50.0)
    fit = fitter(model)

    def path(fps: int, frames: int) -> Tensor:
        seen = slice(0, frames * 50 // fps, 50 // fps)
        offset = 200 + 100 * dance.path[seen] + tremor[seen]
        body = Body(
            dance.rotations[seen], model.mean_shape.expand(frames, -1), Camera(torch.full((frames,), 100.0), offset)
        )
        places = fit.landmarks(body)
        points, depth = body.camera.pixels(places), places[..., 2] - places[:, HIPS, 2].mean(1, keepdim=True)
        pixels, ones = torch.full((frames,), 100.0), torch.ones(frames)
        targets = Targets(
            points=points,
            depth=depth,
            weights=torch.ones(frames, points.shape[1]),
            world_scale=pixels,
            height=pixels * BODY_HEIGHT,
            yaw=0 * ones,
            hips=points[:, HIPS].mean(1),
            middle=torch.full((frames, 2), 200.0),
            found=ones,
        )
        return fit.body(fit.fit_clip(targets, fit.start(targets), fps, steps=6), targets).camera.offset

    slow, fast = path(25, 20), path(50, 40)[::2]
    assert tremor[:40].abs().mean() > 2
    assert (slow - fast)[:-3].abs().mean() < 0.35
