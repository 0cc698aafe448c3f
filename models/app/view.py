"""`warpkit view`: a person from photos, seen from other sides."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, sentences


def view(
    photos: options.Photos,
    out: Annotated[
        Path, typer.Option(help="A video (.mp4, .mov, .mkv, .webm), or a picture of one view or of a sheet.")
    ],
    azimuth: options.Azimuth = "0:360:5",
    elevation: options.Elevation = "0",
    roll: options.Roll = "0",
    shift: options.Shift = "0,0",
    sheet: options.Sheet = False,
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
    personalize: options.Personalize = 0,
    frames: options.Frames = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """The person in the photos, in the pose of the first one, turned and seen from above or below."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Turn
        from warpkit.models.app.clip import check_no_input, check_outputs, check_views, write

        turn, look = Turn.parse(azimuth, elevation, roll, shift), Look(size, background, fps, frame, steady)
        check_outputs(out, frames, force, look.transparent)
        check_no_input(out, *photos)
        check_views(out, len(turn), sheet, look.transparent)
        pipe = options.pipeline(weights, renderer, body, body_folder, device, cache, bars)
        result = pipe.view(photos, turn, look=look, person=person, personalize=personalize)
        write(result, out, bars, frames=frames, labels=turn.labels, sheet=sheet, force=force)
