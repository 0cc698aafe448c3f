"""`warpkit imitate`: people move as references do, one by one or together in one picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, sentences


def imitate(
    photos: options.Photos,
    motion: Annotated[
        list[str],
        typer.Option(
            help="A motion's name (see `warpkit motions`), a .npz file, or a video; once, or once for each person."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The video to write (.mp4, .mov, .mkv or .webm), or a folder: each person with each motion."),
    ],
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--and",
            metavar="PHOTO[+PHOTO][:PERSON]",
            help="Somebody else in the same picture: b.jpg, front.jpg+back.jpg, group.jpg:2; once for each.",
        ),
    ] = None,
    reference_person: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Which person of a video, from left to right; else the largest."),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RIGHT,BACK", help="Metres from the first person at which each --and stands; once for each."
        ),
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
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Photo, reference and result beside each other.")
    ] = False,
    force: options.Force = False,
    keep: options.Keep = False,
    debug: options.Debug = False,
) -> None:
    """The person in the photos moves as the reference does; several do so together (--and)."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Look, Travel, Turn
        from warpkit.models.app.clip import check_no_input, write
        from warpkit.models.app.roles import (
            check_one_each,
            file_names,
            is_folder,
            left_to_make,
            read_people,
            roles_together,
        )
        from warpkit.models.errors import InputError
        from warpkit.models.media.output import check_folder_output
        from warpkit.models.media.video import check_video_output
        from warpkit.models.tasks import Clip, Role, Together
        from warpkit.models.tasks.imitate import is_video

        turn = Turn.parse(azimuth, elevation, roll, shift, freeze, hold)
        look = Look(size, background, fps, frame, steady)
        travel, people = Travel(camera, smooth, slide), read_people(photos, person, others or [])
        folder = is_folder(out, len(people) * len(motion))
        if folder:
            whom = check_one_each(reference_person or [], place or [], frames)
            roles = [Role(who, one, whom if is_video(one) else None, n) for who, n in people for one in motion]
            written = file_names(out, roles, look.transparent)
            if keep:
                roles, written = left_to_make(roles, written, force)
                if not roles:
                    return
        else:
            if keep:
                raise InputError("--keep is of videos in a folder: leave it out, or give --out a folder")
            roles = roles_together(people, motion, reference_person or [], place or [], side_by_side)
            written = [out]
        for path in written:
            check_video_output(path, overwrite=force, transparent=look.transparent)
            check_no_input(path, *(one for role in roles for one in (*role.photos, role.motion)))
        if frames is not None:
            check_folder_output(frames, overwrite=force)
        pipe = options.pipeline(weights, renderer, body, body_folder, device, cache, bars)
        clips: Iterator[Clip | Together]
        if folder:
            clips = pipe.each(
                roles, travel=travel, turn=turn, look=look, personalize=personalize, side_by_side=side_by_side
            )
        elif len(roles) > 1:
            clips = iter([pipe.together(roles, travel=travel, turn=turn, look=look, personalize=personalize)])
        else:
            one = pipe.imitate(
                photos,
                motion[0],
                travel=travel,
                turn=turn,
                look=look,
                reference_person=roles[0].reference_person,
                person=person,
                personalize=personalize,
                side_by_side=side_by_side,
            )
            clips = iter([one])
        for path, clip in zip(written, clips, strict=True):
            write(clip, path, bars, frames=frames, force=force)
