"""The one error that people meet who use the tools rather than the code."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


class InputError(Exception):
    """Something a person gave cannot be used; the message says what, what was expected, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    PyTorch has an error of its own for that, but neither on the CPU nor where CUDA or one of its libraries finds none.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = ("DefaultCPUAllocator", "found no memory for", "std::bad_alloc", "out of memory", "_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)


def install_hint(extra: str) -> str:
    """What installs an extra; from the sources, as the package indexes have another project under warpkit's name."""
    return f"pip install '.[{extra}]' in the folder of warpkit's sources"


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
            f"this needs the package {package!r}, which is not installed; the extra [{name}] brings it: "
            f"{install_hint(name)}"
        ) from error


def check_trains() -> None:
    """Raises InputError where the extra that trains is not installed: asked before long work, not after."""
    with needs_extra("train"):
        if find_spec("lightning_fabric") is None:
            raise ModuleNotFoundError(name="lightning_fabric")
