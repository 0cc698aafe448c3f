"""Evaluation: systems side by side on the same cases (Liquid Warping GAN with Attention, sections 4.3 to 4.5)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from warpkit.models.batch import Pictures, part_box
from warpkit.models.bodies import BodyModel
from warpkit.models.data.cases import Case, Cases, Draws, Task
from warpkit.models.errors import InputError
from warpkit.models.metrics import Faces, Judges, frechet_distance
from warpkit.models.metrics.judges import cosines, known
from warpkit.models.metrics.regions import FACING
from warpkit.models.metrics.results import NAMES, Results, Tally
from warpkit.models.progress import SILENT, Progress
from warpkit.models.tasks.compared import (
    GeometricPictures,
    PersonalizedPictures,
    Renderer,
    SystemPictures,
    WarpedPictures,
)

__all__ = [
    "GeometricPictures",
    "Moved",
    "PersonalizedPictures",
    "Renderer",
    "Results",
    "SystemPictures",
    "Tally",
    "WarpedPictures",
    "evaluate",
]

FRECHET = {"image": "fid", "body": "body_fd", "face": "face_fd"}


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
        gathered = None if case.gathered is None else case.gathered.to(self.device)
        return replace(case, sources=given, target_vertices=vertices, truth=truth, real=real, gathered=gathered)


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
    keep: Callable[[Results], None] | None = None,
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
        keep: is given the results so far after each setting: a run that is cut short has kept what it measured.
        progress: told of each case.

    Raises:
        InputError: no task can be evaluated on these data.
    """
    results = Results.by(judges, settings or {})
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
            began = time.monotonic()
            results.tallies[task, number] = _setting(
                renderers, _cases(data, task, number, count), model, faces, judges, task, number, watch, progress
            )
            results.seconds[task, number] = time.monotonic() - began
            if keep is not None:
                keep(results)
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
    model: BodyModel,
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
        compare = None
        if case.truth is not None:
            boxes = {"face": _face_box(case.target_vertices, model, faces, case.truth)}
            compare = judges.compared_with(case.truth.image[:, 0], case.truth.alpha[:, 0], boxes)
        pictures = {}
        for name, render in renderers.items():
            image = pictures[name] = render(case)
            values = {} if compare is None else compare(image)
            vectors = judges.vectors(image, case.target_vertices, faces)
            values |= {f"{r}_cs": cosines(vectors[r], real[r]) for r in ("body", "face") if r in vectors}
            tallies[name].add(values, number, case.kind)
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


def _face_box(vertices: Tensor, model: BodyModel, faces: Faces, truth: Pictures) -> Tensor:
    """`[B, 4]` NDC: the heads of bodies `[B, V, 3]` with a margin for hair; NaN where the face is not seen."""
    box = part_box(vertices, model, ("head",))
    margin = 0.1 * (box[:, 3:] - box[:, 1:2])
    aspect = truth.image.shape[-1] / truth.image.shape[-2]
    margin = torch.cat([margin / aspect, margin], 1)
    box = torch.cat([box[:, :2] - margin, box[:, 2:] + margin], 1)
    hidden = faces.facing(vertices, aspect) < FACING
    return box.masked_fill(hidden[:, None], torch.nan)
