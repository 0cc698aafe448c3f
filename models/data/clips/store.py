"""How clips lie on the disk: each in one zip file that appears whole or not at all, and an index that names them.

A clip's file is named by the hash of everything it was made from, so that one made from other input, or with other
settings, is never taken for it. The index is the only way in: what it does not name is not used.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from warpkit.models.data.clips.layouts import Video
from warpkit.models.errors import InputError
from warpkit.models.media.output import claimed, whole

FORMAT = 1
INDEX = "index.json"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Entry:
    """What the index says of one clip."""

    name: str
    identity: str
    clothes: str
    kind: str | None
    split: str | None
    key: str
    recovered: str
    frames: int

    @classmethod
    def of(cls, video: Video, keys: tuple[str, str], frames: int) -> Entry:
        """The entry of a video's clip; keys are those of its bodies and its pictures."""
        return cls(video.name, video.identity, video.clothes, video.kind, video.split, keys[1], keys[0], frames)

    @property
    def person(self) -> tuple[str, str]:
        """Identity and clothes: what stays the same through a video."""
        return self.identity, self.clothes


@dataclass(frozen=True)
class Index:
    """The clips of a cache.

    Attributes:
        settings: what all clips were made with; among them the body model's name and digest, and the pictures' size.
        clips: in the data set's order.
        skipped: name and reason of the videos that could not be used.
        complete: False while a run is at work, and after one that was stopped.
    """

    settings: dict[str, Any]
    clips: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    complete: bool = False

    def write(self, cache: Path) -> None:
        """Puts it in the place of the one before."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        with cached(cache / INDEX) as draft:
            draft.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, cache: Path) -> Index:
        """Of a cache; raises InputError where there is none."""
        path = cache / INDEX
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise InputError(f"{cache} was made by another version of warpkit: prepare it again")
            clips = tuple(Entry(**entry) for entry in values["clips"])
            skipped = tuple((name, reason) for name, reason in values["skipped"])
            return cls(values["settings"], clips, skipped, values["complete"])
        except FileNotFoundError as error:
            raise InputError(f"{cache} holds no prepared clips: make them with `warpkit prepare`") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): prepare the clips again") from error


class CacheError(InputError):
    """The cache cannot be written: no fault of a video's, and no other will fare better."""


@contextmanager
def cached(path: Path) -> Iterator[Path]:
    """As `whole`, in place of what is there; what goes wrong with the file, and not in the block, is a `CacheError`."""
    inside: InputError | None = None
    try:
        with whole(path, overwrite=True) as draft:
            try:
                yield draft
            except InputError as error:
                inside = error
                raise
    except InputError as error:
        if error is inside:
            raise
        raise CacheError(str(error)) from error
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror or error}") from error


def clip_path(cache: Path, key: str) -> Path:
    """Where the clip of a key lies."""
    return cache / "clips" / f"{key}.zip"


def recovered_path(cache: Path, key: str) -> Path:
    """Where the bodies and masks of a key lie."""
    return cache / "recovered" / f"{key}.npz"


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Makes the folder and keeps others from working on it; what a run that was killed left half-written is removed."""
    with claimed(cache, ".lock", (INDEX,), "a cache's"):
        for folder in (cache, cache / "clips", cache / "recovered"):
            for draft in folder.glob(".*.part*"):
                with suppress(OSError):
                    draft.unlink()
        yield


class ClipWriter:
    """Writes a clip's pictures one by one into an open zip file."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.count = 0

    def add(self, image: np.ndarray, alpha: np.ndarray) -> None:
        """The next frame: uint8 `[H, W, 3]` and `[H, W]`."""
        jpeg, png = io.BytesIO(), io.BytesIO()
        Image.fromarray(image).save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        Image.fromarray(alpha).save(png, "PNG", compress_level=3)
        self._file.writestr(f"{self.count:06d}.jpg", jpeg.getvalue())
        self._file.writestr(f"{self.count:06d}.png", png.getvalue())
        self.count += 1

    def finish(self, about: dict[str, Any], arrays: dict[str, np.ndarray], plate: np.ndarray | None) -> None:
        """What belongs to the whole clip."""
        if plate is not None:
            png = io.BytesIO()
            Image.fromarray(plate).save(png, "PNG", compress_level=3)
            self._file.writestr("plate.png", png.getvalue())
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        self._file.writestr("bodies.npz", packed.getvalue())
        self._file.writestr("clip.json", json.dumps(about, indent=1))


@contextmanager
def new_clip(path: Path) -> Iterator[ClipWriter]:
    """A clip's file, which is there when the block ends well."""
    with cached(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as file:
        yield ClipWriter(file)


class StoredClip:
    """A clip in its file; pictures are read when they are asked for.

    Attributes:
        about: what was said of it when it was made.
        arrays: `pose` `[T, 22, 3]`, `shape` `[K]`, `scale` `[T]` and `offset` `[T, 2]` of the camera in the pictures'
            pixels, `keypoints` `[T, 23, 2]` NDC, `yaw` `[T]` radians, `iou` `[T]`: how well silhouette and alpha
            agree, `frame` `[T]`: the number in the video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._sentences():
            self._file = zipfile.ZipFile(path)
            self.about: dict[str, Any] = json.loads(self._file.read("clip.json"))
            with np.load(io.BytesIO(self._file.read("bodies.npz")), allow_pickle=False) as arrays:
                self.arrays: dict[str, np.ndarray] = dict(arrays)

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.arrays["frame"])

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"the clip {self.path} is missing or damaged ({error}): prepare the clips again"
            ) from error

    def _picture(self, name: str, size: int) -> np.ndarray:
        with self._sentences():
            picture = Image.open(io.BytesIO(self._file.read(name)))  # the zip's checksum is tested here
            picture.draft("RGB", (size, size))  # a JPEG of which half the size is enough is decoded at half
            if picture.size == (size, size):
                return np.array(picture)
            return np.array(picture.resize((size, size), Image.Resampling.BOX))

    def picture(self, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame `number` of those kept, at `size` pixels: uint8 `[size, size, 3]`, and alpha `[size, size]`."""
        return self._picture(f"{number:06d}.jpg", size), self._picture(f"{number:06d}.png", size)

    def plate(self, size: int) -> np.ndarray | None:
        """The background alone, uint8 `[size, size, 3]`; None where it moves, or too little of it was seen."""
        return self._picture("plate.png", size) if self.about["plate"] else None

    def close(self) -> None:
        """No more pictures are wanted."""
        self._file.close()
