"""Outputs that appear under their name only when they are whole."""

import errno
import glob
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from warpkit.models.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk without room says, or one that fails."""
DEAD = 24 * 3600.0
"""Seconds after which a draft that nobody writes to is that of a run which was killed."""


def check_output(path: str | Path, *, overwrite: bool = False) -> Path:
    """The place that a file called `path` may be written to, links followed: asked before long work starts, not after.

    Nothing is made yet. Raises InputError where it exists and `overwrite` is not set, where it is no file, or where its
    folder cannot be written to.
    """
    path = _place(path, overwrite)
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; the output needs the name of a file")
    return path


def check_folder_output(path: str | Path, *, overwrite: bool = False, ours: str = "*.png") -> Path:
    """The place for a new folder called `path`.

    An existing folder is replaced only if it is empty, or if `overwrite` is set and it holds nothing but `ours`:
    a slip of the pen must not cost anybody their pictures. Otherwise as `check_output`.
    """
    exists = Path(path).is_dir()
    strangers = [entry for entry in Path(path).iterdir() if not entry.match(ours)] if exists else []
    if strangers:
        raise InputError(f"the folder {path} holds other things ({strangers[0].name}, …); name a new or an empty one")
    path = _place(path, overwrite or (exists and not any(Path(path).iterdir())))
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; the name of a folder was expected")
    return path


def _place(path: str | Path, overwrite: bool) -> Path:
    shown = Path(path)
    try:
        path = shown.resolve()
        if path.exists() and not overwrite:
            raise InputError(f"{shown} exists already; give --force to replace it, or another name")
        folder = next(parent for parent in path.parents if parent.exists())
    except (OSError, RuntimeError) as error:  # too long a name, a loop of links, a folder that may not be entered
        raise InputError(f"{shown} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    if not folder.is_dir():
        raise InputError(f"{shown} cannot be written: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{shown} cannot be written: the folder {folder} does not allow it")
    return path


@contextmanager
def whole(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside `path` to write a file to; it takes the name `path` when the block ends well.

    Folders on the way are made. On an error or an interrupt what was written and what was made is removed, and what
    stood under the name before is left alone. Raises InputError as `check_output` does, and where the disk is full.
    """
    with _draft(check_output(path, overwrite=overwrite)) as (place, draft):
        with _room(path):
            yield draft
        with _writing(path):
            with draft.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(draft, place)


@contextmanager
def whole_folder(path: str | Path, *, overwrite: bool = False, ours: str = "*.png") -> Iterator[Path]:
    """As `whole`, for a folder of files that match `ours`: the block fills the empty folder that it is given."""
    with _draft(check_folder_output(path, overwrite=overwrite, ours=ours)) as (place, draft):
        with _writing(path):
            draft.mkdir()
        with _room(path):
            yield draft
        with _writing(path):
            if place.exists():
                for entry in place.iterdir():
                    entry.unlink()
            os.replace(draft, place)


@contextmanager
def claimed(folder: str | Path, lock: str, ours: Collection[str], whose: str) -> Iterator[None]:
    """Makes a folder that several runs add to, one at a time, and keeps other runs out of it while the block runs.

    The claim dies with the process. Where the system or the drive knows no such locks, nobody is kept out. Where the
    block wrote nothing, nothing is left.

    Args:
        folder: its name.
        lock: the name of the file in it that is locked, and stays.
        ours: names of which the folder holds one if it is of this sort; the lock is another. An empty one will do.
        whose: of what sort such a folder is, for the sentence: "a training's".

    Raises:
        InputError: it holds other things, cannot be written to, or another run is at work on it; or the disk is full.
    """
    folder = Path(folder)
    made: list[Path] = []
    file = None
    try:
        with _writing(folder):
            made += [parent for parent in (folder, *folder.parents) if not parent.exists()]
            if not made and not folder.is_dir():
                raise InputError(f"{folder} is a file; the name of a folder was expected")
            there = [] if made else [entry.name for entry in folder.iterdir()]
            if there and not {lock, *ours} & set(there):
                raise InputError(
                    f"the folder {folder} holds other things ({min(there)}, …); name a new, an empty or {whose} own "
                    "folder"
                )
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / lock, os.O_RDWR | os.O_CREAT, 0o644)
        if not _locked(file, folder / lock):
            raise InputError(f"another run is at work on {folder}")
        try:
            with _room(folder):
                yield
        finally:
            with suppress(OSError):
                if [entry.name for entry in folder.iterdir()] == [lock]:
                    (folder / lock).unlink()
    finally:
        if file is not None:
            os.close(file)
        with suppress(OSError):  # the first folder that holds something stops it
            for parent in made:
                parent.rmdir()


def _locked(file: int, path: Path) -> bool:
    """Whether the open file could be locked, and is still the one under its name."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a drive without locks
        return True
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:  # the run before has just cleared it away
        return False


@contextmanager
def _draft(place: Path) -> Iterator[tuple[Path, Path]]:
    made = [folder for folder in place.parents if not folder.exists()]
    draft = place.with_name(f".{place.stem[:100]}.{uuid.uuid4().hex[:8]}.part{place.suffix}")
    with _writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f".{glob.escape(place.stem[:100])}.????????.part{glob.escape(place.suffix)}"):
        with suppress(OSError):  # another run may be quicker
            if time.time() - left.stat().st_mtime > DEAD:
                _remove(left)
    try:
        yield place, draft
    finally:
        _remove(draft)
        with suppress(OSError):  # the first folder that holds something stops it
            for folder in made:
                folder.rmdir()


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


@contextmanager
def _room(path: str | Path) -> Iterator[None]:
    """What the block writes may fill the disk; its other errors are its own."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        raise


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
