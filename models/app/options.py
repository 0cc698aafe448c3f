"""Options that several commands share: the same name, meaning and help in each; and the pipeline that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from warpkit.models import Pipeline
    from warpkit.models.progress import Progress
    from warpkit.models.tasks import choices

Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO", help="1 to 8 photos of one person, any views.")]
Size = Annotated[int, typer.Option("--size", help="Height and width of the frames, pixels.")]
Background = Annotated[
    str, typer.Option("--background", help="keep, transparent, reference (a video's own), a colour or a picture.")
]
Frame = Annotated[
    Literal["square", "photo"],
    typer.Option("--frame", help="square, or photo: the whole first photo at its own resolution, whatever --size."),
]
Camera = Annotated[
    Literal["path", "stay", "follow", "copy"] | None,
    typer.Option(
        "--camera",
        help="path (stands still), stay (the person on the spot), follow (goes with them), copy (as the reference's).",
    ),
]
Smooth = Annotated[
    float | None,
    typer.Option("--smooth", help="Seconds that the motion is smoothed over; 0.06 for a video, else 0, if not given."),
]
Slide = Annotated[bool, typer.Option("--slide", help="Leave feet as the motion has them, even if they slide.")]
Elevation = Annotated[
    str,
    typer.Option("--elevation", help="Degrees of the camera above the horizon: 30, or 0,90,180, or start:stop:step."),
]
Azimuth = Annotated[
    str,
    typer.Option("--azimuth", help="Degrees the person turns to their left: 30, or 0,90,180, or start:stop:step."),
]
Roll = Annotated[
    str, typer.Option("--roll", help="Degrees the picture turns clockwise: 30, or 0,90,180, or start:stop:step.")
]
Shift = Annotated[str, typer.Option("--shift", help="Metres the person moves RIGHT,UP in the picture.")]
Freeze = Annotated[
    float | None,
    typer.Option("--freeze", help="Second of the motion at which time stands still while the views go by."),
]
Hold = Annotated[
    float | None, typer.Option("--hold", help="Seconds for which --freeze lets time stand still; 3 if not given.")
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", min=1, max=240, help="Frames per second; the motion's own, or 25, if not given."),
]
Sheet = Annotated[bool, typer.Option("--sheet", help="All views in one picture.")]
Steady = Annotated[
    float,
    typer.Option("--steady", help="Seconds over which a network's frames are made not to flicker; 0: not at all."),
]
BodyName = Annotated[str, typer.Option("--body", help="Body model: anny, smpl, smplh or smplx.")]
BodyFolder = Annotated[Path | None, typer.Option("--body-folder", help="Folder of the model files of SMPL's family.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Which = Annotated[int | None, typer.Option("--person", min=1, help="Which person of the photos, 1 being the largest.")]
ReferencePerson = Annotated[
    int | None,
    typer.Option("--reference-person", min=1, help="Which person of a video, from left to right; else the largest."),
]
RendererName = Annotated[
    Literal["geometric", "learned"] | None,
    typer.Option("--renderer", help="geometric or learned; learned where this installation has a trained model."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", help="A checkpoint of `warpkit train` or `personalize` that draws in place of the embedded one."
    ),
]
Personalize = Annotated[
    int,
    typer.Option(
        "--personalize",
        min=0,
        metavar="STEPS",
        help="Adapt the network to the person first, so many steps (the paper's: 100); the cache keeps it.",
    ),
]
Frames = Annotated[Path | None, typer.Option("--frames", help="Also write the frames as PNG files into this folder.")]
Cached = Annotated[
    bool,
    typer.Option("--cache/--no-cache", help="Whether what is slow to make of photos is kept (see `warpkit cache`)."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Keep = Annotated[bool, typer.Option("--keep", help="Into a folder: videos that are there stay, the others are made.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def pipeline(
    weights: Path | None,
    renderer: choices.RendererName | None,
    body: str,
    body_folder: Path | None,
    device: str,
    cache: bool,
    progress: Progress,
) -> Pipeline:
    """`Pipeline.from_pretrained` of the options of these names."""
    from warpkit.models import Pipeline

    return Pipeline.from_pretrained(
        weights,
        renderer=renderer,
        body=body,
        body_folder=body_folder,
        device=device,
        cache=cache,
        progress=progress,
    )
