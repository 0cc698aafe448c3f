"""Bodies and masks of a video, recovered once: the slow half of preparing, kept by itself so that a change of the
pictures' size does not repeat it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.clips.store import cached
from warpkit.models.errors import InputError
from warpkit.models.recovery import recover_clip
from warpkit.models.recovery.crops import Square, paste
from warpkit.models.recovery.people import Detection


@dataclass(frozen=True)
class Recovered:
    """T frames of one person; all plain arrays, as they lie in the file.

    Attributes:
        pose: [T, 22, 3], `shape` [K], `scale` [T], `offset` [T, 2]: the body, in the video's pixels.
        found: [T] bool; elsewhere the body is interpolated and there is no mask.
        boxes: [T, 4] x0, y0, x1, y1 pixels, round the masks.
        squares: [T, 4] centre, side and turn of what the masks cover.
        masks: the masks, uint8, compressed one by one, one behind the other.
        starts: [T + 1] where each begins.
        mask_side: pixels of a mask.
        size: (height, width) of the video.
        fps: frames a second.
        landmark_error: see `Clip`.
    """

    pose: np.ndarray
    shape: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    found: np.ndarray
    boxes: np.ndarray
    squares: np.ndarray
    masks: np.ndarray
    starts: np.ndarray
    mask_side: np.ndarray
    size: np.ndarray
    fps: np.ndarray
    landmark_error: np.ndarray

    def __len__(self) -> int:
        return len(self.found)

    def body(self) -> Body:
        """All frames' bodies."""
        pose = torch.from_numpy(self.pose)
        shape = torch.from_numpy(self.shape).expand(len(pose), -1)
        return Body(pose, shape, Camera(torch.from_numpy(self.scale), torch.from_numpy(self.offset)))

    def mask(self, frame: int, left: float, top: float, zoom: float, size: int) -> Tensor:
        """A frame's soft mask in a window that begins at (left, top), enlarged by zoom: float32 [size, size]."""
        packed = self.masks[self.starts[frame] : self.starts[frame + 1]].tobytes()
        side = int(self.mask_side)
        mask = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(side, side)
        x, y, width, angle = self.squares[frame].tolist()
        square = Square(((x - left) * zoom, (y - top) * zoom), width * zoom, angle)
        return paste(mask.astype(np.float32) / 255, square, (size, size))

    def write(self, path: Path) -> None:
        """Into a file, whole or not at all."""
        with cached(path) as draft, draft.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Recovered | None:
        """From a file; None where there is none that is whole."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None


def recover_video(
    frames: Iterable[np.ndarray],
    model: BodyModel,
    fps: float,
    *,
    person: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Recovered:
    """`recover_clip`, with the masks kept: about 3 KiB a frame. Arguments and errors are those of `recover_clip`."""
    packed: list[bytes] = []
    boxes, squares = [], []
    side = 0

    def keep(seen: Detection | None) -> None:
        nonlocal side
        if seen is None:
            packed.append(b"")
            boxes.append((0.0,) * 4)
            squares.append((0.0, 0.0, 1.0, 0.0))
            return
        side = len(seen.small_mask)
        packed.append(zlib.compress(np.rint(seen.small_mask.clip(0, 1) * 255).astype(np.uint8).tobytes(), 1))
        boxes.append(seen.box)
        squares.append((*seen.square.centre, seen.square.side, seen.square.angle))

    clip = recover_clip(frames, model, fps, person=person, progress=progress, seen=keep)
    if len(packed) != len(clip.found):
        raise InputError(f"{len(packed)} frames were seen but {len(clip.found)} fitted")
    return Recovered(
        pose=clip.body.pose.numpy(),
        shape=clip.body.shape[0].numpy(),
        scale=clip.body.camera.scale.numpy(),
        offset=clip.body.camera.offset.numpy(),
        found=clip.found.numpy(),
        boxes=np.array(boxes, np.float32),
        squares=np.array(squares, np.float64),
        masks=np.frombuffer(b"".join(packed), np.uint8),
        starts=np.cumsum([0, *map(len, packed)]).astype(np.int64),
        mask_side=np.array(side),
        size=np.array(clip.size),
        fps=np.array(clip.fps),
        landmark_error=np.array(clip.landmark_error),
    )
