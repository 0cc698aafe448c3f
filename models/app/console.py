"""Progress on the terminal, and errors as sentences."""

import os
import sys
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
    TimeRemainingColumn,
)

from warpkit.models.errors import InputError

INTERRUPTED = 130
REFUSED = 2

errors = Console(stderr=True, highlight=False)


class Bars:
    """The stages of a task as bars with the time left, on stderr; a line a stage where that is no terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        self._bars.stop()

    def _finish(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[self._task]
            self._bars.update(self._task, total=task.completed or 1, completed=task.completed or 1)

    def stage(self, name: str, total: int | None) -> None:
        """The next stage begins."""
        self._finish()
        if not errors.is_terminal:
            errors.print(f"{name} …")
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """So many steps of it are done."""
        if self._task is not None:
            self._bars.advance(self._task, steps)


@contextmanager
def sentences(debug: bool) -> Iterator[None]:
    """Errors of people become a sentence and an exit status; with `debug` they come with their traceback."""
    try:
        yield
    except InputError as error:
        if debug:
            raise
        errors.print(f"[bold red]warpkit:[/] {error!s}", markup=True, soft_wrap=True)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        errors.print("warpkit: interrupted; nothing was left half-written")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        errors.print(
            f"[bold red]warpkit:[/] something went wrong that should not: {type(error).__name__}: {error}. "
            "Run again with --debug and report what it prints.",
            soft_wrap=True,
        )
        sys.exit(1)
