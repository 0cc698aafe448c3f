"""Puts a trained model into the package, with a card that is written from the files of its training.

`python -m warpkit.models.app.embed runs/small-1/compact.safetensors runs/small-2/compact.safetensors
--results results.json` embeds the last of its checkpoints; those before it are the trainings that it started from.
Without a checkpoint only the card's results are written anew: the model was measured again.
"""

import argparse
import json
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from warpkit.models.app.console import counted, sentences, tell
from warpkit.models.errors import InputError
from warpkit.models.machine import processor
from warpkit.models.media.output import whole
from warpkit.models.systems.liquid_warping.checkpoints import FORMAT, load
from warpkit.models.systems.liquid_warping.embedded_model import DATA, FILE, ROOM
from warpkit.models.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CARD = "README.md"
RESULTS, LIMITED = "## Results", "## What it cannot do"
"""Headings of the card: what stands between them are results."""
PRIVATE = ("baked", "backgrounds", "motions", "folder", "body_folder")
"""Settings that name a folder of whoever trained: what travels says only whether there was one."""
SHOWN = ("psnr", "ssim", "vgg", "lpips", "body_cs", "face_cs")
"""Columns of the card; each in the widened mask of the person where that was measured."""

LIMITS = """
- It corrects the picture of the geometric renderer and starts as that: where the body was fitted wrongly, or something
  stands before the person in a photo, it mostly draws what geometry draws.
- What no photo shows is guessed: backs of heads, soles, prints on backs. A guess is plausible at best.
- It has seen rendered people only, on one family of body models. Long loose hair, wide skirts and coats, bags, hats and
  things held in the hand are hardly among them.
- Fingers move where the motion tells how, which one recovered from a video does not.
- It draws each frame alone and flickers; what `--steady` does against that is outside of it.
- Light does not change with the pose: folds and shadows of a photo stay where they are on the surface.
- Pictures of real people need their consent: do not use it to pass a person off as doing what they did not do.
"""


def public(about: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training without the folders of whoever trained."""
    tables = {}
    for name, table in about.items():
        if name in ("data", "check") and isinstance(table, dict):
            table = {key: True if key in PRIVATE and value else value for key, value in table.items()}
        tables[name] = table
    return tables


def embed(
    checkpoints: Sequence[Path],
    results: Sequence[Path],
    hardware: str,
    folder: Path = DATA,
    tables: Sequence[Path] = (),
    notes: Path | None = None,
) -> int:
    """Writes the model and its card into `folder`; returns the model's bytes.

    Args:
        checkpoints: `compact.safetensors` of trainings, each of which started from the one before; the last is taken.
        results: JSON files of `warpkit evaluate` for the card.
        hardware: what it was trained on.
        folder: of the package.
        tables: Markdown files for the card, as benchmarks write them.
        notes: a Markdown file that tells what the checkpoints' settings do not, such as changes on the way.

    Raises:
        InputError: a file that is no such checkpoint or no such result, or a model that is too big.
    """
    stages = [_stage(path) for path in checkpoints]
    last = stages[-1][1]
    load(checkpoints[-1])  # it draws
    if sum(value.nbytes for value in last.tensors.values()) > ROOM:
        raise InputError(f"{checkpoints[-1]}: has more than {ROOM / 1e6:.0f} MB")
    measured = _tables(results, tables)
    folder.mkdir(parents=True, exist_ok=True)
    model = Checkpoint("compact", last.step, public(last.about), last.tensors, last.labels)
    if not _holds(folder / FILE, model):
        save_checkpoint(folder / FILE, model)
    size = (folder / FILE).stat().st_size
    with whole(folder / CARD, overwrite=True) as draft:
        draft.write_text(
            "\n".join(_card(stages, measured, hardware, size, None if notes is None else _text(notes))) + "\n"
        )
        draft.chmod(0o644)
    return size


def measured_again(results: Sequence[Path], folder: Path = DATA, tables: Sequence[Path] = ()) -> None:
    """Puts new results into the card of the model that is there; the rest of the card stays.

    Raises:
        InputError: there is no card of a model, or a file that is no result of `warpkit evaluate`.
    """
    before, found, rest = _text(folder / CARD).partition(RESULTS)
    after = rest.partition(LIMITED)[1:]
    if not found or not after[0]:
        raise InputError(f"{folder / CARD}: is no card of a model: expected its results and its limits")
    card = before + "\n".join([RESULTS, *_measured(_tables(results, tables))]) + "\n" + "".join(after)
    with whole(folder / CARD, overwrite=True) as draft:
        draft.write_text(card + "\n")
        draft.chmod(0o644)


def _holds(path: Path, other: Checkpoint) -> bool:
    """Whether a file holds this, whatever the order of its metadata: then it need not change."""
    try:
        one = load_checkpoint(path)
    except InputError:  # there is none, or it is broken
        return False
    return (
        (one.kind, one.step, one.about, one.labels) == (other.kind, other.step, other.about, other.labels)
        and one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(one.tensors[name], tensor) for name, tensor in other.tensors.items())
    )


def _stage(path: Path) -> tuple[Path, Checkpoint]:
    found = load_checkpoint(path)
    if found.kind != "compact" or found.labels.get("format") != FORMAT:
        raise InputError(f"{path}: expected the compact.safetensors of a training, this is {found.kind}")
    return path, found


def _card(
    stages: Sequence[tuple[Path, Checkpoint]], tables: Sequence[str], hardware: str, size: int, notes: str | None
) -> Iterator[str]:
    last = stages[-1][1]
    parameters = sum(value.numel() for value in last.tensors.values())
    preset = last.about["system"]["preset"]
    yield "# The embedded model\n"
    yield (
        f"`{FILE}`: the system `liquid_warping` (Liquid Warping GAN with Attention), preset `{preset}`, "
        f"{parameters / 1e6:.1f} M parameters in half precision, {size / 1e6:.1f} MB. `warpkit imitate` draws people "
        "with it unless told otherwise (`--renderer geometric`). This page was written by "
        "`python -m warpkit.models.app.embed` from the checkpoints' own settings and the results of `warpkit evaluate`."
    )
    yield "\n## How it was trained\n"
    yield f"On {hardware}.\n"
    yield "| training | pictures | steps | people a step | sources | rate | seed | s a step | judged by |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for path, stage in stages:
        training, data = stage.about["training"], stage.about.get("data", {})
        (low, high), side = training["sources"], data.get("size", "–")
        seconds = _seconds(path.with_name("log.jsonl"))
        yield (
            f"| {path.parent.name} | {side}², whole people in {_squares(data.get('scale', side))} "
            f"| {stage.step} of {training['steps']} | {training['batch']} | {low} to {high} "
            f"| {training['learning_rate']:g} to {training['final_rate']:g} | {training['seed']} "
            f"| {seconds} | {', '.join(stage.about.get('critics', {}).values()) or '–'} |"
        )
    yield "\nWeights are the moving average of each training's last steps. All settings are in the file's own metadata."
    if notes:
        yield f"\n{notes}"
    yield "\n## Data\n"
    yield (
        "People rendered on the fly by warpkit's own ops, with exact truth: procedural skins and clothes, CC0 garments "
        "and hair (MakeHuman), and photographic textures baked from pictures of the package `openpeople` (made by a "
        "model, nobody real), of which P008-P010 were never read and P007 is kept for evaluation. Poses are of "
        "warpkit's own motions. What the network is given has the errors of recovery, masks and cameras. The whole of "
        "it: `docs/data.md`."
    )
    for number, (_, stage) in enumerate(stages, 1):
        settings = public(stage.about).get("data", {})
        yield f"\nTraining {number}: `{json.dumps(settings)}`"
    yield f"\n{RESULTS}"
    yield from _measured(tables)
    yield LIMITED
    yield LIMITS
    yield "## Licence\n"
    yield "Apache-2.0, as warpkit; its data were made from assets under CC0, MIT and Apache-2.0."


def _tables(results: Sequence[Path], tables: Sequence[Path]) -> list[str]:
    return [table for path in results for table in _results(path)] + [_text(path) for path in tables]


def _measured(tables: Sequence[str]) -> Iterator[str]:
    """The results in a card."""
    if tables:
        yield "\nMean ± standard error, on people and motions not trained on; `(person)`: in a widened mask.\n"
        yield "\n\n".join(tables) + "\n"
    else:
        yield (
            "\nNone were given when this card was written: `warpkit evaluate geometric small=small.safetensors "
            "--out out` measures them.\n"
        )


def _squares(scale: int | str | Sequence[int]) -> str:
    """Pixels a side, or from how many to how many."""
    return " to ".join(f"{side}²" for side in ((scale,) if isinstance(scale, int | str) else scale))


def _seconds(log: Path) -> str:
    """The median of a training's log, where it lies beside its checkpoint."""
    if not log.is_file():
        return "–"
    times = [json.loads(line).get("seconds") for line in log.read_text().splitlines() if line.strip()]
    there = [time for time in times if time is not None]
    return f"{statistics.median(there):.2f}" if there else "–"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _results(path: Path) -> Iterator[str]:
    """A Markdown table of each task and number of sources in a result of `warpkit evaluate`."""
    try:
        found = json.loads(path.read_text())
        runs, settings = found["runs"], found["settings"]
        settings_of = {(run["task"], run["sources"]): None for run in runs}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no result of warpkit evaluate ({error})") from error
    for task, sources in settings_of:
        rows = [run for run in runs if (run["task"], run["sources"]) == (task, sources)]
        there = {name for run in rows for name, value in run["summary"].items() if value["n"]}
        columns = [name for metric in SHOWN for name in (f"{metric}/person", metric) if name in there]
        heads = [name.replace("/person", " (person)") for name in columns]
        title = f"{task}-imitation" if task in ("self", "cross") else task
        title = f"{path.stem}: {title}"
        lines = [f"{title}, {sources} source{'s' * (sources > 1)}"]
        lines += ["", f"| | drawings | {' | '.join(heads)} |", "|" + "---|" * (len(heads) + 2)]
        for run in rows:
            cells = [_cell(run["summary"].get(name)) for name in columns]
            count = max((value["n"] for value in run["summary"].values()), default=0)
            lines.append(f"| {run['renderer']} | {count} | {' | '.join(cells)} |")
        lines += ["", *(_difference(run) for run in rows if run.get("against_first"))]
        yield "\n".join(lines)
    if command := settings.get("command"):
        yield f"The above by `{command}`."
    if networks := found.get("networks"):
        yield "Networks: " + "; ".join(f"{role}: {name}" for role, name in networks.items()) + "."


def _difference(run: dict[str, Any]) -> str:
    """How a system differs from the first of the results, in the widened mask."""
    said = []
    for metric, unit in (("psnr/person", " dB"), ("vgg/person", " %")):
        one = run["against_first"].get(metric)
        if one and one["n"]:
            relative = unit == " %"
            if relative and "relative" not in one:
                continue
            value, error = (one["relative"], one.get("relative_error")) if relative else (one["mean"], one.get("error"))
            factor = 100 if relative else 1
            sure = "" if error is None else f" ± {factor * error:.2f}"
            said.append(f"{metric.split('/')[0].upper()} {factor * value:+.2f}{sure}{unit}")
    return f"{run['renderer']} against the first, drawing by drawing, in the mask: {'; '.join(said)}."


def _cell(value: dict[str, Any] | None) -> str:
    if not value or not value["n"]:
        return "–"
    error = value.get("error")
    return f"{value['mean']:.3f}" + (f" ± {error:.3f}" if error is not None and math.isfinite(error) else "")


def machine() -> str:
    """This machine's processor or GPU, as far as it tells."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{counted(os.cpu_count() or 1, 'core')} of {processor() or 'a CPU'}"


def main() -> None:
    """Embeds a model."""
    parser = argparse.ArgumentParser(prog="python -m warpkit.models.app.embed", description=__doc__)
    parser.add_argument(
        "checkpoints", nargs="*", type=Path, help="compact.safetensors of each training, in order; none: results alone"
    )
    parser.add_argument("--results", nargs="*", type=Path, default=[], help="JSON files of warpkit evaluate")
    parser.add_argument(
        "--tables", nargs="*", type=Path, default=[], help="Markdown that benchmarks wrote, for the card"
    )
    parser.add_argument("--notes", type=Path, default=None, help="Markdown on how training went, for the card")
    parser.add_argument("--hardware", default=None, help="what it was trained on; this machine if not given")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args()
    with sentences(arguments.debug):
        if not arguments.checkpoints:
            measured_again(arguments.results, tables=arguments.tables)
            tell(f"wrote new results into {DATA / CARD}")
            return
        hardware = arguments.hardware or machine()
        size = embed(arguments.checkpoints, arguments.results, hardware, tables=arguments.tables, notes=arguments.notes)
        tell(f"embedded {arguments.checkpoints[-1]} ({size / 1e6:.1f} MB), and wrote its card: {DATA / CARD}")


if __name__ == "__main__":
    main()
