"""`warpkit imitate`: a person moves as a reference does."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, sentences


def imitate(
    photos: options.Photos,
    motion: Annotated[str, typer.Option(help="A motion's name (see `warpkit motions`), a .npz file, or a video.")],
    out: Annotated[Path, typer.Option(help="The video to write (.mp4, .mov, .mkv or .webm).")],
    camera: options.Camera = None,
    smooth: options.Smooth = None,
    slide: options.Slide = False,
    azimuth: options.Azimuth = "0",
    elevation: options.Elevation = "0",
    roll: options.Roll = "0",
    shift: options.Shift = "0,0",
    freeze: options.Freeze = None,
    hold: options.Hold = 3.0,
    size: options.Size = 512,
    background: options.Background = "keep",
    frame: options.Frame = "square",
    steady: options.Steady = 0.2,
    body: options.BodyName = "anny",
    body_folder: options.BodyFolder = None,
    device: options.Device = "auto",
    cache: options.Cached = True,
    person: options.Which = None,
    fps: options.Fps = None,
    renderer: options.RendererName = None,
    weights: options.Weights = None,
    frames: options.Frames = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Photo, reference and result beside each other.")
    ] = False,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """The person in the photos moves as the reference does."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Pipeline, Travel, Turn
        from warpkit.models.app.clip import write
        from warpkit.models.media.output import check_folder_output
        from warpkit.models.media.video import check_video_output

        turn = Turn.parse(azimuth, elevation, roll, shift, freeze, hold)
        look = Look(size, background, fps, frame, steady)
        check_video_output(out, overwrite=force, transparent=look.transparent)
        if frames is not None:
            check_folder_output(frames, overwrite=force)
        travel = Travel(camera, smooth, slide)
        pipe = Pipeline.from_pretrained(
            weights,
            renderer=renderer,
            body=body,
            body_folder=body_folder,
            device=device,
            cache=cache,
            progress=bars,
        )
        result = pipe.imitate(
            photos, motion, travel=travel, turn=turn, look=look, person=person, side_by_side=side_by_side
        )
        write(result, out, bars, frames=frames, force=force)
