"""What is slow to make of photos and videos, kept in the user's cache folder under a hash of all that it was made from.

The hash covers the inputs' contents, the settings, and the code: the sources and versions of what makes things. So what
is found is what would be made again. An entry is a file of arrays without pickled code. It appears when it is whole,
and its name ends with a hash of its bytes: runs at once do not meet half an entry, and a damaged one counts as none.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from warpkit import _C
from warpkit.models.errors import InputError
from warpkit.models.media.output import whole

FOLDER = "WARPKIT_CACHE"
"""The environment variable that moves the cache."""
LIMIT = 4 * 2**30
"""Bytes that all entries together may have; what was not used for longest goes first."""
LARGEST = 256 * 2**20
"""Bytes of arrays that an entry may have: what is larger takes as long to read and write as to make."""
ABANDONED = 3600.0
"""Seconds after which a draft is nobody's any more."""
VERSIONS = ("warpkit", "torch", "numpy", "scipy", "pillow", "av", "ai-edge-litert")
"""Packages whose version may change what is made."""
NAME = re.compile(r"(?P<key>[0-9a-f]{32})-(?P<digest>[0-9a-f]{16})\.(npz|safetensors)")

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    kind: str
    path: Path
    size: int
    """Bytes."""
    used: float
    """When it was last used, seconds as of `time.time`."""


class Cache:
    """Entries by kind and key. Nothing that goes wrong here stops a run; `trouble` says what did."""

    def __init__(self, folder: str | Path | None, *, limit: int = LIMIT) -> None:
        """`folder`: None: nothing is kept. `limit`: bytes of all entries."""
        self.folder = None if folder is None else Path(folder)
        self.limit = limit
        self.trouble: str | None = None
        """Why something could not be kept, a sentence."""

    def remember(
        self, kind: str, inputs: Any, make: Callable[[], T], *types: type, valid: Callable[[], bool] = lambda: True
    ) -> T:
        """`make()`, or what it gave before for the same inputs.

        Args:
            kind: the name of the folder of such entries.
            inputs: all that `make` depends on, see `digest`.
            make: gives tensors, arrays, numbers, texts and None, in tuples, lists and dataclasses.
            types: of the dataclasses.
            valid: asked after `make` whether the inputs are still what they were; otherwise nothing is kept.
        """
        if self.folder is None:
            return make()
        key = digest(kind, inputs, code())[:32]
        data = self.find(kind, key)
        if data is not None:
            with suppress(ValueError, KeyError, TypeError, IndexError, EOFError, OSError, zipfile.BadZipFile):
                found: T = unpack(data, types)
                return found
        made = make()
        arrays: list[np.ndarray] = []
        tree = _taken_apart(made, arrays)
        if sum(array.nbytes for array in arrays) <= LARGEST and valid():
            self.keep(kind, key, _zipped(tree, arrays), "npz")
        return made

    def find(self, kind: str, key: str) -> bytes | None:
        """The bytes of an entry that is there and as it was written."""
        if self.folder is None:
            return None
        paths: list[Path] = []
        with suppress(OSError):
            paths = sorted((self.folder / kind).glob(f"{key}-*"))
        for path in paths:
            named = NAME.fullmatch(path.name)
            with suppress(OSError):
                if named and (data := path.read_bytes()) and _of_bytes(data) == named["digest"]:
                    with suppress(OSError):  # a cache that can only be read serves too
                        os.utime(path)
                    return data
        return None

    def keep(self, kind: str, key: str, data: bytes, ending: str) -> None:
        """Writes an entry, whole or not at all; then what was not used for longest goes where there is too much."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it shows people: nobody else's business
            with whole(self.folder / kind / f"{key}-{_of_bytes(data)}.{ending}", overwrite=True) as draft:
                draft.write_bytes(data)
            self._trim()
        except (OSError, InputError) as error:
            self.trouble = f"nothing could be kept in the cache {self.folder} ({error})"

    def entries(self) -> list[Entry]:
        """All of them, those used last first."""
        found = []
        for path in self._files():
            with suppress(OSError):  # another run may have removed it
                if NAME.fullmatch(path.name):
                    stat = path.stat()
                    found.append(Entry(path.parent.name, path, stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda entry: -entry.used)

    def clear(self, kind: str | None = None, *, unused: float = 0.0) -> list[Entry]:
        """Removes entries, and drafts of runs that were killed.

        Args:
            kind: of those to remove; None: all.
            unused: seconds for which they were not used.

        Returns:
            What was removed.

        Raises:
            InputError: a file cannot be removed.
        """
        before = time.time() - unused
        chosen = [entry for entry in self.entries() if kind in (None, entry.kind) and entry.used <= before]
        try:
            for entry in chosen:
                entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{entry.path} cannot be removed: {error.strerror or error}") from error
        self._remove_abandoned()
        return chosen

    def _files(self) -> Iterator[Path]:
        with suppress(OSError):
            for folder in sorted(self.folder.iterdir()) if self.folder else ():
                if folder.is_dir():
                    with suppress(OSError):
                        yield from folder.iterdir()

    def _trim(self) -> None:
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        if total > self.limit:
            self._remove_abandoned()
        while total > self.limit and entries:
            oldest = entries.pop()
            oldest.path.unlink(missing_ok=True)
            total -= oldest.size

    def _remove_abandoned(self) -> None:
        for path in self._files():
            if re.fullmatch(r"\.[0-9a-f-]+\.[0-9a-f]{8}\.part\.\w+", path.name):
                with suppress(OSError):
                    if path.stat().st_mtime < time.time() - ABANDONED:
                        path.unlink()


NO_CACHE = Cache(None)
"""Keeps nothing."""


def of_user() -> Cache:
    """The cache in `$WARPKIT_CACHE`, else in `warpkit` of `$XDG_CACHE_HOME`, else in `~/.cache/warpkit`."""
    named = os.environ.get(FOLDER)
    if named:
        return Cache(Path(named).expanduser())
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    try:
        return Cache((base if base.is_absolute() else Path.home() / ".cache") / "warpkit")
    except RuntimeError:  # nobody's home
        return NO_CACHE


def _of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


# --- what things are made from


@lru_cache(maxsize=1)
def code() -> str:
    """SHA-256 of all that makes things: sources but for the command line's, compiled ops, networks, versions."""
    models = Path(__file__).parent
    files = [*models.parent.glob("*.py"), *models.rglob("*.py"), *models.rglob("*.tflite")]
    named = {str(path.relative_to(models.parent)): path for path in files if path.parent != models / "app"}
    named["_C"] = Path(_C.__file__)  # beside the sources, or elsewhere where they are installed to be edited
    total = hashlib.sha256()
    for name, path in sorted(named.items()):
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for package in VERSIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            total.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    return total.hexdigest()


def content(path: Path) -> tuple[str, Callable[[], bool]]:
    """SHA-256 of a file's bytes, and what tells later whether it is as it was: what `valid` of `remember` asks.

    Raises InputError where it cannot be read.
    """

    def state() -> tuple[int, int]:
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns

    try:
        before = state()
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return found, lambda: state() == before


def digest(*values: Any) -> str:
    """SHA-256 of values by their contents.

    They may be None, numbers, texts, bytes, arrays, tensors, networks (all their numbers), and tuples, lists, dicts and
    dataclasses of such. Raises TypeError for anything else.
    """
    total = hashlib.sha256()
    _feed(total.update, values)
    return total.hexdigest()


def _feed(update: Callable[[Any], None], value: Any) -> None:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        update(f"{type(value).__name__} {value!r}\0".encode())
    elif isinstance(value, Tensor):
        update(f"tensor {value.dtype} {tuple(value.shape)}\0".encode())
        update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, np.ndarray):
        update(f"array {value.dtype.str} {value.shape}\0".encode())
        update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, nn.Module):
        _feed(update, (type(value).__qualname__, dict(sorted(value.named_parameters())), dict(value.named_buffers())))
    elif isinstance(value, Mapping):
        update(f"dict {len(value)}\0".encode())
        for name, one in value.items():
            _feed(update, name)
            _feed(update, one)
    elif isinstance(value, list | tuple):
        update(f"{len(value)}\0".encode())
        for one in value:
            _feed(update, one)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(update, (type(value).__qualname__, {field.name: getattr(value, field.name) for field in fields(value)}))
    else:
        raise TypeError(f"what is remembered cannot depend on a {type(value).__name__}")


# --- values in files


def pack(value: Any) -> bytes:
    """A value as the bytes of an npz file: its arrays, and how they are put together, as JSON; see `Cache.remember`."""
    arrays: list[np.ndarray] = []
    return _zipped(_taken_apart(value, arrays), arrays)


def _zipped(tree: Any, arrays: list[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    first = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for number, array in enumerate([first, *arrays]):
            with file.open(f"{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes, types: tuple[type, ...]) -> Any:
    """What `pack` packed, with the same strides where a tensor was dense. Raises what reading files raises."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = [file[str(number)] for number in range(len(file.files))]
    return _put_together(json.loads(arrays[0].tobytes()), arrays[1:], {one.__qualname__: one for one in types})


def _taken_apart(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, Tensor):
        strides = value.stride()
        order = sorted(range(value.dim()), key=lambda axis: -strides[axis])
        order = order if value.permute(order).is_contiguous() else list(range(value.dim()))
        arrays.append(value.detach().cpu().permute(order).contiguous().numpy())
        return {"tensor": len(arrays) - 1, "order": order}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_taken_apart(one, arrays) for one in value]}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: _taken_apart(getattr(value, field.name), arrays) for field in fields(value)}
        return {"dataclass": type(value).__qualname__, "fields": parts}
    raise TypeError(f"a {type(value).__name__} cannot be kept in the cache")


def _put_together(tree: Any, arrays: list[np.ndarray], types: dict[str, type]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    if "tensor" in tree:
        order = tree["order"]
        return torch.from_numpy(arrays[tree["tensor"]]).permute([order.index(axis) for axis in range(len(order))])
    if "dataclass" in tree:
        parts = {name: _put_together(one, arrays, types) for name, one in tree["fields"].items()}
        return types[tree["dataclass"]](**parts)
    if "tuple" in tree:
        return tuple(_put_together(one, arrays, types) for one in tree["tuple"])
    return [_put_together(one, arrays, types) for one in tree["list"]]
