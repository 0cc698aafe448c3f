"""How the commands write what a task made: a video, a picture, or a sheet of pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from warpkit.models.app.console import Bars, counted, tell

if TYPE_CHECKING:
    from warpkit.models.media.video import FrameWriter, VideoWriter
    from warpkit.models.tasks import Clip, Together

SHEET = 100
"""Pictures on a sheet, at most."""
COLUMNS = 8
"""Pictures in a row of a sheet, at most."""


def is_picture(out: Path) -> bool:
    """Whether the name's ending says a picture rather than a video."""
    from warpkit.models.media.video import ENDINGS

    return out.suffix.lower() not in ENDINGS


def check_outputs(out: Path, frames: Path | None, force: bool, transparent: bool = False) -> None:
    """Raises InputError where something could not be written later: a video or a picture, and a folder of frames."""
    from warpkit.models.media.images import check_image_output
    from warpkit.models.media.output import check_folder_output
    from warpkit.models.media.video import check_video_output

    (check_image_output if is_picture(out) else check_video_output)(out, overwrite=force, transparent=transparent)
    if frames is not None:
        check_folder_output(frames, overwrite=force)


def check_no_input(out: Path, *inputs: object) -> None:
    """Raises InputError where `out` is one of the files among `inputs`, which --force is not meant for."""
    from warpkit.models.errors import InputError

    for one in inputs:
        if isinstance(one, str | Path) and os.path.exists(one) and out.exists() and os.path.samefile(one, out):
            raise InputError(f"{out} is an input too: give the output another name")


def check_views(out: Path, count: int, as_sheet: bool, transparent: bool = False) -> None:
    """Raises InputError where `count` views do not go into `out`."""
    from warpkit.models.errors import InputError

    if as_sheet and transparent:
        raise InputError("a sheet is opaque: leave out --sheet, or choose another background than transparent")
    if not is_picture(out):
        if as_sheet:
            raise InputError(f"a sheet is a picture: {out} must end in .png or .jpg with --sheet")
    elif count > 1 and not as_sheet:
        raise InputError(f"{count} views do not go into one picture: give --sheet, or {out} the ending of a video")
    elif count > SHEET:
        raise InputError(f"a sheet holds at most {SHEET} views, {count} were asked for: take a longer step")


def write(
    clip: Clip | Together,
    out: Path,
    bars: Bars,
    *,
    frames: Path | None = None,
    labels: Sequence[str] = (),
    sheet: bool = False,
    force: bool = False,
) -> None:
    """Writes `clip` as the ending of `out` says: a video, or a picture, which with `sheet` is one of several frames.

    `frames`: a folder for PNG files too. Of a sheet, `labels` name the frames, and of each the columns of the person
    are shown.
    """
    from warpkit.models.media.images import write_image
    from warpkit.models.media.video import FrameWriter, VideoWriter
    from warpkit.models.tasks import Clip
    from warpkit.models.tasks.view import columns_of_person

    for note in clip.notes:
        tell(f"note: {note}")
    bars.stage(f"Rendering on {clip.device}", clip.num_frames)
    height, width = clip.size
    kept: list[np.ndarray] = []
    picture = is_picture(out)
    with ExitStack() as outputs:
        writers: list[VideoWriter | FrameWriter] = []
        if not picture:
            writers.append(
                outputs.enter_context(
                    VideoWriter(
                        out, clip.fps, audio_from=clip.audio_from, overwrite=force, transparent=clip.transparent
                    )
                )
            )
        if frames is not None:
            writers.append(outputs.enter_context(FrameWriter(frames, overwrite=force)))
        # a video's frames are in order; pictures are each by themselves
        for frame in map(clip.frame, range(len(clip))) if picture else clip:
            for writer in writers:
                writer.write(frame)
            if picture:
                kept.append(frame)
            bars.advance()
        if picture:
            shown = columns_of_person(clip) if sheet and isinstance(clip, Clip) else None
            whole = kept[0] if len(kept) == 1 else draw_sheet(kept, labels, shown)
            write_image(out, whole, overwrite=force)
    bars.done()
    if not picture:
        print(f"{out}: {counted(clip.num_frames, 'frame')} of {width} x {height} at {float(clip.fps):g} per second")
    elif len(kept) > 1:
        print(f"{out}: a sheet of {len(kept)} views")
    else:
        print(f"{out}: {width} x {height}")


def draw_sheet(frames: Sequence[np.ndarray], labels: Sequence[str], columns: slice | None = None) -> np.ndarray:
    """Frames in rows, each under its label, uint8 `[H, W, 3]`; `columns`: those shown of each."""
    from warpkit.models.media.draw import labelled_grid

    rows = math.ceil(len(frames) / COLUMNS)
    shown = [frame[:, columns] if columns else frame for frame in frames]
    return labelled_grid(shown, labels, math.ceil(len(frames) / rows))
