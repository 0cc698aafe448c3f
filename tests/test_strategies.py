"""The studies of strategies and losses: what variants differ in, runs that go on, the arithmetic of tables."""

import json
import math

import numpy as np
import pytest

from benchmarks.results_page import strategies
from benchmarks.strategies import REASONS, Settings, main, variants
from benchmarks.strategies_table import compare, estimate
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
    assert "goes on" in capsys.readouterr().err
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


def test_errors_over_pairs_and_over_seeds_are_told_apart():
    found = estimate(np.array([[1.0, 3.0, math.nan], [2.0, 4.0, math.nan]]))
    assert found["mean"] == 2.5
    assert found["error_over_pairs"] == pytest.approx(1.0)  # 1.5 and 3.5
    assert found["error_over_seeds"] == pytest.approx(0.5)  # 2 and 3
    assert found["error"] == pytest.approx(math.hypot(1.0, 0.5))
    assert found["pairs"] == 2


def test_differences_are_taken_pair_by_pair():
    def run(values):
        numbers = {"psnr/person": values}
        return {"generator_parameters": 1, "steps": 2, "outcome": "finished", "hours": 0.1,
                "pairs": {"2": numbers, "4": numbers}}  # fmt: skip

    runs = {"attention": {0: run([10.0, 20.0, 30.0])}, "add": {0: run([11.0, 21.0, 31.0])}}
    table = compare(runs, ["attention", "add"])
    against = table["variants"]["add"]["sources"]["2"]["psnr/person"]["against_base"]
    assert against["mean"] == pytest.approx(1.0)
    assert against["error"] == pytest.approx(0.0)
    assert table["variants"]["attention"]["sources"]["2"]["psnr/person"]["error"] > 5


def test_the_page_says_whether_the_base_is_within_two_standard_errors(tmp_path):
    def page(better):
        values = {"attention": [10.0, 20.0, 30.0], "add": [10.0 + better, 20.5 + better, 29.5 + better]}
        runs = {}
        for name, numbers in values.items():
            pairs = {shots: {"psnr/person": numbers} for shots in ("2", "4")}
            one = {"generator_parameters": 1, "steps": 2, "outcome": "finished", "hours": 0.1, "pairs": pairs}
            runs[name] = {0: one}
        table = {**compare(runs, list(runs)), "settings": {"steps": 2}}
        (tmp_path / "strategies.json").write_text(json.dumps(table))
        return "\n".join(strategies(tmp_path / "strategies.json"))

    assert "`add` is best, by 0.50: 1.7 standard errors from `attention`, within two" in page(0.5)
    assert "3.5 standard errors from `attention`, not within two" in page(1.0)
    assert "PSNR: `attention` is best." in page(-1.0)
