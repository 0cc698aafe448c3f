"""Videos as they lie on the disk, files or folders of frames: read a frame at a time, and known by their content."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from warpkit.models.errors import InputError
from warpkit.models.media.images import read_image
from warpkit.models.media.video import VideoReader

VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
CHUNK = 1 << 20


def in_order(path: Path) -> list[int | str]:
    """A key for sorting: numbers in names count as numbers, so that frame 10 comes after frame 9."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"(\d+)", path.name))]


def frames_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, in order; hidden files are none."""
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(pictures, key=in_order)


@dataclass(frozen=True)
class Footage:
    """One video: a file, or a folder of numbered pictures.

    Attributes:
        path: the file or the folder.
        every: only each so many-th frame counts.
        folder_fps: frames a second of a folder, which cannot say it.
    """

    path: Path
    every: int = 1
    folder_fps: float = 30.0

    def digest(self) -> str:
        """SHA-256 of all that is read: the file's bytes, or names and bytes of a folder's pictures."""
        total = hashlib.sha256()
        try:
            if self.path.is_dir():
                for path in frames_in(self.path):
                    with path.open("rb") as file:
                        total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
            else:
                with self.path.open("rb") as file:
                    total = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        return total.hexdigest()

    def open(self) -> "OpenFootage":
        """Ready to be read; raises InputError where that cannot be done."""
        if not self.path.is_dir():
            reader = VideoReader(self.path)
            return OpenFootage(self, reader, float(reader.fps) / self.every, reader.num_frames)
        pictures = frames_in(self.path)
        if not pictures:
            raise InputError(f"the folder {self.path} holds no pictures")
        return OpenFootage(self, pictures, self.folder_fps / self.every, len(pictures))


@dataclass(frozen=True)
class OpenFootage:
    """Footage that was found readable; iterable as often as wanted, one frame in memory at a time."""

    footage: Footage
    source: VideoReader | list[Path]
    fps: float
    num_frames: int | None

    @property
    def expected(self) -> int | None:
        """How many frames will come, as far as that is said."""
        return None if self.num_frames is None else -(-self.num_frames // self.footage.every)

    def __iter__(self) -> Iterator[np.ndarray]:
        """uint8 `[H, W, 3]`."""
        if isinstance(self.source, VideoReader):
            yield from islice(self.source, 0, None, self.footage.every)
        else:
            yield from map(read_image, self.source[:: self.footage.every])
