"""The embedded model: put in place from a training's file, with a card that is read from it, and found again."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("safetensors", reason="needs the extra [person]")

from warpkit.models.app import embed
from warpkit.models.app.doctor import trained_model
from warpkit.models.errors import InputError
from warpkit.models.systems.liquid_warping import PRESETS, build, embedded, embedded_model, load_embedded
from warpkit.models.systems.liquid_warping.checkpoints import FORMAT
from warpkit.models.training.checkpoint import compact, save_checkpoint
from warpkit.models.training.config import TrainConfig


def training(folder: Path, step: int, size: int) -> Path:
    """What a training leaves."""
    folder.mkdir()
    torch.manual_seed(step)
    about = {
        "system": {"name": "liquid_warping", "preset": "small"},
        "data": {"kind": "people", "size": size, "baked": "/home/someone/people"},
        "critics": {"perceptual": "vgg-of-test"},
        "training": TrainConfig(steps=7000, seed=11).to_dict(),
    }
    labels = {"format": FORMAT, "preset": json.dumps(PRESETS["small"].to_dict())}
    path = folder / "compact.safetensors"
    save_checkpoint(path, compact(build("small").generator.state_dict(), step, about, labels))
    (folder / "log.jsonl").write_text('{"seconds": 1.0}\n{"seconds": 3.5}\n{"seconds": 2.0}\n')
    return path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setattr(embedded_model, "DATA", folder)
    return folder


def test_an_embedded_model_is_found_and_its_card_says_what_its_files_say(tmp_path: Path, data: Path) -> None:
    assert embedded() is None
    assert trained_model().startswith("geometric")
    stages = [training(tmp_path / "first", 6000, 128), training(tmp_path / "second", 1234, 256)]
    summary = {"psnr": {"mean": 20.0, "error": 0.5, "n": 9}, "psnr/person": {"mean": 17.25, "error": 0.25, "n": 9}}
    apart = {"psnr/person": {"mean": 1.5, "error": 0.25, "n": 9}}
    apart["vgg/person"] = {"mean": -0.1, "error": 0.1, "n": 9, "relative": -0.25, "relative_error": 0.0125}
    runs = [
        {"task": "self", "sources": 2, "renderer": name, "summary": summary, "against_first": against}
        for name, against in (("geometric", {}), ("small", apart))
    ]
    (tmp_path / "background.md").write_text("| filling | … |\n")
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"settings": {"command": "warpkit evaluate …"}, "runs": runs}))
    (tmp_path / "history.md").write_text("The rate was changed at step 2.")
    size = embed.embed(stages, [results], "two cores", data, [tmp_path / "background.md"], tmp_path / "history.md")
    assert size == (data / embedded_model.FILE).stat().st_size <= embedded_model.ROOM
    found = embedded()
    assert found is not None
    assert (found.preset, found.step) == ("small", 1234)
    assert "1234 steps" in trained_model()
    torch.manual_seed(1234)
    for name, value in build("small").generator.state_dict().items():
        assert torch.equal(load_embedded().generator.state_dict()[name], value.half().float()), name
        break
    card = (data / embed.CARD).read_text()
    for said in ("6000 of 7000", "1234 of 7000", "256²", "vgg-of-test", "| 11 | 2.00 |", "two cores", "17.250 ± 0.250",
                 "PSNR +1.50 ± 0.25 dB; VGG -25.00 ± 1.25 %", "| filling", "changed at step 2"):  # fmt: skip
        assert said in card, said
    assert "someone" not in card + json.dumps(found.about)
    before = found.path.stat().st_mtime_ns
    embed.embed(stages, [], "four cores", data)  # the same model: its file stays, the card is written anew
    assert found.path.stat().st_mtime_ns == before
    assert "four cores" in (data / embed.CARD).read_text()
    embed.embed(stages, [results], "four cores", data)
    whole_card = (data / embed.CARD).read_text()
    embed.measured_again([], data)
    assert "17.250" not in (data / embed.CARD).read_text()
    embed.measured_again([results], data)  # the trainings' files are not needed for that
    assert (data / embed.CARD).read_text() == whole_card
    (data / embed.CARD).write_text("# A page")
    with pytest.raises(InputError, match="no card of a model"):
        embed.measured_again([results], data)


def test_what_is_no_training_s_file_is_refused(tmp_path: Path, data: Path) -> None:
    path = training(tmp_path / "one", 5, 64)
    odd = tmp_path / "results.json"
    odd.write_text("[]")
    with pytest.raises(InputError, match="no result of warpkit evaluate"):
        embed.embed([path], [odd], "", data)
    save_checkpoint(path, compact({}, 5, {}, {}, "person"))
    with pytest.raises(InputError, match="of a training"):
        embed.embed([path], [], "", data)
    assert embedded() is None
    with pytest.raises(InputError, match="no trained model"):
        load_embedded()


def test_a_card_says_how_many_cores_of_which_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for count, name, said in (
        (1, "One", "1 core of One"),
        (4, "Four", "4 cores of Four"),
        (None, "", "1 core of a CPU"),
    ):
        monkeypatch.setattr(embed.os, "cpu_count", lambda count=count: count)
        monkeypatch.setattr(embed, "processor", lambda name=name: name)
        assert embed.machine() == said


def test_the_model_of_this_installation_is_small_enough_and_has_its_card() -> None:
    found = embedded()
    assert found is not None
    assert found.path.stat().st_size <= embedded_model.ROOM
    card = (found.path.parent / embed.CARD).read_text()
    assert f"{found.step} of" in card
    assert "/" not in str(found.about["data"].get("baked", ""))
    assert load_embedded().preset.name == "small"
