"""Pairs of pictures for a blind study: held-out photo-like people, drawn by two renderers.

`python -m benchmarks.blind_pairs small.safetensors --out out/pairs` draws P008, P009 and P010 of the package openpeople
(pictures made by a model; nobody real; never baked or trained on) in 30 poses, by geometry alone and by the system, and
makes a study of it: `out/pairs/study` with shuffled groups, sheets to look at and `answers.csv`. Then
`warpkit study tally out/pairs/study`.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.provenance import where
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.data.photo_like import four_views, outdoor
from warpkit.models.errors import InputError
from warpkit.models.machine import describe
from warpkit.models.media.draw import fit_into
from warpkit.models.media.images import write_image
from warpkit.models.media.output import check_folder_output
from warpkit.models.metrics.study import ANSWERS, make_study
from warpkit.models.systems.liquid_warping import weights_named
from warpkit.models.tasks import Look, Pipeline
from warpkit.models.tasks.choices import choose_device, choose_system

PEOPLE = ("P008", "P009", "P010")
SOURCES = {"outdoors": outdoor, "sides": four_views}
GEOMETRIC, TRAINED = "geometric", "trained"


def poses(count: int, seed: int) -> Motion:
    """So many frames out of the library's motions, of as many motions as there are, all on one spot of the ground."""
    chance = random.Random(seed)
    names = [name for _ in range(count // len(MOTIONS) + 1) for name in chance.sample(sorted(MOTIONS), len(MOTIONS))]
    frames, lowered = [], []
    for name in names[:count]:
        motion = make_motion(name)
        index = chance.randrange(len(motion))
        frames.append(motion.rotations[index])
        lowered.append(motion.path[index, 1])
    down = torch.stack(lowered)
    path = torch.stack([torch.zeros(count), down - down[0]], -1)
    return Motion(1.0, torch.stack(frames), path, torch.ones(count), motion.height)


def casts(pairs: int, seed: int) -> Iterator[tuple[str, str, Motion]]:
    """Person, sources and poses: as many of each cast as of any other, up to one."""
    every = [(person, sources) for sources in SOURCES for person in PEOPLE]
    for number, (person, sources) in enumerate(every):
        count = pairs // len(every) + (number < pairs % len(every))
        if count:
            yield person, sources, poses(count, 1000 * seed + number)


def draw_pairs(weights: Path | None, out: Path, pairs: int, size: int, seed: int, device: str, bars: Bars) -> None:
    """Writes `out/geometric`, `out/trained` and `out/_source` under the same names."""
    system = choose_system("learned", weights)
    pipe = Pipeline.from_pretrained(renderer="geometric", device=device, progress=bars)
    for person, sources, motion in casts(pairs, seed):
        photos = SOURCES[sources](person)
        result = pipe.imitate(photos, motion, look=Look(size))
        methods = {GEOMETRIC: result, TRAINED: result.drawn_by(system)}
        source = np.concatenate([fit_into(photo, size, size * 5 // 8) for photo in photos], 1)
        bars.stage(f"Drawing {person}, {sources}", len(result))
        for index in range(len(result)):
            name = f"{person}-{sources}-{index:02d}.png"
            write_image(out / "_source" / name, source, overwrite=True)
            for method, imitation in methods.items():
                write_image(out / method / name, imitation.frame(index), overwrite=True)
            bars.advance()


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blind_pairs", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="a system's checkpoint (default: the embedded one)")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--size", type=int, default=512, help="height and width of the pictures, pixels")
    parser.add_argument("--sheets", type=int, default=3, help="groups to a contact sheet")
    parser.add_argument("--seed", type=int, default=0, help="of the poses and of the order")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args(given)
    with sentences(False), Bars() as bars:
        if arguments.pairs < 1:
            raise InputError(f"--pairs: expected 1 or more, got {arguments.pairs}")
        results, study = arguments.out / "results", arguments.out / "study"
        check_folder_output(results, overwrite=False)
        check_folder_output(study, overwrite=False)
        draw_pairs(arguments.weights, results, arguments.pairs, arguments.size, arguments.seed, arguments.device, bars)
        bars.done()
        about = {
            "weights": weights_named(arguments.weights),
            "drawn on": where(describe(choose_device(arguments.device))),
        }
        count = make_study(
            results, study, seed=arguments.seed, sheets=arguments.sheets, height=arguments.size, about=about
        )
        tell(f"{study}: {count} pairs; write the letter of the better one of each into {study / ANSWERS}, then")
        tell(f"warpkit study tally {study}")


if __name__ == "__main__":
    main()
