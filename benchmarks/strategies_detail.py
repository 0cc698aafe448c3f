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

from benchmarks.strategies import Settings, Study
from warpkit.models.app.console import Bars, sentences
from warpkit.models.bodies import on_device
from warpkit.models.data.cases import Case, Task
from warpkit.models.metrics import Judges, widened
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks.evaluate import SystemPictures, evaluate

COARSE = 8
"""Pixels along a side of the means that are compared."""


def fine_energy(picture: Tensor, where: Tensor) -> float:
    """Mean square, where `where` `[B, 1, H, W]` is 1, of what `picture` `[B, C, H, W]` has beside its 3 x 3 means."""
    means = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return _mean(picture - means, where)


def coarse_error(picture: Tensor, truth: Tensor, where: Tensor) -> float:
    """Mean squared difference of means of `COARSE` x `COARSE` pixels, most of which lie where `where` is 1."""
    one, other, most = (F.avg_pool2d(values, COARSE) for values in (picture, truth, where))
    return _mean(one - other, (most > 0.5).to(where))


def _mean(values: Tensor, where: Tensor) -> float:
    return float((values.square() * where).sum() / (where.sum() * values.shape[1]).clamp(min=1))


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
        model = on_device(study.model, study.device)
        print("| run | fine energy | of the truth | coarse error |\n|---|---|---|---|", flush=True)
        for checkpoint in sorted(given.runs.glob("*/compact.safetensors")):
            found: list[tuple[float, float, float]] = []

            def keep(_: Task, __: int, ___: int, case: Case, made: dict[str, Tensor], found=found) -> None:  # type: ignore[no-untyped-def]
                assert case.truth is not None
                drawn, truth, where = made["run"], case.truth.image[:, 0], widened(case.truth.alpha[:, 0]).float()
                found.append((fine_energy(drawn, where), fine_energy(truth, where), coarse_error(drawn, truth, where)))

            draw = {"run": SystemPictures(load(checkpoint).to(study.device), model)}
            evaluate(draw, data, model, Judges(), sources=(2,), count=given.count, watch=keep, progress=bars)
            means = (statistics.fmean(values) for values in zip(*found, strict=True))
            print(f"| {checkpoint.parent.name} | " + " | ".join(f"{value:.4f}" for value in means) + " |", flush=True)


if __name__ == "__main__":
    main()
