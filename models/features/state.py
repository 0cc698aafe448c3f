"""Reading other people's weights without running other people's code."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.errors import InputError, needs_extra

State = dict[str, Tensor]


def read_state(path: Path) -> State:
    """Tensors by name of a .safetensors, .pth, .pt or .h5 file, floats as float32; code in a pickle is refused."""
    path = Path(path)
    check_file(path)
    readers = {".safetensors": _safetensors, ".pth": _torch, ".pt": _torch, ".h5": _hdf5}
    if path.suffix not in readers:
        raise InputError(f"{path}: expected a file of weights that ends in {', '.join(readers)}")
    state = readers[path.suffix](path)
    for prefix in ("module.", "model."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def check_file(path: Path) -> None:
    """Raises InputError where weights are to be read from a folder, or from what is not there."""
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; name the file in it that holds the weights")
    if not os.path.isfile(path):  # a name too long for a file is no error of ours
        raise InputError(f"{path}: there is no such file")


def load_plain(path: Path) -> object:
    """What a file that PyTorch saved holds; code in it is never run. Raises what `torch.load` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles of another protocol, which are refused all the same
        return torch.load(path, map_location="cpu", weights_only=True)


def is_pickle(path: Path) -> bool:
    """Whether a file that is there begins as pickles do, alone or as PyTorch packs them, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(9)
    # safetensors begin with the length of their header, which may be any number, and go on with a brace
    bare = start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") and start[8:] != b"{"
    return bare or start.startswith(b"PK\x03\x04")


def _safetensors(path: Path) -> State:
    with needs_extra("metrics"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    if is_pickle(path):
        raise InputError(f"{path}: is a pickled file, which could run code, under another name; it was not opened")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from error


def _torch(path: Path) -> State:
    try:
        state = load_plain(path)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than tensors, and such a file could run code, so it was not opened; "
            "save its state_dict() alone, or convert it to .safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a whole file of PyTorch weights ({error})") from error
    while isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected tensors by name (a state_dict), got {type(state).__name__}")
    return state


def _hdf5(path: Path) -> State:
    with needs_extra("metrics"):
        import h5py
    state: State = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            state[name] = torch.from_numpy(np.asarray(item[()]))

    try:
        with h5py.File(path) as file:
            file.visititems(take)
    except OSError as error:
        raise InputError(f"{path}: not a whole HDF5 file ({error})") from error
    return state
