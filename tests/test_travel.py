"""Where people go: smoothing in seconds, feet that stand, and what the camera does meanwhile."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.feet import wavering
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data.motion import Motion, Place
from warpkit.models.data.motion_library import make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.camera_path import copied, follow, stay
from warpkit.models.geometric.feet import Contacts, find_contacts, plant_feet
from warpkit.models.geometric.framing import Framing, frame_motion
from warpkit.models.geometric.smoothing import smooth
from warpkit.models.tasks.choices import Look, Travel
from warpkit.models.tasks.clip import extent
from warpkit.models.tasks.imitate import imitate_body


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def standing(model: BodyModel, scale: float = 100.0) -> Body:
    return Body(
        torch.zeros(1, 22, 3), model.mean_shape[None], Camera(torch.tensor([scale]), torch.tensor([[300.0, 200.0]]))
    )


# smoothing


def test_the_same_signal_is_smoothed_alike_at_25_and_at_50_frames_a_second() -> None:
    def signal(fps: float) -> Tensor:
        time = torch.arange(0, 9, 1 / fps)
        return torch.stack([torch.sin(2 * math.pi * hertz * time + hertz) for hertz in (0.3, 1.1, 4.0, 9.0)], 1)

    for seconds in (0.06, 0.1, 0.5):
        slow, fast = smooth(signal(25), 25, seconds), smooth(signal(50), 50, seconds)[::2]
        end = -round(4 * seconds * 25)  # the last moments are not the same
        assert (slow - fast)[:end].abs().max() < 0.02, seconds
    assert (signal(25) - smooth(signal(25), 25, 0.1)).abs().max() > 0.5  # and does something


def test_slow_swings_stay_and_fast_ones_go() -> None:
    time = torch.arange(0, 8, 0.01)

    def left(hertz: float) -> float:
        return float(smooth(torch.sin(2 * math.pi * hertz * time), 100, 0.1)[200:-200].abs().max())

    assert left(1.0) > 0.95
    assert left(2.9) == pytest.approx(0.5, abs=0.03)
    assert left(7.0) < 0.01


@pytest.mark.parametrize("frames", [1, 2, 3, 11, 18, 40])
def test_clips_of_any_length_can_be_smoothed_and_what_goes_evenly_stays(frames: int) -> None:
    line = torch.arange(frames).float()[:, None] * torch.tensor([0.3, -2.0]) + 5
    torch.testing.assert_close(smooth(line, 30, 0.5), line, atol=1e-4, rtol=0)


def test_a_motion_is_smoothed_alike_at_any_rate(model: BodyModel) -> None:
    fine = wavering(make_motion("dance", fps=50.0))
    coarse = fine.resampled(25.0)
    torch.testing.assert_close(coarse.path, fine.path[::2])
    after, expected = coarse.smoothed(0.1), fine.smoothed(0.1)
    inside = slice(0, -10)  # the last moments are not the same
    assert (after.path - expected.path[::2])[inside].abs().max() < 0.003
    assert (after.scale - expected.scale[::2])[inside].abs().max() < 0.002
    turned = axis_angle_to_matrix(after.rotations).mT @ axis_angle_to_matrix(expected.rotations[::2])
    assert matrix_to_axis_angle(turned)[inside].norm(dim=-1).max() < 0.03
    assert (fine.path - expected.path).abs().max() > 0.005


def test_smoothing_brings_a_wavering_motion_nearer_to_the_true_one() -> None:
    true = make_motion("dance", fps=25.0)
    noisy = wavering(true, 0.03)

    def jerk(motion: Motion) -> float:
        return float(motion.path.diff(n=3, dim=0).norm(dim=-1).mean())

    smoothed = noisy.smoothed(0.06)
    assert (smoothed.path - true.path).norm() < 0.8 * (noisy.path - true.path).norm()
    assert (smoothed.scale - true.scale).norm() < 0.5 * (noisy.scale - true.scale).norm()
    assert jerk(smoothed) < 0.4 * jerk(noisy)
    assert torch.equal(noisy.smoothed(0.0).path, noisy.path)


# feet


def slip(bodies: Body, planted: Tensor, model: BodyModel, fps: float) -> float:
    """Millimetres a second of contacts that are known to stand."""
    return 1000 * replace(find_contacts(bodies, model, fps), planted=planted).slip()


def test_what_stands_is_told_from_what_swings(model: BodyModel) -> None:
    squat = find_contacts(imitate_body(standing(model), make_motion("squat", fps=25.0), model), model, 25.0)
    assert squat.planted.min() > 0.9
    walk = find_contacts(imitate_body(standing(model), make_motion("walk", fps=25.0), model), model, 25.0)
    feet = torch.stack((walk.planted[:, :2].amax(1), walk.planted[:, 2:].amax(1)), 1) > 0.5
    assert feet.any(1).float().mean() > 0.9  # somebody who walks stands on one foot or the other
    assert 0.5 < feet.float().mean() < 0.9  # and lifts the other one


@pytest.mark.parametrize("fps", [25.0, 50.0])
@pytest.mark.parametrize(("name", "least"), [("walk", 0.25), ("dance", 0.3)])
def test_standing_feet_slide_less_in_wavering_motions(model: BodyModel, name: str, fps: float, least: float) -> None:
    true = make_motion(name, fps=fps)
    planted = (find_contacts(imitate_body(standing(model), true, model), model, fps).planted > 0.9).float()
    before = imitate_body(standing(model), wavering(true), model)
    after = plant_feet(before, model, fps)
    assert slip(before, planted, model, fps) > 150
    assert slip(after, planted, model, fps) < least * slip(before, planted, model, fps)
    moved = (after.camera.offset - before.camera.offset).norm(dim=1) / before.camera.scale[0]
    assert moved.max() < 0.2  # metres
    assert torch.equal(after.camera.scale, before.camera.scale)


def test_steps_that_do_not_fit_the_legs_no_longer_slide(model: BodyModel) -> None:
    true = make_motion("walk", fps=25.0)
    planted = (find_contacts(imitate_body(standing(model), true, model), model, 25.0).planted > 0.9).float()
    wider = imitate_body(standing(model), replace(true, path=1.2 * true.path), model)
    assert slip(wider, planted, model, 25.0) > 100
    assert slip(plant_feet(wider, model, 25.0), planted, model, 25.0) < 40


def test_feet_that_do_not_slide_and_single_pictures_are_left_alone(model: BodyModel) -> None:
    still = imitate_body(standing(model), make_motion("squat", fps=25.0), model)
    after = plant_feet(still, model, 25.0)
    assert (after.camera.offset - still.camera.offset).abs().max() < 1.0
    joints = model.joints(after.pose[::10], after.shape[:1]) - model.joints(still.pose[::10], still.shape[:1])
    assert joints.norm(dim=-1).max() < 0.02
    alone = still[0]
    assert torch.equal(plant_feet(alone, model, 25.0).pose, alone.pose)


def test_the_slip_of_contacts_is_their_mean_speed_while_they_stand() -> None:
    place = torch.zeros(5, 4, 2)
    place[:, 0, 0] = torch.arange(5) * 0.01
    planted = torch.zeros(5, 4)
    planted[:, :2] = 1
    assert Contacts(place, planted, 10.0).slip() == pytest.approx(0.05)
    assert Contacts(place, torch.zeros(5, 4), 10.0).slip() == 0


# the camera


def travelling(frames: int = 101, fps: float = 25.0) -> Motion:
    """Squatting on the way 3 m to the right, 1 m down in the picture and half as large again."""
    share = torch.linspace(0, 1, frames)
    still = make_motion("squat", fps=fps)
    path = still.path[:frames] + torch.stack((3 * share, share), 1)
    return Motion(fps, still.rotations[:frames], path, 1 + 0.5 * share, still.height)


def test_a_person_who_stays_keeps_place_and_size_and_goes_on_squatting(model: BodyModel) -> None:
    squat = imitate_body(standing(model), make_motion("squat", fps=25.0), model)
    on_the_spot = stay(squat, model, 25.0)
    assert (on_the_spot.camera.offset - squat.camera.offset).abs().max() < 2.0
    assert float(on_the_spot.camera.offset[:, 1].max() - on_the_spot.camera.offset[:, 1].min()) > 25
    moving = imitate_body(standing(model), travelling(), model)
    held = stay(moving, model, 25.0)
    assert float((moving.camera.offset[-1] - moving.camera.offset[0]).norm()) > 300
    assert (held.camera.offset[:, 0] - held.camera.offset[0, 0]).abs().max() < 10
    assert torch.equal(held.camera.scale, held.camera.scale[:1].expand(101))


def test_a_jump_on_the_spot_stays_a_jump(model: BodyModel) -> None:
    frames, fps = 75, 25.0
    pose = make_motion("wave", fps=fps).rotations[:1].expand(frames, -1, -1)
    time = (torch.arange(frames) - 35) / fps
    height = (0.4 - 4.9 * time.square()).clamp(min=0)
    path = torch.stack((torch.zeros(frames), -height), 1)
    jump = imitate_body(standing(model), Motion(fps, pose, path, torch.ones(frames), 1.7), model)
    held = stay(jump, model, fps)
    torch.testing.assert_close(held.camera.offset, jump.camera.offset, atol=2.0, rtol=0)
    assert float(held.camera.offset[0, 1] - held.camera.offset[35, 1]) > 30


def test_a_camera_that_follows_keeps_the_person_in_the_middle_and_moves_the_background(model: BodyModel) -> None:
    moving = imitate_body(standing(model), travelling(), model)
    following = follow(moving, 25.0)
    steady = following.steady(moving)
    first = frame_motion(*extent(steady, model), (400, 600), 64)
    assert first.side < 0.5 * frame_motion(*extent(moving, model), (400, 600), 64).side
    for index in (0, 50, 100):
        framing = following.framing(index, first)
        expected = framing.camera(moving.camera[index])
        seen = first.camera(steady.camera[index])
        torch.testing.assert_close(seen.offset, expected.offset, atol=1e-2, rtol=0)
        torch.testing.assert_close(seen.scale, expected.scale)
        assert 16 < float(seen.offset[0, 0]) < 48
    assert following.framing(100, first).left - first.left > 250
    whole = following.all(first, 500)
    assert whole.left <= first.left
    assert whole.left + whole.side >= following.framing(100, first).left + following.framing(100, first).side
    assert max(whole.shape) <= 500


def test_a_copied_camera_puts_the_person_where_the_reference_is(model: BodyModel) -> None:
    place = Place((40.0, 60.0), 50.0, (120, 90))
    motion = replace(travelling(), place=place)
    bodies = copied(imitate_body(standing(model), motion, model), motion, model)
    torch.testing.assert_close(bodies.camera.offset[0], torch.tensor([40.0, 60.0]))
    torch.testing.assert_close(bodies.camera.offset[100], torch.tensor([40.0, 60.0]) + 50 * motion.path[100])
    tall = bodies.camera.scale * model.height(bodies.shape[:1])
    torch.testing.assert_close(tall, 50.0 * motion.height * motion.scale)


def test_files_keep_the_place_of_a_motion(tmp_path: Path) -> None:
    motion = replace(travelling(), place=Place((40.5, 60.0), 50.25, (120, 90)))
    motion.save(tmp_path / "a.npz")
    assert Motion.load(tmp_path / "a.npz").place == motion.place
    assert motion.resampled(10.0).smoothed(0.1).place == motion.place
    travelling().save(tmp_path / "b.npz")
    assert Motion.load(tmp_path / "b.npz").place is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Travel("away"), "camera must be path, stay, follow, copy, not 'away'"),
        (lambda: Travel(smooth=-1), "0 to 5 seconds, not -1"),
        (lambda: Look(frame="round"), "frame must be square or photo, not 'round'"),
        (lambda: Look(background="reference", frame="photo"), "leave out frame photo"),
        (lambda: Travel().mode(Look(background="reference"), False, True), "needs a video as the motion"),
        (lambda: Travel("stay").mode(Look(background="reference"), True, True), "camera stay does not go with"),
        (lambda: Travel("copy").mode(Look(), False, False), "camera copy needs a video"),
        (lambda: Travel("follow").mode(Look(frame="photo"), True, True), "does not go with frame photo"),
    ],
)
def test_what_contradicts_itself_is_refused_by_a_sentence(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_the_references_scene_comes_with_its_camera() -> None:
    assert Travel().mode(Look(background="reference"), True, True) == "copy"
    assert Travel().mode(Look(), True, True) == "path"
    assert Travel("stay").mode(Look(frame="photo"), False, False) == "stay"


def test_a_frame_of_any_shape_shows_the_same_as_a_square() -> None:
    picture = torch.rand(3, 60, 90)
    assert torch.equal(Framing(0, 0, 90, 90, 60).cut(picture), picture)
    assert torch.equal(Framing(10, 5, 40, 40, 20).cut(picture), picture[:, 5:25, 10:50])
    wide = Framing(10.5, 5.25, 60, 30, 15).cut(picture)
    square = Framing(10.5, 5.25, 60, 30).cut(picture)
    torch.testing.assert_close(wide, square[:, :15])
