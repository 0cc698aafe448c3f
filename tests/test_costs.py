"""Costs of whole runs: what is counted fits the issue's limits, what is measured is told as it was."""

import pytest
import torch

pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
pytest.importorskip("typer", reason="needs the extra [person]")
from benchmarks import costs
from benchmarks.costs import Clock, counted, table_counted, tables


def test_ipercore_with_two_sources_at_1024_is_personalized_in_10_gb_and_runs_in_2():
    row = counted("ipercore", 1024, 2)
    assert 1.2e9 < row["run_bytes"] < 2e9
    assert 2e9 < row["personalize_low_memory_bytes"] < row["personalize_bytes"] < 10e9
    cells = table_counted([row])[-1].split(" | ")
    assert cells[1] == "1024²"
    assert float(cells[6]) == pytest.approx(row["run_bytes"] / 1e9, abs=0.01)


def test_a_clock_tells_stages_and_their_steps_apart(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(costs.time, "perf_counter", lambda: now[0])
    clock = Clock(torch.device("cpu"))
    clock.stage("one", 2)
    for seconds in (3.0, 4.0):
        now[0] += seconds
        clock.advance()
    clock.stage("other", None)
    held = torch.ones(2**22)
    now[0] += 10
    clock.stage("one", 1)
    now[0] += 1
    clock.advance()
    stages = clock.done()
    assert set(stages) == {"one", "other"}
    assert stages["one"]["steps"] == [3, 4, 1]
    assert stages["one"]["seconds"] == 8
    assert stages["other"]["seconds"] == 10
    assert stages["other"]["bytes"] > held.nbytes


def test_the_table_multiplies_the_pace_of_steps_and_leaves_the_first_out():
    def stage(seconds, *steps):
        return {"seconds": seconds, "bytes": 2e9, "steps": list(steps)}

    row = {
        "preset": "small",
        "size": 256,
        "personalize": {"Training": stage(9.0, 7.0, 1.0, 1.0)},
        "run": {"gather": stage(3.0), "frames": stage(1.0, 5.0, 0.5), "write the video": stage(1.0, 0.1, 0.1)},
    }
    once = {"frames": 10, "stages": {"read the photos": stage(1.0), "Following the person in the video": stage(5.0)}}
    text = tables({"counted": [], "once": once, "measured": [row]})
    assert "| `small` | 256² | 3.0 | 1.00 | 100 | 2.00 | 500 | 100 | 99 | 2.00 |" in text
    assert "500 ms a frame of 1080p" in text


def test_a_preset_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        costs.main(["huge"])
    assert "got huge" in capsys.readouterr().err
