"""Run benchmarks and print a table: `python -m benchmarks [NAME …] [--device cuda] [--json FILE]`.

Each row is ours, what a user would write in PyTorch, each peer that is installed, and the floor.
"""

import argparse
import importlib
import json
from pathlib import Path

import torch

from benchmarks import harness, peers, table
from benchmarks.options import Options
from warpkit.models import machine

FAMILIES = ("rasterize", "interpolate", "mesh_flow", "warp", "fusion", "overhead")
"""Modules of this folder with `cases(options) -> Iterator[Case]`."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"rows whose name holds any of these words; families: {', '.join(FAMILIES)}"
    )
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--seconds", default=1.5, type=float, help="time spent on a row (default %(default)s)")
    parser.add_argument("--compile", action="store_true", help="also torch.compile: 10 to 30 s more for each such row")
    parser.add_argument("--quick", action="store_true", help="leave the big cases out")
    parser.add_argument("--threads", type=int, help="torch's threads (default: as torch finds)")
    parser.add_argument("--json", type=Path, help="write the figures, with machine, versions and commit, to this file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    options = Options(arguments.device, arguments.quick, arguments.compile)
    table.print_targets(run(options, arguments.names, arguments.seconds, arguments.json))


def run(options: Options, names: list[str], seconds: float, file: Path | None = None) -> harness.Report:
    """Measure the rows that hold any of `names` (all, if there are none), printing and keeping each as it comes."""
    device = options.device
    report = harness.Report(machine.describe(device), peers.found(), harness.copy_bandwidth(device))
    table.print_head(report)
    for family in FAMILIES:
        if names and set(names) <= set(FAMILIES) and family not in names:
            continue
        try:
            for case in importlib.import_module(f"benchmarks.{family}").cases(options):
                if names and not any(name in (family, *case.name.split()) for name in names):
                    continue
                row = harness.measure(family, case, device, report.bandwidth, seconds)
                report.rows.append(row)
                table.print_row(row)
                if file:  # whole after each row: a run that is cut short has kept what it measured
                    save(report, file)
        except (RuntimeError, NotImplementedError, TypeError) as error:  # what is left of a family; the others go on
            report.failed[family] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            print(f"{family}: {report.failed[family]}")
    return report


def save(report: harness.Report, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    part.replace(file)


if __name__ == "__main__":
    main()
