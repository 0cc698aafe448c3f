"""What steadying costs in truth: made-up people whose every frame is known, drawn frame by frame and steadied."""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import torch

from benchmarks.feet import wavering
from benchmarks.rendering import camera, standing
from warpkit.models.bodies import Body, BodyModel
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.view import View
from warpkit.models.metrics import psnr, ssim
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.imitate import imitate_body
from warpkit.models.tasks.learned import LearnedRenderer
from warpkit.models.tasks.steady import in_order

SIZE, SOURCE = 256, 384
"""Pixels along a side of frames, and of the one picture of each person."""
SETTLED = 8
"""Frames before the first that is counted."""
MOTIONS = ("walk", "dance", "wave", "turn")


@torch.no_grad()
def against_truth(
    system: LiquidWarping, model: BodyModel, seconds: Sequence[float], start: int, frames: int
) -> dict[str, dict[str, float]]:
    """For each of `seconds`: PSNR and SSIM in the true mask, and how much alpha is wrong, of the true alpha.

    One person for each of `MOTIONS`, from the front; the bodies waver, in truth too.
    """
    found: dict[float, dict[str, list[float]]] = {one: defaultdict(list) for one in seconds}
    for seed, name in enumerate(MOTIONS):
        person = MadeUpPerson(model, seed)
        body = Body(standing(0), person.shape, camera(model, person.shape, SOURCE))
        truth = person.render(body, (SOURCE, SOURCE))
        views = [View(truth.colour, truth.alpha, body)]
        renderer = LearnedRenderer(system, model, views, gather_appearance(views, model))
        bodies = _moving(person.shape, wavering(make_motion(name)), start, frames, model)
        for one in seconds:
            for index, drawn in enumerate(in_order(renderer, bodies, (SIZE, SIZE), 25.0, one)):
                if index < SETTLED:
                    continue
                true = person.render(bodies[index], (SIZE, SIZE))
                made, mask = drawn.over(torch.zeros(3, SIZE, SIZE)), (true.alpha > 0.5)[None, None]
                alpha = drawn.alone((SIZE, SIZE))[3]
                row = found[one]
                row["psnr"].append(float(psnr(true.image[None], made[None], mask)[0]))
                row["ssim"].append(float(ssim(true.image[None], made[None], mask)[0]))
                row["alpha"].append(float((alpha - true.alpha).abs().sum() / true.alpha.sum()))
    return {f"{one:g}": {key: statistics.fmean(all) for key, all in row.items()} for one, row in found.items()}


def _moving(shape: torch.Tensor, motion: Motion, start: int, frames: int, model: BodyModel) -> Body:
    part = slice(start, start + frames)
    path = motion.path[part] - motion.path[start]
    motion = Motion(motion.fps, motion.rotations[part], path, motion.scale[part], motion.height)
    return imitate_body(Body(motion.rotations[:1], shape, camera(model, shape, SIZE)), motion, model)


def truth_table(rows: dict[str, dict[str, float]]) -> list[str]:
    """One line for each of the seconds."""
    lines = ["| steadied over | PSNR in the mask, dB | SSIM in the mask | alpha that is wrong |", "|---|---|---|---|"]
    for seconds, row in rows.items():
        name = "not" if seconds == "0" else f"{seconds} s"
        lines.append(f"| {name} | {row['psnr']:.2f} | {row['ssim']:.4f} | {100 * row['alpha']:.1f} % |")
    return lines
