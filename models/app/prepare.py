"""`warpkit prepare`: a folder of videos becomes clips to train on."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import SOME_SKIPPED, options
from warpkit.models.app.console import Bars, counted, sentences, tell


def prepare(
    folder: Annotated[Path, typer.Argument(help="A folder of videos, or of folders of frames.")],
    out: Annotated[Path, typer.Option(help="The cache: a new folder, or one that a run before has begun.")],
    layout: Annotated[
        str, typer.Option(help="auto, folder, iper, motion-synthetic, fashion or youtube-dancer.")
    ] = "auto",
    size: Annotated[int, typer.Option(help="Height and width of the pictures, pixels.")] = 512,
    margin: Annotated[float, typer.Option(help="Left free round the person, as a share of the longer side.")] = 0.1,
    every: Annotated[int, typer.Option(min=1, help="Use only each so many-th frame.")] = 1,
    fps: Annotated[float, typer.Option(min=1, max=1000, help="Frames per second of folders of frames.")] = 30.0,
    matte: Annotated[bool, typer.Option(help="Refine masks to the edges in the pictures.")] = True,
    body: options.BodyName = "anny",
    body_folder: options.BodyFolder = None,
    person: options.Which = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Videos made at once, each by a process of its own.")] = 1,
    prune: Annotated[bool, typer.Option("--prune", help="Remove clips of other settings or other videos.")] = False,
    debug: options.Debug = False,
) -> None:
    """Makes training clips of videos: people found, bodies fitted, cut out. Run again, it goes on where it stopped.

    Leaves with 0 when all videos became clips, 3 when some were skipped, 2 when none could be used.
    """
    with sentences(debug), Bars() as bars:
        from warpkit.models.bodies import load_body
        from warpkit.models.data.clips import Settings, prepare_clips
        from warpkit.models.data.clips.prepare import unused
        from warpkit.models.errors import InputError

        settings = Settings(size, margin, every, fps, matte, person)
        model = load_body(body, body_folder)
        report = prepare_clips(folder, out, model, settings, layout=layout, jobs=jobs, progress=bars, tell=tell)
        bars.done()
        bad = report.skipped + report.faults
        if not report.made and not report.kept:
            raise InputError(f"none of the {len(bad)} videos in {folder} can be used")
        left = unused(out)
        for path in left if prune else []:
            path.unlink(missing_ok=True)
        print(
            f"{out}: {counted(len(report.made) + len(report.kept), 'clip')} ({len(report.made)} made, "
            f"{len(report.kept)} were there), {counted(report.frames, 'frame')}; {counted(len(bad), 'video')} skipped"
        )
        if left and not prune:
            tell(f"note: {len(left)} files of other settings or other videos lie there too; --prune removes them")
    if report.faults:
        raise typer.Exit(1)
    if report.skipped:
        raise typer.Exit(SOME_SKIPPED)
