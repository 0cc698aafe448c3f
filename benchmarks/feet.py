"""How fast feet slide that stand: `python -m benchmarks.feet [--recovered]` prints the table of docs/quality.md.

Mean speed in the picture of heels and toes that stand in the true motion (mm a second of a person of 1.70 m). Motions
of the library: as they are; with a path that is too long by a fifth, as for other legs than the reference's; and
wavering as recovered ones do. `--recovered`: also videos of them, drawn from a photo by geometry and followed by
`recover_clip` (minutes each), with the smoothing that videos get by default.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.data.photo_like import outdoor
from warpkit.models.geometric.feet import find_contacts, plant_feet
from warpkit.models.geometric.smoothing import smooth
from warpkit.models.recovery import recover_clip
from warpkit.models.tasks import Look, Pipeline, Travel
from warpkit.models.tasks.choices import SMOOTH
from warpkit.models.tasks.imitate import imitate_body

SURELY = 0.9
"""Of `Contacts.planted` in the true motion: contacts that are measured."""
TALL = 1.7
"""Metres that speeds are given for."""
RATES = (25.0, 50.0)
PERSON, SIZE = "P009", 384


def wavering(motion: Motion, lasting: float = 0.1, seed: int = 0) -> Motion:
    """As poses and paths come from videos: a tremor in which each quiver lasts about so many seconds."""
    generator = torch.Generator().manual_seed(seed)

    def tremor(like: Tensor) -> Tensor:
        noise = smooth(torch.randn(like.shape, generator=generator), motion.fps, lasting)
        return noise / noise.std()

    turned = axis_angle_to_matrix(motion.rotations) @ axis_angle_to_matrix(0.015 * tremor(motion.rotations))
    path = motion.path + 0.01 * tremor(motion.path)
    return replace(motion, rotations=matrix_to_axis_angle(turned), path=path, scale=1 + 0.01 * tremor(motion.scale))


def standing(model: BodyModel) -> Body:
    """The neutral body in its T-pose, 100 pixels a metre."""
    camera = Camera(torch.tensor([100.0]), torch.tensor([[300.0, 200.0]]))
    return Body(torch.zeros(1, 22, 3), model.mean_shape[None], camera)


def slip(bodies: Body, true: Body, model: BodyModel, fps: float) -> float:
    """Millimetres a second, of a person of `TALL`, of the contacts that stand in the true motion."""
    planted = (find_contacts(true, model, fps).planted > SURELY).float()
    ratio = TALL / float(model.height(bodies.shape[:1]))
    return 1000 * ratio * replace(find_contacts(bodies, model, fps), planted=planted).slip()


def rows(model: BodyModel, name: str, fps: float) -> Iterator[tuple[str, Body, Body]]:
    """What is measured of a motion of the library: a name, the bodies as given, the true ones."""
    motion, person = make_motion(name, fps=fps), standing(model)
    true = imitate_body(person, motion, model)
    yield "as it is", true, true
    yield "other legs", imitate_body(person, replace(motion, path=1.2 * motion.path), model), true
    yield "wavering", imitate_body(person, wavering(motion), model), true


def recovered(model: BodyModel, name: str, fps: float) -> tuple[Body, Body, Body]:
    """A motion of the library as it is recovered from a video of it; the same smoothed; and the true bodies."""
    pipe = Pipeline.from_pretrained(renderer="geometric", cache=False)
    drawn = pipe.imitate(outdoor(PERSON)[:1], make_motion(name, fps=fps), travel=Travel(slide=True), look=Look(SIZE))
    clip = recover_clip(drawn, model, fps)
    motion = Motion.from_clip(clip, model)
    start = clip.body[0]
    given, smoothed = (imitate_body(start, one, model) for one in (motion, motion.smoothed(SMOOTH)))
    return given, smoothed, drawn.framing.body(drawn.bodies)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recovered", action="store_true", help="videos that are drawn and followed too: slow")
    parser.add_argument("--motions", nargs="*", default=list(MOTIONS), choices=list(MOTIONS))
    arguments = parser.parse_args()
    model = load_body("anny")
    print(
        "| motion | frames/s | | as given | smoothed | feet stand | % of the height/s |\n|---|---|---|---|---|---|---|"
    )

    def tell(name: str, fps: float, what: str, given: float, smoothed: str, after: float) -> None:
        share = f"{given / TALL / 10:.1f} → {after / TALL / 10:.1f}"
        print(f"| {name} | {fps:g} | {what} | {given:.0f} | {smoothed} | {after:.0f} | {share} |", flush=True)

    for name in arguments.motions:
        for fps in RATES:
            for what, bodies, true in rows(model, name, fps):
                after = slip(plant_feet(bodies, model, fps), true, model, fps)
                tell(name, fps, what, slip(bodies, true, model, fps), "", after)
    if arguments.recovered:
        for name in arguments.motions:
            given, smoothed, true = recovered(model, name, RATES[0])
            after = slip(plant_feet(smoothed, model, RATES[0]), true, model, RATES[0])
            steady = f"{slip(smoothed, true, model, RATES[0]):.0f}"
            tell(name, RATES[0], "recovered", slip(given, true, model, RATES[0]), steady, after)


if __name__ == "__main__":
    main()
