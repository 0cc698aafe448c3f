"""`make fuzz`: hostile inputs (hostile.py) through every op on the CPU, under address and UB sanitizers.

They stop at any read or write out of bounds and at undefined arithmetic. The seed of a run that ends badly is printed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local_build import ROOT, CannotRun, commands, environment, link_python, python

BUILD = ROOT / "build" / "fuzz"
LEVELS = (os.environ["WARPKIT_SIMD"],) if "WARPKIT_SIMD" in os.environ else ("baseline", "avx2", "avx512")
SECONDS = 20
"""What one process runs for: then the next SIMD level has its turn."""


def build() -> None:
    """Compile the CPU kernels with sanitizers into build/fuzz."""
    steps = commands(BUILD, "-DWARPKIT_CUDA=OFF", "-DWARPKIT_SANITIZE=ON")
    link_python(BUILD / "site")
    for command in steps.values():
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def sanitized() -> dict[str, str]:
    """What a Python needs to load the sanitized build: the run-time libraries of sanitizers and C++ come first."""
    libraries = [
        subprocess.run(["c++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")  # without the second an exception could not be thrown
    ]
    return environment(BUILD / "site") | {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=86",  # Python itself leaks at exit
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "OMP_NUM_THREADS": "2",
    }


def fuzz(seed: int, seconds: float) -> int:
    """Processes of SECONDS each, over all SIMD levels, until the time is up or one ends badly."""
    variables, stop, total = sanitized(), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        progress, turn = Path(folder) / "seed", 0
        while (left := stop - time.monotonic()) > 1:
            level = LEVELS[turn % len(LEVELS)]
            arguments = ["--seed", str(seed), "--seconds", str(min(SECONDS, left)), "--progress", str(progress)]
            command = python(ROOT / "tests" / "hostile.py", *arguments)
            done = subprocess.run(
                command, env=os.environ | variables | {"WARPKIT_SIMD": level}, capture_output=True, text=True
            )
            if done.returncode != 0:
                print(done.stdout[-2000:], done.stderr[-12000:], sep="\n")
                failed = progress.read_text() if progress.exists() else seed
                print(f"fuzz: seed {failed} failed; again: WARPKIT_SIMD={level} make fuzz FUZZ_SEED={failed}")
                return 1
            runs = int(re.findall(r"(\d+) runs", done.stdout)[-1])
            total, seed, turn = total + runs, seed + max(runs, 1), turn + 1
            print(f"fuzz: {total} runs, {max(stop - time.monotonic(), 0):.0f} s left ({level})", flush=True)
    print(f"fuzz: {total} runs, no fault found")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, help="of the first run (default: from the clock)")
    arguments = parser.parse_args()
    seed = int(time.time()) * 1000 if arguments.seed is None else arguments.seed
    try:
        build()
    except CannotRun as problem:
        print(f"fuzz cannot run: {problem}", file=sys.stderr)
        return 1
    print(f"fuzz: from seed {seed}", flush=True)
    return fuzz(seed, arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
