"""Outputs that appear under their name only when they are whole."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warpkit.models.errors import InputError


def check_output(path: str | Path, *, overwrite: bool = False) -> Path:
    """`path`, if something may be written there: before long work starts, not after.

    Raises InputError where it exists and `overwrite` is not set, where it cannot be replaced, or where its folder
    cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir() and path.suffix:
        raise InputError(f"{path} is a folder; the output needs the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; give --force to replace it, or another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {path.parent} cannot be made: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} cannot be written to")
    return path


@contextmanager
def whole(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside `path` to write a file or a folder to; it takes the name `path` when the block ends well.

    On an error or an interrupt what was written is removed, and what stood under the name before is left alone.
    """
    path = check_output(path, overwrite=overwrite)
    draft = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield draft
        if draft.is_file():
            with draft.open("rb+") as written:
                os.fsync(written.fileno())
        elif path.is_dir():
            shutil.rmtree(path)
        os.replace(draft, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
