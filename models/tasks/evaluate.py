"""Evaluation: systems side by side on the same cases (Liquid Warping GAN with Attention, sections 4.3 to 4.5)."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from warpkit import Flow, mesh_flow
from warpkit.models.batch import Batch, Condition, Pictures, SurfaceCondition, Visibility, make_batch
from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.data.cases import Case, Cases, Task
from warpkit.models.errors import InputError
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.geometric.matte import spread
from warpkit.models.metrics import Faces, Judges, frechet_distance
from warpkit.models.metrics.judges import cosines, known
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping.inputs import geometric_picture
from warpkit.models.systems.liquid_warping.system import LiquidWarping

METRICS = ("psnr", "ssim", "vgg", "lpips", "body_cs", "face_cs", "fid", "body_fd", "face_fd")
"""Columns, in the papers' order."""
FRECHET = {"image": "fid", "body": "body_fd", "face": "face_fd"}
NAMES: dict[Task, str] = {
    "self": "Self-imitation",
    "cross": "Cross-imitation",
    "transfer": "Appearance transfer",
    "views": "Novel views",
}


class Draws(Protocol):
    """Data as the trainer has them."""

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Sources and target of `batch` people."""
        ...


class Renderer(Protocol):
    """Anything that draws people: `parts`, passed by keyword, is given only where a case has them."""

    def __call__(self, sources: Pictures, target_vertices: Tensor) -> Tensor:
        """`[B, 3, H, W]` in [-1, 1] for sources of B people and `[B, V, 3]` NDC."""
        ...


Parts = Sequence[tuple[str, ...] | None] | None


def batch_of(
    sources: Pictures,
    target_vertices: Tensor,
    model: BodyModel,
    condition: Condition,
    visibility: Visibility,
    parts: Parts = None,
) -> Batch:
    """A batch whose flow takes from each source its parts of the body alone (head of one, clothes of another)."""
    batch = make_batch(sources, target_vertices, model, condition, visibility=visibility)
    if parts is None:
        return batch
    of_face = model.parts.to(target_vertices.device)
    wanted = [torch.tensor([PARTS.index(p) for p in PARTS if own is None or p in own]).to(of_face) for own in parts]
    masks = torch.stack([torch.isin(of_face, own) for own in wanted]).expand(len(target_vertices), -1, -1)
    size = batch.size
    flow = mesh_flow(sources.vertices, target_vertices, model.faces, size, visibility=visibility, face_mask=masks)
    visible = flow.visible
    if visible is not None and batch.flow.visible is not None:
        visible = visible & batch.flow.visible
    return replace(batch, flow=Flow(flow.grid, visible))


class GeometricPictures:
    """The picture that needs no network: sources warped and blended, holes filled from round them, over the plate."""

    def __init__(self, model: BodyModel) -> None:
        self.model = model
        self.condition = SurfaceCondition(model)

    @torch.no_grad()
    def __call__(self, sources: Pictures, target_vertices: Tensor, parts: Parts = None) -> Tensor:
        """`[B, 3, H, W]`."""
        batch = batch_of(sources, target_vertices, self.model, self.condition, "pixel", parts)
        drawn = geometric_picture(batch)
        colour = torch.stack([spread(c, s[0]) for c, s in zip(drawn.colour, drawn.seen, strict=True)])
        plate = sources.plate
        if plate is None:
            pairs = zip(sources.image[:, 0], sources.alpha[:, 0, 0], strict=True)
            plate = torch.stack([fill_background(image, person_hole(alpha)) for image, alpha in pairs])
        return drawn.alpha * colour + (1 - drawn.alpha) * plate


class SystemPictures:
    """What a trained system draws."""

    def __init__(self, system: LiquidWarping, model: BodyModel) -> None:
        self.system = system.eval()
        self.model = model
        self.condition = system.condition(model)

    @torch.no_grad()
    def __call__(self, sources: Pictures, target_vertices: Tensor, parts: Parts = None) -> Tensor:
        """`[B, 3, H, W]`."""
        batch = batch_of(sources, target_vertices, self.model, self.condition, self.system.visibility, parts)
        return self.system.render(self.system.encode_sources(batch), batch).image.float().clamp(-1, 1)


class Moved:
    """Data that are drawn on the CPU, on another device."""

    def __init__(self, data: Cases, device: torch.device) -> None:
        self.data = data
        self.device = device
        self.tasks = data.tasks

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Those of the data."""
        given, target = self.data.draw(step, batch, sources)
        return given.to(self.device), target.to(self.device)

    def cases(self, task: Task, step: int, sources: int) -> Case:
        """Those of the data."""
        case = self.data.cases(task, step, sources)
        truth, real = (None if part is None else part.to(self.device) for part in (case.truth, case.real))
        given, vertices = case.sources.to(self.device), case.target_vertices.to(self.device)
        return replace(case, sources=given, target_vertices=vertices, truth=truth, real=real)


@dataclass
class Tally:
    """What one renderer got in one setting."""

    values: dict[str, list[float]] = field(default_factory=dict)
    """By metric, and metric/person in the widened mask: one a drawing, NaN where it does not apply."""
    sets: dict[str, float] = field(default_factory=dict)
    """Fréchet distances, of all drawings together."""
    set_sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of how many vectors each: made, real."""

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Those of some more drawings."""
        for name, value in values.items():
            self.values.setdefault(name, []).extend(value.double().tolist())

    def summary(self) -> dict[str, dict[str, float | int]]:
        """Mean, standard error and number of what applies."""
        return {name: _summary(values) for name, values in self.values.items()}


@dataclass
class Results:
    """Everything of one run."""

    settings: dict[str, Any]
    judges: Judges
    tallies: dict[tuple[Task, int], dict[str, Tally]] = field(default_factory=dict)
    """By task and number of sources, then by renderer."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Tasks that the data do not have, and why."""

    def to_json(self) -> str:
        """All numbers, those of single drawings too, with the networks that made them."""
        runs = []
        for (task, sources), tallies in self.tallies.items():
            first = next(iter(tallies.values()))
            for name, tally in tallies.items():
                run = {
                    "task": task,
                    "sources": sources,
                    "renderer": name,
                    "summary": tally.summary(),
                    "against_first": {} if tally is first else _against(tally, first),
                    "sets": tally.sets,
                    "set_sizes": tally.set_sizes,
                    "values": tally.values,
                }
                runs.append(run)
        whole = {"settings": self.settings, "networks": self.judges.networks(), "skipped": self.skipped, "runs": runs}
        return json.dumps(_plain(whole), indent=1, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """A table a setting."""
        lines = ["# Evaluation", ""]
        lines += [f"- {name}: {value}" for name, value in self.settings.items()]
        lines += ["- networks:"]
        lines += [f"  - {role}: {about}" for role, about in self.judges.networks().items()]
        lines += [f"- not evaluated: {NAMES[task]}: {why}" for task, why in self.skipped.items()]  # type: ignore[index]
        for (task, sources), tallies in self.tallies.items():
            shots = "one source" if sources == 1 else f"{sources} sources"
            lines += ["", f"## {NAMES[task]}, {shots}", "", *_table(tallies, self.judges)]
        return "\n".join([*lines, ""])


def _table(tallies: dict[str, Tally], judges: Judges) -> list[str]:
    there = set().union(*(tally.values.keys() | tally.sets.keys() for tally in tallies.values()))
    columns = [name for metric in METRICS for name in (metric, f"{metric}/person") if name in there]
    heads = [judges.label(name.split("/")[0]) + (" (person)" if "/" in name else "") for name in columns]
    rows = []
    for renderer, tally in tallies.items():
        summary, cells = tally.summary(), []
        for column in columns:
            if column in tally.sets:
                made, real = tally.set_sizes[column]
                cells.append(f"{tally.sets[column]:.4g} (of {made}, {real})")
            elif summary.get(column, {"n": 0})["n"]:
                one = summary[column]
                cells.append(f"{one['mean']:.3f} ± {one['error']:.3f}" if one["n"] > 1 else f"{one['mean']:.3f}")
            else:
                cells.append("–")
        n = max((len(values) for values in tally.values.values()), default=0)
        rows.append(f"| {renderer} | {n} | {' | '.join(cells)} |")
    return [f"| | drawings | {' | '.join(heads)} |", "|" + "---|" * (len(heads) + 2), *rows]


def _summary(values: Sequence[float]) -> dict[str, float | int]:
    there = [value for value in values if not math.isnan(value)]
    mean = sum(there) / len(there) if there else math.nan
    spread_ = sum((value - mean) ** 2 for value in there)
    error = math.sqrt(spread_ / (len(there) - 1) / len(there)) if len(there) > 1 else math.nan
    return {"mean": mean, "error": error, "n": len(there)}


def _against(tally: Tally, first: Tally) -> dict[str, dict[str, float | int]]:
    """The differences from the first renderer, drawing by drawing."""
    both = tally.values.keys() & first.values.keys()
    return {
        name: _summary([a - b for a, b in zip(tally.values[name], first.values[name], strict=True)]) for name in both
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


Watch = Callable[[Task, int, int, Case, dict[str, Tensor]], None]
"""Told of each case: task, sources, number, the case, and each renderer's picture `[B, 3, H, W]`."""


def evaluate(
    renderers: Mapping[str, Renderer],
    data: Draws,
    model: BodyModel,
    judges: Judges,
    *,
    tasks: Sequence[Task] = ("self",),
    sources: Sequence[int] = (1, 4),
    count: int = 50,
    settings: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    progress: Progress = SILENT,
) -> Results:
    """Draws the same cases with every renderer and compares.

    - self-imitation (one-shot and few-shot): the target's own body and camera; against the truth.
    - cross-imitation: another's pose with the own shape; against real pictures of the person, and as sets.
    - appearance transfer and novel views: against the truth, where the data have it.

    Args:
        renderers: by name; the first is the one that differences are taken from.
        data: with `draw`; more tasks than self-imitation if it is `Cases`.
        model: the body model of its vertices, on their device.
        judges: the networks to compare by, on that device.
        tasks: which; those that the data lack are listed as skipped.
        sources: numbers of sources; 1 is the one-shot setting.
        count: cases of each task and number of sources.
        settings: to be written with the results.
        watch: is shown the pictures.
        progress: told of each case.

    Raises:
        InputError: no task can be evaluated on these data.
    """
    results = Results(dict(settings or {}), judges)
    there: tuple[Task, ...] = data.tasks if isinstance(data, Cases) else ("self",)
    for task in tasks:
        if task not in there:
            results.skipped[task] = "the data have no cases of it"
    wanted = [task for task in tasks if task in there]
    if not wanted:
        raise InputError(f"these data have {', '.join(there)}; nothing of {', '.join(tasks)} can be evaluated")
    faces = Faces(model)
    for task in wanted:
        for number in sources:
            progress.stage(f"{NAMES[task]}, {number} source{'s' if number > 1 else ''}", count)
            results.tallies[task, number] = _setting(
                renderers, _cases(data, task, number, count), faces, judges, task, number, watch, progress
            )
    return results


def _cases(data: Draws, task: Task, sources: int, count: int) -> Iterator[Case]:
    for step in range(count):
        if isinstance(data, Cases):
            yield data.cases(task, step, sources)
        else:
            given, target = data.draw(step, 1, sources)
            yield Case(given, target.vertices[:, 0], target)


def _setting(
    renderers: Mapping[str, Renderer],
    cases: Iterator[Case],
    faces: Faces,
    judges: Judges,
    task: Task,
    sources: int,
    watch: Watch | None,
    progress: Progress,
) -> dict[str, Tally]:
    tallies = {name: Tally() for name in renderers}
    made_sets: dict[str, dict[str, list[Tensor]]] = {name: {} for name in renderers}
    real_sets: dict[str, list[Tensor]] = {}
    for number, case in enumerate(cases):
        shown = case.truth if case.truth is not None else case.real
        assert shown is not None
        people, each = shown.image.shape[:2]
        flat = judges.vectors(shown.image.flatten(0, 1), shown.vertices.flatten(0, 1), faces)
        real = {role: them.unflatten(0, (people, each)) for role, them in flat.items()}
        if case.truth is None:
            for role, them in flat.items():
                real_sets.setdefault(role, []).append(known(them).cpu())
        pictures = {}
        for name, render in renderers.items():
            extra = {} if case.parts is None else {"parts": case.parts}
            image = pictures[name] = render(case.sources, case.target_vertices, **extra)
            if case.truth is not None:
                tallies[name].add(judges.distances(image, case.truth.image[:, 0], case.truth.alpha[:, 0]))
            vectors = judges.vectors(image, case.target_vertices, faces)
            tallies[name].add({f"{r}_cs": cosines(vectors[r], real[r]) for r in ("body", "face") if r in vectors})
            if case.truth is None:
                for role, made in vectors.items():
                    made_sets[name].setdefault(role, []).append(known(made).cpu())
        if watch is not None:
            watch(task, sources, number, case, pictures)
        progress.advance()
    for name, sets in made_sets.items():
        for role, parts in sets.items():
            made_all, real_all = torch.cat(parts), torch.cat(real_sets[role])
            if len(made_all) > 1 and len(real_all) > 1:
                tallies[name].sets[FRECHET[role]] = frechet_distance(made_all, real_all)
                tallies[name].set_sizes[FRECHET[role]] = (len(made_all), len(real_all))
    return tallies
