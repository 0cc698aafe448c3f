"""What people may ask of every task, looked at before long work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from warpkit import build_info
from warpkit.models.errors import InputError
from warpkit.models.media.images import parse_color
from warpkit.models.systems.liquid_warping import LiquidWarping, embedded, load_embedded
from warpkit.models.systems.liquid_warping.checkpoints import load

SIZES = range(64, 4097)
RATES = (1.0, 240.0)
"""Frames a second, from and to."""
RendererName = Literal["geometric", "learned"]
"""geometric: the sources warped and blended. learned: a trained system, which corrects that."""


def choose_system(renderer: RendererName | None, weights: str | Path | None) -> LiquidWarping | None:
    """The system that draws, or None where geometry does.

    Args:
        renderer: None: "learned" where there are weights, given or embedded in this installation.
        weights: a checkpoint; None: the embedded one.

    Raises:
        InputError: a renderer that does not exist, or is not the one of the weights; no weights where they are needed.
    """
    if renderer is not None and renderer not in get_args(RendererName):
        raise InputError(f"renderer must be {' or '.join(get_args(RendererName))}, not {renderer!r}")
    if weights is not None:
        if renderer == "geometric":
            raise InputError("the geometric renderer has no weights: leave out one of the two")
        return load(Path(weights))
    if renderer == "geometric" or (renderer is None and embedded() is None):
        return None
    return load_embedded()


def check_size(size: int, system: LiquidWarping | None = None) -> None:
    """Raises InputError for a size of frames that cannot be made."""
    if size not in SIZES or size % 2:
        raise InputError(f"size must be an even number from {SIZES.start} to {SIZES.stop - 1} pixels, {size} came")
    if system is not None and system.preset.layers != "small" and size % 8:
        raise InputError(f"the preset {system.preset.name!r} draws sizes that are multiples of 8, {size} came")


def check_background(background: str | Path) -> None:
    """Raises InputError where `background` is neither "keep", nor a colour, nor a file."""
    if str(background) == "keep" or parse_color(str(background)) is not None or Path(background).exists():
        return
    raise InputError(f"background {str(background)!r} is neither 'keep', nor a colour, nor a picture that exists")


def choose_device(name: str) -> torch.device:
    """The device to render on: "auto" takes a GPU where PyTorch sees one and this build has kernels for it.

    Raises InputError where the name is unknown or asks for what is not there.
    """
    kernels = build_info()["cuda_kernels"]
    if name == "auto":
        return torch.device("cuda" if kernels and torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but PyTorch sees no GPU here")
    if name == "cuda" and not kernels:
        raise InputError(
            "device cuda was asked for, but this build of warpkit has no CUDA kernels (see warpkit doctor)"
        )
    return torch.device(name)


@dataclass(frozen=True)
class Look:
    """How the frames of any task look. Raises InputError where that cannot be."""

    size: int = 512
    """Height and width, pixels."""
    background: str | Path = "keep"
    """"keep" (the first photo's, with the person removed), a colour (`#rrggbb` or a name) or a picture."""
    fps: float | None = None
    """Frames a second; None: the motion's own, and 25 where nothing moves."""

    def __post_init__(self) -> None:
        check_size(self.size)
        check_background(self.background)
        if self.fps is not None and not RATES[0] <= self.fps <= RATES[1]:
            raise InputError(f"fps must be from {RATES[0]:g} to {RATES[1]:g} frames a second, {self.fps} came")
