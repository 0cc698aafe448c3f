"""The demo: two people from photo-like pictures, one seen once and one from four sides, move.

`python -m warpkit.models.app.demo --out out` writes `demo.mp4` and `demo.png`, a sheet of how they came about. The
people are of the package `openpeople` (pictures made by a model; nobody real).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.errors import needs_extra
from warpkit.models.media.draw import contact_sheet, draw_body, draw_flow
from warpkit.models.media.images import read_image, write_image
from warpkit.models.media.video import VideoWriter
from warpkit.models.tasks import Imitation, imitate

SIZE, FPS = 512, 25.0
SHEET_VIEWS = ((72, 880, 546, 1630), (1262, 880, 1736, 1630), (665, 880, 1140, 1630), (1854, 880, 2328, 1630))
"""Front, back and both sides in a character sheet: x0, y0, x1, y1."""


def people_folder() -> Path:
    """Where openpeople keeps its pictures."""
    with needs_extra("demo"):
        import openpeople
    return Path(openpeople.__file__).parent / "data" / "curated"


def outdoor(person: str) -> list[np.ndarray]:
    """One picture of the person outdoors."""
    return [read_image(people_folder() / person / "assets" / "amateur_posture.jpg")]


def four_views(person: str) -> list[np.ndarray]:
    """The person from the front, the back and both sides."""
    sheet = read_image(people_folder() / person / "assets" / "character_sheet.jpg")
    return [np.ascontiguousarray(sheet[y0:y1, x0:x1]) for x0, y0, x1, y1 in SHEET_VIEWS]


def flow_picture(imitation: Imitation, index: int) -> np.ndarray:
    """Where a frame takes its colours from in the first source, as colour over the frame."""
    drawn = imitation.render(index)
    picture = np.full((SIZE, SIZE, 3), 24, np.uint8)
    colours = draw_flow(drawn.flow.grid[0, 0])
    step = colours.shape[0] // drawn.alpha.shape[-2]
    colours = colours[::step, ::step]
    top, left = drawn.corner
    picture[top : top + colours.shape[0], left : left + colours.shape[1]] = colours
    return picture


def main() -> None:
    """Makes the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write demo.mp4 and demo.png to")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args()
    with sentences(arguments.debug), Bars() as bars:
        rows: list[tuple[str, list[np.ndarray]]] = []
        cast = (
            ("P010, one picture outdoors, walks", outdoor("P010"), "walk"),
            ("P008, four views, turns around", four_views("P008"), "turn"),
        )
        video = arguments.out / "demo.mp4"
        with VideoWriter(video, FPS, overwrite=True) as writer:
            for title, photos, motion in cast:
                result = imitate(photos, motion, size=SIZE, fps=FPS, progress=bars)
                shown = np.linspace(0, len(result) - 1, 7).round().astype(int)[:-1].tolist()
                frames = []
                bars.stage(f"Rendering: {title}", len(result))
                for index, frame in enumerate(result):
                    writer.write(frame)
                    if index in shown:
                        frames.append(frame)
                    bars.advance()
                with torch.no_grad():
                    bodies = [draw_body(source.image, source.person.body, result.model) for source in result.sources]
                    flows = [flow_picture(result, index) for index in shown]
                rows.append((f"{title}: sources, and the body fitted to each", [*photos, *bodies]))
                rows.append(("where colours come from in the first source: hue and saturation are the move", flows))
                rows.append(("frames", frames))
        write_image(arguments.out / "demo.png", contact_sheet(rows), overwrite=True)
        tell(f"wrote {video} and {arguments.out / 'demo.png'}")


if __name__ == "__main__":
    main()
