"""Run benchmarks and print a table: `python -m benchmarks [NAME …] [--device cuda] [--json FILE]`."""

import argparse
import importlib
import json
from pathlib import Path

import torch

from benchmarks import harness

FAMILIES = ("rasterize", "mesh_flow", "warp")
"""Modules of this folder with `cases(device, quick) -> Iterator[Case]`."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"rows whose name holds any of these words; families: {', '.join(FAMILIES)}"
    )
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--seconds", default=1.5, type=float, help="time spent on a row (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="leave the big cases out")
    parser.add_argument("--threads", type=int, help="torch's threads (default: as torch finds)")
    parser.add_argument("--json", type=Path, help="write the figures, with machine, versions and commit, to this file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    device = arguments.device
    report = harness.Report(harness.machine(device), harness.copy_bandwidth(device))
    facts = report.machine
    print(f"{facts['processor']}, {facts['device']}, {facts['threads']} threads", end=", ")
    print(f"SIMD {facts['simd_level']}, torch {facts['torch']}")
    print(f"commit {facts['commit'][:12]}, copy bandwidth {report.bandwidth / 1e9:.1f} GB/s (read + written)\n")
    print(f"{'row':44} {'median ms':>9} {'least':>8} {'spread':>6} {'/floor':>7} {'/clone':>7} {'/peer':>6}")
    for family in FAMILIES:
        module = importlib.import_module(f"benchmarks.{family}")
        for case in module.cases(device, arguments.quick):
            if arguments.names and not any(name in (family, *case.name.split()) for name in arguments.names):
                continue
            row = harness.measure(case, device, report.bandwidth, arguments.seconds)
            report.rows.append(row)
            print_row(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")


def print_row(row: harness.Row) -> None:
    ours, *others = row.timings.items()
    peer = f"{row.to_peer:6.2f}" if row.to_peer is not None else "     -"
    mine = ours[1]
    print(
        f"{row.name:44} {mine.median * 1e3:9.3f} {mine.least * 1e3:8.3f} {mine.spread:6.0%} {row.to_floor:7.2f} "
        f"{row.to_clone:7.2f} {peer}  {row.note}"
    )
    for name, timing in others:
        print(f"  {name:42} {timing.median * 1e3:9.3f} {timing.least * 1e3:8.3f} {timing.spread:6.0%}")


if __name__ == "__main__":
    main()
