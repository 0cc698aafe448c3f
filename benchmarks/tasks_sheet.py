"""Sheets of novel views, of appearance transfer and of several people, on photo-like ones: pictures of docs/quality.md.

`python -m benchmarks.tasks_sheet [WEIGHTS] [--out FOLDER] [--only SHEET]` writes `views.jpg`, `transfer.jpg` and
`together.jpg`. The people are openpeople's (made by a model, nobody real), each from one picture outdoors.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from warpkit.models.bodies import mirror_pose
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.photo_like import outdoor_file
from warpkit.models.media.draw import contact_sheet
from warpkit.models.media.images import read_image
from warpkit.models.media.video import VideoWriter
from warpkit.models.recovery import Clip as Recovered
from warpkit.models.tasks import Clip, Look, Pipeline, Role, Together, Turn, Wear
from warpkit.models.tasks.imitate import followed_people
from warpkit.models.tasks.view import columns_of_person

SIZE, HEIGHT = 448, 300
LOOK = Look(SIZE, fps=5.0)
TURNS = [0.0, 40.0, 90.0, 140.0, 180.0, 220.0, 270.0, 320.0]
OUTFITS = (
    ("P010", (("P001", "upper"), ("P005", "lower,feet")), [0.0, 45.0, 180.0], None),
    ("P008", (("P010", "lower,feet"),), [0.0, 45.0, 315.0], None),
    ("P009", (("P005", "clothes"),), 0.0, "walk"),
    ("P010", (("P009", "lower"), ("P007", "feet")), [0.0, 40.0], "walk"),
    ("P008", (("P002", "upper,lower,feet"),), 0.0, "dance"),
)
"""Who, what from whom, turned how, moving how."""

Rows = list[tuple[str, list[np.ndarray]]]
"""Titles and pictures."""
QUALITY = 80
"""Of the JPEG files, which belong to the documentation."""


def spread(clip: Clip | Together, count: int) -> list[np.ndarray]:
    """Whole frames spread over a clip."""
    chosen = np.linspace(0, len(clip) - 1, min(count, len(clip))).round().astype(int).tolist()
    return [clip.frame(index) for index in chosen]


def frames_of(clip: Clip, count: int) -> list[np.ndarray]:
    """The same, as wide as the person ever is."""
    shown = columns_of_person(clip)
    return [frame[:, shown] for frame in spread(clip, count)]


def save(rows: Rows, path: Path, shrink: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(contact_sheet(rows, height=HEIGHT))
    small = sheet.resize((round(shrink * sheet.width), round(shrink * sheet.height)), Image.Resampling.LANCZOS)
    small.save(path, quality=QUALITY)


def turned(angles: Sequence[float]) -> str:
    """What a title calls them."""
    return f"turned by {', '.join(f'{angle:g}' for angle in angles)} degrees"


def views(pipe: Pipeline) -> Rows:
    """People turned all the way round."""
    rows = []
    for person in ("P008", "P009", "P010"):
        clip = pipe.view([outdoor_file(person)], Turn(TURNS, 5.0), look=LOOK)
        rows.append((f"{person} from one picture, {turned(TURNS)}", frames_of(clip, len(TURNS))))
    return rows


def transfer(pipe: Pipeline) -> Rows:
    """People in what others wear."""
    rows = []
    for person, givers, turns, motion in OUTFITS:
        wear = [Wear([outdoor_file(giver)], tuple(parts.split(","))) for giver, parts in givers]
        clip = pipe.transfer([outdoor_file(person)], wear, motion=motion, turn=Turn(turns), look=LOOK)
        title = f"{person} wears " + ", ".join(f"{parts} of {giver}" for giver, parts in givers)
        title += f"; {turned(turns)}" if turns else ""
        title += f"; {motion}" if motion else ""
        shown = [read_image(outdoor_file(one)) for one in (person, *(giver for giver, _ in givers))]
        rows.append((title, [*shown, *frames_of(clip, 4)]))
    return rows


def tell_errors(drawn: Together, found: Sequence[Recovered]) -> None:
    """How far people who were found in a video are from where they were drawn, from left to right."""
    true = [clip.framing.body(clip.bodies) for clip in drawn.clips]
    true.sort(key=lambda body: float(body.camera.offset[0, 0]))
    for number, (one, body) in enumerate(zip(found, true, strict=True)):
        tall = body.camera.scale * drawn.clips[0].model.height(body.shape[:1])
        off = 100 * (one.body.camera.offset - body.camera.offset).norm(dim=1) / tall
        print(
            f"person {number + 1}: found in {int(one.found.sum())} of {len(off)} frames; pelvis off by "
            f"{off.median():.1f} % of the height, {off.max():.1f} at most"
        )


def together(pipe: Pipeline) -> Rows:
    """Several people in one picture: motions of their own, those of a video's people, and time that stands still."""

    def role(person: str, motion: str | Path | Motion, place: tuple[float, float] | None = None) -> Role:
        return Role([outdoor_file(person)], motion, place=place)

    three = [role("P008", "dance"), role("P009", "walk", (1.4, 0.0)), role("P010", "wave", (-0.8, 1.5))]
    rows = [("P008 dances, P009 walks, P010 waves 1.5 m behind", spread(pipe.together(three, look=LOOK), 5))]
    walk = make_motion("walk", fps=12.5)
    back = replace(walk, rotations=mirror_pose(walk.rotations), path=walk.path * torch.tensor([-1.0, 1.0]))
    pair = pipe.together([role("P008", walk), role("P009", back, (0.8, 0.8))], look=Look(SIZE, "#90a0b0"))
    with TemporaryDirectory() as folder:
        video = Path(folder) / "pair.mp4"
        with VideoWriter(video, pair.fps) as writer:
            for frame in pair:
                writer.write(frame)
        tell_errors(pair, followed_people(video, (1, 2), pipe.model, cache=pipe.cache))
        driven = pipe.together([role("P010", video), role("P006", video)], look=Look(SIZE))
        rows.append(("a video of two who pass each other twice", spread(pair, 5)))
        rows.append(("P010 and P006 as its two people, who were found in it", spread(driven, 5)))
    frozen = pipe.imitate([outdoor_file("P008")], "dance", turn=Turn(freeze=1.8, hold=8.0), look=LOOK)
    title = "P008 dances; time stands still at second 1.8 and once round goes by"
    rows.append((title, [frozen.frame(index) for index in (5, 15, 29, 41, 52)]))
    return rows


SHEETS = {"views": (views, 1.0), "transfer": (transfer, 0.7), "together": (together, 0.7)}
"""What draws the rows, and how much the sheet is shrunk."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="of a trained system; default: the embedded one")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--only", choices=SHEETS)
    arguments = parser.parse_args()
    pipe = Pipeline.from_pretrained(arguments.weights)
    for name, (draw, shrink) in SHEETS.items():
        if arguments.only in (None, name):
            save(draw(pipe), arguments.out / f"{name}.jpg", shrink)
            print(f"wrote {arguments.out / name}.jpg")


if __name__ == "__main__":
    main()
