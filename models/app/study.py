"""`warpkit study`: results side by side without names, and what people chose."""

from pathlib import Path
from typing import Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import counted, sentences

study = typer.Typer(no_args_is_help=True, help="Which results do people like best? Shown without names, then counted.")


@study.command()
def make(
    results: Annotated[Path, typer.Argument(help="A folder of a folder of pictures or videos for each method.")],
    out: Annotated[Path, typer.Option(help="A new folder: the groups, and answers.csv to fill in.")],
    groups: Annotated[int | None, typer.Option(min=1, help="So many of the cases; all if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice and the order.")] = 0,
    methods: Annotated[str, typer.Option(help="Which folders, with commas; all if not given.")] = "",
    sheets: Annotated[
        int | None, typer.Option(min=1, help="Also contact sheets of so many groups: sheet_01.png, …")
    ] = None,
    height: Annotated[int, typer.Option(min=16, help="Of the pictures on sheets, pixels.")] = 512,
    debug: options.Debug = False,
) -> None:
    """Writes groups of results under letters, shuffled, with a hidden file that says whose they are."""
    with sentences(debug):
        from warpkit.models.metrics.study import ANSWERS, make_study

        named = [name.strip() for name in methods.split(",") if name.strip()]
        count = make_study(results, out, groups=groups, seed=seed, methods=named, sheets=sheets, height=height)
        print(f"{out}: {counted(count, 'group')}; write the letter of the best of each into {out / ANSWERS}")


@study.command()
def tally(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="A study that was made before.")],
    answers: Annotated[
        list[Path] | None, typer.Argument(help="A filled answers.csv of each person; else the study's own.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the counts to this file.")] = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """Counts the answers, and says what chance alone would do."""
    with sentences(debug):
        from warpkit.models.media.output import check_output, whole
        from warpkit.models.metrics.study import tally as count

        if json is not None:
            check_output(json, overwrite=force)
        verdict = count(folder, answers or [])
        if json is not None:
            with whole(json, overwrite=force) as draft:
                draft.write_text(verdict.to_json())
        print(verdict.to_markdown())
