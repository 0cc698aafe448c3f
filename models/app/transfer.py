"""`warpkit transfer`: a person wears what others wear."""

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
    RendererName,
    Roll,
    Sheet,
    Size,
    Weights,
    Which,
)


def transfer(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PERSON", help="1 to 8 photos of the person; the first gives the scene.")
    ],
    wear: Annotated[
        list[str],
        typer.Option(
            metavar="PHOTO[:PARTS]",
            help="Whose clothes: b.jpg, b.jpg:upper,feet or front.jpg+back.jpg:lower; once for each of several people.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A picture, or a video (.mp4, .mov, .mkv) of views or a motion.")],
    motion: Annotated[
        str | None, typer.Option(help="Also moves: a motion's name (see `warpkit motions`), a .npz file, or a video.")
    ] = None,
    azimuth: Azimuth = "0",
    elevation: Elevation = "0",
    roll: Roll = "0",
    sheet: Sheet = False,
    size: Size = 512,
    background: Background = "keep",
    body: BodyName = "anny",
    body_folder: BodyFolder = None,
    device: Device = "auto",
    person: Which = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=240, help="Frames per second; the motion's own, or 25, if not given.")
    ] = None,
    renderer: RendererName = None,
    weights: Weights = None,
    frames: Frames = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """The person in the photos wears what others wear, part by part; standing, turned, or moving.

    Parts: clothes (where none is named), upper, lower, head, hair, face, torso, arms, hands, legs, feet, left_arm, …
    """
    with sentences(debug), Bars() as bars:
        from warpkit.models import tasks
        from warpkit.models.app.clip import check_outputs, check_views, is_picture, write
        from warpkit.models.errors import InputError
        from warpkit.models.tasks.transfer import parse_wear
        from warpkit.models.tasks.view import columns_of_person, labels_of, parse_views

        check_outputs(out, frames, force)
        given = [parse_wear(text) for text in wear]
        angles = parse_views(azimuth=azimuth, elevation=elevation, roll=roll)
        if motion is None:
            check_views(out, len(angles[0]), sheet)
        elif is_picture(out) or sheet:
            raise InputError(f"a motion is written as a video: {out} must end in .mp4, .mov or .mkv, without --sheet")
        result = tasks.transfer(
            photos,
            given,
            motion=motion,
            azimuth=angles[0],
            elevation=angles[1],
            roll=angles[2],
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
