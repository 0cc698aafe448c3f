"""The one error that people meet who use the tools rather than the code."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Something a person gave cannot be used; the message says what, what was expected, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Imports inside the block belong to the extra `name`; where one is missing, the error says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package == "warpkit":
            raise
        raise InputError(
            f"this needs the package {package!r}, which is not installed: pip install 'warpkit[{name}]'"
        ) from error
