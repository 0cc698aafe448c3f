"""`warpkit train`: configurations, and runs of a few steps on rendered people."""

import errno
import inspect
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
pytest.importorskip("typer", reason="needs the extra [person]")
from typer.testing import CliRunner

from warpkit.models.app import REFUSED
from warpkit.models.app.commands import app
from warpkit.models.bodies import BodyModel, load_body
from warpkit.models.data.clips import ClipSamples
from warpkit.models.data.people import GatheredPeople, RenderedPeople
from warpkit.models.errors import InputError
from warpkit.models.systems.liquid_warping import PRESETS, build
from warpkit.models.systems.liquid_warping.checkpoints import load, save
from warpkit.models.tasks.training import (
    CLIPS,
    CONFIGS,
    PEOPLE,
    make_plan,
    open_samples,
    read_plan,
    read_start,
    train,
    working_on,
)
from warpkit.models.training.log import Log

TINY = """
[system]
preset = "small"
[system.weights]
perceptual = 0.0
[data]
kind = "people"
size = 32
[check]
count = 2
[training]
steps = 2
batch = 2
sources = [1, 2]
save_every = 1
sheet_every = 2
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(autouse=True)
def one_body(monkeypatch: pytest.MonkeyPatch, anny: BodyModel) -> None:
    """Loaded once for all trainings, so that what follows from a body alone is worked out once."""
    monkeypatch.setattr("warpkit.models.tasks.training.load_body", lambda name, folder: anny)


@pytest.fixture(scope="module")
def anny() -> BodyModel:
    return load_body("anny")


def test_a_training_is_one_command_and_so_is_going_on(tiny: Path, tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "run"
    done = runner.invoke(app, ["train", str(tiny), "--out", str(out), "--device", "cpu", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "trained, 2 of 2 steps" in done.stdout
    assert (out / "sheets" / "00000002.png").exists()
    assert {"psnr_person", "psnr_person_geometric"} < json.loads((out / "checks.jsonl").read_text()).keys()
    more = runner.invoke(app, ["train", str(tiny), "--out", str(out), "--steps", "3", "--device", "cpu"])
    assert "going on from step 2" in more.stderr
    assert "settings changed" in more.stderr
    assert "trained, 3 of 3 steps" in more.stdout
    system = load(out / "compact.safetensors")  # the system's own loader knows it
    assert system.preset.name == "small"


def test_a_training_begins_with_a_saved_system_or_another_training(tiny: Path, tmp_path: Path) -> None:
    system = build("small")
    save(system, tmp_path / "alone.safetensors")
    begun = train(read_plan(tiny), None, device="cpu", start=read_start(tmp_path / "alone.safetensors"))
    begun.folder = tmp_path
    begun.save()
    again = train(read_plan(tiny), None, device="cpu", start=read_start(tmp_path / "last.safetensors"))
    for name, value in system.generator.state_dict().items():
        assert torch.equal(begun.module.generator.state_dict()[name], value)
        assert torch.equal(again.module.generator.state_dict()[name], value)
    save(build(replace(PRESETS["paper"], width=8)), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="is of the preset 'paper', but 'small' is to be trained"):
        train(read_plan(tiny), None, device="cpu", start=read_start(tmp_path / "other.safetensors"))
    with pytest.raises(InputError, match=r"what draws is the compact\.safetensors"):
        load(tmp_path / "last.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "alone.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match="truncated or no safetensors file"):
        read_start(tmp_path / "half.safetensors")


def test_a_folder_of_other_things_is_not_filled(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years")
    done = CliRunner().invoke(app, ["train", str(tiny), "--out", str(tmp_path / "home")])
    assert done.exit_code == REFUSED
    assert "holds other things (thesis.tex, …)" in done.stderr
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]
    done = CliRunner().invoke(app, ["train", str(tiny), "--out", str(tiny / "run")])
    assert done.exit_code == REFUSED
    assert "cannot be written" in done.stderr


def test_two_trainings_do_not_share_a_folder(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="no such locks here")
    out = tmp_path / "on" / "the" / "way"
    command = ["train", str(tiny), "--out", str(out), "--device", "cpu", "--minutes", "0"]
    with working_on(out):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == REFUSED
        assert f"another run is at work on {out}" in done.stderr
    assert not (tmp_path / "on").exists()  # nothing was written
    assert CliRunner().invoke(app, command).exit_code == 0
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (out / "last.safetensors").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_a_sentence(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    if number == errno.ENOSPC:
        monkeypatch.setattr(Log, "step", fails)
    else:
        monkeypatch.setattr(os, "open", fails)
    done = CliRunner().invoke(app, ["train", str(tiny), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert done.exit_code == REFUSED, done.output
    assert (number == errno.ENOSPC) == (tmp_path / "run").exists()
    assert f"run cannot be written: {os.strerror(number)}" in done.stderr


def test_minutes_end_it_with_a_checkpoint(tiny: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["train", str(tiny), "--out", str(tmp_path / "run"), "--device", "cpu", "--minutes", "0"]
    )
    assert "the time is over after 0 of 2 steps" in done.stdout
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.toml")))
def test_configurations_that_travel_along_can_be_read(name: str) -> None:
    plan = read_plan(name)
    assert plan.preset.name == name.split("-")[0]


def test_paper_has_the_paper_s_schedule() -> None:
    training = read_plan("paper").training
    assert (training.batch, training.sources, training.epochs, training.steps) == (2, (2, 2), 2.0, None)
    assert (training.learning_rate, training.final_rate, training.constant) == (1e-4, 1e-5, 0.25)
    assert training.adversarial_from == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('[data]\nkind = "people"', '[dato]\nkind = "people"'), r"\(top\)\.dato; did you mean data"),
        (("size = 32", "sise = 32"), r"data\.sise; did you mean size"),
        (("steps = 2", "step = 2"), r"training\.step; did you mean steps"),
        (("perceptual = 0.0", "perceptive = 0.0"), r"system\.weights\.perceptive; did you mean perceptual"),
        (('preset = "small"', 'preset = "tiny"'), r"system\.preset: expected one of"),
        (('kind = "people"', 'kind = "photos"'), r"data\.kind: expected"),
        (("size = 32", "size = ["), "cannot be read as a configuration"),
        (("size = 32", 'size = "big"'), r"data\.size: expected a whole number, got 'big'"),
        (("size = 32", 'size = 32\nfaults = "no"'), r"data\.faults: expected true or false, got 'no'"),
        (("size = 32", "size = 32\nscale = [64.5, 96]"), r"data\.scale: expected a whole number or a list"),
        (("count = 2", "count = 0"), r"check\.count: expected 1 or more"),
        (("perceptual = 0.0", 'perceptual = "much"'), r"system\.weights\.perceptual: expected a number, got 'much'"),
        (("perceptual = 0.0", "perceptual = -1.0"), r"system\.weights\.perceptual: expected 0 or more"),
        (
            ('preset = "small"', 'preset = "small"\nmask_loss = "soft"'),
            r"system\.mask_loss: expected 'square' or 'bce'",
        ),
        (('preset = "small"', 'preset = "paper"\nwidth = -4'), r"system\.width: expected 1 or more, got -4"),
        (("batch = 2", "batch = 2\nclip = 0.0"), r"training\.clip: expected more than 0"),
        (("sources = [1, 2]", "sources = [1, 9]"), r"training\.sources: expected fewest and most, from 1 to 8"),
    ],
)
def test_what_cannot_be_is_named(tiny: Path, change: tuple[str, str], message: str) -> None:
    tiny.write_text(TINY.replace(*change))
    with pytest.raises(InputError, match=message):
        read_plan(tiny)


def test_none_in_a_configuration_is_none(tiny: Path) -> None:
    tiny.write_text(
        TINY.replace('preset = "small"', 'preset = "paper"\nvisibility = "none"').replace(
            "= 32", '= 32\nscale = "none"'
        )
    )
    plan = read_plan(tiny)
    assert (plan.preset.visibility, plan.data["scale"]) == (None, None)


def test_a_configuration_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "smal-128", "--out", str(tmp_path / "run")])
    assert done.exit_code == REFUSED
    assert "neither a file nor one of paper, small-1, small-2, small-3" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_of_clips_that_is_not_there_is_passed_on(tmp_path: Path, anny: BodyModel) -> None:
    plan = make_plan({"data": {"kind": "clips", "folder": str(tmp_path / "none")}, "training": {"steps": 1}})
    with pytest.raises(InputError, match="none"):
        open_samples(plan.data, anny, torch.device("cpu"), "train", 1)


def test_a_training_on_gathered_people_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """Exact, with people gathered again in the middle of a window, in the other memory format."""
    torch.set_num_threads(1)
    plan = make_plan(
        {
            "system": {"preset": "small", "weights": {"perceptual": 0.0, "face": 0.0, "adversarial": 0.0}},
            "data": {
                **{"kind": "people", "size": 32, "supersample": 1, "pose_gap": [0.3, 1.0]},
                **{"gathered": True, "reuse": 3, "pool": 2, "atlas_size": 64},
            },
            "check": {"count": 1},
            "training": {"steps": 4, "batch": 1, "sources": [1, 2], "channels_last": True, "save_every": 2},
        }
    )
    whole = train(plan, tmp_path / "whole", device="cpu")
    assert whole.samples.window == 6  # type: ignore[attr-defined]
    whole.fit()
    part = train(plan, tmp_path / "part", device="cpu")
    for _ in range(2):
        part._advance()
    part.save()
    again = train(plan, tmp_path / "part", device="cpu")
    assert again.step == 2
    again.fit()
    mine, theirs = whole.state().tensors, again.state().tensors
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


def test_settings_of_gathered_people_are_of_no_use_to_others() -> None:
    with pytest.raises(InputError, match=r"data\.reuse: .* data\.gathered = true"):
        make_plan({"data": {"kind": "people", "size": 32, "reuse": 4}, "training": {"steps": 1}})


def test_pose_gap_grows_over_the_training(anny: BodyModel) -> None:
    samples = open_samples(
        {"kind": "people", "size": 32, "pose_gap": [0.2, 1.0]}, anny, torch.device("cpu"), "train", 100
    )
    gap = samples.pose_gap  # type: ignore[attr-defined]
    assert (gap(0), gap(50), gap(100), gap(10**9)) == pytest.approx((0.2, 0.6, 1.0, 1.0))


def test_a_pose_gap_that_is_no_range_is_named(anny: BodyModel) -> None:
    for gap in ([0.2], [0.2, 0.4, 1.0], ["near", "far"]):
        with pytest.raises(InputError, match=r"data\.pose_gap: expected a number, or the first and the last"):
            open_samples({"kind": "people", "size": 32, "pose_gap": gap}, anny, torch.device("cpu"), "train", 1)


def test_every_argument_of_the_data_can_be_set_in_a_configuration() -> None:
    """But what the training itself decides: model, device, split, progress."""

    def arguments(of: type) -> set[str]:
        return set(inspect.signature(of.__init__).parameters) - {"self", "model", "device", "split", "progress"}  # type: ignore[misc]

    assert arguments(ClipSamples) - {"cache"} | {"folder"} == CLIPS
    assert arguments(RenderedPeople) | arguments(GatheredPeople) - {"people"} | {"gathered"} == PEOPLE
    assert (
        make_plan({"data": {"kind": "clips", "folder": "x", "data_set_split": False}}).data["data_set_split"] is False
    )
