"""`warpkit view`: a person from photos, seen from other sides."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app.console import Bars, sentences
from warpkit.models.app.options import (
    Azimuth,
    Background,
    BodyFolder,
    BodyName,
    Cached,
    Debug,
    Device,
    Elevation,
    Force,
    Fps,
    Frame,
    Frames,
    Photos,
    RendererName,
    Roll,
    Sheet,
    Shift,
    Size,
    Weights,
    Which,
)


def view(
    photos: Photos,
    out: Annotated[
        Path, typer.Option(help="A video (.mp4, .mov, .mkv, .webm), or a picture of one view or of a sheet.")
    ],
    azimuth: Azimuth = "0:360:5",
    elevation: Elevation = "0",
    roll: Roll = "0",
    shift: Shift = "0,0",
    sheet: Sheet = False,
    size: Size = 512,
    background: Background = "keep",
    frame: Frame = "square",
    body: BodyName = "anny",
    body_folder: BodyFolder = None,
    device: Device = "auto",
    cache: Cached = True,
    person: Which = None,
    fps: Fps = None,
    renderer: RendererName = None,
    weights: Weights = None,
    frames: Frames = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """The person in the photos, in the pose of the first one, turned and seen from above or below."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Pipeline, Turn
        from warpkit.models.app.clip import check_outputs, check_views, write

        turn, look = Turn.parse(azimuth, elevation, roll, shift), Look(size, background, fps, frame)
        check_outputs(out, frames, force, look.transparent)
        check_views(out, len(turn), sheet, look.transparent)
        pipe = Pipeline.from_pretrained(
            weights,
            renderer=renderer,
            body=body,
            body_folder=body_folder,
            device=device,
            cache=cache,
            progress=bars,
        )
        result = pipe.view(photos, turn, look=look, person=person)
        write(result, out, bars, frames=frames, labels=turn.labels, sheet=sheet, force=force)
