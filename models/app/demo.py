"""The demo: two people from photo-like pictures, one seen once and one from four sides, move.

`python -m warpkit.models.app.demo --out out` writes `demo.mp4` and `demo.png`, a sheet of how they came about. The
people are of the package `openpeople` (pictures made by a model; nobody real), and no training has read them. The model
that is embedded in the package draws them, as it is; the sheet shows the geometric picture that it corrects too.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.data.photo_like import four_views, outdoor
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.media.draw import PAPER, contact_sheet, draw_body
from warpkit.models.media.flow_wheel import draw_flow
from warpkit.models.media.images import write_image
from warpkit.models.media.video import VideoWriter
from warpkit.models.tasks import Clip, Look, Pipeline

SIZE, FPS = 512, 25.0


def flow_picture(imitation: Clip, index: int) -> np.ndarray:
    """How far each point of the person moved in the picture, from where the first photo shows it to frame `index`."""
    drawn, frame = imitation.render_geometric(index), imitation.framing
    step = drawn.flow.grid.shape[-3] // drawn.alpha.shape[-2]  # samples for each pixel of the frame
    grid = drawn.flow.grid[0, 0, ::step, ::step].cpu()
    visible = drawn.fragments.face_index[0, ::step, ::step].cpu() >= 0
    photo = imitation.sources[0].window(1)  # one pixel: its side is the whole square
    before = torch.tensor([photo.left, photo.top]) + (grid + 1) / 2 * photo.side
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in grid.shape[:2]), indexing="ij")
    pixels = torch.stack([columns + drawn.corner[1], rows + drawn.corner[0]], -1)
    now = torch.tensor([frame.left, frame.top]) + pixels / frame.zoom
    picture = np.full((frame.size, frame.size, 3), PAPER, np.uint8)
    top, left = drawn.corner
    picture[top : top + len(grid), left : left + grid.shape[1]] = draw_flow(now - before, visible, photo.side / 4)
    return picture


def main() -> None:
    """Makes the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder to write demo.mp4 and demo.png to")
    parser.add_argument("--renderer", choices=("geometric", "learned"), help="what draws, if not the default")
    parser.add_argument("--weights", type=Path, help="a checkpoint that draws in place of the embedded model")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args()
    with sentences(arguments.debug), Bars() as bars:
        rows: list[tuple[str, list[np.ndarray]]] = []
        cast = (
            ("P010, one picture outdoors, walks", outdoor("P010"), "walk"),
            ("P008, four views, turns around", four_views("P008"), "turn"),
        )
        video = arguments.out / "demo.mp4"
        pipe = Pipeline.from_pretrained(arguments.weights, renderer=arguments.renderer, progress=bars)
        with VideoWriter(video, FPS, overwrite=True) as writer:
            for title, photos, motion in cast:
                result = pipe.imitate(photos, motion, look=Look(SIZE, fps=FPS))
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
                rows.append(
                    (
                        "flow from the first source: hue is the direction, saturation the length, white stays in place",
                        flows,
                    )
                )
                by_geometry = isinstance(result.renderer, GeometricRenderer)
                rows.append(("frames" if by_geometry else "frames, drawn by the trained model", frames))
                if not by_geometry:
                    plain = [result.picture(result.render_geometric(index), index) for index in shown]
                    rows.append(("the same by geometry alone", plain))
        write_image(arguments.out / "demo.png", contact_sheet(rows), overwrite=True)
        tell(f"wrote {video} and {arguments.out / 'demo.png'}")


if __name__ == "__main__":
    main()
