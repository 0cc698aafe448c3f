"""Sheets of novel views and of appearance transfer on photo-like people: the pictures of docs/quality.md.

`python -m benchmarks.tasks_sheet [--out FOLDER]` writes `views.jpg` and `transfer.jpg`. The people are openpeople's
(made by a model, nobody real), each from one picture outdoors.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from warpkit.models.data.photo_like import outdoor_file
from warpkit.models.media.draw import contact_sheet
from warpkit.models.media.images import read_image
from warpkit.models.tasks import Clip, Look, Pipeline, Turn, Wear
from warpkit.models.tasks.view import columns_of_person

SIZE, HEIGHT = 448, 300
TURNS = [0.0, 40.0, 90.0, 140.0, 180.0, 220.0, 270.0, 320.0]
OUTFITS = (
    ("P010", (("P001", "upper"), ("P005", "lower,feet")), [0.0, 45.0, 180.0], None),
    ("P008", (("P010", "lower,feet"),), [0.0, 45.0, 315.0], None),
    ("P009", (("P005", "clothes"),), 0.0, "walk"),
    ("P010", (("P009", "lower"), ("P007", "feet")), [0.0, 40.0], "walk"),
    ("P008", (("P002", "upper,lower,feet"),), 0.0, "dance"),
)
"""Who, what from whom, turned how, moving how."""

QUALITY = 80
"""Of the JPEG files, which belong to the documentation."""


def frames_of(clip: Clip, count: int) -> list[np.ndarray]:
    """Frames spread over a clip, as wide as the person ever is."""
    chosen = np.linspace(0, len(clip) - 1, min(count, len(clip))).round().astype(int).tolist()
    shown = columns_of_person(clip)
    return [clip.frame(index)[:, shown] for index in chosen]


def save(rows: list[tuple[str, list[np.ndarray]]], path: Path, shrink: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(contact_sheet(rows, height=HEIGHT))
    small = sheet.resize((round(shrink * sheet.width), round(shrink * sheet.height)), Image.Resampling.LANCZOS)
    small.save(path, quality=QUALITY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    arguments = parser.parse_args()
    pipe, look = Pipeline.from_pretrained(renderer="geometric"), Look(SIZE, fps=5.0)
    rows: list[tuple[str, list[np.ndarray]]] = []
    for person in ("P008", "P009", "P010"):
        clip = pipe.view([outdoor_file(person)], Turn(TURNS, 5.0), look=look)
        rows.append((f"{person} from one picture, turned by {TURNS} degrees", frames_of(clip, len(TURNS))))
    save(rows, arguments.out / "views.jpg")
    rows = []
    for person, givers, turns, motion in OUTFITS:
        wear = [Wear([outdoor_file(giver)], tuple(parts.split(","))) for giver, parts in givers]
        clip = pipe.transfer([outdoor_file(person)], wear, motion=motion, turn=Turn(turns), look=look)
        title = f"{person} wears " + ", ".join(f"{parts} of {giver}" for giver, parts in givers)
        title += f"; turned by {turns} degrees" if turns else ""
        title += f"; {motion}" if motion else ""
        shown = [read_image(outdoor_file(one)) for one in (person, *(giver for giver, _ in givers))]
        rows.append((title, [*shown, *frames_of(clip, 4)]))
    save(rows, arguments.out / "transfer.jpg", shrink=0.7)
    print(f"wrote {arguments.out / 'views.jpg'} and {arguments.out / 'transfer.jpg'}")


if __name__ == "__main__":
    main()
