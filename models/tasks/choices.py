"""What people may ask of every task, looked at before long work."""

import math
import os
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Literal, get_args

import torch

from warpkit import build_info
from warpkit.models.errors import InputError
from warpkit.models.geometric.camera_path import CameraMode
from warpkit.models.media.images import parse_color, read_image
from warpkit.models.systems.liquid_warping import LiquidWarping, embedded, load_embedded
from warpkit.models.systems.liquid_warping.checkpoints import load

SIZES = range(64, 4097)
RATES = (1.0, 240.0)
"""Frames a second, from and to."""
BACKGROUNDS = ("keep", "transparent", "reference")
FrameName = Literal["square", "photo"]
"""square: round the person and where they go. photo: the whole first photo, pixel for pixel."""
SMOOTH = 0.06
"""Seconds that what was recovered from a video is smoothed over: what is faster is the recovery's tremor."""
STEADY = 0.2
"""Seconds in which a frame loses half of its part in what later frames show of a network's doing: half of the flicker
goes, and less than a twentieth of the sharpness."""
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


def lies_in(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether what people gave is a finite number, from `least` to `most`."""
    return isinstance(value, Real) and math.isfinite(value) and least <= float(value) <= most


def check_size(size: int, system: LiquidWarping | None = None) -> None:
    """Raises InputError for a size of frames that cannot be made."""
    if size not in SIZES or size % 2:
        raise InputError(f"size must be an even number from {SIZES.start} to {SIZES.stop - 1} pixels, {size} came")
    if system is not None and system.preset.layers != "small" and size % 8:
        raise InputError(f"the preset {system.preset.name!r} draws sizes that are multiples of 8, {size} came")


def check_shape(shape: tuple[int, int], system: LiquidWarping | None) -> None:
    """Raises InputError for frames of a shape (height, width) that `system` cannot draw, or nobody can."""
    height, width = shape
    if max(shape) >= SIZES.stop:
        raise InputError(
            f"frames of {width} x {height} pixels are too large: at most {SIZES.stop - 1} each way are made"
        )
    if system is not None and system.preset.layers != "small" and (height % 8 or width % 8):
        raise InputError(
            f"the preset {system.preset.name!r} draws frames whose sides are multiples of 8, not {width} x {height}"
        )


def check_background(background: str | Path) -> None:
    """Raises InputError where `background` is neither one of `BACKGROUNDS`, nor a colour, nor a picture to be read."""
    text = str(background)
    if text in BACKGROUNDS or parse_color(text) is not None:
        return
    if os.path.lexists(text):
        read_image(text)
        return
    known = ", ".join(repr(name) for name in BACKGROUNDS)
    raise InputError(f"background {text!r} is neither {known}, nor a colour, nor a picture that exists")


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


def check_still(
    look: "Look", travel: "Travel | None" = None, freeze: float | None = None, reference_person: int | None = None
) -> None:
    """Raises InputError where any of these asks for what only a motion has."""
    if reference_person is not None:
        raise InputError("reference person says who of a video is followed: give one as the motion, or leave it out")
    if freeze is not None:
        raise InputError("freeze stops a motion while views go by: give one, or leave it out")
    if travel not in (None, Travel()):
        raise InputError("camera, smooth and slide say how a motion is followed: give one, or leave them out")
    if look.background == "reference":
        raise InputError("background reference needs a video as the motion: here nothing moves")


@dataclass(frozen=True)
class Look:
    """How the frames of any task look. Raises InputError where that cannot be."""

    size: int = 512
    """Height and width, pixels; the shorter side where the frame is the reference's; of no effect on frame "photo"."""
    background: str | Path = "keep"
    """"keep" (the first photo's, with the person removed), "transparent", "reference" (what the reference video shows
    behind its person), a colour (`#rrggbb` or a name) or a picture."""
    fps: float | None = None
    """Frames a second; None: the motion's own, and 25 where nothing moves."""
    frame: FrameName = "square"
    """"square" (round the person and where they go), or "photo" (the whole first photo at its own resolution, which
    stays as it is wherever nobody is or was)."""
    steady: float = STEADY
    """Seconds over which frames that follow one another share what a network adds to the geometric picture, whatever
    their rate, so that it does not flicker; 0: each frame by itself. Geometry alone does not flicker."""

    def __post_init__(self) -> None:
        check_size(self.size)
        check_background(self.background)
        if self.fps is not None and not lies_in(self.fps, *RATES):
            raise InputError(f"fps must be from {RATES[0]:g} to {RATES[1]:g} frames a second, {self.fps} came")
        if self.frame not in get_args(FrameName):
            raise InputError(f"frame must be {' or '.join(get_args(FrameName))}, not {self.frame!r}")
        if self.frame == "photo" and self.background == "reference":
            raise InputError("background reference shows the reference's whole picture: leave out frame photo")
        if not lies_in(self.steady, 0, 5):
            raise InputError(f"frames are steadied over 0 to 5 seconds, not {self.steady}")

    @property
    def transparent(self) -> bool:
        """Whether frames have an alpha."""
        return str(self.background) == "transparent"


@dataclass(frozen=True)
class Travel:
    """Where a person goes in the frames while they move, and how. Raises InputError where that cannot be."""

    camera: CameraMode | None = None
    """"path": the camera stands still, the person goes where the reference goes, relative to where they stand in the
    photo. "stay": they move on the spot. "follow": the camera goes with them, and the background passes. "copy": they
    are where, and as tall as, the reference is in its own pictures, which the frames have the shape of. None: "copy" on
    the reference's own background, else "path"."""
    smooth: float | None = None
    """Seconds that the motion is smoothed over, whatever its frame rate; 0: not at all; None: `SMOOTH` for a video."""
    slide: bool = False
    """Leaves feet as the motion has them; else those that stand on the ground stay where they stand."""

    def __post_init__(self) -> None:
        if self.camera is not None and self.camera not in get_args(CameraMode):
            raise InputError(f"camera must be {', '.join(get_args(CameraMode))}, not {self.camera!r}")
        if self.smooth is not None and not lies_in(self.smooth, 0, 5):
            raise InputError(f"a motion is smoothed over 0 to 5 seconds, not {self.smooth}")

    def mode(self, look: Look, video: bool, pictures: bool) -> CameraMode:
        """What the camera does, for a motion that comes from a `video`, or otherwise from `pictures`.

        Raises InputError where that goes with neither the look nor the motion.
        """
        if look.background == "reference":
            if not video:
                raise InputError("background reference needs a video as the motion: others have no scene")
            if self.camera not in (None, "copy"):
                raise InputError(
                    f"camera {self.camera} does not go with background reference, in whose scene the person stands "
                    "where the reference does: that is camera copy"
                )
            return "copy"
        camera = self.camera or "path"
        if camera == "copy" and not (video or pictures):
            raise InputError("camera copy needs a video as the motion, or a file made from one: others have no picture")
        if camera in ("copy", "follow") and look.frame == "photo":
            raise InputError(
                f"camera {camera} does not go with frame photo, which stands still: leave out one of the two"
            )
        return camera


@dataclass(frozen=True)
class Adaptation:
    """How a system is adapted to a person. Raises InputError where that cannot be."""

    steps: int = 100
    """Of the optimizer; 100 in the paper."""
    size: int = 512
    """Height and width at which it is done, a multiple of 8."""
    learning_rate: float | None = None
    """Of both networks; None: by the layers of the preset, see `RATES` of `personalize`."""
    seed: int = 0
    """Of what is drawn."""
    low_memory: bool = False
    """bfloat16, and activations computed again in the backward pass."""

    def __post_init__(self) -> None:
        if not lies_in(self.size, 64) or self.size % 8:
            raise InputError(f"size must be a multiple of 8 from 64 on, {self.size} came")
        if not lies_in(self.steps, 1):
            raise InputError(f"steps must be 1 or more, {self.steps} came")
        if self.learning_rate is not None and not (lies_in(self.learning_rate, 0, 1) and 0 < self.learning_rate < 1):
            raise InputError(f"the learning rate must be more than 0 and less than 1, {self.learning_rate} came")
