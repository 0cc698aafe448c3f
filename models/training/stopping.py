"""Stopping between two steps instead of in the middle of one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM, SIGHUP and the interrupt key are only noted, once; a second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        for signum, handler in before.items():
            signal.signal(signum, handler)

    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        before[number] = signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
