"""`make gpu-check` as far as it goes without a GPU: what it says, how it keeps its steps, what it reads of kernels."""

import subprocess
import sys
import time
from pathlib import Path

import gpu_check
import pytest
import sanitize
import torch
from op_table import CASES, TINY

from benchmarks import resources

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tests" / "gpu_check.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "A GPU is needed" in done.stderr


def test_steps_go_on_after_one_fails_and_none_outlasts_its_time(tmp_path: Path) -> None:
    check = gpu_check.Check(tmp_path, time.monotonic() + 60)
    assert not check.run("bad", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], 30)
    assert not check.run("slow", ["sleep", "60"], 0.5)
    assert check.run("good", ["true"], 30)
    check.skip("absent", "it is not here")
    found = [(step.name, step.status, step.note) for step in check.steps]
    assert found == [
        ("bad", "failed", "exit status 3"),
        ("slow", "failed", "ran out of time"),
        ("good", "passed", ""),
        ("absent", "skipped", "it is not here"),
    ]
    assert (tmp_path / "bad.log").read_text() == "why\n"
    assert all(step.name in check.summary() for step in check.steps)


REPORT = """
ptxas info    : Compiling entry function '_ZN7warpkit6raster10mark_facesEPKilllPb' for 'sm_90'
ptxas info    : Function properties for _ZN7warpkit6raster10mark_facesEPKilllPb
    16 bytes stack frame, 20 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 28 registers, used 1 barriers, 16 bytes cumulative stack size, 1024 bytes smem, 400 bytes cmem[0]
[3/9] Building CUDA object x.o
ptxas info    : Compiling entry function '_ZN7warpkit6raster10mark_facesEPKilllPb' for 'sm_80'
ptxas info    : Function properties for _ZN7warpkit6raster10mark_facesEPKilllPb
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 26 registers, used 0 barriers, 392 bytes cmem[0]
"""


def test_registers_and_spills_are_read_from_the_compilers_report() -> None:
    kernels = resources.read_report(REPORT)
    assert kernels == [
        resources.Kernel("raster::mark_faces", 80, 26, 0, 0, 0),
        resources.Kernel("raster::mark_faces", 90, 28, 16, 44, 1024),
    ]
    table = resources.as_markdown(kernels)
    assert "1 of these 2 spill; the most are 44 bytes" in table
    assert "| `raster::mark_faces` | 26 | 28 · 1024 shared · 16 stack · 44 **spilled** |" in table


def test_every_file_with_tests_for_a_gpu_is_run() -> None:
    """Parity tests apart, which need the peers; what looks for CUDA without a GPU is no such test."""
    own = {path for path in (ROOT / "tests").glob("**/test_*.py") if path.parent.name != "parity"}
    signs = ("from needs_gpu import", ".cuda()", 'check(scene, "cuda")')
    gpu = {path for path in own if any(sign in path.read_text() for sign in signs)}
    listed = {ROOT / file.split("::")[0] for files in gpu_check.TESTS.values() for file in files}
    assert gpu - {Path(__file__)} == listed


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_the_sanitizers_watch_runs(case: sanitize.Case) -> None:
    sanitize.run_case(case, TINY, "cpu")
    assert not torch.are_deterministic_algorithms_enabled()
