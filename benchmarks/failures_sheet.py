"""A sheet of what goes wrong with photos that are not good ones, and of what warpkit says of it: docs/failures.jpg.

`python -m benchmarks.failures_sheet [WEIGHTS] [--out FILE]`: each row has the photos, frames made from them, and the
notes that came, or why they were refused. The people are openpeople's (made by a model, nobody real); their pictures
are made worse here, or the person is drawn in a pose that a photo should not show.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.tasks_sheet import QUALITY, frames_of
from warpkit.models.bodies import JOINTS
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.photo_like import four_views, outdoor
from warpkit.models.errors import InputError
from warpkit.models.media.draw import contact_sheet
from warpkit.models.tasks import Look, Pipeline, Turn

SIZE, HEIGHT = 384, 260
LOOK = Look(SIZE, fps=5.0)


def folded() -> Motion:
    """One frame of somebody with their arms across their chest."""
    walk = make_motion("walk")
    pose = torch.zeros(1, len(JOINTS), 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[0, JOINTS.index(f"{side}_shoulder")] = torch.tensor([0.35, -0.6 * sign, -1.15 * sign])
        pose[0, JOINTS.index(f"{side}_elbow")] = torch.tensor([0.0, -1.9 * sign, 0.0])
    return Motion(walk.fps, pose, walk.path[:1], walk.scale[:1], walk.height)


def in_light(photo: np.ndarray, gains: tuple[float, float, float]) -> np.ndarray:
    """A photo, lighter or darker in each channel."""
    return (photo * np.array(gains)).clip(0, 255).astype(np.uint8)


def smaller(photo: np.ndarray, height: int) -> np.ndarray:
    """A photo so many pixels tall."""
    width = round(photo.shape[1] * height / photo.shape[0])
    return np.array(Image.fromarray(photo).resize((width, height), Image.Resampling.BOX))


def arms_folded(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    photo = pipe.imitate(outdoor("P008"), folded(), look=Look(768)).frame(0)
    return [photo], "wave", Turn()


def from_the_side(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    return [four_views("P009")[2]], None, Turn([0.0, 45.0, 90.0, 180.0])


def two_lights(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    front, back = four_views("P010")[:2]
    return [front, in_light(back, (0.62, 0.6, 0.55))], None, Turn([0.0, 60.0, 90.0, 180.0])


def two_places(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    return [*outdoor("P009"), four_views("P009")[1]], None, Turn([0.0, 60.0, 90.0, 180.0])


def cut_off(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    photo = four_views("P010")[0]
    return [np.ascontiguousarray(photo[: round(0.52 * len(photo))])], "wave", Turn()


def far_away(pipe: Pipeline) -> tuple[list[np.ndarray], object, Turn]:
    return [smaller(outdoor("P008")[0], 200)], "dance", Turn()


CASES: dict[str, Callable[[Pipeline], tuple[list[np.ndarray], object, Turn]]] = {
    "arms folded": arms_folded,
    "one photo, from the side": from_the_side,
    "two lights": two_lights,
    "two places": two_places,
    "cut off at the waist": cut_off,
    "far away": far_away,
}
"""What is wrong; and the photos, the motion if there is one, and the views."""


def rows(pipe: Pipeline) -> list[tuple[str, list[np.ndarray]]]:
    """A title and pictures of each case."""
    made = []
    for name, case in CASES.items():
        photos, motion, turn = case(pipe)
        frames: list[np.ndarray] = []
        try:
            clip = (
                pipe.view(photos, turn, look=LOOK)
                if motion is None
                else pipe.imitate(photos, motion, turn=turn, look=LOOK)  # type: ignore[arg-type]
            )
            frames, said = frames_of(clip, 4), "; ".join(clip.notes) or "nothing"
        except InputError as error:
            said = f"refused: {error}"
        print(f"{name}: {said}")
        made.append((f"{name}. Told: {said}", [*photos, *frames]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="of a trained system; default: the embedded one")
    parser.add_argument("--out", type=Path, default=Path("out/failures.jpg"))
    arguments = parser.parse_args()
    pipe = Pipeline.from_pretrained(arguments.weights)
    sheet = contact_sheet(rows(pipe), height=HEIGHT)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(arguments.out, quality=QUALITY)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
