"""A motion and its file: joint rotations by name, the pelvis' path through the picture, the apparent size."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, Body, BodyModel
from warpkit.models.bodies.rotations import slerp
from warpkit.models.errors import InputError


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


@dataclass(frozen=True)
class Motion:
    """T frames of a body in motion, apart from whose body it is. See `docs/motions.md` for the file."""

    fps: float
    rotations: Tensor  # [T, 22, 3] axis-angle in JOINTS order, zero in the T-pose; index 0 turns the whole body
    path: Tensor  # [T, 2] metres the pelvis moved in the picture since frame 0: right, down
    scale: Tensor  # [T] apparent size relative to frame 0; towards the camera > 1
    height: float  # metres: of the body that made the motion

    def __post_init__(self) -> None:
        frames = len(self.rotations)
        expected = {"rotations": (frames, len(JOINTS), 3), "path": (frames, 2), "scale": (frames,)}
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
        return Motion(fps, rotations, between(self.path), between(self.scale), self.height)

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
        return cls(clip.fps, clip.body.pose.detach(), path.detach(), (camera.scale / first).detach(), height)

    def save(self, path: Path | str) -> None:
        """Write the file that `docs/motions.md` describes."""
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                fps=np.float64(self.fps),
                joints=np.array(JOINTS),
                rotations=self.rotations.cpu().numpy().astype(np.float32),
                path=self.path.cpu().numpy().astype(np.float32),
                scale=self.scale.cpu().numpy().astype(np.float32),
                height=np.float64(self.height),
            )

    @classmethod
    def load(cls, path: Path | str) -> "Motion":
        """Read such a file.

        Raises:
            InputError: it is no such file, or what it holds is missing, misshapen, not finite, or of unknown joints.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except FileNotFoundError as error:
            raise InputError(f"there is no motion file {path}") from error
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no motion file (an .npz of plain arrays): {error}") from error
        try:
            return cls._from_arrays(arrays)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Motion":
        missing = [name for name in ("fps", "joints", "rotations", "height") if name not in arrays]
        if missing:
            raise InputError(f"a motion file needs {', '.join(missing)}")
        names = [str(name) for name in arrays["joints"].ravel()]
        unknown = [name for name in names if name not in JOINTS]
        if unknown:
            raise InputError(f"unknown joints {', '.join(unknown)}: expected some of {', '.join(JOINTS)}")
        if len(set(names)) < len(names):
            raise InputError("a joint is named twice")
        rotations = _numbers(arrays, "rotations")
        if rotations.ndim != 3 or rotations.shape[1:] != (len(names), 3):
            expected = f"[frames, {len(names)}, 3]"
            raise InputError(f"rotations must have the shape {expected}, not {list(rotations.shape)}")
        complete = torch.zeros(len(rotations), len(JOINTS), 3)
        complete[:, [JOINTS.index(name) for name in names]] = rotations
        return cls(
            fps=_number(arrays, "fps"),
            rotations=complete,
            path=_numbers(arrays, "path") if "path" in arrays else torch.zeros(len(rotations), 2),
            scale=_numbers(arrays, "scale") if "scale" in arrays else torch.ones(len(rotations)),
            height=_number(arrays, "height"),
        )


def _numbers(arrays: dict[str, np.ndarray], name: str) -> Tensor:
    if arrays[name].dtype.kind not in "fiu":
        raise InputError(f"{name} must be numbers, not {arrays[name].dtype}")
    return torch.from_numpy(arrays[name].astype(np.float32))


def _number(arrays: dict[str, np.ndarray], name: str) -> float:
    if arrays[name].size != 1 or arrays[name].dtype.kind not in "fiu":
        raise InputError(f"{name} must be one number, not {arrays[name].dtype} of shape {list(arrays[name].shape)}")
    return float(arrays[name].reshape(()))
