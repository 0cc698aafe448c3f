"""The network files that travel with warpkit, and how they are run: one interpreter a file, made once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpkit.models.errors import needs_extra

DATA = Path(__file__).parent / "data"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the runtime's own greeting, which no setting turns off, away from the terminal."""
    try:
        kept = os.dup(2)
    except OSError:  # a process without a standard error has nothing to keep quiet
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Network:
    """A .tflite file run by LiteRT: a picture in, outputs by name out. Calls from several threads take turns."""

    def __init__(self, path: Path) -> None:
        with needs_extra("person"):
            from ai_edge_litert.interpreter import Interpreter
        with _quiet():
            self._interpreter: Any = Interpreter(str(path), num_threads=min(4, torch.get_num_threads()))
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {output["name"]: output["index"] for output in self._interpreter.get_output_details()}
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs, without their batch axis, for an image [H, W, 3] of the size and range that the file wants."""
        with self._lock:
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(image[None], dtype=np.float32))
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


@cache
def network(name: str) -> Network:
    """The network of models/recovery/data/<name>.tflite."""
    return Network(DATA / f"{name}.tflite")
