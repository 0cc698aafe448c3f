"""Rows and targets on the terminal."""

from benchmarks.harness import Report, Row, Timing
from benchmarks.targets import answers


def print_head(report: Report) -> None:
    facts = report.machine
    print(f"{facts['processor']}, {facts['device']}, {facts['threads']} threads, load {facts['load']}", end=", ")
    print(f"SIMD {facts['simd_level']}, torch {facts['torch']}")
    print(f"commit {facts['commit'][:12]}, copy bandwidth {report.bandwidth / 1e9:.1f} GB/s (read + written)")
    for name, version in report.peers.items():
        print(f"{name}: {version}")
    print(f"\n{'row':56} {'median ms':>10} {'least':>9} {'spread':>6} {'ours is':>9} {'/floor':>7} {'peak MB':>8}")


def print_row(row: Row) -> None:
    for name, timing in row.timings.items():
        ours = timing is row.ours
        label = row.name if ours else f"  {name}"
        factor = "" if ours else f"{timing.median / row.ours.median:.2f} ×"
        floor = f"{timing.median / row.floor:.2f}" if row.floor else ""
        times = f"{milliseconds(timing.median)} {milliseconds(timing.least, 9)} {timing.spread:6.0%}"
        print(f"{label:56} {times} {factor:>9} {floor:>7} {peak(timing):>8}  {row.note if ours else ''}", flush=True)
    for name, error in row.failed.items():
        print(f"  {name}: {error}")


def print_targets(report: Report) -> None:
    print("\ntargets")
    for answer in answers(report):
        if answer.verdict != "not run":
            target, value = answer.target, answer.value
            print(f"{target.device:5} {target.what:66} {target.says():>9} {value:9.2f}  {answer.verdict}")


def milliseconds(seconds: float, width: int = 10) -> str:
    return f"{seconds * 1e3:{width}.{4 if seconds < 1e-3 else 2}f}"


def peak(timing: Timing) -> str:
    return "" if timing.peak is None else f"{timing.peak / 1e6:.1f}"
