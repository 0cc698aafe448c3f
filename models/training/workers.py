"""Draws made ahead of the training by processes of their own: a GPU must not wait for people to be rendered."""

import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from warpkit.models.training.protocols import Samples

AHEAD = 3
"""Draws that each process has ready."""


@dataclass(frozen=True)
class Request:
    """What is asked of samples."""

    number: int
    """Of the draw, which it follows from."""
    people: int
    sources: int


def drawn(samples: Samples, request: Request) -> Any:
    """The draw that is asked for."""
    return samples.draw(request.number, request.people, request.sources)


def in_lanes(turn: int, lane: int, lanes: int, window: int) -> int:
    """The number of a lane's `turn`-th draw, where each lane takes every `lanes`-th window of draws, whole."""
    return (turn // window * lanes + lane) * window + turn % window


class _Requested(IterableDataset[bytes]):
    """Each worker makes every n-th draw, from `first` on."""

    def __init__(self, samples: Samples, request: Callable[[int], Request], first: int, end: int) -> None:
        self.samples, self.request, self.first, self.end = samples, request, first, end

    def __iter__(self) -> Iterator[bytes]:
        worker = get_worker_info()
        assert worker is not None
        for index in range(self.first + worker.id, self.end, worker.num_workers):
            # by value: shared memory is small in containers
            yield pickle.dumps(drawn(self.samples, self.request(index)))


def _deaf(worker: int) -> None:
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def draw_ahead(
    samples: Samples, request: Callable[[int], Request], first: int, end: int, workers: int
) -> Iterator[Any]:
    """The draws `request(first)`, `request(first + 1)`, … in their order, made by `workers` processes.

    Processes are forked: `samples` are to stay on the CPU. Each draw takes one thread. What asks the training to stop,
    which a terminal tells all of its processes, is for the training's own to hear: they go on until it ends.
    """
    requested = _Requested(samples, request, first, end)
    loader: DataLoader[bytes] = DataLoader(
        requested,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",
        worker_init_fn=_deaf,
    )
    return map(pickle.loads, loader)
