"""The studies of strategies and losses: what variants differ in, runs that go on, the arithmetic of tables."""

import json
import math

import numpy as np
import pytest
import torch

from benchmarks.results_page import strategies
from benchmarks.strategies import REASONS, Settings, main, variants
from benchmarks.strategies_detail import coarse_error, fine_energy
from benchmarks.strategies_table import combine, estimate, record, summarise
from warpkit.models.systems.liquid_warping import STRATEGIES

SETTINGS = Settings("strategies", 64, 4, 2, 1, 2, 2, 1e-3, "32", 3, False)


def test_the_strategies_differ_in_fusion_alone_and_are_all_seven_with_what_tells_why():
    systems = variants(SETTINGS)
    assert set(systems) == set(STRATEGIES) - {"attention_adain"}
    assert len(set(systems) - set(REASONS)) == 7
    plain = {json.dumps({**preset.to_dict(), "fusion": ""}) for preset in systems.values()}
    assert len(plain) == 1


def test_the_losses_are_the_rows_of_table_6():
    rows = variants(Settings(**{**vars(SETTINGS), "study": "losses"}))
    on = {
        name: {term for term in ("face", "mask", "smooth", "adversarial") if getattr(preset.weights, term)}
        for name, preset in rows.items()
    }
    assert on == {
        "full": {"face", "mask", "smooth", "adversarial"},
        "perceptual": set(),
        "perceptual + adversarial": {"adversarial"},
        "perceptual + adversarial + face": {"adversarial", "face"},
    }
    assert all(bool(preset.discriminators) == bool(preset.weights.adversarial) for preset in rows.values())


def test_a_study_that_was_stopped_goes_on_and_refuses_other_settings(tmp_path, capsys):
    pytest.importorskip("lightning_fabric")
    words = "--size 64 --width 4 --steps 2 --batch 1 --people 2 --pairs 2 --precision 32 --device cpu --seeds 0"
    command = ["--out", str(tmp_path), *words.split(), "--variants", "texture"]
    main([*command, "--minutes", "0"])
    told = capsys.readouterr().err
    assert "goes on" in told
    assert "no differences from it" in told
    assert not (tmp_path / "summary.md").exists()
    main(command)
    runs = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/results.json")}
    assert {name: run["steps"] for name, run in runs.items()} == {"texture-0": 2}
    for metric in ("psnr/person", "psnr_halved/person"):
        assert all(len(run["pairs"][shots][metric]) == 2 for run in runs.values() for shots in ("2", "4"))
    assert "`texture`" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "sheet.png").exists()
    before = (tmp_path / "texture-0" / "results.json").stat().st_mtime_ns
    main(command)
    assert (tmp_path / "texture-0" / "results.json").stat().st_mtime_ns == before
    with pytest.raises(SystemExit):
        main([*command, "--steps", "3"])
    assert "other settings (steps)" in capsys.readouterr().err


def test_a_study_goes_on_where_another_machine_left_it(tmp_path, capsys):
    pytest.importorskip("lightning_fabric")
    words = "--size 64 --width 4 --steps 2 --batch 1 --people 2 --pairs 2 --precision 32 --device cpu --seeds 0"
    command = [*words.split(), "--samples", str(tmp_path / "samples"), "--variants", "texture", "concat"]
    first, second = tmp_path / "first", tmp_path / "second"
    main(["--out", str(first), *command[:-1]])
    second.mkdir()
    (second / "summary.json").write_bytes((first / "summary.json").read_bytes())
    main(["--out", str(second), *command])
    assert {path.parent.name for path in second.glob("*/results.json")} == {"concat-0"}
    before, after = (json.loads((folder / "summary.json").read_text())["runs"] for folder in (first, second))
    assert after["texture"] == before["texture"]
    assert set(after) == {"texture", "concat"}
    main(["--out", str(first), *command[:-1]])  # nothing is left to do


def a_run(values):
    pairs = {shots: {"psnr/person": values} for shots in ("2", "4")}
    return {"machine": {}, "generator_parameters": 1, "steps": 2, "outcome": "finished", "hours": 0.1, "pairs": pairs}


def test_an_estimate_leaves_pairs_without_a_number_out():
    found = estimate(np.array([1.5, 3.5, math.nan]))
    assert found["mean"] == 2.5
    assert found["error"] == pytest.approx(1.0)
    assert found["pairs"] == 2


def test_errors_over_pairs_and_over_seeds_are_told_apart():
    found = combine([{"mean": 2.0, "error": 1.0}, {"mean": 3.0, "error": 2.0}])
    assert found["mean"] == 2.5
    assert found["error_over_pairs"] == pytest.approx(1.5)
    assert found["error_over_seeds"] == pytest.approx(0.5)
    assert found["error"] == pytest.approx(math.hypot(1.5, 0.5))
    assert combine([{"mean": 2.0, "error": 1.0}])["error_over_seeds"] is None


def test_differences_are_taken_pair_by_pair():
    found = record(a_run([11.0, 21.0, 31.0]), a_run([10.0, 20.0, 30.0]))["sources"]["2"]["psnr/person"]
    assert found["error"] > 5
    assert found["against_base"] == {"mean": pytest.approx(1.0), "error": pytest.approx(0.0), "pairs": 3}


def test_differences_outlive_the_folder_of_the_base_and_unfinished_runs_are_named(tmp_path):
    for name, values in {"attention": [10.0, 20.0, 30.0], "add": [11.0, 21.0, 31.0]}.items():
        (tmp_path / f"{name}-0").mkdir()
        run = {**a_run(values), "variant": name, "seed": 0, "outcome": "diverged" if name == "add" else "finished"}
        (tmp_path / f"{name}-0" / "results.json").write_text(json.dumps(run))
    (tmp_path / "settings.json").write_text("{}")
    summarise(tmp_path, ["attention", "add"])
    first = (tmp_path / "summary.json").read_text()
    (tmp_path / "attention-0" / "results.json").unlink()
    summarise(tmp_path, ["attention", "add"])
    assert (tmp_path / "summary.json").read_text() == first
    assert "against_base" in first
    table = (tmp_path / "summary.md").read_text()
    assert "`add` 0 ended at step 2 (diverged)" in table
    assert "`attention` 0 ended" not in table


def test_the_page_says_whether_the_base_is_within_two_standard_errors(tmp_path):
    def page(better, seeds="01"):
        base, other = a_run([10.0, 20.0, 30.0]), a_run([10.0 + better, 20.5 + better, 29.5 + better])
        runs = {
            "attention": dict.fromkeys(seeds, record(base, None)),
            "add": dict.fromkeys(seeds, record(other, base)),
        }
        summary = {"base": "attention", "settings": {"steps": 2}, "runs": runs}
        (tmp_path / "strategies.json").write_text(json.dumps(summary))
        return "\n".join(strategies(tmp_path / "strategies.json"))

    assert "`add` is best, by 0.50: 1.7 standard errors from `attention`, within two" in page(0.5)
    assert "3.5 standard errors from `attention`, not within two" in page(1.0)
    assert "PSNR: `attention` is best." in page(-1.0)
    assert "`add` is best, by 1.00; by one start alone" in page(1.0, "0")


def test_a_checkerboard_is_fine_energy_and_no_coarse_error():
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    board = ((rows + columns) % 2 * 2.0 - 1).expand(1, 3, 32, 32)
    everywhere, smooth = torch.ones(1, 1, 32, 32), torch.full((1, 3, 32, 32), 0.25)
    assert fine_energy(smooth, everywhere) == 0
    assert fine_energy(smooth + 0.1 * board, everywhere) == pytest.approx(0.01 * (8 / 9) ** 2, rel=0.1)
    assert coarse_error(smooth + 0.1 * board, smooth, everywhere) == pytest.approx(0, abs=1e-9)
    assert coarse_error(smooth + 0.1, smooth, everywhere) == pytest.approx(0.01, rel=1e-4)
