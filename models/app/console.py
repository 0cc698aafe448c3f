"""Progress on the terminal, and errors as sentences."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from warpkit.models.app import INTERRUPTED, REFUSED
from warpkit.models.errors import InputError, out_of_memory

PATIENCE = 5.0
"""Seconds between two lines about the same stage where there is no terminal to draw bars on."""

errors = Console(stderr=True, highlight=False)


def tell(text: str) -> None:
    """A line on stderr, as it is."""
    errors.print(text, markup=False, soft_wrap=True)


def counted(number: int, thing: str) -> str:
    """As `1 frame`, `2 frames`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Bars:
    """The stages of a task as bars with the time left, on stderr; as lines where that is no terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("time"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task: TaskID | None = None
        self._said = 0.0

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.done()
        self._bars.stop()

    def done(self) -> None:
        """The stage is over, however many steps it was said to have."""
        if self._task is not None:
            steps = self._bars.tasks[self._task].completed or 1
            self._bars.update(self._task, total=steps, completed=steps)
            self._task = None

    def stage(self, name: str, total: int | None) -> None:
        """The next stage begins."""
        self.done()
        self._task = self._bars.add_task(name, total=total)
        if self._bars.disable:
            self._say(f"{name} …")

    def advance(self, steps: int = 1) -> None:
        """So many steps of it are done."""
        if self._task is None:
            return
        self._bars.advance(self._task, steps)
        if self._bars.disable and time.monotonic() - self._said >= PATIENCE:
            task = self._bars.tasks[self._task]
            of = f" of {task.total:.0f}" if task.total is not None else ""
            left = "" if task.time_remaining is None else f", {task.time_remaining:.0f} s left"
            self._say(f"{task.description}: {task.completed:.0f}{of}{left}")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        tell(text)


@contextmanager
def sentences(debug: bool) -> Iterator[None]:
    """Errors of people become a sentence and an exit status; with `debug` they come with their traceback."""
    try:
        yield
    except InputError as error:
        _explain(f"warpkit: {error}", debug)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        _explain("warpkit: interrupted; nothing was left half-written", debug)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if out_of_memory(error):
            _explain(
                "warpkit: out of memory: lower --size, or give fewer or smaller pictures; nothing is half-written",
                debug,
            )
            sys.exit(REFUSED)
        kind = type(error).__name__
        _explain(
            f"warpkit: something went wrong that should not: {kind}: {error}. Run again with --debug and report it.",
            debug,
        )
        sys.exit(1)


def _explain(sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    tell(sentence)
