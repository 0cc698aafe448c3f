"""The trained model that travels with the package: the preset `small`. Its card lies beside it: data/README.md."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpkit.models.errors import InputError
from warpkit.models.machine import fingerprint
from warpkit.models.systems.liquid_warping.checkpoints import load, read_about
from warpkit.models.systems.liquid_warping.system import LiquidWarping

DATA = Path(__file__).parent / "data"
FILE = "small.safetensors"
ROOM = 24_000_000
"""Bytes that it may have."""


@dataclass(frozen=True)
class Embedded:
    """What the file says of itself."""

    path: Path
    preset: str
    step: int
    """Steps of its last training."""
    about: dict[str, Any]
    """The tables of that training: `system`, `data`, `training`, `critics`."""


def embedded() -> Embedded | None:
    """The model of this installation; None where it has none. Reads a few bytes. Needs the extra `person`."""
    path = DATA / FILE
    if not path.is_file():
        return None
    labels = read_about(path)
    preset = json.loads(labels["preset"])["name"]
    return Embedded(path, preset, int(labels.get("step", 0)), json.loads(labels.get("about", "{}")))


def weights_named(path: Path | None) -> str:
    """A checkpoint's name and the beginning of its SHA-256, for results; None: the embedded model."""
    if path is not None:
        return f"{path.name}, SHA-256 {fingerprint(path)}"
    found = embedded()
    return "none embedded" if found is None else f"embedded, SHA-256 {fingerprint(found.path)}"


def load_embedded() -> LiquidWarping:
    """The embedded system, in float32, on the CPU, in evaluation mode.

    Raises InputError where this installation has none.
    """
    found = embedded()
    if found is None:
        raise InputError(
            "this installation of warpkit holds no trained model: train one (warpkit train small-1) and give its "
            "compact.safetensors as weights, or take the geometric renderer"
        )
    return load(found.path)
