"""`warpkit view`: a person from photos, seen from other sides."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app.console import Bars, sentences


def view(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="1 to 8 photos of one person, any views.")],
    out: Annotated[Path, typer.Option(help="A video (.mp4, .mov, .mkv), or a picture of one view or of a sheet.")],
    azimuth: Annotated[
        str,
        typer.Option(help="Degrees the person turns to their left: 30, or 0,90,180, or start:stop:step."),
    ] = "0:360:5",
    elevation: Annotated[str, typer.Option(help="Degrees of the camera above the horizon; likewise.")] = "0",
    roll: Annotated[str, typer.Option(help="Degrees the picture turns clockwise; likewise.")] = "0",
    shift: Annotated[str, typer.Option(help="Metres the person moves RIGHT,UP in the picture.")] = "0,0",
    sheet: Annotated[bool, typer.Option("--sheet", help="All views in one picture.")] = False,
    size: Annotated[int, typer.Option(help="Height and width of the frames, pixels.")] = 512,
    background: Annotated[str, typer.Option(help="keep, a colour (white, #20a040), or a picture.")] = "keep",
    body: Annotated[str, typer.Option(help="Body model: anny, smpl, smplh or smplx.")] = "anny",
    body_folder: Annotated[Path | None, typer.Option(help="Folder of the model files of SMPL's family.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    person: Annotated[int | None, typer.Option(min=1, help="Which person of a photo, 1 being the largest.")] = None,
    fps: Annotated[float, typer.Option(min=1, max=240, help="Views per second of a video.")] = 25.0,
    renderer: Annotated[
        str | None,
        typer.Option(help="geometric or learned; learned where this installation has a trained model."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A checkpoint of `warpkit train` or `personalize` that draws in place of the embedded one."),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Also write the frames as PNG files into this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """The person in the photos, in the pose of the first one, turned and seen from above or below."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import tasks
        from warpkit.models.app.clip import check_outputs, check_views, write
        from warpkit.models.tasks.view import columns_of_person, labels_of, parse_angles, parse_shift, same_length

        check_outputs(out, frames, force)
        angles = same_length(
            azimuth=parse_angles(azimuth, "azimuth"),
            elevation=parse_angles(elevation, "elevation"),
            roll=parse_angles(roll, "roll"),
        )
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
