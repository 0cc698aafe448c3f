"""Numbers of an evaluation, drawing by drawing: kept, compared, and written as JSON and Markdown."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from warpkit.models.data.cases import TASKS, Task
from warpkit.models.metrics.judges import Judges

METRICS = ("psnr", "ssim", "vgg", "lpips", "body_cs", "face_cs", "fid", "body_fd", "face_fd")
"""Columns, in the papers' order."""
HIGHER = ("psnr", "ssim", "body_cs", "face_cs")
"""Of which more is better."""
REGIONS = {"": "", "person": " (person)", "face": " (face)"}
"""Of pictures: the whole, the widened mask, and in it the head that looks at the camera."""
SHOWN = ("", "person")
"""Regions of the main table."""
NAMES: dict[Task, str] = dict(
    zip(TASKS, ("Self-imitation", "Cross-imitation", "Appearance transfer", "Novel views"), strict=True)
)
ALL = ""
"""Stands for every kind of person."""


@dataclass
class Tally:
    """What one renderer got in one setting."""

    values: dict[str, list[float]] = field(default_factory=dict)
    """By metric, and metric/region: one a drawing, NaN where it does not apply."""
    cases: list[int] = field(default_factory=list)
    """Of which case each drawing is: those of one case are not independent."""
    kinds: list[str] = field(default_factory=list)
    """Of which kind its person is."""
    sets: dict[str, float] = field(default_factory=dict)
    """Fréchet distances, of all drawings together."""
    set_sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of how many vectors each: made, real."""

    def add(self, values: Mapping[str, Tensor], case: int, kind: str = "") -> None:
        """Those `[B]` of the drawings of one case."""
        count = max((len(value) for value in values.values()), default=0)
        self.cases.extend([case] * count)
        self.kinds.extend([kind] * count)
        for name, value in values.items():
            self.values.setdefault(name, []).extend(value.double().tolist())

    def of_kind(self, kind: str) -> "Tally":
        """The drawings of one kind of person alone; without what was measured of all together."""
        if kind == ALL:
            return self
        mine = [number for number, one in enumerate(self.kinds) if one == kind]

        def chosen(values: list[Any]) -> list[Any]:
            return [values[number] for number in mine]

        values = {name: chosen(one) for name, one in self.values.items()}
        return Tally(values, chosen(self.cases), chosen(self.kinds))

    def summary(self) -> dict[str, dict[str, float | int]]:
        """Mean, standard error over cases, and number of drawings, of what applies."""
        return {name: _summary(values, self.cases) for name, values in self.values.items()}

    def against(self, first: "Tally") -> dict[str, dict[str, float | int]]:
        """How the same drawings of another renderer differ: for each number of both

        - "mean", "error", "n": of this one's minus that one's, as in `summary`;
        - "better": the share of drawings in which this one is better;
        - "relative", "relative_error": by what share of that one's mean this one's is higher.
        """
        both = [name for name in self.values if name in first.values]
        return {name: _compared(name, self.values[name], first.values[name], self.cases) for name in both}


def _known(cases: Sequence[int], *columns: Sequence[float]) -> list[tuple[float, ...]]:
    """Rows (case, values…) without those that have a NaN."""
    rows = zip(cases, *columns, strict=True)
    return [row for row in rows if not any(math.isnan(value) for value in row[1:])]


def _error(residuals: Sequence[float], cases: Sequence[float]) -> float:
    """Of the mean of values whose distances from it are `residuals`; those of one case are taken to go together."""
    sums: dict[float, float] = {}
    for residual, case in zip(residuals, cases, strict=True):
        sums[case] = sums.get(case, 0.0) + residual
    groups = len(sums)
    if groups < 2:
        return math.nan
    return math.sqrt(sum(one * one for one in sums.values()) * groups / (groups - 1)) / len(residuals)


def _summary(values: Sequence[float], cases: Sequence[int]) -> dict[str, float | int]:
    rows = _known(cases, values)
    mean = math.fsum(value for _, value in rows) / len(rows) if rows else math.nan
    error = _error([value - mean for _, value in rows], [case for case, _ in rows])
    return {"mean": mean, "error": error, "n": len(rows)}


def _compared(name: str, own: Sequence[float], theirs: Sequence[float], cases: Sequence[int]) -> dict[str, float | int]:
    rows = _known(cases, own, theirs)
    result = _summary([mine - other for _, mine, other in rows], [int(case) for case, _, _ in rows])
    if not rows:
        return result
    sign = 1 if name.split("/")[0] in HIGHER else -1
    better = sum(sign * (mine - other) > 0 for _, mine, other in rows) / len(rows)
    mean = math.fsum(other for _, _, other in rows) / len(rows)
    if mean == 0:
        return {**result, "better": better}
    ratio = math.fsum(mine for _, mine, _ in rows) / len(rows) / mean
    error = _error([(mine - ratio * other) / mean for _, mine, other in rows], [case for case, _, _ in rows])
    return {**result, "better": better, "relative": ratio - 1, "relative_error": error}


@dataclass
class Results:
    """Everything of one run."""

    settings: dict[str, Any]
    networks: dict[str, str]
    """Who compared, by part."""
    labels: dict[str, str]
    """Names of `METRICS`, with the network where it is a substitute."""
    tallies: dict[tuple[Task, int], dict[str, Tally]] = field(default_factory=dict)
    """By task and number of sources, then by renderer."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Tasks that the data do not have, and why."""
    seconds: dict[tuple[Task, int], float] = field(default_factory=dict)
    """That each setting took, with drawing its data."""

    @classmethod
    def by(cls, judges: Judges, settings: Mapping[str, Any]) -> "Results":
        """None yet, of a run with these networks."""
        return cls(dict(settings), judges.networks(), {metric: judges.label(metric) for metric in METRICS})

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """What `to_json` wrote; a ValueError or KeyError where it is something else."""
        whole = json.loads(text)
        results = cls(whole["settings"], whole["networks"], whole["labels"], skipped=whole["skipped"])
        for run in whole["runs"]:
            setting = (run["task"], run["sources"])
            values = {
                name: [math.nan if value is None else value for value in column]
                for name, column in run["values"].items()
            }
            sizes = {name: (size[0], size[1]) for name, size in run["set_sizes"].items()}
            tally = Tally(values, run["cases"], run["kinds"], run["sets"], sizes)
            results.tallies.setdefault(setting, {})[run["renderer"]] = tally
            results.seconds[setting] = math.nan if run["seconds"] is None else run["seconds"]
        return results

    def to_json(self) -> str:
        """All numbers, those of single drawings too, with the networks that made them."""
        runs = []
        for (task, sources), tallies in self.tallies.items():
            first = next(iter(tallies.values()))
            for name, tally in tallies.items():
                run: dict[str, Any] = {"task": task, "sources": sources, "renderer": name}
                run["seconds"] = self.seconds.get((task, sources), math.nan)
                run |= _whole(tally, first)
                kinds = _kinds(tally)
                if len(kinds) > 1:
                    run["by_kind"] = {kind: _whole(tally.of_kind(kind), first.of_kind(kind)) for kind in kinds[1:]}
                run |= {"sets": tally.sets, "set_sizes": tally.set_sizes}
                values = {name: [_short(value) for value in column] for name, column in tally.values.items()}
                run |= {"cases": tally.cases, "kinds": tally.kinds, "values": values}
                runs.append(run)
        whole = {"settings": self.settings, "networks": self.networks, "labels": self.labels, "skipped": self.skipped}
        return json.dumps(_plain(whole | {"runs": runs}), ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """A table a setting, and one of the differences from the first renderer where there are several."""
        lines = ["# Evaluation", ""]
        lines += [f"- {name}: {value}" for name, value in self.settings.items()]
        lines += ["- networks:"]
        lines += [f"  - {role}: {about}" for role, about in self.networks.items()]
        lines += [f"- not evaluated: {NAMES[task]}: {why}" for task, why in self.skipped.items()]  # type: ignore[index]
        return "\n".join([*lines, "", *self.tables(), ""])

    def tables(self, level: int = 2) -> list[str]:
        """The lines of `to_markdown` after its head, under headings of a level."""
        lines: list[str] = []
        for (task, sources), tallies in self.tallies.items():
            shots = "one source" if sources == 1 else f"{sources} sources"
            measured = any(tally.values or tally.sets for tally in tallies.values())
            what = _table(tallies, self.labels) if measured else [self._unmeasured()]
            lines += [f"{'#' * level} {NAMES[task]}, {shots}", "", *what, ""]
            if len(tallies) > 1 and measured:
                lines += [*_differences(tallies, self.labels), ""]
        return lines[:-1]

    def _unmeasured(self) -> str:
        """Why a setting without a true picture has no numbers."""
        absent = [role for role in ("body", "face", "image") if self.networks.get(role, "absent").startswith("absent")]
        return (
            "Nothing can be measured here: there is no true picture to compare with, and the networks that compare "
            f"people without one are missing ({', '.join(absent)}; see the list of networks)."
        )


def _whole(tally: Tally, first: Tally) -> dict[str, Any]:
    return {"summary": tally.summary(), "against_first": {} if tally is first else tally.against(first)}


def _kinds(tally: Tally) -> list[str]:
    """All people together, then each kind where there are several."""
    kinds = sorted(set(tally.kinds))
    return [ALL, *kinds] if len(kinds) > 1 else [ALL]


def _table(tallies: dict[str, Tally], labels: Mapping[str, str]) -> list[str]:
    there = set().union(*(tally.values.keys() | tally.sets.keys() for tally in tallies.values()))
    names = [(metric, region, f"{metric}/{region}".rstrip("/")) for metric in METRICS for region in SHOWN]
    columns = [(metric, region, name) for metric, region, name in names if name in there]
    heads = [labels[metric] + REGIONS[region] for metric, region, _ in columns]
    rows = []
    for renderer, tally in tallies.items():
        for kind in _kinds(tally):
            own = tally.of_kind(kind)
            summary, cells = own.summary(), []
            for *_, column in columns:
                one = summary.get(column, {"n": 0})
                if column in own.sets:
                    made, real = own.set_sizes[column]
                    cells.append(f"{own.sets[column]:.4g} (of {made}, {real})")
                elif one["n"]:
                    cells.append(_with_error(f"{one['mean']:.3f}", one["error"], 3))
                else:
                    cells.append("–")
            rows.append(f"| {_named(renderer, kind)} | {len(own.cases)} | {' | '.join(cells)} |")
    return [f"| | drawings | {' | '.join(heads)} |", "|" + "---|" * (len(heads) + 2), *rows]


DIFFERENCES = (
    ("psnr/person", "mean"),
    ("vgg/person", "relative"),
    ("vgg/person", "better"),
    ("lpips/person", "relative"),
    ("body_cs", "mean"),
    ("psnr/face", "mean"),
    ("vgg/face", "relative"),
    ("face_cs", "mean"),
)
"""What the table of differences shows."""


def _differences(tallies: dict[str, Tally], labels: Mapping[str, str]) -> list[str]:
    name, first = next(iter(tallies.items()))
    there = set().union(*(tally.values.keys() for tally in tallies.values()))
    columns = [(metric, what) for metric, what in DIFFERENCES if metric in there]
    heads = []
    for metric, what in columns:
        label, region = labels[metric.split("/")[0]][:-2], REGIONS[metric.partition("/")[2]]
        heads.append(label + region + {"mean": "", "relative": ", %", "better": ": better in"}[what])
    rows = []
    for renderer, tally in list(tallies.items())[1:]:
        for kind in _kinds(tally):
            own = tally.of_kind(kind)
            against = own.against(first.of_kind(kind))
            cells = [_difference(against.get(metric, {"n": 0}), what) for metric, what in columns]
            rows.append(f"| {_named(renderer, kind)} | {len(own.cases)} | {' | '.join(cells)} |")
    return [f"| against {name} | drawings | {' | '.join(heads)} |", "|" + "---|" * (len(heads) + 2), *rows]


def _difference(one: Mapping[str, float | int], what: str) -> str:
    if not one["n"] or what not in one:
        return "–"
    if what == "better":
        return f"{one['better']:.0%} of {one['n']}"
    if what == "relative":
        return _with_error(f"{100 * one['relative']:+.1f}", 100 * one["relative_error"], 1)
    return _with_error(f"{one['mean']:+.3f}", one["error"], 3)


def _with_error(text: str, error: float, digits: int) -> str:
    return text if math.isnan(error) else f"{text} ± {error:.{digits}f}"


def _named(renderer: str, kind: str) -> str:
    return f"{renderer}, {kind}" if kind else renderer


def _short(value: float) -> float:
    """As many digits as anybody reads."""
    return float(f"{value:.6g}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
