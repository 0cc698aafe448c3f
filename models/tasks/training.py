"""A training from its configuration: a TOML file with the tables [system], [data], [check] and [training]."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from warpkit.models.bodies import BodyModel, load_body, on_device
from warpkit.models.errors import InputError, check_trains
from warpkit.models.losses import FaceLoss
from warpkit.models.media.output import claimed
from warpkit.models.progress import SILENT, Progress
from warpkit.models.settings import Unfit, fitted_all, kinds_of
from warpkit.models.systems.liquid_warping import (
    PRESETS,
    Critics,
    LiquidWarping,
    Preset,
    absent,
    build,
    perceptual_loss,
)
from warpkit.models.systems.liquid_warping.checkpoints import FORMAT, load
from warpkit.models.tasks.choices import choose_device
from warpkit.models.training import Checkpoint, Samples, TrainConfig, Trainer, check_keys, load_checkpoint
from warpkit.models.training.log import LINES
from warpkit.models.training.trainer import COMPACT, EXACT
from warpkit.models.weights import features, find, how_to_get

CONFIGS = Path(__file__).parent.parent / "training" / "configs"
"""Configurations that travel along; named without their ending."""
PEOPLE = {"size", "seed", "scale", "head_share", "pose_gap", "supersample", "faults", "flat_light", "backgrounds",
          "motions", "baked", "baked_share", "gathered", "reuse", "pool", "atlas_size"}  # fmt: skip
GATHERED = {"reuse", "pool", "atlas_size"}
CLIPS = {"folder", "size", "task", "seed", "by", "test_share", "data_set_split", "least_fit"}
COMMON = {"kind", "body", "body_folder"}


@dataclass(frozen=True)
class Plan:
    """A configuration, read and checked."""

    preset: Preset
    data: dict[str, Any]
    check: dict[str, Any]
    training: TrainConfig

    @property
    def about(self) -> dict[str, Any]:
        """What checkpoints keep of it."""
        system = {"name": "liquid_warping", "preset": self.preset.name, "settings": self.preset.to_dict()}
        return {"system": system, "data": self.data, "check": self.check}


def read_plan(config: str | Path, changes: Mapping[str, Any] | None = None) -> Plan:
    """Reads a configuration: a file, or the name of one that travels along.

    Args:
        config: path or name.
        changes: settings that come last, such as `{"training": {"steps": 10}}`.

    Raises:
        InputError: no such file, no TOML, a key that does not exist (with the nearest), a value that cannot be.
    """
    path = CONFIGS / f"{config}.toml" if (CONFIGS / f"{config}.toml").exists() else Path(config)
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        known = ", ".join(sorted(entry.stem for entry in CONFIGS.glob("*.toml")))
        raise InputError(f"there is no configuration {config}: neither a file nor one of {known}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as a configuration: {error}") from error
    try:
        return make_plan(_merged(tables, changes or {}))
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {error}") from error


def make_plan(tables: Mapping[str, Any]) -> Plan:
    """As `read_plan`, from the tables."""
    for name in tables:
        check_keys("(top)", [name], ("system", "data", "check", "training"))
        if not isinstance(tables[name], Mapping):
            raise InputError(f"{name}: expected a table, got {tables[name]!r}")
    preset = _preset(dict(tables.get("system", {})))
    data = dict(tables.get("data", {}))
    kind = data.setdefault("kind", "people")
    if kind not in ("people", "clips"):
        raise InputError(f"data.kind: expected 'people' (rendered) or 'clips' (prepared videos), got {kind!r}")
    own = PEOPLE if kind == "people" else CLIPS
    check_keys("data", data, COMMON | own)
    if kind == "people" and "size" not in data:
        raise InputError("data.size: height and width of the pictures are needed")
    if kind == "clips" and "folder" not in data:
        raise InputError("data.folder: the cache that `warpkit prepare` made is needed")
    check = dict(tables.get("check", {}))
    check_keys("check", check, own | {"count", "split"})
    kinds = _kinds(kind)
    try:
        data = fitted_all("data.", data, kinds)
        check = fitted_all("check.", check, {**kinds, "count": int, "split": Literal["train", "test"]})
    except Unfit as error:
        raise InputError(str(error)) from error
    if check.get("count", 1) < 1:
        raise InputError(f"check.count: expected 1 or more, got {check['count']}")
    if kind == "people" and not data.get("gathered") and (alone := sorted(GATHERED & data.keys())):
        raise InputError(f"data.{alone[0]}: it is of gathered people; set data.gathered = true")
    training = dict(tables.get("training", {}))
    return Plan(preset, data, check, TrainConfig.from_dict(training, asdict(preset.schedule)))


def _kinds(kind: str) -> dict[str, Any]:
    """What each setting of the data of a kind can be."""
    common = {"body": str, "body_folder": Path}
    if kind == "clips":
        from warpkit.models.data.clips import ClipSamples

        return {**kinds_of(ClipSamples.__init__), "folder": str | Sequence[str], **common}
    from warpkit.models.data.people import GatheredPeople, RenderedPeople

    of_people = {**kinds_of(RenderedPeople.__init__), "pose_gap": Any}  # two numbers, of which a function is made
    return {**of_people, **kinds_of(GatheredPeople.__init__), "gathered": bool, **common}


def _preset(values: dict[str, Any]) -> Preset:
    name = values.pop("name", "liquid_warping")
    if name != "liquid_warping":
        raise InputError(f"system.name: expected 'liquid_warping', got {name!r}")
    preset = values.pop("preset", "paper")
    if preset not in PRESETS:
        raise InputError(f"system.preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    settings = PRESETS[preset].to_dict()
    check_keys("system", values, settings)
    for part in ("weights", "schedule"):
        if isinstance(inner := values.get(part, {}), Mapping):
            check_keys(f"system.{part}", inner, settings[part])
    try:
        return Preset.from_dict(_merged(settings, values))
    except ValueError as error:
        raise InputError(f"system.{error}") from error


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The second's values over the first's, tables within tables."""
    result = dict(first)
    for key, value in second.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def find_critics(
    preset: Preset, device: torch.device, tell: Callable[[str], None], *, bf16: bool = False
) -> tuple[Critics, dict[str, str]]:
    """The networks from outside that a preset asks for and that are here; and their names, for checkpoints.

    Which one judges, and which is missing, is told. `bf16`: of the perceptual loss.
    """
    perceptual = face = None
    names: dict[str, str] = {}
    if preset.weights.perceptual and (found := find("vgg")):
        perceptual = perceptual_loss(preset, features("vgg", device=device), bf16=bf16)
        names["perceptual"] = found.network
        tell(f"perceptual loss by {found.about}")
    if preset.weights.face and (found := find("face")):
        face = FaceLoss(features("face", device=device), preset.face_weights)
        names["face"] = found.network
        tell(f"face loss by {found.about}")
    critics = Critics(perceptual, face)
    for name in absent(preset, critics):
        part = {"perceptual": "vgg", "face": "face"}[name]
        tell(f"note: training goes without the {name} loss, no network for it is here: {how_to_get(part)}")
    return critics, names


def open_samples(
    data: Mapping[str, Any],
    model: BodyModel,
    device: torch.device,
    split: str,
    span: int,
    progress: Progress = SILENT,
) -> Samples:
    """The data that a table asks for.

    Args:
        data: the table [data].
        model: of the bodies; on the CPU.
        device: where people are rendered.
        split: "train" or "test".
        span: how many draws the training will make: a `pose_gap` of two values grows from one to the other over them.
        progress: told of what is made the first time.

    Raises:
        InputError: a folder that is not there or cannot be used, a value that cannot be.
    """
    rest = {key: value for key, value in data.items() if key not in COMMON}
    try:
        if data["kind"] == "clips":
            from warpkit.models.data.clips import ClipSamples

            return ClipSamples(rest.pop("folder"), model, split=split, **rest)  # type: ignore[arg-type]
        from warpkit.models.data.people import GatheredPeople, RenderedPeople

        gathered = rest.pop("gathered", False)
        kept = {key: rest.pop(key) for key in GATHERED & rest.keys()}
        for key in ("backgrounds", "motions", "baked"):
            if key in rest:
                rest[key] = Path(rest[key]).expanduser()
        if isinstance(gap := rest.get("pose_gap"), list):
            if len(gap) != 2 or not all(isinstance(end, int | float) for end in gap):
                raise InputError(f"data.pose_gap: expected a number, or the first and the last one, got {gap}")
            low, high = gap
            rest["pose_gap"] = lambda number: low + (high - low) * min(1.0, number / span)
        people = RenderedPeople(model, split=split, device=device, progress=progress, **rest)  # type: ignore[arg-type]
        return GatheredPeople(people, **kept) if gathered else people
    except (ValueError, TypeError) as error:
        raise InputError(f"data: {error}") from error


def train(
    plan: Plan,
    folder: str | Path,
    *,
    device: str = "auto",
    start: Checkpoint | None = None,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
) -> Trainer:
    """The trainer of a plan, ready to `fit`; where `folder` holds a checkpoint it goes on from there.

    Args:
        plan: from `read_plan`.
        folder: for checkpoints, log and sheets.
        device: "auto", "cpu" or "cuda".
        start: weights to start from where the folder has none.
        progress: told of steps.
        tell: told sentences.

    Raises:
        InputError: something cannot be used; the message says what and why.
    """
    check_trains()
    where = choose_device(device)
    if where.type == "cuda":
        where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if os.environ.get("RANK", "0") != "0":
        tell = _silent
    model = load_body(plan.data.get("body", "anny"), plan.data.get("body_folder"))
    config = plan.training
    pieces = config.accumulate * int(os.environ.get("WORLD_SIZE", "1"))
    drawn_on = torch.device("cpu") if config.workers else where
    samples = open_samples(plan.data, model, drawn_on, "train", (config.steps or 1) * pieces, progress)
    check = dict(plan.check)
    count, split = check.pop("count", 8), check.pop("split", "test")
    checked: dict[str, Any] = {"pose_gap": 1.0} if plan.data["kind"] == "people" else {}
    if plan.data.get("gathered"):
        checked |= {"reuse": 1, "pool": 1}
    held_out = open_samples({**plan.data, **checked, **check}, model, where, split, 1, progress)
    torch.manual_seed(config.seed)
    system: LiquidWarping = build(plan.preset)
    critics, names = find_critics(plan.preset, where, tell, bf16=config.perceptual_precision == "bf16")
    return Trainer(
        system,
        samples,
        on_device(model, where),
        config,
        folder,
        about={**plan.about, "critics": names},
        labels={"format": FORMAT, "preset": json.dumps(plan.preset.to_dict())},
        critics=critics,
        check=held_out,
        check_count=count,
        start=start,
        accelerator=where.type,
        progress=progress,
        tell=tell,
    )


def working_on(folder: str | Path) -> AbstractContextManager[None]:
    """Makes the folder of a training, and keeps other trainings out of it; of several processes the first does.

    Raises InputError, on entering, where it holds other things and no training, cannot be written to, or another run is
    at work on it; and where what is done meanwhile fills the disk.
    """
    if os.environ.get("RANK", "0") != "0":
        return nullcontext()
    return claimed(folder, ".training.lock", (EXACT, COMPACT, LINES), "a training's")


def read_start(path: Path) -> Checkpoint:
    """The weights that a training is to begin with: of another training, or of a system that was saved by itself.

    Raises InputError where the file is neither.
    """
    try:
        return load_checkpoint(path)
    except InputError as no_training:
        try:
            system = load(path)
        except InputError:
            raise no_training from None
    weights = {f"generator.{name}": value for name, value in system.generator.state_dict().items()}
    return Checkpoint("compact", 0, {"system": {"name": "liquid_warping", "preset": system.preset.name}}, weights)


def _silent(line: str) -> None:
    """Of several processes one speaks."""
