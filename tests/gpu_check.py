"""What `make gpu-check` does on a machine with a GPU, without a package index: build, test, sanitize, measure.

Uses the Python that runs it, which must have torch; builds with CMake into build/gpu for this machine's GPU alone. Each
step has its share of the time and its exit status is kept; later steps run although earlier ones fail.
"""

import argparse
import datetime
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_build import ROOT, CannotRun, commands, environment, find_tool, link_python, need_tool, need_torch, python

BUILD = ROOT / "build" / "gpu"
SITE = BUILD / "site"
OUT_OF_TIME = "ran out of time"
SANITIZERS = ("memcheck", "racecheck", "initcheck")
TESTS = {
    "tests": ["tests/test_cuda.py"],
    "more-tests": [
        "tests/test_cuda_systems.py",
        "tests/test_warp_reduce_cuda.py",
        "tests/test_warp_attention_cuda.py",
        "tests/golden/test_golden.py::test_cuda_gives_the_scenes",
    ],
}
"""What runs side by side: every file that has tests for a GPU."""


@dataclass
class Step:
    name: str
    status: str
    """passed, failed, skipped, cut short."""
    seconds: float
    note: str = ""


@dataclass
class Check:
    logs: Path
    deadline: float
    steps: list[Step] = field(default_factory=list)

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def run(
        self, name: str, command: Sequence[str | Path], most: float, variables: dict[str, str] | None = None
    ) -> bool:
        """Run a step for `most` seconds, or what is left; its output goes to the screen and to NAME.log."""
        return self.watch([self.start(name, command, variables)], most)

    def start(
        self, name: str, command: Sequence[str | Path], variables: dict[str, str] | None = None
    ) -> tuple[str, "subprocess.Popen[bytes]", float]:
        print(f"\n== {name}: {' '.join(map(str, command))}", flush=True)
        log = (self.logs / f"{name}.log").open("wb")
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | (variables or {}),
        )
        return name, process, time.monotonic()

    def watch(self, started: list[tuple[str, "subprocess.Popen[bytes]", float]], most: float) -> bool:
        """Wait for processes that run side by side; whoever takes longer than `most` seconds is ended."""
        stop = time.monotonic() + max(min(most, self.left()), 1)
        good = True
        for name, process, begin in started:
            try:
                code = process.wait(max(stop - time.monotonic(), 0.1))
                note = "" if code == 0 else f"exit status {code}"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the compilers and tests that it started, too
                process.wait()
                code, note = 124, OUT_OF_TIME
            text = (self.logs / f"{name}.log").read_text(errors="replace")
            print("\n".join(text.splitlines()[-25:]), flush=True)
            status = "passed" if code == 0 else "failed"
            if code != 0 and "Device not supported" in text:
                status, note = "skipped", "compute-sanitizer says that it does not support this device"
            self.steps.append(Step(name, status, time.monotonic() - begin, note))
            good = good and status != "failed"
        return good

    def skip(self, name: str, why: str, status: str = "skipped") -> None:
        print(f"\n== {name}: {status}, {why}", flush=True)
        (self.logs / f"{name}.log").write_text(why + "\n")
        self.steps.append(Step(name, status, 0, why))

    def summary(self) -> str:
        lines = [f"{'step':12} {'status':9} {'seconds':>7}"]
        lines += [f"{step.name:12} {step.status:9} {step.seconds:7.0f}  {step.note}" for step in self.steps]
        return "\n".join(lines)


def find_gpu() -> tuple[str, str]:
    """(name, architecture) of the GPU that torch sees first."""
    need_torch()
    import torch

    if not torch.cuda.is_available():
        raise CannotRun(f"A GPU is needed, and PyTorch {torch.__version__} of {sys.executable} sees none.")
    major, minor = torch.cuda.get_device_capability(0)
    return torch.cuda.get_device_name(0), f"{major}{minor}"


def build(check: Check, architectures: str, most: float) -> bool:
    """Compile into build/gpu/site, in `most` seconds: the extension, beside links to the Python files."""
    nvcc = need_tool("nvcc", "install the CUDA toolkit")
    steps = commands(
        BUILD,
        f"-DWARPKIT_NVCC={nvcc}",
        f"-DCMAKE_CUDA_ARCHITECTURES={architectures}",
        "-DCMAKE_CUDA_FLAGS=-lineinfo",
        "-DWARPKIT_RESOURCES=ON",
    )
    shutil.rmtree(BUILD / "cmake", ignore_errors=True)  # so that the compiler's report is of all files
    link_python(SITE)
    return all(check.run(name, command, most) for name, command in steps.items())


def check_all(check: Check, gpu: str, results: Path) -> None:
    """Everything that needs the GPU, once the build stands."""
    script = (
        "import warpkit, sys; print(warpkit.__file__, warpkit._build._C.__file__, warpkit.build_info());"
        f"sys.exit(not warpkit._build._C.__file__.startswith({str(SITE)!r}))"
    )
    if not check.run("import", python("-c", script), 60, environment(SITE)):
        return
    if importlib.util.find_spec("pytest"):
        pytest = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "--durations=5")
        check.watch([check.start(name, [*pytest, *files], environment(SITE)) for name, files in TESTS.items()], 200)
    else:
        check.skip("tests", f"pytest is missing in {sys.executable}", "failed")
    sanitizer = find_tool("compute-sanitizer")
    if sanitizer is None:
        check.skip("sanitizer", "compute-sanitizer is not on this machine")
    else:
        # Each tensor is an allocation of its own, so that a read beyond its end is seen.
        alone = environment(SITE) | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
        sanitized = python(ROOT / "tests" / "sanitize.py")
        started = [
            check.start(
                tool,
                [sanitizer, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20", *sanitized],
                alone,
            )
            for tool in SANITIZERS
        ]
        check.watch(started, 120)
    name = re.sub(r"[^a-z0-9]+", "-", gpu.lower().removeprefix("nvidia ")).strip("-")
    file = results / f"{name}-{datetime.date.today().isoformat()}.json"
    command = python("-m", "benchmarks", "--device", "cuda", "--seconds", "0.7", "--json", file)
    check.run("benchmarks", command, check.left(), environment(SITE))
    if check.left() > 30:  # compiling takes long: what there is time for, in a file of its own
        command = python(
            "-m", "benchmarks", "fusion", "warp", "--device", "cuda", "--seconds", "0.3", "--compile", "--json"
        )
        check.run("compiled", [*command, file.with_stem(f"{file.stem}-compiled")], check.left(), environment(SITE))
    for step in check.steps:
        if step.name in ("benchmarks", "compiled") and step.note == OUT_OF_TIME:
            step.status = "cut short"  # each row is kept as it comes


def main() -> int:
    parser = argparse.ArgumentParser(prog="make gpu-check", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for the figures and one file of all logs")
    parser.add_argument("--seconds", type=float, default=570, help="all of it ends within (default %(default)s)")
    parser.add_argument("--build-only", action="store_true", help="stop before the first step that needs a GPU")
    parser.add_argument("--architectures", help="compile for these instead of this machine's GPU")
    arguments = parser.parse_args()
    logs = BUILD / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    out = arguments.out.resolve() if arguments.out else logs
    out.mkdir(parents=True, exist_ok=True)
    check = Check(logs, time.monotonic() + arguments.seconds)
    try:
        gpu, architectures = arguments.architectures or "none", arguments.architectures or ""
        if not (arguments.build_only and architectures):
            gpu, architectures = find_gpu()
        print(f"gpu-check: {gpu}, sm_{architectures}, {sys.executable}", flush=True)
        built = build(check, arguments.architectures or architectures, check.left() if arguments.build_only else 300)
    except CannotRun as problem:
        print(f"gpu-check cannot run: {problem}", file=sys.stderr)
        return 1
    if built:
        report = [sys.executable, ROOT / "benchmarks" / "resources.py", logs / "build.log", out / "cuda-resources.md"]
        check.run("resources", report, 30)
        if not arguments.build_only:
            check_all(check, gpu, out if arguments.out else ROOT / "benchmarks" / "results")
    summary = check.summary()
    (out / "summary.txt").write_text(summary + "\n")
    if arguments.out:
        parts = [f"== {step.name}\n{(logs / f'{step.name}.log').read_text(errors='replace')}" for step in check.steps]
        (out / "logs.txt").write_text("\n".join(parts))
    print(f"\n{summary}\nlogs: {logs}")
    return int(any(step.status == "failed" for step in check.steps))


if __name__ == "__main__":
    sys.exit(main())
