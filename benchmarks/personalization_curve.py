"""What personalization brings: rendered people who are held out, without it and after some steps, from S photos each.

`python -m benchmarks.personalization_curve WEIGHTS --people 12 --sources 1 2 4 8 --out results.json` takes one run of
200 steps a person and number of photos and reads it on the way (Fig. 14 of the paper). What is compared are other poses
of the person, inside their widened mask; bodies and masks have recovery's errors. Writes the JSON, a Markdown table and
a picture of the curves beside it. A person's results are written as they come, and taken up again.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from warpkit.models.batch import make_batch
from warpkit.models.bodies import BodyModel, load_body, on_device
from warpkit.models.data.cases import Case
from warpkit.models.data.people import GatheredPeople, RenderedPeople
from warpkit.models.data.person import PersonSamples
from warpkit.models.errors import install_hint
from warpkit.models.machine import describe, fingerprint
from warpkit.models.media.output import whole
from warpkit.models.metrics import Judges
from warpkit.models.systems.liquid_warping import Critics, LiquidWarping
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks.choices import choose_device
from warpkit.models.tasks.compared import photos_of
from warpkit.models.tasks.personalize import all_poses, person_trainer
from warpkit.models.tasks.training import find_critics

METRICS = {"psnr/person": "PSNR, dB", "vgg/person": "VGG distance"}


class Reader:
    """Told of each step of a training; reads the person's other poses at some of them."""

    def __init__(self, cases: Sequence[Case], model: BodyModel, judges: Judges, at: Sequence[int]) -> None:
        self.cases, self.model, self.judges, self.at = list(cases), model, judges, set(at)
        self.compare = [judges.compared_with(c.truth.image[:, 0], c.truth.alpha[:, 0]) for c in cases]  # type: ignore[union-attr]
        self.readings: dict[int, dict[str, float]] = {}
        self.trainer: Any = None
        self.done = 0

    def stage(self, name: str, total: int | None) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if self.done in self.at:
            with self.trainer.ema.applied():
                self.readings[self.done] = self.read(self.trainer.module)

    @torch.no_grad()
    def read(self, system: LiquidWarping | None) -> dict[str, float]:
        """Means over the poses; None: of the geometric picture."""
        condition = None if system is None else system.eval().condition(self.model)
        values: dict[str, list[float]] = {}
        sources = None
        for case, compare in zip(self.cases, self.compare, strict=True):
            assert case.truth is not None
            assert case.truth.plate is not None
            assert case.gathered is not None
            geometric, plate = case.gathered.geometric, case.truth.plate
            if system is None:
                made = geometric.alpha * geometric.colour + (1 - geometric.alpha) * plate
            else:
                batch = make_batch(
                    case.sources,
                    case.target_vertices,
                    self.model,
                    condition,  # type: ignore[arg-type]
                    visibility=system.visibility,
                    geometric=geometric,
                )
                sources = sources or system.encode_sources(batch, background=plate)
                made = system.render(sources, batch).image.float().clamp(-1, 1)
            for name, value in compare(made).items():
                values.setdefault(name, []).append(float(value.mean()))
        finite = {name: [value for value in found if math.isfinite(value)] for name, found in values.items()}
        return {name: statistics.fmean(found) for name, found in finite.items() if found}


def run(
    system: LiquidWarping,
    cases: Sequence[Case],
    model: BodyModel,
    judges: Judges,
    critics: Critics,
    at: Sequence[int],
    *,
    rate: float | None = None,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """One person, adapted to: readings by step (0: as the system is), the geometric picture's, and the seconds."""
    photos, device = photos_of(cases[0]), cases[0].target_vertices.device
    assert cases[0].gathered is not None
    correcting = system.preset.layers == "small"
    reader = Reader(cases, model, judges, at)
    readings = {0: reader.read(system)}
    start = time.perf_counter()
    samples = PersonSamples(
        photos,
        cases[0].gathered.appearance,
        model,
        all_poses().to(device),
        seed=seed,
        correcting=correcting,
        shares=shares,
    )
    reader.trainer = person_trainer(
        system,
        samples,
        model,
        critics,
        steps=max(at),
        sources=len(photos),
        learning_rate=rate,
        seed=seed,
        device=device,
        progress=reader,
    )
    outcome = reader.trainer.fit()
    if outcome.reason != "finished":
        raise SystemExit(f"the training ended at step {outcome.step}: {outcome.reason}")
    return {
        "geometric": reader.read(None),
        "readings": {str(step): value for step, value in (readings | reader.readings).items()},
        "seconds": time.perf_counter() - start,
    }


def cases_of(data: GatheredPeople, number: int, sources: int) -> list[Case]:
    """The other poses of one person, seen in so many sources."""
    return [data.case(number * data.window + pose, sources) for pose in range(data.window)]


def table(results: dict[str, Any]) -> list[str]:
    """Markdown: each number of photos by steps, mean over the people; the change with its standard error."""
    steps = [str(step) for step in [0, *results["settings"]["at"]]]
    lines = []
    for metric, title in METRICS.items():
        rows = []
        for sources in results["settings"]["sources"]:
            runs = [one for one in results["runs"] if one["sources"] == sources and metric in one["geometric"]]
            if not runs:
                continue
            cells = [f"{statistics.fmean(one['geometric'][metric] for one in runs):.3f}"]
            cells += [f"{statistics.fmean(one['readings'][step][metric] for one in runs):.3f}" for step in steps]
            changes = [one["readings"][steps[-1]][metric] - one["readings"]["0"][metric] for one in runs]
            error = statistics.stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else math.nan
            cells.append(f"{statistics.fmean(changes):+.3f} ± {error:.3f}")
            rows.append(f"| {sources} | {len(runs)} | " + " | ".join(cells) + " |")
        if rows:
            heads = " | ".join("without" if step == "0" else f"{step} steps" for step in steps)
            lines += ["", f"{title}, in the widened mask:", ""]
            lines += [f"| photos | people | geometric | {heads} | change |", "|" + "---|" * (len(steps) + 4), *rows]
    return lines


def draw(results: dict[str, Any], path: Path) -> None:
    """The curves: a panel a metric, a line a number of photos."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(f"the picture needs matplotlib: {install_hint('bench')}") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = [0, *results["settings"]["at"]]
    figure, panels = pyplot.subplots(1, len(METRICS), figsize=(10, 4), layout="constrained")
    for panel, (metric, title) in zip(panels, METRICS.items(), strict=True):
        for number, sources in enumerate(results["settings"]["sources"]):
            runs = [one for one in results["runs"] if one["sources"] == sources and metric in one["geometric"]]
            if runs:
                means = [statistics.fmean(one["readings"][str(step)][metric] for one in runs) for step in steps]
                colour = pyplot.get_cmap("viridis")(number / max(1, len(results["settings"]["sources"])))
                panel.plot(steps, means, marker="o", color=colour, label=f"{sources} photo{'s' * (sources > 1)}")
        panel.set_xlabel("steps of personalization")
        panel.set_title(f"{title} on other poses")
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.personalization_curve", description=__doc__)
    parser.add_argument("weights", type=Path, help="the checkpoint to start from")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON; the table (.md) and the picture (.png) beside it"
    )
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--sources", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--at", nargs="+", type=int, default=[10, 50, 100, 150, 200], help="steps at which it is read")
    parser.add_argument("--poses", type=int, default=6, help="other poses of each person")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--baked", type=Path, help="folder of photographic people; none: procedural ones alone")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--shares", nargs=3, type=float, help="of photos, posed targets and posed sources")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device, model = choose_device(arguments.device), load_body("anny")
    system = load(arguments.weights).to(device)
    critics, names = find_critics(system.preset, device, print)
    people = RenderedPeople(model, arguments.size, "test", arguments.seed, device, baked=arguments.baked)
    data = GatheredPeople(people, reuse=arguments.poses)
    judges, there = Judges.find(None, device), on_device(model, device)
    settings = {name: value for name, value in vars(arguments).items() if name not in ("out", "device", "people")}
    settings |= {"weights": arguments.weights.name, "baked": arguments.baked is not None, "judged by": names}
    settings["weights' SHA-256"] = fingerprint(arguments.weights)  # a training goes on under the same name
    results: dict[str, Any] = {
        "settings": settings,
        "networks": judges.networks(),
        "machine": describe(device),
        "runs": [],
    }
    if arguments.out.exists():
        before = json.loads(arguments.out.read_text())
        if before["settings"] != json.loads(json.dumps(settings)):
            raise SystemExit(f"{arguments.out} holds results of other settings or weights; name another file")
        results["runs"] = before["runs"]
    done = {(one["person"], one["sources"]) for one in results["runs"]}
    for person in range(arguments.people):
        for sources in arguments.sources:
            if (person, sources) in done:
                continue
            cases = cases_of(data, person, sources)
            outcome = run(
                system,
                cases,
                there,
                judges,
                critics,
                arguments.at,
                rate=arguments.rate,
                shares=arguments.shares,
                seed=arguments.seed + person,
            )
            results["runs"].append({"person": person, "sources": sources, "kind": cases[0].kind, **outcome})
            with whole(arguments.out, overwrite=True) as draft:  # hours of runs lie in it
                draft.write_text(json.dumps(results, indent=1) + "\n")
            shown = " ".join(f"{step}:{value['psnr/person']:.2f}" for step, value in outcome["readings"].items())
            geometric = outcome["geometric"]["psnr/person"]
            print(
                f"person {person}, {sources} photos: geometric {geometric:.2f}; {shown}; {outcome['seconds']:.0f} s",
                flush=True,
            )
    lines = table(results)
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(results, arguments.out.with_suffix(".png"))
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
