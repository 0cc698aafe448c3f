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


def read_runs(out: Path) -> dict[str, dict[int, Run]]:
    """Finished runs by variant and seed."""
    runs: dict[str, dict[int, Run]] = {}
    for path in sorted(out.glob("*/results.json")):
        run = json.loads(path.read_text())
        runs.setdefault(run["variant"], {})[run["seed"]] = run
    return runs


def estimate(values: np.ndarray) -> dict[str, float | int | None]:
    """Mean of `[seeds, pairs]`, NaN where a pair has none, and its standard errors over pairs, over seeds, and of both.

    That over pairs is of the pairs' means over seeds: how much other people would change it. That over seeds is of the
    seeds' means: how much another start and order would; None with one seed.
    """
    pairs = np.nanmean(values[:, ~np.isnan(values).all(0)], 0)
    over_pairs = pairs.std(ddof=1) / math.sqrt(len(pairs))
    means = np.nanmean(values, 1)
    over_seeds = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else None
    both = math.hypot(over_pairs, over_seeds or 0.0)
    return {
        "mean": float(means.mean()),
        "error_over_pairs": float(over_pairs),
        "error_over_seeds": None if over_seeds is None else float(over_seeds),
        "error": float(both),
        "pairs": len(pairs),
        "seeds": len(means),
    }


def compare(runs: dict[str, dict[int, Run]], order: list[str]) -> dict[str, Any]:
    """Every variant's numbers, and their differences from the first of `order`, pair by pair and seed by seed.

    A difference is taken over the seeds that both have.
    """
    there = [name for name in order if name in runs]
    table: dict[str, Any] = {"base": order[0], "variants": {}}
    for name in there:
        first = next(iter(runs[name].values()))
        table["variants"][name] = {
            "generator_parameters": first["generator_parameters"],
            "steps": first["steps"],
            "outcomes": {seed: run["outcome"] for seed, run in runs[name].items()},
            "hours": {seed: run["hours"] for seed, run in runs[name].items()},
            "sources": {},
        }
        for shots in map(str, SHOTS):
            numbers: dict[str, Any] = {}
            for metric in METRICS:
                own = {seed: _values(run, shots, metric) for seed, run in runs[name].items()}
                if any(values is None for values in own.values()):
                    continue  # no network for it was at hand
                numbers[metric] = estimate(np.array(list(own.values())))
                both = sorted(own.keys() & runs.get(order[0], {}).keys())
                if name != order[0] and both:
                    base = [_values(runs[order[0]][seed], shots, metric) for seed in both]
                    numbers[metric]["against_base"] = estimate(np.array([own[s] for s in both]) - np.array(base))
            table["variants"][name]["sources"][shots] = numbers
    return table


def markdown(table: dict[str, Any], settings: dict[str, Any]) -> str:
    """The table for people: a mean and its error; below it the difference from the base and that one's error."""
    base, lines = table["base"], []
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    lines += [f"Settings: {said}.", ""]
    for shots in map(str, SHOTS):
        titles = [title for title, _ in METRICS.values()]
        lines += [
            f"**S = {shots}**",
            "",
            f"| | M parameters | seeds | {' | '.join(titles)} |",
            "|---" * (3 + len(titles)) + "|",
        ]
        for name, variant in table["variants"].items():
            cells = [_cell(variant["sources"][shots].get(metric), digits) for metric, (_, digits) in METRICS.items()]
            million = variant["generator_parameters"] / 1e6
            lines.append(f"| `{name}` | {million:.2f} | {len(variant['outcomes'])} | {' | '.join(cells)} |")
        lines.append("")
        for metric, (title, digits) in METRICS.items():
            if said := _verdict(table, shots, metric, base, title, digits):
                lines += [said]
        lines.append("")
    return "\n".join(lines)


def summarise(out: Path, order: list[str]) -> None:
    """Writes `summary.json` and `summary.md` of the runs that are finished."""
    table = compare(read_runs(out), order)
    table["settings"] = json.loads((out / "settings.json").read_text())
    with whole(out / "summary.json", overwrite=True) as draft:
        draft.write_text(json.dumps(table, indent=1))
    with whole(out / "summary.md", overwrite=True) as draft:
        draft.write_text(markdown(table, table["settings"]))


def sheet(out: Path, order: list[str]) -> None:
    """Writes `sheet.png`: a held-out pair a row; two sources, the truth, then each variant by its lowest seed."""
    columns: list[list[np.ndarray]] = []
    runs = read_runs(out)
    for name in (name for name in order if name in runs):
        folder = out / f"{name.replace(' ', '')}-{min(runs[name])}" / "pictures"
        strips = [read_image(path) for shots in SHOTS for path in sorted(folder.glob(f"{shots}-*.png"))]
        side = strips[0].shape[0]
        if not columns:
            columns += [[strip[:, place * side : (place + 1) * side] for strip in strips] for place in range(3)]
        columns.append([strip[:, 3 * side :] for strip in strips])
    picture = np.concatenate([np.concatenate(column, 0) for column in columns], 1)
    write_image(out / "sheet.png", np.ascontiguousarray(picture), overwrite=True)


def _values(run: Run, shots: str, metric: str) -> list[float] | None:
    found = run["pairs"][shots].get(metric)
    return None if found is None else [math.nan if value is None else value for value in found]


def _cell(numbers: dict[str, Any] | None, digits: int) -> str:
    if numbers is None:
        return "–"
    cell = f"{numbers['mean']:.{digits}f} ± {numbers['error']:.{digits}f}"
    if against := numbers.get("against_base"):
        cell += f"<br>({against['mean']:+.{digits}f} ± {against['error']:.{digits}f})"
    return cell


def _verdict(table: dict[str, Any], shots: str, metric: str, base: str, title: str, digits: int) -> str | None:
    """Whether the base is within two standard errors of the best."""
    sign = 1 if "↑" in title else -1
    means = {
        name: sign * variant["sources"][shots][metric]["mean"]
        for name, variant in table["variants"].items()
        if metric in variant["sources"][shots]
    }
    if base not in means or len(means) < 2:
        return None
    best = max(means, key=lambda name: means[name])
    if best == base:
        return f"- {title[:-2]}: `{base}` is best."
    gap = table["variants"][best]["sources"][shots][metric]["against_base"]
    within = abs(gap["mean"]) <= 2 * gap["error"]
    far = abs(gap["mean"]) / gap["error"] if gap["error"] else math.inf
    return (
        f"- {title[:-2]}: `{best}` is best, by {abs(gap['mean']):.{digits}f}: {far:.1f} standard errors from `{base}`, "
        f"{'within' if within else 'not within'} two."
    )
