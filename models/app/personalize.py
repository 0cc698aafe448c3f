"""`warpkit personalize`: a trained system adapts to the person in a few photos."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import INTERRUPTED, REFUSED, options
from warpkit.models.app.console import Bars, counted, sentences, tell


def personalize(
    photos: options.Photos,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint to start from, if not the embedded model: a compact.safetensors.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 100,
    size: Annotated[int, typer.Option(help="Height and width at which it is done, pixels.")] = 512,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of both networks; that of the preset if not given.")
    ] = None,
    low_memory: Annotated[
        bool, typer.Option("--low-memory", help="bfloat16, and activations computed again: less memory, more time.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    body: options.BodyName = "anny",
    body_folder: options.BodyFolder = None,
    device: options.Device = "auto",
    cache: options.Cached = True,
    person: options.Which = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """Adapts a trained system to the person in the photos."""
    with sentences(debug), Bars() as bars:
        from warpkit.models import Adaptation, Pipeline
        from warpkit.models.media.output import check_output

        how = Adaptation(steps, size, learning_rate, seed, low_memory)
        check_output(out, overwrite=force)
        pipe = Pipeline.from_pretrained(
            weights, body=body, body_folder=body_folder, device=device, cache=cache, progress=bars
        )
        outcome = pipe.personalize(photos, out, how, person=person, overwrite=force, tell=tell)
        bars.done()
        if outcome.reason == "finished":
            print(f"{out}: adapted in {counted(outcome.step, 'step')}")
        else:
            tell(f"warpkit: stopped after {outcome.step} of {steps} steps; nothing was written")
    if outcome.reason != "finished":
        raise typer.Exit(INTERRUPTED if outcome.reason == "asked" else REFUSED)
