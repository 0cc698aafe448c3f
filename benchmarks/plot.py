"""A picture of a run: bars of ratios and a roofline. `python -m benchmarks.plot FILE.json [--out FILE.png]`.

Needs matplotlib: `pip install '.[bench]'`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.harness import Kind, Report, Row
from warpkit.models.errors import install_hint

OTHERS: dict[Kind, tuple[str, str]] = {
    "peer": ("best other library", "#7a4fa3"),
    "eager": ("PyTorch, eager", "#d9822b"),
    "compiled": ("PyTorch, compiled", "#3f8f5f"),
    "variant": ("ours, another way", "#8a8a8a"),
}
OURS = "#1f5fa8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("--out", type=Path, help="default: beside the JSON, .png")
    arguments = parser.parse_args()
    report = Report.from_json(json.loads(arguments.json.read_text()))
    draw(report, arguments.out or arguments.json.with_suffix(".png"))


def draw(report: Report, path: Path) -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(f"the picture needs matplotlib: {install_hint('bench')}") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in report.rows if row.floor]
    compared = [row for row in shown if any(row.ratio(kind) for kind in OTHERS)]
    figure, (bars, roof) = pyplot.subplots(
        1, 2, figsize=(17, 3 + 0.3 * len(compared)), width_ratios=(3, 2), layout="constrained"
    )
    draw_bars(bars, compared)
    draw_roofline(roof, shown, report.bandwidth)
    facts = report.machine
    device = facts["processor"] if facts["device"] == "cpu" else facts["device"]
    machine = f"{device}, {facts['threads']} threads · torch {facts['torch']}"
    figure.suptitle(f"warpkit {facts['commit'][:12]} · {machine} · {facts['date'][:10]}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_bars(axes: Any, rows: list[Row]) -> None:
    """How many times our time each of the others takes: right of the line we are faster."""
    height = 0.8 / len(OTHERS)
    for slot, (kind, (label, colour)) in enumerate(OTHERS.items()):
        pairs = [(place, row.ratio(kind)) for place, row in enumerate(rows)]
        found = [(place + (slot - 1.5) * height, ratio) for place, ratio in pairs if ratio]
        if found:
            places, ratios = zip(*found, strict=True)
            axes.barh(places, [ratio - 1 for ratio in ratios], height, left=1, color=colour, label=label)
            for place, ratio in found:
                text = f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.1f}"
                axes.annotate(text, (max(ratio, 1), place), (3, 0), textcoords="offset points", va="center", fontsize=6)
    axes.axvline(1, color=OURS, linewidth=2, label="ours")
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("times our time (log)")
    axes.set_title("The others, in the same run")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)


def draw_roofline(axes: Any, rows: list[Row], bandwidth: float) -> None:
    """Bytes a second that each row reaches, of the bytes that must move; the roof is a copy."""
    families = list(dict.fromkeys(row.family for row in rows))
    for number, family in enumerate(families):
        mine = [row for row in rows if row.family == family]
        axes.plot(
            [row.bytes / 1e6 for row in mine],
            [row.bytes / row.ours.median / 1e9 for row in mine],
            "osD^vP"[number % 6],
            color=f"C{number}",
            label=family,
        )
    best = [(row, row.ratio("eager", "compiled", "peer")) for row in rows]
    others = [(row.bytes / 1e6, row.bytes / row.ours.median / ratio / 1e9) for row, ratio in best if ratio]
    if others:
        axes.plot(*zip(*others, strict=True), ".", color="#999999", label="the best of the others")
    axes.axhline(bandwidth / 1e9, color="black", linestyle="--", label=f"copy: {bandwidth / 1e9:.0f} GB/s")
    axes.set(xscale="log", yscale="log", xlabel="MB that must move", ylabel="GB/s reached, of the bytes that must move")
    axes.set_title("Against the floor")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
