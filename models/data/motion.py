"""A motion and its file: joint rotations by name, the pelvis' path through the picture, the apparent size."""

import textwrap
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import FULL_JOINTS, JOINTS, Body, BodyModel
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle, nearest_rotation, slerp
from warpkit.models.data.amass import AMASS_KEYS, amass, number, numbers
from warpkit.models.errors import InputError
from warpkit.models.geometric.smoothing import smooth
from warpkit.models.media.output import whole

STEADY = 5.0
"""The apparent size is smoothed over so many times as long: it changes slowly, and a weak-perspective fit is unsure."""
KEYS = ("fps", "joints", "rotations", "path", "scale", "height", "pelvis", "pixels_per_metre", "picture", *AMASS_KEYS)
"""Of the arrays of a file: what else it holds is not read."""
MAX_BYTES = 2**28
"""Of an unpacked motion file: ten hours at 25 frames a second."""


class Clip(Protocol):
    """What `from_clip` needs of a recovered video: one body per frame, all of one shape, and the frame rate."""

    @property
    def body(self) -> Body:
        """One for each frame."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""
        ...


@dataclass(frozen=True)
class Place:
    """Where the body that made a motion was seen in frame 0."""

    pelvis: tuple[float, float]
    """Pixels, right and down."""
    scale: float
    """Pixels per metre."""
    picture: tuple[int, int]
    """Height and width of the frames in pixels."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.pelvis).all() or not 0 < self.scale < np.inf or min(self.picture) < 1:
            raise InputError(
                f"a motion's place must be a point, pixels per metre and a picture's size, not {self.pelvis}, "
                f"{self.scale}, {self.picture}"
            )


@dataclass(frozen=True)
class Motion:
    """T frames of a body in motion, apart from whose body it is. See `docs/motions.md` for the file."""

    fps: float
    rotations: Tensor  # [T, 22, 3] axis-angle in JOINTS order, zero in the T-pose; index 0 turns the whole body
    # or [T, 55, 3] in FULL_JOINTS order: with hands and face
    path: Tensor  # [T, 2] metres the pelvis moved in the picture since frame 0: right, down
    scale: Tensor  # [T] apparent size relative to frame 0; towards the camera > 1
    height: float  # metres: of the body that made the motion
    place: Place | None = None  # in the pictures it was taken from, if it was

    def __post_init__(self) -> None:
        frames = len(self.rotations)
        joints = len(FULL_JOINTS if self.rotations.ndim > 1 and self.rotations.shape[1] > len(JOINTS) else JOINTS)
        expected = {"rotations": (frames, joints, 3), "path": (frames, 2), "scale": (frames,)}
        for name, shape in expected.items():
            tensor: Tensor = getattr(self, name)
            if tuple(tensor.shape) != shape:
                raise InputError(f"a motion's {name} must have the shape {shape}, not {tuple(tensor.shape)}")
            if not torch.isfinite(tensor).all():
                raise InputError(f"a motion's {name} must be finite, but hold NaN or infinite numbers")
        if not frames:
            raise InputError("a motion must have at least one frame")
        if not (np.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise InputError(f"a motion's fps must lie in (0, 1000], not {self.fps}")
        if not 0.2 < self.height < 4:
            raise InputError(f"a motion's height must be that of a person in metres, not {self.height}")
        if not (self.scale > 0).all():
            raise InputError("a motion's scale must be positive")

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def seconds(self) -> float:
        """How long it takes to show: frames over frames per second."""
        return len(self) / self.fps

    def resampled(self, fps: float) -> "Motion":
        """The same motion at another frame rate; rotations along the shortest arc, nothing beyond the last frame."""
        last = len(self) - 1
        frames = int(last * fps / self.fps + 1e-6) + 1
        place = torch.arange(frames, dtype=torch.float64) * (self.fps / fps)
        before = place.floor().long().clamp(max=max(last - 1, 0))
        after = (before + 1).clamp(max=last)
        weight = (place - before).to(self.rotations.dtype)

        def between(values: Tensor) -> Tensor:
            return torch.lerp(values[before], values[after], weight.view(-1, *[1] * (values.ndim - 1)))

        rotations = slerp(self.rotations[before], self.rotations[after], weight[:, None])
        return Motion(fps, rotations, between(self.path), between(self.scale), self.height, self.place)

    def lasting(self, frames: int) -> "Motion":
        """The same motion for so many frames: cut, or standing still in its last one."""
        shown = torch.arange(frames).clamp(max=len(self) - 1)
        return replace(self, rotations=self.rotations[shown], path=self.path[shown], scale=self.scale[shown])

    def smoothed(self, seconds: float) -> "Motion":
        """The same motion without its tremor: `smooth` over `seconds`, the apparent size over `STEADY` times as long.

        Raises InputError where `seconds` is negative or longer than 5.
        """
        if not 0 <= seconds <= 5:
            raise InputError(f"a motion is smoothed over 0 to 5 seconds, not {seconds:g}")
        turned = smooth(axis_angle_to_matrix(self.rotations), self.fps, seconds)
        rotations = matrix_to_axis_angle(nearest_rotation(turned)) if seconds else self.rotations
        scale = smooth(self.scale.log(), self.fps, STEADY * seconds).exp()
        return replace(self, rotations=rotations, path=smooth(self.path, self.fps, seconds), scale=scale)

    @classmethod
    def from_clip(cls, clip: Clip, model: BodyModel) -> "Motion":
        """The motion of a recovered clip.

        Args:
            clip: T bodies with their cameras, pixels; frame 0 gives the unit of the path.
            model: the body model that the clip's shape belongs to.
        """
        camera = clip.body.camera
        first = camera.scale[:1]
        with torch.no_grad():
            height = float(model.height(clip.body.shape[:1]))
        path = (camera.offset - camera.offset[:1]) / first[:, None]
        x, y = camera.offset[0].tolist()
        place = Place((x, y), float(first), clip.size)
        return cls(clip.fps, clip.body.pose.detach(), path.detach(), (camera.scale / first).detach(), height, place)

    def save(self, path: Path | str) -> None:
        """Write the file that `docs/motions.md` describes, in place of what is there; whole or not at all."""
        placed = {}
        if self.place is not None:
            placed = {
                "pelvis": np.array(self.place.pelvis, np.float64),
                "pixels_per_metre": np.float64(self.place.scale),
                "picture": np.array(self.place.picture, np.int64),
            }
        with whole(path, overwrite=True) as draft, draft.open("wb") as file:
            np.savez_compressed(
                file,
                fps=np.float64(self.fps),
                joints=np.array(FULL_JOINTS[: self.rotations.shape[1]]),
                rotations=self.rotations.cpu().numpy().astype(np.float32),
                path=self.path.cpu().numpy().astype(np.float32),
                scale=self.scale.cpu().numpy().astype(np.float32),
                height=np.float64(self.height),
                **placed,  # type: ignore[arg-type]  # names, not options
            )

    @classmethod
    def load(cls, path: Path | str) -> "Motion":
        """Read such a file.

        Raises:
            InputError: it is no such file, or what it holds is missing, misshapen, not finite, or of unknown joints.
        """
        path = Path(path)
        try:
            if not path.is_file():
                raise InputError(f"there is no motion file {path}")
            with zipfile.ZipFile(path) as packed:
                unpacked = sum(entry.file_size for entry in packed.infolist())
            if unpacked > MAX_BYTES:
                raise InputError(
                    f"{path} is no motion file: it holds {unpacked / 2**20:.0f} MiB, a motion at most "
                    f"{MAX_BYTES // 2**20}"
                )
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files if name in KEYS}
        except InputError:
            raise
        except Exception as error:  # a damaged archive makes its readers raise whatever they happen to trip over
            told = textwrap.shorten(str(error), 120)  # some quote the whole archive
            raise InputError(f"{path} is no motion file (an .npz of plain arrays), or is damaged: {told}") from error
        try:
            return cls(**amass(arrays)) if "poses" in arrays else cls._from_arrays(arrays)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Motion":
        missing = [name for name in ("fps", "joints", "rotations", "height") if name not in arrays]
        if missing:
            raise InputError(f"a motion file needs {', '.join(missing)}")
        names = [str(name) for name in arrays["joints"].ravel()]
        unknown = [name for name in names if name not in FULL_JOINTS]
        if unknown:
            raise InputError(f"unknown joints {', '.join(unknown)}: expected some of {', '.join(FULL_JOINTS)}")
        if len(set(names)) < len(names):
            raise InputError("a joint is named twice")
        rotations = numbers(arrays, "rotations")
        if rotations.ndim != 3 or rotations.shape[1:] != (len(names), 3):
            expected = f"[frames, {len(names)}, 3]"
            raise InputError(f"rotations must have the shape {expected}, not {list(rotations.shape)}")
        places = [FULL_JOINTS.index(name) for name in names]
        joints = len(JOINTS if max(places, default=0) < len(JOINTS) else FULL_JOINTS)
        complete = torch.zeros(len(rotations), joints, 3)
        complete[:, places] = rotations
        return cls(
            fps=number(arrays, "fps"),
            rotations=complete,
            path=numbers(arrays, "path") if "path" in arrays else torch.zeros(len(rotations), 2),
            scale=numbers(arrays, "scale") if "scale" in arrays else torch.ones(len(rotations)),
            height=number(arrays, "height"),
            place=_place(arrays),
        )


def _place(arrays: dict[str, np.ndarray]) -> Place | None:
    keys = ("pelvis", "pixels_per_metre", "picture")
    given = [key for key in keys if key in arrays]
    if not given:
        return None
    if len(given) < len(keys):
        raise InputError(f"a motion file has all of {', '.join(keys)} or none, but it has only {', '.join(given)}")
    pelvis, picture = numbers(arrays, "pelvis").flatten(), numbers(arrays, "picture").flatten()
    if len(pelvis) != 2 or len(picture) != 2:
        raise InputError("pelvis and picture must be two numbers each")
    x, y = pelvis.tolist()
    height, width = picture.tolist()
    return Place((x, y), number(arrays, "pixels_per_metre"), (int(height), int(width)))
