"""Novel views: a person's bodies as seen from elsewhere, M_t = M_s R + t (Liquid Warping GAN with Attention, 3.6)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.errors import InputError
from warpkit.models.tasks.choices import lies_in
from warpkit.models.tasks.clip import Clip, extent

MOST_VIEWS = 20_000
"""Views in one run: more is a slip of the pen."""
HOLD = 3.0
"""Seconds that time stands still where nothing else is said."""
MOST_HOLD = 600.0
"""Seconds that time may stand still, at most."""
MOST_SHIFT = 10.0
"""Metres, to either side, up or down: where nobody sees the person any more."""
MOST_LEAN = 15.0
"""Degrees that a standing person may lean towards or away from the camera for that to be the camera's own pitch."""
LEVEL = 20.0
"""Degrees of elevation and roll within which feet still stand on what the picture shows as the ground."""


def parse_angles(text: str, name: str = "azimuth") -> list[float]:
    """Degrees from what people write: `30`, `0,90,180`, `start:stop:step`, or these with commas between.

    A range holds its stop where a whole number of steps leads there, except where that is the start again
    (`0:360:5` ends with 355). The step's sign does not matter; 1 if there is none.

    Raises InputError, calling it `name`, where it is none of these, holds no view, or more than `MOST_VIEWS`.
    """
    angles: list[float] = []
    for piece in text.split(","):
        try:
            numbers = [float(number) for number in piece.split(":")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3 or not all(map(math.isfinite, numbers)):
            raise InputError(f"{name} must be degrees, as 30, 0,90,180 or start:stop:step; {text!r} came")
        if len(numbers) == 1:
            angles += numbers
            continue
        start, stop, step = (*numbers, 1.0)[:3]
        if step == 0 or start == stop:
            raise InputError(f"{name} {piece!r} holds no view: start and stop must differ, and the step must not be 0")
        count = math.floor(abs((stop - start) / step) + 1e-6) + 1
        if count > MOST_VIEWS:
            raise InputError(f"{name} {piece!r} holds {count} views, at most {MOST_VIEWS} are made: take a longer step")
        step = math.copysign(step, stop - start)
        steps = [start + step * number for number in range(count)]
        again = (steps[-1] - start) / 360
        if count > 1 and abs(again - round(again)) < 1e-6:
            steps.pop()
        angles += steps
    if len(angles) > MOST_VIEWS:
        raise InputError(f"{name} {text!r} holds {len(angles)} views, at most {MOST_VIEWS} are made")
    return angles


def parse_shift(text: str) -> tuple[float, float]:
    """Metres right and up from `RIGHT,UP`. Raises InputError where it is not that."""
    try:
        right, up = (float(number) for number in text.split(","))
    except ValueError:
        right = up = math.nan
    if not math.isfinite(right) or not math.isfinite(up):
        raise InputError(f"shift must be RIGHT,UP in metres, as 0.5,0; {text!r} came")
    return right, up


def _rotation(axis: Tensor, degrees: Tensor) -> Tensor:
    """[T, 3, 3] about a unit `axis` `[3]` by each of `degrees` `[T]`."""
    return axis_angle_to_matrix(degrees[:, None] * (math.pi / 180) * axis)


def own_axis(body: Body, model: BodyModel) -> Tensor:
    """[3] the unit axis that `body` (B = 1) stands along, in the plane of height and depth.

    A person stands upright; so what leans towards the camera in the fit, up to `MOST_LEAN`, is the camera's pitch, and
    turning about the picture's vertical would make them lean away from it in the next view. Leaning further is a pose.
    """
    joints = model.joints(body.pose, body.shape)[0]
    ankles = (joints[JOINTS.index("left_ankle")] + joints[JOINTS.index("right_ankle")]) / 2
    _, height, depth = (joints[JOINTS.index("neck")] - ankles).tolist()
    lean = math.degrees(math.atan2(depth, height))
    pitch = math.radians(lean) if abs(lean) <= MOST_LEAN else 0.0
    return joints.new_tensor([0.0, math.cos(pitch), math.sin(pitch)])


def view_rotations(azimuth: Sequence[float], elevation: Sequence[float], roll: Sequence[float], axis: Tensor) -> Tensor:
    """Rotations of the body as seen by the camera, `[T, 3, 3]`, from degrees; T of each.

    Azimuth turns the body about `axis` `[3]` to its own left (90: it faces the picture's right edge); then elevation
    lifts the camera so far above the horizon; then roll turns the picture clockwise.
    """
    turn, lift, tilt = (torch.tensor(list(angles), dtype=axis.dtype) for angles in (azimuth, elevation, roll))
    x, z = axis.new_tensor([1.0, 0.0, 0.0]), axis.new_tensor([0.0, 0.0, 1.0])
    return _rotation(z, -tilt) @ _rotation(x, lift) @ _rotation(axis, turn)


def turned(body: Body, model: BodyModel, rotations: Tensor, shift: tuple[float, float] = (0.0, 0.0)) -> Body:
    """T bodies, each turned by its own of `rotations` `[T, 3, 3]` about where it stands, and moved in the picture.

    They turn about the point of their own axis (see `own_axis`, of the first body) on the ground, so that feet stay
    where they stood, whatever the elevation.

    Args:
        body: B = 1 or T.
        model: of the body.
        rotations: in the camera's frame (x right, y up, z towards the camera).
        shift: metres right and up. Towards the camera nothing changes in a weak-perspective picture.
    """
    frames = len(rotations)
    axis = own_axis(body[0], model)
    below = (model(body.pose[:1], body.shape[:1])[0] @ axis).amin()
    pose = body.pose.expand(frames, -1, -1).clone()
    pose[:, 0] = matrix_to_axis_angle(rotations @ axis_angle_to_matrix(pose[:, 0]))
    moved = below * (axis - rotations @ axis)[:, :2] + axis.new_tensor(shift)
    scale = body.camera.scale.expand(frames)
    offset = body.camera.offset + scale[:, None] * moved * axis.new_tensor([1.0, -1.0])
    return Body(pose, body.shape.expand(frames, -1), Camera(scale, offset))


def same_length(**angles: float | Sequence[float]) -> list[list[float]]:
    """A list of each, what is one angle repeated as often as the longest is long.

    Raises InputError, with the names, where two have several angles but not equally many, or one has none, or something
    that is no finite number.
    """
    lists = {name: _listed(given) for name, given in angles.items()}
    for name, values in lists.items():
        if not values:
            raise InputError(f"{name} holds no view: at least one angle is needed")
        if not all(map(lies_in, values)):
            raise InputError(f"{name} must be degrees, one finite number or several, {angles[name]!r} came")
    several = {name: len(values) for name, values in lists.items() if len(values) > 1}
    if len(set(several.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in several.items())
        raise InputError(f"angles must be one, or equally many of each; {counts} came")
    count = max(several.values(), default=1)
    return [values * count if len(values) == 1 else values for values in lists.values()]


def _listed(given: Any) -> list[Any]:
    """Several things as a list; one that is not several, whatever it is, alone."""
    try:
        return list(given)
    except TypeError:
        return [given]


def closed(angles: Sequence[float]) -> list[float]:
    """Angles with the first one again at the end, where they go all round in even steps and only that is missing."""
    steps = np.diff([*angles, angles[0] + math.copysign(360, angles[-1] - angles[0])])
    return [*angles, angles[0] + float(steps.sum())] if len(angles) > 2 and np.ptp(steps) < 1e-3 else list(angles)


def spread_over(angles: Sequence[float], frames: int) -> list[float]:
    """Angles spread evenly over so many frames, straight between them."""
    places = np.linspace(0, len(angles) - 1, frames)
    return [float(angle) for angle in np.interp(places, np.arange(len(angles)), angles)]


@dataclass(frozen=True)
class Turn:
    """How the person is turned before the camera, and moved: one view, or several, M_t = M_s R + t.

    Angles are degrees; each one for all views, or one for each view. At 0, 0, 0 the photo's own view comes back. Raises
    InputError where two have several angles but not equally many, or one has none, or something is no number.
    """

    azimuth: float | Sequence[float] = 0.0
    """Of the person to their own left, about their own axis; at 90 they face the picture's right edge."""
    elevation: float | Sequence[float] = 0.0
    """Of the camera above the horizon."""
    roll: float | Sequence[float] = 0.0
    """Of the picture, clockwise."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Metres that the person moves to the right and up in the picture, in all views."""
    freeze: float | None = None
    """Second of a motion at which time stands still while the views go by; before it is the first view, after it the
    last; a single view goes all round. None: the views are spread over the whole motion."""
    hold: float | None = None
    """Seconds that it stands still; None: `HOLD`."""

    def __post_init__(self) -> None:
        same_length(azimuth=self.azimuth, elevation=self.elevation, roll=self.roll)
        if len(shift := _listed(self.shift)) != 2 or not all(map(lies_in, shift)):
            raise InputError(f"shift must be two finite numbers, metres right and up, {self.shift!r} came")
        if max(map(abs, self.shift)) > MOST_SHIFT:
            raise InputError(f"shift moves the person by at most {MOST_SHIFT:g} metres each way, {self.shift} came")
        if self.freeze is not None and not lies_in(self.freeze, 0):
            raise InputError(f"time is frozen at a second of the motion, from 0 on, not {self.freeze}")
        if self.hold is not None and self.freeze is None:
            raise InputError(
                f"hold says for how long freeze stops time: {self.hold} s, but no second to freeze at came"
            )
        if self.hold is not None and not (lies_in(self.hold, 0, MOST_HOLD) and self.hold > 0):
            raise InputError(f"time is held for more than 0 and up to {MOST_HOLD:g} seconds, not {self.hold}")

    @classmethod
    def parse(
        cls,
        azimuth: str = "0",
        elevation: str = "0",
        roll: str = "0",
        shift: str = "0,0",
        freeze: float | None = None,
        hold: float | None = None,
    ) -> "Turn":
        """From what people write, see `parse_angles` and `parse_shift`."""
        written = {"azimuth": azimuth, "elevation": elevation, "roll": roll}
        angles = {name: parse_angles(text, name) for name, text in written.items()}
        return cls(**angles, shift=parse_shift(shift), freeze=freeze, hold=hold)

    @property
    def angles(self) -> list[list[float]]:
        """Azimuth, elevation and roll, each as many as there are views."""
        return same_length(azimuth=self.azimuth, elevation=self.elevation, roll=self.roll)

    def __len__(self) -> int:
        """How many views there are."""
        return len(self.angles[0])

    @property
    def turns(self) -> bool:
        """Whether any view is another than the photo's own."""
        return len(self) > 1 or any((*chain(*self.angles), *self.shift))

    @property
    def level(self) -> bool:
        """Whether the ground that the picture shows can be what the person stands on in each of the views."""
        _, elevation, roll = self.angles
        return all(abs(angle) <= LEVEL for angle in (*elevation, *roll))

    @property
    def labels(self) -> list[str]:
        """What a sheet calls each of the views: the angles that are not the same in all of them."""
        named = dict(zip(("azimuth", "elevation", "roll"), self.angles, strict=True))
        differing = {name: angles for name, angles in named.items() if len(set(angles)) > 1}
        return [
            ", ".join(f"{name} {angles[number]:g}" for name, angles in differing.items()) for number in range(len(self))
        ]

    def spread(self, frames: int) -> "Turn":
        """The views spread evenly over so many frames."""
        azimuth, elevation, roll = (spread_over(angles, frames) for angles in self.angles)
        return Turn(azimuth, elevation, roll, self.shift)

    def timed(self, frames: int, fps: float) -> "tuple[list[int], Turn]":
        """The frames of a motion in the order in which they are shown, and a view for each of those.

        Raises InputError where the motion of `frames` at `fps` is over before time would be frozen.
        """
        if self.freeze is None:
            return list(range(frames)), self.spread(frames)
        at, held = round(self.freeze * fps), max(2, round((self.hold or HOLD) * fps))
        if at >= frames:
            raise InputError(f"time cannot be frozen at {self.freeze:g} s: the motion lasts {frames / fps:.1f} s")
        rounds = [closed(angles) for angles in self.angles]
        if len(self) == 1:
            rounds[0] = [rounds[0][0], rounds[0][0] + 360]
        azimuth, elevation, roll = (
            [angles[0]] * at + spread_over(angles, held) + [angles[-1]] * (frames - at - 1) for angles in rounds
        )
        moments = [*range(at), *[at] * held, *range(at + 1, frames)]
        return moments, Turn(azimuth, elevation, roll, self.shift)


def columns_of_person(clip: Clip) -> slice:
    """The columns of the frames in which the person ever is, with some air: what a sheet of views shows."""
    vertices, camera = extent(clip.framing.body(clip.bodies), clip.model)
    across = camera.pixels(vertices)[..., 0]
    air = 0.06 * clip.framing.size
    left, right = int(across.amin() - air), int(across.amax() + air) + 1
    return slice(max(0, left), min(clip.framing.size, right))
