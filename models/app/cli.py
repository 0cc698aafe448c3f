"""The entry point `warpkit`: starts the commands, and copes where what they need is not installed."""

import signal
import sys
from types import FrameType

from warpkit.models.app import INTERRUPTED, REFUSED
from warpkit.models.errors import InputError, needs_extra


class _Ended(SystemExit):
    """A signal that asks to end: unwinds, so that nothing half-written stays."""


def _ended(number: int, frame: FrameType | None) -> None:
    raise _Ended(128 + number)


def main() -> None:
    """Runs the command that the arguments name, and leaves with its status.

    0: done. 1: a fault of warpkit. 2: something given cannot be used. 130: interrupted.
    143: ended by SIGTERM; 129: by SIGHUP.
    """
    for number in (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, _ended)
    try:
        try:
            with needs_extra("person"):
                import rich  # noqa: F401
                import typer  # noqa: F401
        except InputError as missing:
            if sys.argv[1:] == ["doctor"]:  # the one that must work where something is missing
                from warpkit.models.app.doctor import report

                print(*report(), sep="\n")
                return
            print(f"warpkit: {missing}", file=sys.stderr)
            sys.exit(REFUSED)
        from warpkit.models.app.commands import app

        app(prog_name="warpkit")
    except _Ended as ended:
        name = signal.Signals(int(ended.code or 0) - 128).name
        print(f"warpkit: ended by {name}; nothing was left half-written", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("warpkit: interrupted; nothing was left half-written", file=sys.stderr)
        sys.exit(INTERRUPTED)
