"""P008, P009 and P010 outdoors, imitated: by geometry alone, by the trained system, and after personalization.

`python -m benchmarks.imitation_sheet small.safetensors --out docs/imitated.jpg` adapts the system to each of the three
photo-like people (openpeople; pictures made by a model, nobody real; never baked or trained on) from the one picture
outdoors, and draws a sheet: three rows a person, the same poses in each.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.blind_pairs import PEOPLE, poses
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.data.photo_like import outdoor
from warpkit.models.errors import InputError
from warpkit.models.media.draw import contact_sheet
from warpkit.models.media.images import check_image_output, write_image
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks import Adaptation, Clip, Look, Pipeline
from warpkit.models.tasks.choices import choose_system


def row(imitation: Clip) -> list[np.ndarray]:
    """All its frames."""
    return [imitation.frame(index) for index in range(len(imitation))]


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imitation_sheet", description=__doc__)
    add = parser.add_argument
    add("weights", type=Path, nargs="?", help="a system's checkpoint (default: the embedded one)")
    add("--out", type=Path, required=True, help="the picture to write")
    add("--people", nargs="+", default=list(PEOPLE))
    add("--poses", type=int, default=5)
    add("--steps", type=int, default=100, help="of personalization")
    add("--size", type=int, default=512, help="height and width of the frames, pixels")
    add("--adapt-size", type=int, help="of personalization; default: --size")
    add("--height", type=int, default=220, help="of the pictures on the sheet")
    add("--seed", type=int, default=0, help="of the poses")
    add("--device", default="auto")
    arguments = parser.parse_args(given)
    with sentences(False), Bars() as bars, tempfile.TemporaryDirectory() as folder:
        check_image_output(arguments.out, overwrite=True)
        system = choose_system("learned", arguments.weights)
        pipe = Pipeline.from_pretrained(renderer="geometric", device=arguments.device, progress=bars)
        learned = Pipeline(pipe.model, system, pipe.device, progress=bars)
        how = Adaptation(arguments.steps, arguments.adapt_size or arguments.size)
        rows: list[tuple[str, list[np.ndarray]]] = []
        for number, person in enumerate(arguments.people):
            photos, motion = outdoor(person), poses(arguments.poses, arguments.seed + number)
            drawn = pipe.imitate(photos, motion, look=Look(arguments.size))
            own = Path(folder) / f"{person}.safetensors"
            outcome = learned.personalize(photos, own, how, tell=tell)
            if outcome.reason != "finished":
                raise InputError(f"personalization of {person} ended after {outcome.step} steps: {outcome.reason}")
            bars.stage(f"Drawing {person}", None)
            rows += [
                (f"{person}: one picture outdoors; by geometry alone", [photos[0], *row(drawn)]),
                ("by the trained system", [photos[0], *row(drawn.drawn_by(system))]),
                (
                    f"after {arguments.steps} steps of personalization",
                    [photos[0], *row(drawn.drawn_by(load(own)))],
                ),
            ]
        write_image(arguments.out, contact_sheet(rows, height=arguments.height), overwrite=True)
        tell(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
