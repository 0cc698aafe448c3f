"""What a study's folder of runs amounts to: means, errors, differences, and a sheet of pictures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from warpkit.models.media.images import read_image, write_image
from warpkit.models.media.output import whole

SHOTS = (2, 4)
"""Numbers of sources that variants are read with."""
METRICS = {"psnr/person": ("PSNR ↑", 2), "psnr_halved/person": ("PSNR at half size ↑", 2),
           "ssim/person": ("SSIM ↑", 4), "vgg/person": ("VGG distance ↓", 4),
           "face_cs": ("Face cosine ↑", 3)}  # fmt: skip
"""In the person's widened mask, but the face's. At half size a pixel is the mean of 2 x 2: that takes the
checkerboard of transposed convolutions away."""
Run = dict[str, Any]
"""A run's `results.json`: every number of every pair."""
Records = dict[str, dict[str, Run]]
"""By variant and seed: what is kept of a run, and enough to go on without its folder."""


def estimate(values: np.ndarray) -> dict[str, float | int]:
    """Mean of one number a pair, NaN where a pair has none, and its standard error: how much other people change it."""
    there = values[~np.isnan(values)]
    return {
        "mean": float(there.mean()),
        "error": float(there.std(ddof=1) / math.sqrt(len(there))),
        "pairs": len(there),
    }


def record(run: Run, base: Run | None) -> Run:
    """What is kept of a run; `base`: the run with the same seed that it is compared with, pair by pair."""
    kept = {key: run[key] for key in ("machine", "generator_parameters", "steps", "outcome", "hours")}
    sources: dict[str, Any] = {}
    for shots in map(str, SHOTS):
        sources[shots] = {}
        for metric in METRICS:
            own, other = _values(run, shots, metric), None if base is None else _values(base, shots, metric)
            if own is None:
                continue  # no network for it was at hand
            sources[shots][metric] = estimate(own)
            if other is not None:
                sources[shots][metric]["against_base"] = estimate(own - other)
    return {**kept, "sources": sources}


def read_records(out: Path) -> Records:
    """Of all runs that `summary.json` knows: those finished here, and those of other machines, if it was put there."""
    paper = out / "summary.json"
    return json.loads(paper.read_text())["runs"] if paper.exists() else {}


def combine(estimates: list[dict[str, Any]]) -> dict[str, float | int | None]:
    """One estimate of several seeds' on the same pairs, and its standard errors over pairs, over seeds, and of both.

    That over pairs is the mean of the seeds' own: right where a pair is as far from the mean with each seed, else a
    little too large. That over seeds is of the seeds' means: how much another start and order would change it; None
    with one seed.
    """
    means = np.array([one["mean"] for one in estimates])
    over_pairs = float(np.mean([one["error"] for one in estimates]))
    over_seeds = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None
    return {
        "mean": float(means.mean()),
        "error_over_pairs": over_pairs,
        "error_over_seeds": over_seeds,
        "error": math.hypot(over_pairs, over_seeds or 0.0),
        "seeds": len(means),
    }


def markdown(summary: dict[str, Any]) -> str:
    """The table for people: a mean and its error; below it the difference from the base and that one's error."""
    runs: Records = summary["runs"]
    said = ", ".join(f"{name} {value}" for name, value in summary["settings"].items())
    lines = [f"Settings: {said}."]
    places: dict[str, list[str]] = {}
    for name, seeds in runs.items():
        for seed, run in seeds.items():
            places.setdefault(_place(run["machine"]), []).append(f"`{name}` {seed}")
    lines += ["", *(f"- {place}: {', '.join(trained)}" for place, trained in places.items())]
    lines += [
        f"- `{name}` {seed} ended at step {run['steps']} ({run['outcome']}): numbers are those of its last good state"
        for name, seeds in runs.items()
        for seed, run in seeds.items()
        if run["outcome"] != "finished"
    ]
    lines.append("")
    for shots in map(str, SHOTS):
        titles = [title for title, _ in METRICS.values()]
        lines += [
            f"**S = {shots}**",
            "",
            f"| | M parameters | seeds | {' | '.join(titles)} |",
            "|---" * (3 + len(titles)) + "|",
        ]
        for name, seeds in runs.items():
            cells = [_cell(seeds, shots, metric, digits) for metric, (_, digits) in METRICS.items()]
            million = next(iter(seeds.values()))["generator_parameters"] / 1e6
            lines.append(f"| `{name}` | {million:.2f} | {len(seeds)} | {' | '.join(cells)} |")
        lines.append("")
        for metric, (title, digits) in METRICS.items():
            if verdict := _verdict(summary, shots, metric, title, digits):
                lines += [verdict]
        lines.append("")
    return "\n".join(lines)


def summarise(out: Path, order: list[str]) -> None:
    """Writes `summary.json` and `summary.md` of the runs that are finished, here or elsewhere."""
    here = read_runs(out)
    records = read_records(out)
    for name, seeds in here.items():
        for seed, run in seeds.items():
            base = None if name == order[0] else here.get(order[0], {}).get(seed)
            known = records.setdefault(name, {})
            if base is not None or name == order[0] or str(seed) not in known:  # else what is known may say more
                known[str(seed)] = record(run, base)
    summary = {
        "base": order[0],
        "settings": json.loads((out / "settings.json").read_text()),
        "runs": {name: dict(sorted(records[name].items())) for name in order if name in records},
    }
    with whole(out / "summary.json", overwrite=True) as draft:
        draft.write_text(json.dumps(summary, indent=1))
    with whole(out / "summary.md", overwrite=True) as draft:
        draft.write_text(markdown(summary))


def read_runs(out: Path) -> dict[str, dict[int, Run]]:
    """The runs finished in this folder, by variant and seed."""
    runs: dict[str, dict[int, Run]] = {}
    for path in sorted(out.glob("*/results.json")):
        run = json.loads(path.read_text())
        runs.setdefault(run["variant"], {})[run["seed"]] = run
    return runs


def sheet(out: Path, order: list[str]) -> None:
    """Writes `sheet.png` of the runs here: a pair a row; two sources, the truth, each variant by its lowest seed."""
    columns: list[list[np.ndarray]] = []
    runs = read_runs(out)
    if not runs:
        return
    for name in (name for name in order if name in runs):
        folder = out / f"{name.replace(' ', '')}-{min(runs[name])}" / "pictures"
        strips = [read_image(path) for shots in SHOTS for path in sorted(folder.glob(f"{shots}-*.png"))]
        side = strips[0].shape[0]
        if not columns:
            columns += [[strip[:, place * side : (place + 1) * side] for strip in strips] for place in range(3)]
        columns.append([strip[:, 3 * side :] for strip in strips])
    picture = np.concatenate([np.concatenate(column, 0) for column in columns], 1)
    write_image(out / "sheet.png", np.ascontiguousarray(picture), overwrite=True)


def _place(machine: dict[str, Any]) -> str:
    return f"{machine['processor']}, commit `{machine['commit'][:7]}`" if machine else "commit not recorded"


def _values(run: Run, shots: str, metric: str) -> np.ndarray | None:
    found = run["pairs"][shots].get(metric)
    return None if found is None else np.array([math.nan if value is None else value for value in found])


def _estimates(seeds: dict[str, Run], shots: str, metric: str) -> list[dict[str, Any]]:
    there = (run["sources"][shots].get(metric) for run in seeds.values())
    return [one for one in there if one is not None]


def _against(estimates: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The difference from the base, over the seeds that both have."""
    there = [one["against_base"] for one in estimates if "against_base" in one]
    return combine(there) if there else None


def _cell(seeds: dict[str, Run], shots: str, metric: str, digits: int) -> str:
    estimates = _estimates(seeds, shots, metric)
    if not estimates:
        return "–"
    numbers, against = combine(estimates), _against(estimates)
    cell = f"{numbers['mean']:.{digits}f} ± {numbers['error']:.{digits}f}"
    return cell if against is None else f"{cell}<br>({against['mean']:+.{digits}f} ± {against['error']:.{digits}f})"


def _verdict(summary: dict[str, Any], shots: str, metric: str, title: str, digits: int) -> str | None:
    """Whether the base is within two standard errors of the best."""
    sign, base = 1 if "↑" in title else -1, summary["base"]
    found = {name: _estimates(seeds, shots, metric) for name, seeds in summary["runs"].items()}
    gaps = {name: _against(estimates) for name, estimates in found.items() if name != base}
    ahead = {name: sign * gap["mean"] for name, gap in gaps.items() if gap is not None}
    if not found.get(base) or not ahead:
        return None
    best = max(ahead, key=lambda name: ahead[name])
    gap = gaps[best]
    assert gap is not None
    if ahead[best] <= 0:
        return f"- {title[:-2]}: `{base}` is best."
    said = f"- {title[:-2]}: `{best}` is best, by {ahead[best]:.{digits}f}"
    if gap["error_over_seeds"] is None:
        return f"{said}; by one start alone."
    far = ahead[best] / gap["error"] if gap["error"] else math.inf
    return f"{said}: {far:.1f} standard errors from `{base}`, {'within' if far <= 2 else 'not within'} two."
