"""The commands of `warpkit`. Heavy modules are imported where they are used, so that `--help` answers soon."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.cache import cache as cache_command
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.app.evaluate import evaluate
from warpkit.models.app.imitate import imitate
from warpkit.models.app.inspect import inspect
from warpkit.models.app.personalize import personalize
from warpkit.models.app.prepare import prepare
from warpkit.models.app.study import study
from warpkit.models.app.train import train
from warpkit.models.app.transfer import transfer
from warpkit.models.app.view import view

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Moving pixels with meshes: people from photos, moving as you say.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from warpkit.models.app.doctor import installed

        print(f"warpkit {installed('warpkit')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options that belong to no command."""


@app.command(name="body")
def body_command(
    photo: Annotated[Path, typer.Argument(help="A photo with a whole person in it.")],
    out: Annotated[Path, typer.Option(help="The .npz to write: pose, shape, camera.")],
    overlay: Annotated[Path | None, typer.Option(help="Also draw the body over the photo, into this picture.")] = None,
    body: options.BodyName = "anny",
    body_folder: options.BodyFolder = None,
    cache: options.Cached = True,
    person: options.Which = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """Fits a body to the person in a photo."""
    with sentences(debug), Bars() as bars:
        from warpkit.models.app.body_file import check_body_output, write_body
        from warpkit.models.bodies import load_body
        from warpkit.models.cache import NO_CACHE, of_user
        from warpkit.models.media.draw import draw_body
        from warpkit.models.media.images import check_image_output, read_image, write_image
        from warpkit.models.tasks.sources import recovered

        check_body_output(out, overwrite=force)
        if overlay is not None:
            check_image_output(overlay, overwrite=force)
        image = read_image(photo)
        bars.stage("Fitting the body", None)
        model = load_body(body, body_folder)
        found = recovered(image, model, person=person, cache=of_user() if cache else NO_CACHE)
        bars.done()
        if found.people > 1 and person is None:
            tell(f"note: {found.people} people were found; the largest was taken (choose with --person)")
        write_body(out, found, model, overwrite=force)
        if overlay is not None:
            write_image(overlay, draw_body(image, found.body, model), overwrite=force)
        print(
            f"{out}: landmarks off by {100 * found.landmark_error:.2f} % of the height, "
            f"silhouette IoU {found.mask_iou:.3f}, standing height {float(model.height(found.body.shape)):.2f} m"
        )


@app.command()
def motions(debug: options.Debug = False) -> None:
    """The motions that can be asked for by name."""
    with sentences(debug):
        from warpkit.models.data.motion_library import MOTIONS, make_motion

        width = max(map(len, MOTIONS))
        for name, description in MOTIONS.items():
            motion = make_motion(name)
            print(f"{name.ljust(width)}  {len(motion.rotations) / motion.fps:4.1f} s  {description}")


@app.command()
def doctor(debug: options.Debug = False) -> None:
    """What is installed, what is missing, and what that means."""
    with sentences(debug):
        from warpkit.models.app.doctor import report

        print(*report(), sep="\n")


app.command()(imitate)
app.command()(transfer)
app.command()(view)
app.command()(inspect)
app.command()(prepare)
app.command()(train)
app.command()(personalize)
app.command()(evaluate)
app.add_typer(study, name="study")
app.add_typer(cache_command, name="cache")
