"""docs/results.md comes from the files of runs, and from nothing else."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("typer", reason="needs the extra [person]")
pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
from benchmarks import results_page
from warpkit.models.metrics import Judges
from warpkit.models.metrics.results import Results, Tally
from warpkit.models.metrics.study import Verdict


def a_run(gain: float) -> Results:
    results = Results.by(Judges(), {"command": "warpkit evaluate …", "device": "cpu"})
    tallies = {}
    for name, psnr, vgg in (("geometric", 20.0, 1.0), ("small", 20.0 + gain, 0.7)):
        tallies[name] = Tally()
        for case in range(3):
            values = {"psnr/person": psnr + case, "vgg/person": vgg, "face_cs": float("nan") if case else 0.9}
            tallies[name].add({key: torch.tensor([value]) for key, value in values.items()}, case, "painted")
    results.tallies["self", 4] = tallies
    results.seconds["self", 4] = 120.0
    return results


def test_the_page_in_the_repository_is_what_its_files_say():
    assert results_page.PAGE.read_text() == results_page.page(), "run python -m benchmarks.results_page"


def test_results_come_back_from_their_file():
    results = a_run(1.0)
    again = Results.from_json(results.to_json())
    assert again.to_markdown() == results.to_markdown()
    assert again.seconds == results.seconds


@pytest.mark.parametrize(("gain", "verdict"), [(1.6, "wanted +1.5: reached"), (1.4, "wanted +1.5: not reached")])
def test_what_was_wanted_is_told_as_it_came_out(tmp_path: Path, gain: float, verdict: str):
    (tmp_path / "evaluate-small.json").write_text(a_run(gain).to_json())
    text = results_page.page(tmp_path, tmp_path)
    assert verdict in text
    assert "**4 sources, 3 pairs**" in text
    assert "VGG distance -30.0 %" in text
    assert "3 cases in 2.0 minutes" in text
    assert text.count("Not run yet.") == len(results_page.SECTIONS) - 1


def test_the_study_says_how_many_were_preferred(tmp_path: Path):
    verdict = Verdict({"trained": 22, "geometric": 8}, 30, 1, 0)
    (tmp_path / "study.json").write_text(verdict.to_json())
    assert Verdict(**json.loads(verdict.to_json())) == verdict
    assert "preferred in 22 of 30 (wanted: 21 of 30): reached" in results_page.page(tmp_path, tmp_path)
