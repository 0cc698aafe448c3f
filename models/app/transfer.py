"""`warpkit transfer`: a person wears what others wear."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, sentences


def transfer(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PERSON", help="1 to 8 photos of the person; the first gives the scene.")
    ],
    wear: Annotated[
        list[str],
        typer.Option(
            metavar="PHOTO[:PERSON][:PARTS]",
            help="Whose clothes: b.jpg, b.jpg:upper,feet, front.jpg+back.jpg:lower, group.jpg:2:upper; once for each.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A picture, or a video (.mp4, .mov, .mkv, .webm) of views or a motion.")],
    motion: Annotated[
        str | None, typer.Option(help="Also moves: a motion's name (see `warpkit motions`), a .npz file, or a video.")
    ] = None,
    camera: options.Camera = None,
    smooth: options.Smooth = None,
    slide: options.Slide = False,
    azimuth: options.Azimuth = "0",
    elevation: options.Elevation = "0",
    roll: options.Roll = "0",
    shift: options.Shift = "0,0",
    freeze: options.Freeze = None,
    hold: options.Hold = None,
    sheet: options.Sheet = False,
    size: options.Size = 512,
    background: options.Background = "keep",
    frame: options.Frame = "square",
    steady: options.Steady = 0.2,
    body: options.BodyName = "anny",
    body_folder: options.BodyFolder = None,
    device: options.Device = "auto",
    cache: options.Cached = True,
    reference_person: options.ReferencePerson = None,
    person: options.Which = None,
    fps: options.Fps = None,
    renderer: options.RendererName = None,
    weights: options.Weights = None,
    personalize: options.Personalize = 0,
    frames: options.Frames = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """The person in the photos wears what others wear, part by part; standing, turned, or moving.

    Parts: clothes (where none is named), upper, lower, head, hair, face, torso, arms, hands, legs, feet, left_arm, …
    """
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Travel, Turn
        from warpkit.models.app.clip import check_no_input, check_outputs, check_views, is_picture, write
        from warpkit.models.errors import InputError
        from warpkit.models.media.video import ENDINGS
        from warpkit.models.tasks.transfer import parse_wear

        given = [parse_wear(text) for text in wear]
        turn = Turn.parse(azimuth, elevation, roll, shift, freeze, hold)
        look = Look(size, background, fps, frame, steady)
        check_outputs(out, frames, force, look.transparent)
        check_no_input(out, motion, *photos, *chain(*(one.photos for one in given)))
        if motion is None:
            check_views(out, len(turn), sheet, look.transparent)
        elif is_picture(out) or sheet:
            raise InputError(f"a motion is written as a video: {out} must end in {', '.join(ENDINGS)}, without --sheet")
        travel = Travel(camera, smooth, slide)
        pipe = options.pipeline(weights, renderer, body, body_folder, device, cache, bars)
        result = pipe.transfer(
            photos,
            given,
            motion=motion,
            travel=travel,
            turn=turn,
            look=look,
            reference_person=reference_person,
            person=person,
            personalize=personalize,
        )
        write(result, out, bars, frames=frames, labels=turn.labels, sheet=sheet, force=force)
