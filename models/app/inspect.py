"""`warpkit inspect`: what happened on the way to a frame, as pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, counted, sentences, tell

TURNED = "30"
"""Degrees that the person is turned where neither a motion nor a view is asked for."""


def inspect(
    photos: options.Photos,
    out: Annotated[Path, typer.Option(help="A new folder for the pictures; overview.png shows all of them.")],
    motion: Annotated[
        str | None,
        typer.Option(help="A motion's name (see `warpkit motions`), a .npz file, a video, or a photo's pose."),
    ] = None,
    camera: options.Camera = None,
    smooth: options.Smooth = None,
    slide: options.Slide = False,
    azimuth: Annotated[
        str | None, typer.Option(help=f"Degrees the person turns to their left; {TURNED} if there is no motion either.")
    ] = None,
    elevation: options.Elevation = "0",
    roll: options.Roll = "0",
    shift: options.Shift = "0,0",
    freeze: options.Freeze = None,
    hold: options.Hold = None,
    wear: Annotated[
        list[str] | None,
        typer.Option(metavar="PHOTO[:PARTS]", help="Whose clothes they wear, as in `warpkit transfer`."),
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, help="Which frame of the motion or view, from 0; the middle one if not given.")
    ] = None,
    size: options.Size = 512,
    background: options.Background = "keep",
    frame: options.Frame = "square",
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
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """What happened on the way from photos to one frame, as pictures: bodies, masks, flow, sources, what was filled."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Travel, Turn
        from warpkit.models.media.output import check_folder_output
        from warpkit.models.tasks import inspect as look_into
        from warpkit.models.tasks import write_figures
        from warpkit.models.tasks.choices import check_still
        from warpkit.models.tasks.transfer import parse_wear

        check_folder_output(out, overwrite=force)
        turn = Turn.parse(azimuth or (TURNED if motion is None else "0"), elevation, roll, shift, freeze, hold)
        given, look = [parse_wear(text) for text in wear or []], Look(size, background, fps, frame)
        travel = Travel(camera, smooth, slide)
        if motion is None:
            check_still(look, travel, freeze, reference_person)
        pipe = options.pipeline(weights, renderer, body, body_folder, device, cache, bars)
        shared: dict[str, Any] = {"turn": turn, "look": look, "person": person, "personalize": personalize}
        moving: dict[str, Any] = {"travel": travel, "reference_person": reference_person}
        if given:
            clip = pipe.transfer(photos, given, motion=motion, **moving, **shared)
        elif motion is not None:
            clip = pipe.imitate(photos, motion, **moving, **shared)
        else:
            clip = pipe.view(photos, **shared)
        for note in clip.notes:
            tell(f"note: {note}")
        seen = look_into(clip, index, progress=bars)
        count = write_figures(seen, out, overwrite=force, progress=bars)
        bars.done()
        pictures = counted(count, "picture")
        print(f"{out}: frame {seen.index} of {len(clip)} in {pictures}; overview.png shows all of them")
