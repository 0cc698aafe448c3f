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
    Debug,
    Device,
    Elevation,
    Force,
    Frames,
    Photos,
    RendererName,
    Roll,
    Sheet,
    Size,
    Weights,
    Which,
)


def view(
    photos: Photos,
    out: Annotated[Path, typer.Option(help="A video (.mp4, .mov, .mkv), or a picture of one view or of a sheet.")],
    azimuth: Azimuth = "0:360:5",
    elevation: Elevation = "0",
    roll: Roll = "0",
    shift: Annotated[str, typer.Option(help="Metres the person moves RIGHT,UP in the picture.")] = "0,0",
    sheet: Sheet = False,
    size: Size = 512,
    background: Background = "keep",
    body: BodyName = "anny",
    body_folder: BodyFolder = None,
    device: Device = "auto",
    person: Which = None,
    fps: Annotated[float, typer.Option(min=1, max=240, help="Views per second of a video.")] = 25.0,
    renderer: RendererName = None,
    weights: Weights = None,
    frames: Frames = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """The person in the photos, in the pose of the first one, turned and seen from above or below."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import tasks
        from warpkit.models.app.clip import check_outputs, check_views, write
        from warpkit.models.tasks.view import columns_of_person, labels_of, parse_shift, parse_views

        check_outputs(out, frames, force)
        angles = parse_views(azimuth=azimuth, elevation=elevation, roll=roll)
        check_views(out, len(angles[0]), sheet)
        result = tasks.view(
            photos,
            *angles,
            shift=parse_shift(shift),
            size=size,
            background=background,
            body=body,
            body_folder=body_folder,
            device=device,
            person=person,
            fps=fps,
            renderer=renderer,  # type: ignore[arg-type]  # checked there
            weights=weights,
            progress=bars,
        )
        write(
            result,
            out,
            bars,
            frames=frames,
            labels=labels_of(*angles),
            columns=columns_of_person(result) if sheet else None,
            force=force,
        )
