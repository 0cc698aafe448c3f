"""Fine and coarse errors of a study's runs: `python -m benchmarks.strategies_detail RUNS --samples FOLDER`.

RUNS is the folder of `python -m benchmarks.strategies`, with its checkpoints. Of held-out people, two sources, inside
the widened mask, colours in [-1, 1]: the energy of what differs from the mean of 3 x 3 pixels, which a checkerboard
raises above the truth's, and the squared error of means of 8 x 8 pixels, which it does not touch.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.provenance import where
from benchmarks.strategies import Settings, Study
from warpkit.models.app.console import Bars, sentences
from warpkit.models.bodies import on_device
from warpkit.models.data.cases import Case, Task
from warpkit.models.data.recorded import RecordedSamples
from warpkit.models.machine import describe
from warpkit.models.metrics import Judges, widened
from warpkit.models.progress import Progress
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks.evaluate import SystemPictures, evaluate

COARSE = 8
"""Pixels along a side of the means that are compared."""


def fine_energy(picture: Tensor, inside: Tensor) -> float:
    """Mean square, where `inside` `[B, 1, H, W]` is 1, of what `picture` `[B, C, H, W]` has beside its 3 x 3 means."""
    means = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return _mean(picture - means, inside)


def coarse_error(picture: Tensor, truth: Tensor, inside: Tensor) -> float:
    """Mean squared difference of means of `COARSE` x `COARSE` pixels, most of which lie where `inside` is 1."""
    one, other, most = (F.avg_pool2d(values, COARSE) for values in (picture, truth, inside))
    return _mean(one - other, (most > 0.5).to(inside))


def _mean(values: Tensor, inside: Tensor) -> float:
    return float((values.square() * inside).sum() / (inside.sum() * values.shape[1]).clamp(min=1))


def measure(study: Study, checkpoint: Path, data: RecordedSamples, count: int, progress: Progress) -> list[float]:
    """Means over so many people of what a run draws: its fine energy, the truth's, and the coarse error."""
    found: list[tuple[float, float, float]] = []

    def keep(_: Task, __: int, ___: int, case: Case, made: dict[str, Tensor]) -> None:
        assert case.truth is not None
        drawn, truth, inside = made["run"], case.truth.image[:, 0], widened(case.truth.alpha[:, 0]).float()
        found.append((fine_energy(drawn, inside), fine_energy(truth, inside), coarse_error(drawn, truth, inside)))

    model = on_device(study.model, study.device)
    draw = {"run": SystemPictures(load(checkpoint).to(study.device), model)}
    evaluate(draw, data, model, Judges(), sources=(2,), count=count, watch=keep, progress=progress)
    return [statistics.fmean(values) for values in zip(*found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies_detail", description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--samples", type=Path, help="as of the study; default RUNS/samples")
    parser.add_argument("--baked", type=Path, help="as of the study")
    parser.add_argument("--count", type=int, default=40, help="of people")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    with sentences(False), Bars() as bars, torch.inference_mode():
        settings = Settings(**json.loads((given.runs / "settings.json").read_text()))
        study = Study(settings, given.runs, given.samples or given.runs / "samples", given.baked, given.device)
        data = study.people("test", settings.pairs, 0, bars)
        print(f"{where(describe(study.device))}; {given.count} people\n", flush=True)
        print("| run | fine energy | of the truth | coarse error |\n|---|---|---|---|", flush=True)
        for checkpoint in sorted(given.runs.glob("*/compact.safetensors")):
            means = measure(study, checkpoint, data, given.count, bars)
            print(f"| {checkpoint.parent.name} | " + " | ".join(f"{value:.4f}" for value in means) + " |", flush=True)


if __name__ == "__main__":
    main()
