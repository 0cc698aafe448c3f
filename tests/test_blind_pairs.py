"""The blind study on held-out photo-like people: whom it shows, and in which poses."""

from collections import Counter

import pytest
import torch

pytest.importorskip("typer", reason="needs the extra [person]")
from benchmarks.blind_pairs import PEOPLE, casts, main, poses
from warpkit.models.bodies import load_body
from warpkit.models.data.people.baked import PEOPLE as BAKED


def test_thirty_pairs_show_three_held_out_people_alike_each_in_poses_of_their_own():
    every = list(casts(30, seed=0))
    shown = Counter()
    for person, _, motion in every:
        shown[person] += len(motion)
    assert shown == dict.fromkeys(PEOPLE, 10)
    assert not set(PEOPLE) & {*BAKED["train"], *BAKED["test"]}
    for *_, motion in every:
        frames = motion.rotations.flatten(1)
        assert (torch.cdist(frames, frames) + torch.eye(len(frames))).min() > 0.1
    assert sum(len(motion) for *_, motion in casts(7, seed=1)) == 7


def test_all_poses_stand_on_one_ground():
    model, motion = load_body("anny"), poses(10, 3)
    lowest = model(motion.rotations, model.mean_shape[None])[..., 1].amin(1) - motion.path[:, 1]
    assert (lowest - lowest[0]).abs().max() < 0.04
    assert motion.path[:, 1].abs().max() > 0.1  # a squat is among them


def test_poses_follow_from_the_seed():
    assert torch.equal(poses(5, 1).rotations, poses(5, 1).rotations)
    assert not torch.equal(poses(5, 1).rotations, poses(5, 2).rotations)


def test_nothing_is_drawn_over_a_study_that_exists(tmp_path, capsys):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "sheet_01.png").write_bytes(b"x")
    with pytest.raises(SystemExit):
        main(["x.safetensors", "--out", str(tmp_path)])
    assert "exist" in capsys.readouterr().err
