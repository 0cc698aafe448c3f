"""The benchmarks run, keep what they measured, and draw it. No test looks at a time."""

import json
import mmap

import pytest
import torch

from benchmarks import memory, targets
from benchmarks.__main__ import run
from benchmarks.harness import Contender, Report, interleave
from benchmarks.options import Options
from benchmarks.report import measured

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def report():
    return run(Options(CPU, quick=True), ["rasterize"], 0.01)


def test_a_row_has_ours_first_and_the_floor(report):
    row = next(row for row in report.rows if row.name.startswith("rasterize"))
    assert next(iter(row.timings)) == "warpkit"
    assert row.timings["clone"].kind == "clone"
    assert row.floor == pytest.approx(row.bytes / report.bandwidth)
    assert not report.failed


def test_a_report_survives_json(report):
    found = json.loads(json.dumps(report.as_json()))
    assert {"machine", "peers", "bandwidth", "rows", "failed"} <= found.keys()
    assert {"commit", "processor", "torch", "date", "load"} <= found["machine"].keys()
    assert Report.from_json(found).rows == report.rows


def test_every_target_of_the_other_device_is_not_run(report):
    verdicts = {answer.verdict for answer in targets.answers(report) if answer.target.device == "cuda"}
    assert verdicts == {"not run"}


def test_tables_name_every_target(report, tmp_path):
    text = "\n".join(measured(report, tmp_path / "run.json"))
    assert all(target.what in text for target in targets.TARGETS)


def test_a_peer_that_raises_is_told_and_ours_goes_on():
    def broken():
        raise RuntimeError("no kernel image")

    contenders = {"warpkit": Contender("ours", lambda: None), "peer": Contender("peer", broken)}
    timings, failed = interleave(contenders, CPU, 0.0)
    assert list(timings) == ["warpkit"]
    assert failed == {"peer": "RuntimeError: no kernel image"}


def test_the_picture_is_written(report, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra [bench]")
    from benchmarks.plot import draw

    draw(report, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_memory_is_told_in_bytes(monkeypatch):
    before = memory.status("VmRSS")
    held = mmap.mmap(-1, 2**26)  # pages that the allocator cannot have had before
    held.write(bytes(2**26))
    assert memory.most(CPU) >= memory.status("VmRSS") > 1e7
    assert memory.status("VmHWM") >= before + 2**25
    assert memory.peak(lambda: torch.ones(2**24), CPU) in (None, pytest.approx(2**26, rel=0.1))

    def missing(field):
        raise FileNotFoundError("/proc/self/status")

    monkeypatch.setattr(memory, "status", missing)  # not Linux
    assert memory.most(CPU) >= 2**25
