"""One video becomes one clip: its person followed, cut out and compared with the body, the background behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpkit import rasterize
from warpkit.models.bodies import Body, BodyModel
from warpkit.models.bodies.rotations import axis_angle_to_matrix
from warpkit.models.data.clips.backdrop import Backdrop
from warpkit.models.data.clips.footage import Footage, OpenFootage
from warpkit.models.data.clips.layouts import Video
from warpkit.models.data.clips.recovered import Recovered, recover_video
from warpkit.models.data.clips.store import (
    JPEG_QUALITY,
    CacheError,
    ClipWriter,
    StoredClip,
    clip_path,
    new_clip,
    recovered_path,
)
from warpkit.models.errors import InputError
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.matte import refine_alpha
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.recovery import networks

RECOVERY, CUTTING = 1, 1
"""Raised whenever the same input would be recovered, or cut, otherwise than before: caches are then made again."""
LEAST_FRAMES = 2
"""A clip needs a source and a target."""
WHOLE = 0.9
"""Of the frames that a video says it has; where fewer come, that is told."""
PASSES = 2
"""Times that a video is read: to recover, and to cut."""


@dataclass(frozen=True)
class Settings:
    """How clips are made.

    Attributes:
        size: pixels of the square pictures; a multiple of 8.
        margin: of the person's longer side, left free on each side.
        every: only each so many-th frame is used.
        folder_fps: frames a second of folders of frames.
        matte: whether masks are refined to the pictures' edges; otherwise they are the network's, soft and coarse.
        person: which person of a video, counted from 1, the largest first; None: the largest.
    """

    size: int = 512
    margin: float = 0.1
    every: int = 1
    folder_fps: float = 30.0
    matte: bool = True
    person: int | None = None

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 8:
            raise InputError(f"the size must be a multiple of 8 from 64 on, not {self.size}")
        if not 0 <= self.margin <= 2:
            raise InputError(f"the margin must lie in [0, 2], not {self.margin}")
        if self.every < 1:
            raise InputError(f"of the frames each 1st, 2nd, 3rd … can be used, not each {self.every}th")
        if not 1 <= self.folder_fps <= 1000:
            raise InputError(f"frames a second must lie in [1, 1000], not {self.folder_fps}")


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        keys: of its bodies and its clip; None where it could not even be read.
        frames: of its clip.
        made: whether the clip was made now, and not there before.
        skipped: why it cannot be used; None if it can.
        fault: what warpkit failed on.
        notes: what should be known.
    """

    keys: tuple[str, str] | None
    frames: int = 0
    made: bool = False
    skipped: str | None = None
    fault: str | None = None
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _networks_digest() -> str:
    files = sorted((Path(networks.__file__).parent / "data").glob("*.tflite"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _key(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Maker:
    """Makes clips; whoever runs it holds the lock of the cache."""

    cache: Path
    model: BodyModel
    settings: Settings
    body: str  # its digest

    def outcome(self, video: Video, opened: OpenFootage | InputError, progress: Callable[[int], None]) -> Outcome:
        """Makes a video's clip if it is not there; `progress` is told of steps, `PASSES` a frame.

        Raises CacheError or MemoryError where no other video would fare better; what is wrong with this one is told in
        the outcome.
        """
        keys = None
        try:
            if isinstance(opened, InputError):
                raise opened
            keys = self.keys(video)
            stored = self.stored(keys[1])
            if stored:
                return Outcome(keys, len(stored))
            frames, notes = self.make(video, opened, keys, progress)
            return Outcome(keys, frames, made=True, notes=notes)
        except (CacheError, MemoryError):
            raise
        except InputError as error:
            return Outcome(keys, skipped=str(error))
        except Exception as error:  # one odd video must not cost the others of a long run
            return Outcome(keys, fault=f"{type(error).__name__}: {error}")

    def keys(self, video: Video) -> tuple[str, str]:
        """Of the recovered bodies, and of the clip, by what the video holds now."""
        settings = self.settings
        recovered = {
            "recovery": RECOVERY,
            "content": Footage(video.path).digest(),
            "every": settings.every,
            "fps": settings.folder_fps if video.path.is_dir() else None,
            "person": settings.person,
            "body": self.body,
            "networks": _networks_digest(),
        }
        key = _key(recovered)
        pictures = {"size": settings.size, "margin": settings.margin, "matte": settings.matte}
        return key, _key({"of": key, "cutting": CUTTING, "jpeg": JPEG_QUALITY, **pictures})

    def stored(self, key: str) -> StoredClip | None:
        """The clip of a key, if it is there and whole."""
        with suppress(InputError):
            clip = StoredClip(clip_path(self.cache, key))
            clip.close()
            if clip.about.get("key") == key:
                return clip
        return None

    def make(
        self, video: Video, footage: OpenFootage, keys: tuple[str, str], progress: Callable[[int], None]
    ) -> tuple[int, tuple[str, ...]]:
        """Makes the clip of a video and tells how many frames it has, and what should be known of it."""
        path = recovered_path(self.cache, keys[0])
        found = Recovered.read(path)
        if found is None:
            found = recover_video(footage, self.model, footage.fps, person=self.settings.person, progress=progress)
            self._check_unchanged(video, keys)
            found.write(path)
        half = footage.expected or len(found)
        progress(half)
        with new_clip(clip_path(self.cache, keys[1])) as writer:
            self._cut(footage, found, keys[1], writer, lambda n: progress(half + n))
            self._check_unchanged(video, keys)
        if len(found) < WHOLE * half:
            return writer.count, (f"{footage.footage.path} ends after {len(found)} of {half} frames; these are used",)
        return writer.count, ()

    def _check_unchanged(self, video: Video, keys: tuple[str, str]) -> None:
        """What was read is what the keys say: they were taken before, and a copy may still have been under way."""
        if self.keys(video) != keys:
            raise InputError("it changed while it was read: run again when it no longer does")

    def _cut(
        self, footage: OpenFootage, found: Recovered, key: str, writer: ClipWriter, progress: Callable[[int], None]
    ) -> None:
        kept = np.flatnonzero(found.found)
        if len(kept) < LEAST_FRAMES:
            raise InputError(f"the person is in only {len(kept)} frames; a clip needs {LEAST_FRAMES}")
        settings, size = self.settings, self.settings.size
        height, width = (int(number) for number in found.size)
        framing = clip_framing(found.boxes[kept], (height, width), settings)
        inside = framing.inside((height, width))
        body = framing.body(found.body()[torch.from_numpy(kept)])
        backdrop = Backdrop(len(kept))
        silhouettes = _Silhouettes(body, self.model, size)
        number = 0
        for number, frame in enumerate(footage, 1):
            if number > len(found):
                break
            if found.found[number - 1]:
                picture = framing.cut(to_tensor(frame), "border")
                alpha = found.mask(number - 1, framing.left, framing.top, framing.zoom, size) * inside
                if settings.matte:
                    alpha = refine_alpha(picture, alpha) * inside
                image = to_image(picture)
                backdrop.add(writer.count, image, alpha.numpy())
                silhouettes.compare(writer.count, alpha)
                writer.add(image, (alpha * 255 + 0.5).byte().numpy())
            progress(number)
        if number != len(found):
            raise InputError(f"it held {len(found)} frames when it was read first, and {number} then")
        plate = backdrop.plate()
        about = {
            "key": key,
            "fps": float(found.fps),
            "size": size,
            "video_size": found.size.tolist(),
            "window": [framing.left, framing.top, framing.side],
            "landmark_error": float(found.landmark_error),
            "plate": plate is not None,
        }
        arrays = {**_arrays(body, self.model, kept, size), "iou": np.array(silhouettes.overlaps, np.float32)}
        writer.finish(about, arrays, plate)


class _Silhouettes:
    """How well bodies fit the people in a clip's pictures."""

    def __init__(self, body: Body, model: BodyModel, size: int) -> None:
        self.body, self.model, self.size = body, model, (size, size)
        self.overlaps: list[float] = []

    @torch.no_grad()
    def compare(self, number: int, alpha: torch.Tensor) -> None:
        """The next frame's body with the person's alpha [H, W]: intersection over union, 0 where nobody is."""
        body = self.body[number]
        vertices = body.camera.project(self.model(body.pose, body.shape), self.size)
        drawn, person = rasterize(vertices, self.model.faces, self.size).face_index[0] >= 0, alpha > 0.5
        self.overlaps.append(float((drawn & person).sum() / (drawn | person).sum().clamp(min=1)))


def clip_framing(boxes: np.ndarray, picture: tuple[int, int], settings: Settings) -> Framing:
    """The square round the person, one for the whole clip, so that the background stands still in it.

    It holds the masks of all frames: clothes and hair count, a limb fitted astray does not. Being a square it keeps the
    aspect (section 4.2). Rather than to reach beyond the picture it moves, and its margin shrinks; where it must, it is
    padded with the picture's border.

    Args:
        boxes: [T, 4] x0, y0, x1, y1 pixels round the masks.
        picture: (height, width) in pixels.
        settings: size and margin.
    """
    lengths = np.array([picture[1], picture[0]], float)
    low, high = boxes[:, :2].min(0).clip(0, lengths), boxes[:, 2:].max(0).clip(0, lengths)
    longer = float((high - low).max())
    if longer < 1:
        raise InputError("the person was found outside the picture")
    fits = lengths.min() if longer <= lengths.min() else lengths.max()
    side = min(longer * (1 + 2 * settings.margin), float(fits))
    start = (low + high - side) / 2
    room = lengths - side  # negative where the square is wider than the picture
    left, top = start.clip(np.minimum(room, 0), np.maximum(room, 0)).tolist()
    return Framing(left, top, side, settings.size)


@torch.no_grad()
def _arrays(body: Body, model: BodyModel, kept: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """What is stored of the bodies; keypoints a few frames at a time, which bounds the memory."""
    points = [
        body.camera[part].project(model.keypoints(body.pose[part], body.shape[part]), (size, size))[..., :2]
        for part in (slice(first, first + 64) for first in range(0, len(kept), 64))
    ]
    front = axis_angle_to_matrix(body.pose[:, 0])[..., 2]
    return {
        "pose": body.pose.numpy(),
        "shape": body.shape[0].numpy(),
        "scale": body.camera.scale.numpy(),
        "offset": body.camera.offset.numpy(),
        "keypoints": torch.cat(points).numpy(),
        "yaw": torch.atan2(front[:, 0], front[:, 2]).numpy(),
        "frame": kept,
    }
