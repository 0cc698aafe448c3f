"""`warpkit train`: a system is trained as a configuration says; the same command again goes on."""

from pathlib import Path
from typing import Annotated, Any

import typer

from warpkit.models.app import REFUSED, options
from warpkit.models.app.console import Bars, counted, errors, sentences, tell


def train(
    config: Annotated[str, typer.Argument(help="A .toml file, or small-1, small-2, small-3, paper.")],
    out: Annotated[
        Path, typer.Option(help="A new folder for checkpoints, log and sample sheets; or a training's, which goes on.")
    ],
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Stop and save after so long.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train so many steps instead of the configuration's.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Begin with the weights of this checkpoint.")] = None,
    device: options.Device = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    debug: options.Debug = False,
) -> None:
    """Trains a system. Stop it as you like (interrupt, SIGTERM): the same command goes on, exactly, where it stopped.

    Several GPUs: torchrun --nproc-per-node=4 -m warpkit.models.app train …
    """
    with sentences(debug), Bars() as bars:
        import torch

        from warpkit.models.progress import SILENT
        from warpkit.models.tasks import training

        if threads is not None:
            torch.set_num_threads(threads)
        changes: dict[str, Any] = {"training": {"steps": steps}} if steps is not None else {}
        plan = training.read_plan(config, changes)
        found = None if start is None else training.read_start(start)
        with training.working_on(out):
            trainer = training.train(plan, out, device=device, start=found, progress=bars, tell=tell)
            if not errors.is_terminal:
                trainer.progress = SILENT  # a log has the lines that are told
            outcome = trainer.fit(minutes)
            trainer.close()
        of = f"{outcome.step} of {counted(trainer.steps, 'step')}"
        if trainer.rank == 0:
            ends = {
                "finished": f"{out}: trained, {of}",
                "time": f"{out}: the time is over after {of}; the same command goes on",
                "asked": f"{out}: stopped after {of}; the same command goes on",
                "diverged": f"{out}: stopped after {of}",
            }
            print(ends[outcome.reason])
    if outcome.reason == "diverged":
        raise typer.Exit(REFUSED)
