"""The command `warpkit`. Heavy modules are imported where they are used, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated

from warpkit.models.errors import InputError, needs_extra

try:
    with needs_extra("person"):
        import typer

        from warpkit.models.app.console import Bars, errors, sentences
except InputError as missing:
    sys.exit(f"warpkit: {missing}")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Moving pixels with meshes: people from photos, moving as you say.",
)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
BodyName = Annotated[str, typer.Option("--body", help="Body model: anny, smpl, smplh or smplx.")]
BodyFolder = Annotated[Path | None, typer.Option("--body-folder", help="Folder of the model files of SMPL's family.")]
Which = Annotated[int | None, typer.Option("--person", min=1, help="Which person of a photo, 1 being the largest.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"warpkit {version('warpkit')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options that belong to no command."""


@app.command()
def imitate(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="1 to 8 photos of one person, any views.")],
    motion: Annotated[str, typer.Option(help="A motion's name (see `warpkit motions`), a .npz file, or a video.")],
    out: Annotated[Path, typer.Option(help="The video to write (.mp4).")],
    size: Annotated[int, typer.Option(help="Height and width of the frames, pixels.")] = 512,
    background: Annotated[str, typer.Option(help="keep, a colour (white, #20a040), or a picture.")] = "keep",
    body: BodyName = "anny",
    body_folder: BodyFolder = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    person: Which = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=240, help="Frames per second; the motion's own if not given.")
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Also write the frames as PNG files into this folder.")] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Photo, reference and result beside each other.")
    ] = False,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """The person in the photos moves as the reference does."""
    with sentences(debug):
        from contextlib import ExitStack

        from warpkit.models.media.output import check_output
        from warpkit.models.media.video import FrameWriter, VideoWriter
        from warpkit.models.tasks import imitate as make

        check_output(out, overwrite=force)
        if frames is not None:
            check_output(frames, overwrite=force)
        with Bars() as bars:
            result = make(
                photos,
                motion,
                size=size,
                background=background,
                body=body,
                body_folder=body_folder,
                device=device,
                person=person,
                fps=fps,
                side_by_side=side_by_side,
                progress=bars,
            )
            for note in result.notes:
                errors.print(f"note: {note}", soft_wrap=True)
            bars.stage("Rendering", result.num_frames)
            with ExitStack() as outputs:
                video = outputs.enter_context(
                    VideoWriter(out, result.fps, audio_from=result.audio_from, overwrite=force)
                )
                folder = outputs.enter_context(FrameWriter(frames, overwrite=force)) if frames else None
                for frame in result:
                    video.write(frame)
                    if folder:
                        folder.write(frame)
                    bars.advance()
        print(f"{out}: {result.num_frames} frames of {result.size[1]} x {result.size[0]} at {result.fps:g} per second")


@app.command(name="body")
def body_command(
    photo: Annotated[Path, typer.Argument(help="A photo with a whole person in it.")],
    out: Annotated[Path, typer.Option(help="The .npz to write: pose, shape, camera.")],
    overlay: Annotated[Path | None, typer.Option(help="Also draw the body over the photo, into this picture.")] = None,
    body: BodyName = "anny",
    body_folder: BodyFolder = None,
    person: Which = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Fits a body to the person in a photo."""
    with sentences(debug):
        import numpy as np

        from warpkit.models.bodies import JOINTS, load_body
        from warpkit.models.media.draw import draw_body
        from warpkit.models.media.images import read_image, write_image
        from warpkit.models.media.output import check_output, whole
        from warpkit.models.recovery import recover

        if out.suffix.lower() != ".npz":
            raise InputError(f"{out}: the name of a body file must end in .npz")
        check_output(out, overwrite=force)
        if overlay:
            check_output(overlay, overwrite=force)
        image = read_image(photo)
        with Bars() as bars:
            bars.stage("Fitting the body", None)
            model = load_body(body, body_folder)
            found = recover(image, model, person=person)
        if found.people > 1 and person is None:
            errors.print(f"note: {found.people} people were found; the largest was taken (choose with --person)")
        with whole(out, overwrite=force) as draft, draft.open("wb") as file:
            np.savez(
                file,
                model=np.array(model.name),
                joints=np.array(JOINTS),
                pose=found.body.pose[0].numpy(),
                shape=found.body.shape[0].numpy(),
                camera_scale=found.body.camera.scale[0].numpy(),
                camera_offset=found.body.camera.offset[0].numpy(),
                image_size=np.array(found.size),
            )
        if overlay:
            write_image(overlay, draw_body(image, found.body, model), overwrite=force)
        print(
            f"{out}: landmarks off by {100 * found.landmark_error:.2f} % of the height, "
            f"silhouette IoU {found.mask_iou:.3f}, standing height {float(model.height(found.body.shape)):.2f} m"
        )


@app.command()
def motions(debug: Debug = False) -> None:
    """The motions that can be asked for by name."""
    with sentences(debug):
        from rich.table import Table

        from warpkit.models.data.motion_library import MOTIONS, make_motion

        table = Table("name", "seconds", "what it is", box=None)
        for name, description in MOTIONS.items():
            motion = make_motion(name)
            table.add_row(name, f"{len(motion.rotations) / motion.fps:.1f}", description)
        typer.echo()
        from rich import print as show

        show(table)


@app.command()
def doctor(debug: Debug = False) -> None:
    """What is installed, what is missing, and what that means."""
    with sentences(debug):
        from warpkit.models.app.doctor import report

        for line in report():
            print(line)


def main() -> None:
    """Entry point of the command `warpkit`."""
    app()
