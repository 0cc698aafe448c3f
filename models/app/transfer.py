"""`warpkit transfer`: a person wears what others wear."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app.console import Bars, sentences


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
    azimuth: Annotated[
        str, typer.Option(help="Degrees the person turns to their left: 30, or 0,90,180, or start:stop:step.")
    ] = "0",
    elevation: Annotated[str, typer.Option(help="Degrees of the camera above the horizon; likewise.")] = "0",
    roll: Annotated[str, typer.Option(help="Degrees the picture turns clockwise; likewise.")] = "0",
    sheet: Annotated[bool, typer.Option("--sheet", help="All views in one picture.")] = False,
    size: Annotated[int, typer.Option(help="Height and width of the frames, pixels.")] = 512,
    background: Annotated[str, typer.Option(help="keep, a colour (white, #20a040), or a picture.")] = "keep",
    body: Annotated[str, typer.Option(help="Body model: anny, smpl, smplh or smplx.")] = "anny",
    body_folder: Annotated[Path | None, typer.Option(help="Folder of the model files of SMPL's family.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    person: Annotated[int | None, typer.Option(min=1, help="Which person of a photo, 1 being the largest.")] = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=240, help="Frames per second; the motion's own, or 25, if not given.")
    ] = None,
    renderer: Annotated[
        str | None,
        typer.Option(help="geometric or learned; learned where this installation has a trained model."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A checkpoint of `warpkit train` that draws in place of the embedded one."),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Also write the frames as PNG files into this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """The person in the photos wears what others wear, part by part; standing, turned, or moving.

    Parts: clothes (where none is named), upper, lower, head, hair, face, torso, arms, hands, legs, feet, left_arm, …
    """
    with sentences(debug), Bars() as bars:
        from warpkit.models import tasks
        from warpkit.models.app.clip import check_outputs, check_views, is_picture, write
        from warpkit.models.errors import InputError
        from warpkit.models.tasks.transfer import parse_wear
        from warpkit.models.tasks.view import columns_of_person, labels_of, parse_angles, same_length

        check_outputs(out, frames, force)
        given = [parse_wear(text) for text in wear]
        angles = same_length(
            azimuth=parse_angles(azimuth, "azimuth"),
            elevation=parse_angles(elevation, "elevation"),
            roll=parse_angles(roll, "roll"),
        )
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
