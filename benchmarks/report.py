"""Write the tables of docs/performance.md from a run's JSON: `python -m benchmarks.report FILE.json [--write]`.

What stands between the marks `<!-- measured: begin -->` and `<!-- measured: end -->` is written by this script; the
text round it by hand. Without --write the tables are printed.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Report, Row
from benchmarks.table import milliseconds, peak
from benchmarks.targets import answers

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("--write", action="store_true", help=f"put them into {PAGE.name}")
    arguments = parser.parse_args()
    report = Report.from_json(json.loads(arguments.json.read_text()))
    lines = list(measured(report, arguments.json))
    if not arguments.write:
        print("\n".join(lines))
        return
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def measured(report: Report, source: Path) -> Iterator[str]:
    facts = report.machine
    processor = facts["processor"] if facts["device"] == "cpu" else f"{facts['device']}, {facts['processor']}"
    yield f"Machine: {processor}, {facts['threads']} threads, SIMD {facts['simd_level']}, torch {facts['torch']}; load"
    yield f"average at the start {facts['load']}. Copy bandwidth of this run: {report.bandwidth / 1e9:.1f} GB/s (read +"
    yield f"written). Commit `{facts['commit'][:12]}`, {facts['date']}; every figure is in"
    yield f"`benchmarks/results/{source.name}`."
    yield ""
    yield from (f"- {name}: {version}" for name, version in report.peers.items())
    yield from ("", "## Targets", "", "| device | target | goal | measured | |", "|---|---|---|---|---|")
    for answer in answers(report):
        value = "–" if answer.value is None else f"{figure(answer.value)} {answer.target.unit}"
        verdict = "**missed**" if answer.verdict == "missed" else answer.verdict
        yield f"| {answer.target.device} | {answer.target.what} | {answer.target.says()} | {value} | {verdict} |"
    for family in dict.fromkeys(row.family for row in report.rows):
        yield from ("", f"## {family}", "")
        yield from rows([row for row in report.rows if row.family == family])
    yield from (f"\n{family} stopped: {error}" for family, error in report.failed.items())


def rows(family: list[Row]) -> Iterator[str]:
    with_memory = any(timing.peak is not None for row in family for timing in row.timings.values())
    yield "| row | ms | spread | × floor | the others: how many times our time |" + (
        " peak MB |" if with_memory else ""
    )
    yield "|---|---|---|---|---|" + ("---|" if with_memory else "")
    for row in family:
        ours = row.ours
        floor = figure(ours.median / row.floor) if row.floor else "–"
        others = [
            f"{name} {figure(timing.median / ours.median)}" + (" (one picture, scaled)" if timing.scale != 1 else "")
            for name, timing in row.timings.items()
            if timing is not ours
        ]
        others += [f"{name}: failed" for name in row.failed]
        line = f"| {row.name} | {milliseconds(ours.median, 0)} | {ours.spread:.0%} | {floor} | {', '.join(others)} |"
        if with_memory:
            most = max((timing.peak or 0 for timing in row.timings.values() if timing.kind == "eager"), default=0)
            line += f" {peak(ours)}" + (f" (eager {most / 1e6:.1f})" if most else "") + " |"
        yield line


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    main()
