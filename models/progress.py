"""How long work tells whoever waits for it where it stands."""

from typing import Protocol


class Progress(Protocol):
    """Told of each stage as it begins and of each step as it is done."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` steps, or None where nobody knows."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps of the stage are done."""
        ...


class Silent:
    """Listens and says nothing."""

    def stage(self, name: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, steps: int = 1) -> None:
        """Ignored."""


SILENT = Silent()
