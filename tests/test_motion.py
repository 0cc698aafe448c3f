"""Motions: the file, resampling, clips, and what the library promises."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from warpkit.models.bodies import FULL_JOINTS, JOINTS, PARTS, Body, Camera, load_body
from warpkit.models.bodies.anny import Anny
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data import MOTIONS, Motion, make_motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.feet import plant_feet
from warpkit.models.tasks.imitate import imitate_body


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def anny() -> Anny:
    return load_body()


def some_motion(frames: int = 7, fps: float = 10.0) -> Motion:
    torch.manual_seed(0)
    return Motion(fps, torch.randn(frames, 22, 3) * 0.5, torch.randn(frames, 2), torch.rand(frames) + 0.5, 1.8)


def angles(first: Tensor, second: Tensor) -> Tensor:
    turn = axis_angle_to_matrix(first).mT @ axis_angle_to_matrix(second)
    return matrix_to_axis_angle(turn).norm(dim=-1)


# the file


def test_files_give_back_what_was_saved(tmp_path: Path):
    motion = some_motion()
    motion.save(tmp_path / "motion.npz")
    loaded = Motion.load(tmp_path / "motion.npz")
    for name in ("rotations", "path", "scale"):
        torch.testing.assert_close(getattr(loaded, name), getattr(motion, name))
    assert (loaded.fps, loaded.height) == (10.0, 1.8)


def arrays(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "fps": 25.0,
        "joints": np.array(["head", "left_knee"]),
        "rotations": np.ones((3, 2, 3), np.float32),
        "height": 1.7,
    }
    good.update(changes)
    return {name: value for name, value in good.items() if value is not None}


def test_joints_go_by_name_and_missing_ones_do_not_turn(tmp_path: Path):
    np.savez(tmp_path / "motion.npz", **arrays())
    motion = Motion.load(tmp_path / "motion.npz")
    turning = motion.rotations.abs().sum((0, 2)).nonzero()[:, 0].tolist()
    assert sorted(JOINTS[i] for i in turning) == ["head", "left_knee"]
    assert not motion.path.any()
    assert (motion.scale == 1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": np.array(["head", "tail"])}, "unknown joints tail: expected some of pelvis"),
        ({"joints": np.array(["head", "head"])}, "named twice"),
        ({"rotations": np.ones((3, 5, 3))}, r"rotations must have the shape \[frames, 2, 3\], not \[3, 5, 3\]"),
        ({"rotations": np.full((3, 2, 3), np.nan)}, "rotations must be finite"),
        ({"rotations": np.ones((0, 2, 3))}, "at least one frame"),
        ({"rotations": np.full((3, 2, 3), "a")}, "rotations must be numbers"),
        ({"path": np.zeros((4, 2))}, r"path must have the shape \(3, 2\), not \(4, 2\)"),
        ({"scale": np.array([1.0, -1, 1])}, "scale must be positive"),
        ({"scale": np.array([1.0, np.inf, 1])}, "scale must be finite"),
        ({"fps": 0.0}, "fps must lie in"),
        ({"fps": np.array([25.0, 30.0])}, "fps must be one number"),
        ({"height": 170.0}, "height must be that of a person in metres, not 170"),
        ({"height": None}, "needs height"),
        ({"rotations": np.array([[None]], object)}, "no motion file"),
    ],
)
def test_wrong_files_are_refused_by_a_sentence(tmp_path: Path, changes: dict[str, object], message: str):
    path = tmp_path / "motion.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert "motion.npz" in str(caught.value)


def test_files_that_are_no_npz_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="there is no motion file"):
        Motion.load(tmp_path / "absent.npz")
    for content in (b"", b"walk", b"PK\x03\x04 broken"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match="no motion file"):
            Motion.load(tmp_path / "bad.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(InputError, match="no motion file"):
        Motion.load(tmp_path / "single.npy")


# hands and face


def test_files_may_name_fingers_and_the_jaw(tmp_path: Path):
    joints = np.array(["head", "jaw", "right_pinky3"])
    np.savez(tmp_path / "a.npz", **arrays(joints=joints, rotations=np.ones((3, 3, 3), np.float32)))
    motion = Motion.load(tmp_path / "a.npz")
    turning = motion.rotations.abs().sum((0, 2)).nonzero()[:, 0].tolist()
    assert [FULL_JOINTS[i] for i in turning] == ["head", "jaw", "right_pinky3"]
    motion.resampled(50.0).smoothed(0.1).lasting(9).save(tmp_path / "b.npz")
    assert Motion.load(tmp_path / "b.npz").rotations.shape == (9, 55, 3)
    with pytest.raises(InputError, match=r"rotations must have the shape \(3, 55, 3\), not \(3, 30, 3\)"):
        Motion(25.0, torch.zeros(3, 30, 3), torch.zeros(3, 2), torch.ones(3), 1.7)


def in_a_room(width: int = 165, up: str = "z", frames: int = 4) -> dict[str, object]:
    """A file of AMASS' layout: somebody who faces the room's -y (or its z), goes to their left and jumps."""
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) if up == "z" else torch.eye(3)
    poses = np.zeros((frames, width), np.float32)
    poses[:, :3] = matrix_to_axis_angle(turn).numpy()
    poses[:, width - 1] = 0.4
    way = torch.stack((torch.arange(frames) * 0.5, torch.arange(frames) * 0.1, torch.zeros(frames)), 1) @ turn.T
    named = {"poses": poses, "trans": way.numpy() + 3, "mocap_framerate": 60.0}
    return named | {"betas": np.zeros(16), "gender": np.array("neutral"), "labels": np.array([None], object)}


@pytest.mark.parametrize(("width", "last"), [(66, 21), (72, None), (156, 54), (165, 54)])
@pytest.mark.parametrize("up", ["y", "z"])
def test_motions_from_motion_capture_are_seen_from_the_front(tmp_path: Path, width: int, last: int | None, up: str):
    np.savez(tmp_path / "a.npz", **in_a_room(width, up))
    motion = Motion.load(tmp_path / "a.npz")
    assert motion.fps == 60
    assert motion.rotations.shape[1] == (22 if width < 100 else 55)
    assert motion.rotations[:, 0].abs().max() < 1e-3  # upright, facing the camera
    torch.testing.assert_close(motion.path, torch.tensor([[0.5, -0.1]]) * torch.arange(4)[:, None], atol=1e-3, rtol=0)
    if last is not None:
        assert motion.rotations[0, last, 2] == pytest.approx(0.4)
    else:
        assert not motion.rotations[:, 1:].any()  # a hand without fingers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mocap_framerate": None}, "needs mocap_framerate or mocap_frame_rate"),
        ({"poses": np.zeros((4, 100))}, r"poses must have the shape \[frames, 66, 72, 156, 165\], not \[4, 100\]"),
        ({"poses": np.zeros((0, 66)), "trans": None}, "at least one frame"),
        ({"poses": np.full((4, 66), np.nan)}, "finite numbers"),
        ({"trans": np.zeros((5, 3))}, r"trans must have the shape \(4, 3\)"),
        ({"poses": np.array([["a"]])}, "poses must be numbers"),
        ({"mocap_framerate": 0.0}, "fps must lie in"),
    ],
)
def test_wrong_files_of_motion_capture_are_sentences(tmp_path: Path, changes: dict[str, object], message: str):
    np.savez(
        tmp_path / "a.npz", **{name: value for name, value in (in_a_room() | changes).items() if value is not None}
    )
    with pytest.raises(InputError, match=message):
        Motion.load(tmp_path / "a.npz")


def test_a_body_with_fingers_imitates_them(anny: Anny):
    standing = Body(torch.zeros(1, 22, 3), anny.mean_shape[None], Camera(torch.ones(1) * 100, torch.zeros(1, 2)))
    walk = make_motion("walk", fps=10.0, seconds=0.6)
    fist = torch.zeros(6, 55, 3)
    fist[:, :22] = walk.rotations
    for side, turn in (("left", -1.2), ("right", 1.2)):
        fist[:, [FULL_JOINTS.index(f"{side}_{finger}{n}") for finger in ("index", "middle") for n in (1, 2)], 2] = turn
    plain = imitate_body(standing, walk, anny)
    moved = plant_feet(imitate_body(standing, replace(walk, rotations=fist), anny), anny, 10.0)
    torch.testing.assert_close(moved.camera.offset, plant_feet(plain, anny, 10.0).camera.offset)
    apart = (anny(moved.pose, moved.shape) - anny(plain.pose, plain.shape)).norm(dim=-1).amax(0)
    hands = [PARTS.index(f"{side}_hand") for side in ("left", "right")]
    in_hands = torch.isin(torch.arange(anny.num_vertices), anny.faces[torch.isin(anny.parts, torch.tensor(hands))])
    assert apart[in_hands].max() > 0.04


# resampling and clips


def test_resampling_keeps_the_frames_that_both_rates_have():
    motion = some_motion()
    finer = motion.resampled(30.0)
    assert len(finer) == 19
    assert angles(finer.rotations[::3], motion.rotations).max() < 1e-3
    torch.testing.assert_close(finer.path[::3], motion.path)
    torch.testing.assert_close(finer.scale[::3], motion.scale)


def test_resampling_turns_at_constant_speed_the_short_way():
    rotations = torch.zeros(2, 22, 3)
    rotations[0, 0, 1], rotations[1, 0, 1] = 3.0, -3.0
    motion = Motion(1.0, rotations, torch.zeros(2, 2), torch.ones(2), 1.7).resampled(4.0)
    steps = angles(motion.rotations[:-1, 0], motion.rotations[1:, 0])
    torch.testing.assert_close(steps, torch.full((4,), (2 * torch.pi - 6) / 4), atol=1e-3, rtol=0)


def test_a_single_frame_resamples_to_itself():
    assert len(some_motion(frames=1).resampled(50.0)) == 1


@dataclass
class Clip:
    body: Body
    fps: float
    size: tuple[int, int] = (100, 100)


def test_a_clip_becomes_a_motion_in_metres(anny: Anny):
    scale = torch.tensor([100.0, 110.0, 120.0])
    offset = torch.tensor([[50.0, 60.0], [70.0, 60.0], [50.0, 40.0]])
    pose = torch.randn(3, 22, 3) * 0.1
    clip = Clip(Body(pose, anny.mean_shape.expand(3, -1), Camera(scale, offset)), 30.0)
    motion = Motion.from_clip(clip, anny)
    torch.testing.assert_close(motion.path, torch.tensor([[0.0, 0], [0.2, 0], [0, -0.2]]))
    torch.testing.assert_close(motion.scale, torch.tensor([1.0, 1.1, 1.2]))
    assert motion.height == pytest.approx(float(anny.height(anny.mean_shape[None])))
    assert motion.fps == 30.0
    assert torch.equal(motion.rotations, pose)


# the library


def test_the_library_has_what_was_promised():
    assert {"walk", "turn", "wave", "squat", "dance"} <= set(MOTIONS)
    with pytest.raises(InputError, match=r"unknown motion 'fly': expected one of walk, turn"):
        make_motion("fly")


@pytest.mark.parametrize("name", list(MOTIONS))
def test_motions_last_and_stay_in_the_picture(name: str):
    motion = make_motion(name)
    assert motion.seconds >= 4
    assert motion.fps == 25
    assert motion.path[:, 0].abs().max() <= 0.9
    assert not motion.path[0].any()


@pytest.mark.parametrize("name", list(MOTIONS))
def test_motions_are_smooth_and_end_where_they_began(name: str):
    motion = make_motion(name)
    twice = make_motion(name, seconds=2 * motion.seconds)
    assert len(twice) == 2 * len(motion)
    turned = angles(twice.rotations[:-1], twice.rotations[1:])
    assert torch.rad2deg(turned).max() < 20, "no joint jumps from frame to frame, also not from end to start"
    assert (twice.path[1:] - twice.path[:-1]).norm(dim=1).max() < 0.06


@pytest.mark.parametrize("name", list(MOTIONS))
def test_the_lowest_foot_stays_on_the_ground_and_does_not_slide(name: str, anny: Anny):
    motion = make_motion(name, fps=50.0)
    feet = torch.stack([anny.parts == PARTS.index(f"{side}_foot") for side in ("left", "right")]).any(0)
    soles = anny.faces[feet].long().unique()
    with torch.no_grad():
        soles = anny(motion.rotations, anny.mean_shape[None], vertices=soles)[..., :2]
    world = soles + (motion.path * torch.tensor([1.0, -1.0]))[:, None]
    heights = world[..., 1].amin(1)
    assert heights.max() - heights.min() < 0.006
    standing = world[..., 1] < heights[:, None] + 0.004
    both = standing[1:] & standing[:-1]
    slid = (world[1:, :, 0] - world[:-1, :, 0]).abs()[both]
    assert slid.median() < 0.0005
    assert slid.quantile(0.9) < 0.003


def test_walking_goes_right_and_left_with_arms_against_legs():
    motion = make_motion("walk", fps=50.0)
    assert motion.path[:, 0].max() > 0.5
    assert motion.path[:, 0].min() < -0.5
    leg = motion.rotations[:, JOINTS.index("left_hip"), 0] - motion.rotations[:, JOINTS.index("right_hip"), 0]
    forward = [
        (axis_angle_to_matrix(motion.rotations[:, JOINTS.index(f"{side}_shoulder")])[:, 2, 0] * sign)
        for side, sign in (("left", 1), ("right", -1))
    ]
    assert torch.corrcoef(torch.stack((leg, forward[0] - forward[1])))[0, 1] > 0.8
    assert motion.rotations[:, JOINTS.index("left_knee"), 0].max() > 0.9


def test_turning_is_one_whole_turn():
    motion = make_motion("turn")
    facing = axis_angle_to_matrix(motion.rotations[:, 0])[..., 2]
    heading = np.unwrap(torch.atan2(facing[:, 0], facing[:, 2]).numpy())
    assert heading[-1] - heading[0] == pytest.approx(2 * np.pi, abs=0.05)


def test_squatting_goes_down_by_a_third_of_a_metre():
    assert 0.3 < make_motion("squat").path[:, 1].max() < 0.45


def test_waving_lifts_the_right_hand_beside_the_head(anny: Anny):
    motion = make_motion("wave")
    joints = anny.joints(motion.rotations, anny.mean_shape[None])
    hand, shoulder, head = (joints[:, JOINTS.index(name)] for name in ("right_wrist", "right_shoulder", "head"))
    assert (hand[:, 1] - shoulder[:, 1]).max() > 0.1
    assert (head[:, 0] - hand[:, 0]).min() > 0.15
    assert (joints[:, JOINTS.index("left_wrist"), 1] < 0.1).all()


def test_length_and_rate_are_as_asked():
    motion = make_motion("walk", fps=24.0, seconds=2.0)
    assert len(motion) == 48
    assert make_motion("wave", fps=30.0, seconds=0.01 + 1 / 30).rotations.shape == (1, 22, 3)
    with pytest.raises(InputError, match="at least one frame"):
        make_motion("walk", seconds=0.0)
    with pytest.raises(InputError, match="fps must lie in"):
        make_motion("walk", fps=-1.0)
