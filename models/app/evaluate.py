"""`warpkit evaluate`: systems side by side on the same pictures, by the papers' protocol."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warpkit.models.app import options
from warpkit.models.app.console import Bars, counted, sentences, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from warpkit.models.bodies import BodyModel
    from warpkit.models.metrics.results import Results
    from warpkit.models.progress import Progress
    from warpkit.models.systems.liquid_warping import LiquidWarping


PEOPLE = {"painted": 0.0, "photographic": 1.0, "both": 0.5}
"""The share of rendered people in photographed skins."""
WITHOUT_NETWORK = ("geometric", "warped")
"""What may be named beside files of systems and the one that travels along."""
EMBEDDED = "embedded"
"""Names that one."""


def evaluate(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM",
            help="geometric, warped, embedded (the model that travels along), a system's .safetensors, or NAME=FILE; "
            "the first is compared with.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder: results.json, results.md.")],
    data: Annotated[
        str, typer.Option(help="people: rendered on the fly; or a folder that `warpkit prepare` made.")
    ] = "people",
    tasks: Annotated[str, typer.Option(help="Of self, cross, transfer, views; with commas.")] = "self",
    sources: Annotated[str, typer.Option(help="Numbers of source pictures; with commas.")] = "1,4",
    people: Annotated[
        str, typer.Option(help="Rendered people's skins and clothes: painted, photographic or both (told apart).")
    ] = "painted",
    baked: Annotated[
        Path | None, typer.Option(help="Folder that keeps photographic people; made there the first time, minutes.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Nothing is gathered from sources: faster, but without geometric.")
    ] = False,
    background: Annotated[
        str, typer.Option(help="same: all persons over one; own: systems make theirs themselves.")
    ] = "same",
    personalize: Annotated[
        int, typer.Option(min=0, help="Also adapt each system to each case's person, in so many steps.")
    ] = 0,
    count: Annotated[int, typer.Option(min=1, help="Cases of each task and number of sources.")] = 50,
    size: Annotated[int, typer.Option(help="Height and width of the pictures, pixels; a multiple of 16.")] = 256,
    seed: Annotated[int, typer.Option(help="Other cases, and chance of personalization, for another seed.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of weights of the networks that compare; else $WARPKIT_WEIGHTS.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Also write the pictures of so many cases of each.")] = 0,
    device: options.Device = "auto",
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """Measures how well systems imitate, transfer and turn people, with whichever networks are there to compare by."""
    with sentences(debug), Bars() as bars:
        import torch

        from warpkit.models.app.doctor import installed
        from warpkit.models.bodies import load_body, on_device
        from warpkit.models.data.cases import TASKS
        from warpkit.models.errors import InputError
        from warpkit.models.machine import commit, processor
        from warpkit.models.media.output import check_output, whole
        from warpkit.models.metrics import Judges
        from warpkit.models.tasks.choices import choose_device
        from warpkit.models.tasks.evaluate import evaluate as measure

        wanted: Any = _listed(tasks, "tasks", TASKS)
        _one_of(people, "people", tuple(PEOPLE))
        _one_of(background, "background", ("same", "own"))
        shots = [_number(one) for one in sources.split(",")]
        results_file, table_file = out / "results.json", out / "results.md"
        for file in (results_file, table_file):
            check_output(file, overwrite=True)
        if out.is_dir() and any(out.iterdir()) and not force:
            raise InputError(f"{out} exists already; choose another folder, or --force to replace what is in it")
        where = choose_device(device)
        named = [one.partition("=")[::2] if "=" in one else (Path(one).stem, one) for one in systems]
        if len({name for name, _ in named}) < len(named):
            raise InputError("two systems have one name; name them: NAME=FILE")
        if odd := [name for name, _ in named if not name or Path(name).name != name]:
            raise InputError(f"a system's name is also that of its folder of pictures, which {odd[0]!r} cannot be")
        model = load_body("anny")
        there = on_device(model, where)
        gathers = not plain
        if personalize and ("transfer" in wanted or not gathers):
            raise InputError(
                "--personalize: it adapts to one person in one outfit, from what is gathered; leave out --plain and "
                "the task transfer"
            )
        renderers = {}
        for name, path in named:
            renderers[name] = _renderer(path, there, where, background)
            if personalize and path not in WITHOUT_NETWORK:
                renderers[f"{name}, personalized"] = _personalized(
                    path, there, where, background, personalize, seed, tell
                )
        samples = _data(data, model, size, seed, where, people, baked, plain, bars)
        judges = Judges.find(weights, where)
        for role, how in judges.absent.items():
            tell(f"note: nothing is measured by a network for {role!r}: {how}")
        at = f" at {made}" if (made := commit()) else ""
        settings = {
            "command": f"warpkit evaluate {' '.join(systems)} --out OUT --data {data} --tasks {tasks} "
            f"--sources {sources} --people {people} --count {count} --size {size} --seed {seed} "
            f"--background {background}"
            + " --baked CACHE" * (baked is not None)
            + " --plain" * plain
            + f" --personalize {personalize}" * bool(personalize),
            "warpkit": f"{installed('warpkit')}{at}, torch {torch.__version__}",
            "small corrects": "the picture of the geometric renderer" if gathers else "sources warped and blended",
            "systems": ", ".join(f"{name} ({_told(path)})" for name, path in named),
            "machine": f"{processor()}, {counted(torch.get_num_threads(), 'thread')}, {where}",
        }

        def keep(so_far: Results) -> None:
            for path, text in ((results_file, so_far.to_json()), (table_file, so_far.to_markdown())):
                with whole(path, overwrite=True) as draft:
                    draft.write_text(text)

        writer = _Writer(out / "pictures", pictures)
        writer.clear()
        results = measure(
            renderers,
            samples,
            there,
            judges,
            tasks=wanted,
            sources=shots,
            count=count,
            settings=settings,
            watch=writer if pictures else None,
            keep=keep,
            progress=bars,
        )
        bars.done()
        for task, why in results.skipped.items():
            tell(f"note: {task} was not evaluated: {why}")
        print(results.to_markdown())


def _listed(text: str, name: str, known: tuple[str, ...]) -> list[str]:
    from warpkit.models.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in known:
            raise InputError(f"--{name}: expected some of {', '.join(known)}, got {part!r}")
    return parts


def _number(text: str) -> int:
    from warpkit.models.errors import InputError

    if not text.strip().isdecimal() or not 1 <= int(text) <= 8:
        raise InputError(f"--sources: expected numbers from 1 to 8, got {text!r}")
    return int(text)


def _told(path: str) -> str:
    """Which weights these are."""
    from warpkit.models.systems.liquid_warping import weights_named

    return path if path in WITHOUT_NETWORK else weights_named(None if path == EMBEDDED else Path(path))


def _system(path: str) -> LiquidWarping:
    from warpkit.models.systems.liquid_warping import load_embedded
    from warpkit.models.systems.liquid_warping.checkpoints import load

    return load_embedded() if path == EMBEDDED else load(Path(path))


def _one_of(text: str, name: str, known: tuple[str, ...]) -> None:
    from warpkit.models.errors import InputError

    if text not in known:
        raise InputError(f"--{name}: expected one of {', '.join(known)}, got {text!r}")


def _renderer(path: str, model: BodyModel, device: torch.device, background: Any) -> Any:
    from warpkit.models.tasks.evaluate import GeometricPictures, SystemPictures, WarpedPictures

    if path in WITHOUT_NETWORK:
        return GeometricPictures() if path == "geometric" else WarpedPictures(model)
    return SystemPictures(_system(path).to(device), model, background)


def _personalized(
    path: str,
    model: BodyModel,
    device: torch.device,
    background: Any,
    steps: int,
    seed: int,
    tell: Callable[[str], None],
) -> Any:
    from warpkit.models.tasks.evaluate import PersonalizedPictures
    from warpkit.models.tasks.training import find_critics

    system = _system(path).to(device)
    critics, _ = find_critics(system.preset, device, tell)
    return PersonalizedPictures(system, model, critics, steps, background, seed)


def _data(
    data: str,
    model: BodyModel,
    size: int,
    seed: int,
    device: torch.device,
    people: str,
    baked: Path | None,
    plain: bool,
    progress: Progress,
) -> Any:
    from warpkit.models.errors import InputError

    if data == "people":
        from warpkit.models.data.people import HeldOut

        if size < 16 or size % 16:
            raise InputError(f"--size: expected a multiple of 16, got {size}")
        if people != "painted" and baked is None:
            raise InputError(f"--people {people}: --baked says where photographic people are kept, or are to be made")
        photographs: dict[str, Any] = {} if people == "painted" else {"baked": baked, "baked_share": PEOPLE[people]}
        return HeldOut(model, size, "test", seed, device, gathered=not plain, progress=progress, **photographs)
    if not Path(data).is_dir():
        raise InputError(f"--data: expected people or a folder that `warpkit prepare` made, got {data!r}")
    from warpkit.models.data.clips import ClipCases
    from warpkit.models.tasks.evaluate import Moved

    return Moved(ClipCases(data, model, split="test", size=size, seed=seed, gathered=not plain), device)


class _Writer:
    """Writes the pictures of the first cases: pictures/TASK-SOURCES/RENDERER/NUMBER.png, as `warpkit study` reads them.

    Beside the renderers' folders lie `_source` and `_truth`, for whoever looks at them.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count

    def clear(self) -> None:
        """Removes the pictures of an earlier run, and folders that are empty then; other files stay.

        Raises InputError where one cannot be removed.
        """
        from warpkit.models.data.cases import TASKS
        from warpkit.models.errors import InputError

        drawn = (path for task in TASKS for path in self.folder.glob(f"{task}-[1-8]/*/*.png"))
        ours = [path for path in drawn if re.fullmatch(r"\d{4,}(-\d+)?", path.stem)]
        for path in ours:
            try:
                path.unlink()
            except OSError as error:
                raise InputError(f"{path} cannot be removed: {error.strerror or error}") from error
        for folder in sorted(
            {parent for path in ours for parent in path.parents[:3]}, reverse=True
        ):  # inner ones first
            with suppress(OSError):  # it holds something else
                folder.rmdir()

    def __call__(self, task: str, sources: int, number: int, case: Any, made: dict[str, Any]) -> None:
        import torch

        from warpkit.models.media.images import write_image
        from warpkit.models.media.tensors import to_image

        if number >= self.count:
            return
        beside = torch.cat(list(case.sources.image[0]), -1)
        shown = {"_source": beside[None].expand(len(case.target_vertices), -1, -1, -1), **made}
        if case.truth is not None:
            shown["_truth"] = case.truth.image[:, 0]
        for name, images in shown.items():
            folder = self.folder / f"{task}-{sources}" / name
            for index, image in enumerate(images):
                view = f"-{case.names[index].rstrip('°')}" if case.names else ""
                write_image(folder / f"{number:04d}{view}.png", to_image(image), overwrite=True)
