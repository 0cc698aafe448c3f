"""Studies of Liquid Warping GAN with Attention: ways to carry the sources over (section 5.3), losses (Table 6).

`python -m benchmarks.strategies --out FOLDER` trains every variant from the same start of chance on the same samples,
seed by seed, reads each on held-out people, and writes `summary.md`, `summary.json` and `sheet.png`. It may be stopped
at any moment; the same command goes on, and on another machine too, for the runs that are left, where `summary.json`
was put into the folder. `--study losses` is Table 6. A narrow network by default, for a CPU; with a GPU
`--width 64 --size 256 --steps 20000 --people 20000 --vgg-blocks 4` asks for the public plan.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.strategies_table import SHOTS, read_records, sheet, summarise
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.bodies import BodyModel, load_body, on_device
from warpkit.models.data.cases import Case, Task
from warpkit.models.data.people import RenderedPeople
from warpkit.models.data.recorded import RecordedSamples
from warpkit.models.errors import InputError
from warpkit.models.machine import describe
from warpkit.models.media.images import write_image
from warpkit.models.media.output import whole
from warpkit.models.media.tensors import to_image
from warpkit.models.metrics import Judges, psnr, widened
from warpkit.models.progress import Progress
from warpkit.models.systems.liquid_warping import PRESETS, Preset, Weights, build
from warpkit.models.systems.liquid_warping.checkpoints import FORMAT, load
from warpkit.models.tasks.choices import choose_device
from warpkit.models.tasks.evaluate import SystemPictures, evaluate
from warpkit.models.tasks.training import find_critics, working_on
from warpkit.models.training import TrainConfig, Trainer

SOURCES = (2, 4)
"""Fewest and most sources of a step, the same in the same step of all variants."""
FACE_FROM = 256
"""Size from which on strategies are trained with the face loss: at 128 a head has 16 pixels."""
WAYS = ("attention", "add", "mean", "gate_add", "gate_mean", "texture", "concat")
"""Those of section 5.3."""
REASONS = ("attention_pixel",)
"""AttLWB with a SPADE that normalises pixel by pixel: what its instance normalisation costs. Trained where it is asked
for by name."""
PICTURED = 8
"""Held-out pairs whose pictures are kept."""


@dataclass(frozen=True)
class Settings:
    """What all runs of a study share; a folder belongs to one of these."""

    study: str
    size: int
    width: int
    steps: int
    batch: int
    people: int
    pairs: int
    rate: float
    precision: str
    vgg_blocks: int
    baked: bool


def variants(settings: Settings) -> dict[str, Preset]:
    """The systems of a study, in the order in which they are trained."""
    paper = replace(
        PRESETS["paper"],
        width=settings.width,
        discriminator_width=settings.width,
        concat_sources=SOURCES[1],
        vgg_layers=tuple(f"relu{block}_1" for block in range(1, settings.vgg_blocks + 1)),
    )
    if settings.study == "losses":
        perceptual = Weights(face=0.0, mask=0.0, smooth=0.0, adversarial=0.0)
        parts = {
            "full": Weights(),
            "perceptual": perceptual,
            "perceptual + adversarial": replace(perceptual, adversarial=1.0),
            "perceptual + adversarial + face": replace(perceptual, adversarial=1.0, face=5.0),
        }
        return {
            name: replace(paper, weights=weights, discriminators=paper.discriminators if weights.adversarial else ())
            for name, weights in parts.items()
        }
    face = Weights().face if settings.size >= FACE_FROM else 0.0
    paper = replace(paper, weights=Weights(face=face, adversarial=0.0), discriminators=())
    return {way: replace(paper, fusion=way) for way in (*WAYS, *REASONS)}


class Study:
    """One folder of runs."""

    def __init__(self, settings: Settings, out: Path, samples: Path, baked: Path | None, device: str) -> None:
        """Raises InputError where the folder holds runs of other settings."""
        self.settings, self.out, self.recorded, self.baked = settings, out, samples, baked
        self.device = choose_device(device)
        self.model: BodyModel = load_body("anny")
        wanted = json.loads(json.dumps(vars(settings)))
        paper = out / "settings.json"
        if paper.exists() and (found := json.loads(paper.read_text())) != wanted:
            other = sorted(key for key in wanted if wanted[key] != found.get(key))
            raise InputError(f"{out} holds runs with other settings ({', '.join(other)}); name another folder")
        with whole(paper, overwrite=True) as draft:
            draft.write_text(json.dumps(wanted, indent=1))

    def people(self, split: str, count: int, seed: int, progress: Progress) -> RecordedSamples:
        """The samples that all runs share; `seed` of their order."""
        size = self.settings.size
        data = RenderedPeople(
            self.model,
            size,
            split,  # type: ignore[arg-type]
            device=self.device,
            baked=self.baked,
            progress=progress,
        )
        about = {"split": split, "size": size, "baked": self.baked is not None}
        place = self.recorded / f"{split}-{size}"
        return RecordedSamples(data, place, count, SOURCES[1], seed=seed, about=about, device=self.device)

    def run(self, name: str, preset: Preset, seed: int, until: float | None, progress: Progress) -> bool:
        """Trains one variant, where that is not done, and reads it; false where time was over or a signal came.

        Raises InputError where another process is at it.
        """
        folder = self.out / f"{name.replace(' ', '')}-{seed}"
        if (folder / "results.json").exists() or str(seed) in read_records(self.out).get(name, {}):
            return True
        tell(f"{name}, seed {seed}")
        base = next(iter(variants(self.settings)))
        if name != base and not (self.out / f"{base}-{seed}" / "results.json").exists():
            tell(f"note: {base} of seed {seed} was not read here: there will be no differences from it with this seed")
        with working_on(folder):
            return self._trained(folder, name, preset, seed, until, progress)

    def _trained(
        self, folder: Path, name: str, preset: Preset, seed: int, until: float | None, progress: Progress
    ) -> bool:
        settings = self.settings
        config = TrainConfig(
            epochs=None,
            steps=settings.steps,
            batch=settings.batch,
            sources=SOURCES,
            learning_rate=settings.rate,
            final_rate=settings.rate / 10,
            warmup=min(50, settings.steps // 10),
            precision=settings.precision,  # type: ignore[arg-type]
            channels_last=True,
            seed=seed,
            save_every=100,
            sheet_every=500,
            log_every=50,
        )
        torch.manual_seed(seed)
        system = build(preset)
        critics, networks = find_critics(preset, self.device, tell)
        trainer = Trainer(
            system,
            self.people("train", settings.people, seed, progress),
            on_device(self.model, self.device),
            config,
            folder,
            about={"system": {"name": "liquid_warping", "preset": preset.name, "settings": preset.to_dict()}},
            labels={"format": FORMAT, "preset": json.dumps(preset.to_dict())},
            critics=critics,
            check=self.people("test", settings.pairs, 0, progress),
            accelerator=self.device.type,
            tell=tell,
        )
        minutes = None if until is None else max(0.0, (until - time.monotonic()) / 60)
        outcome = trainer.fit(minutes)
        if outcome.reason in ("time", "asked"):
            return False
        read = self.read(name, folder, progress)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        tail = lines[-max(1, len(lines) // 10) :]
        names = sorted({key for line in tail for key in line} - {"step"})
        terms = {key: sum(line.get(key, 0.0) for line in tail) / len(tail) for key in names}
        about = {
            "variant": name,
            "seed": seed,
            "outcome": outcome.reason,
            "steps": outcome.step,
            "machine": describe(self.device),
            "generator_parameters": sum(value.numel() for value in system.generator.parameters()),
            "hours": sum(line["seconds"] for line in lines) / 3600,
            "last_tenth": terms,
            "judged_in_training_by": networks,
            "weights": vars(preset.weights),
            **read,
        }
        with whole(folder / "results.json", overwrite=True) as draft:
            draft.write_text(json.dumps(about))
        return True

    def read(self, name: str, folder: Path, progress: Progress) -> dict[str, Any]:
        """The averaged weights on held-out people: every number of every pair."""
        judges = replace(Judges.find(device=self.device), lpips=None, image=None, body=None)
        system = load(folder / "compact.safetensors").to(self.device)
        model = on_device(self.model, self.device)
        pictures = folder / "pictures"
        pictures.mkdir(exist_ok=True)

        halved: dict[int, list[float]] = {shots: [] for shots in SHOTS}

        def keep(task: Task, sources: int, number: int, case: Case, made: dict[str, Tensor]) -> None:
            assert case.truth is not None
            images = made[name], case.truth.image[:, 0], widened(case.truth.alpha[:, 0])
            halved[sources] += psnr(*(F.avg_pool2d(image, 2) for image in images)).tolist()
            if number < PICTURED:
                shown = [case.sources.image[0, index] for index in range(2)]
                shown += [case.truth.image[0, 0], made[name][0]]
                write_image(pictures / f"{sources}-{number}.png", to_image(torch.cat(shown, -1)), overwrite=True)

        held_out = self.people("test", self.settings.pairs, 0, progress)
        results = evaluate(
            {name: SystemPictures(system, model)},
            held_out,
            model,
            judges,
            sources=SHOTS,
            count=self.settings.pairs,
            watch=keep,
            progress=progress,
        )
        numbers = {
            str(shots): {
                metric: [None if math.isnan(value) else round(value, 5) for value in values]
                for metric, values in tally[name].values.items()
            }
            for (_, shots), tally in results.tallies.items()
        }
        for shots, values in halved.items():
            numbers[str(shots)]["psnr_halved/person"] = [round(value, 5) for value in values]
        return {"networks": judges.networks(), "pairs": numbers}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the runs and their summary")
    add("--samples", type=Path, help="folder that keeps the recorded samples, shared by studies; default OUT/samples")
    add("--study", choices=("strategies", "losses"), default="strategies")
    add("--seeds", type=int, nargs="+", default=[0, 1])
    add("--variants", nargs="+", help="only these, in this order")
    add("--size", type=int, default=128)
    add("--width", type=int, default=16, help="of the first stage; 64 in the public code")
    add("--steps", type=int, default=2000)
    add("--batch", type=int, default=4)
    add("--people", type=int, default=2048, help="recorded samples, gone through again and again")
    add("--pairs", type=int, default=200, help="held-out samples that every variant is read on")
    add("--rate", type=float, default=1e-3, help="at first, a tenth of it at the end")
    add("--precision", choices=("32", "bf16"), default="bf16")
    add("--vgg-blocks", type=int, default=3, help="of the perceptual loss")
    add("--baked", type=Path, help="folder that keeps photographic people (see docs/data.md)")
    add("--minutes", type=float, help="stop after so many; call again to go on")
    add("--device", default="auto")
    given = parser.parse_args(arguments)
    names = [name for name in Settings.__dataclass_fields__ if name != "baked"]
    settings = Settings(**{name: getattr(given, name) for name in names}, baked=given.baked is not None)
    until = None if given.minutes is None else time.monotonic() + 60 * given.minutes
    with sentences(False), Bars() as bars:
        study = Study(settings, given.out, given.samples or given.out / "samples", given.baked, given.device)
        every = variants(settings)
        if unknown := set(given.variants or ()) - every.keys():
            raise InputError(f"--variants: expected some of {', '.join(every)}; got {sorted(unknown)[0]!r}")
        for seed in given.seeds:
            for name in given.variants or (name for name in every if name not in REASONS):
                if not study.run(name, every[name], seed, until, bars):
                    tell("stopped; the same command goes on")
                    return
                summarise(given.out, list(every))
                sheet(given.out, list(every))
        bars.done()
        print((given.out / "summary.md").read_text())


if __name__ == "__main__":
    main()
