"""`warpkit cache`: what is kept of earlier runs, how much that is, and how it goes."""

from typing import TYPE_CHECKING, Annotated

import typer

from warpkit.models.app import options
from warpkit.models.app.console import sentences

if TYPE_CHECKING:
    from warpkit.models.cache import Entry

cache = typer.Typer(
    help="What is kept of photos and videos, so that the next run is faster.", invoke_without_command=True
)

MB = 1e6


def _ago(seconds: float) -> str:
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            count = int(seconds / length)
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"


def _sum(entries: "list[Entry]") -> str:
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    return f"{count}, {sum(entry.size for entry in entries) / MB:.1f} MB"


@cache.callback()
def show(context: typer.Context, debug: options.Debug = False) -> None:
    """Where it lies and how large it is, by kind. `$WARPKIT_CACHE` moves it."""
    if context.invoked_subcommand is not None:
        return
    with sentences(debug):
        import time

        from warpkit.models.cache import of_user

        kept = of_user()
        entries = kept.entries()
        print(f"{kept.folder}: {_sum(entries)} of at most {kept.limit / MB:.0f} MB")
        for kind in sorted({entry.kind for entry in entries}):
            own = [entry for entry in entries if entry.kind == kind]
            print(f"{kind:12} {_sum(own)}, last used {_ago(time.time() - own[0].used)}")


@cache.command(name="list")
def list_entries(debug: options.Debug = False) -> None:
    """Every entry: kind, size, when it was last used, and its file."""
    with sentences(debug):
        import time

        from warpkit.models.cache import of_user

        for entry in of_user().entries():
            print(f"{entry.kind:12} {entry.size / MB:8.1f} MB  {_ago(time.time() - entry.used):14}  {entry.path}")


@cache.command()
def clear(
    kind: Annotated[str | None, typer.Option(help="Only of this kind, as `warpkit cache` calls it.")] = None,
    unused: Annotated[float, typer.Option(min=0, help="Only what was not used for so many days.")] = 0.0,
    debug: options.Debug = False,
) -> None:
    """Removes what is kept. Nothing is lost but the time to make it again."""
    with sentences(debug):
        from warpkit.models.cache import of_user
        from warpkit.models.errors import InputError

        kept = of_user()
        there = sorted({entry.kind for entry in kept.entries()})
        if kind is not None and kind not in there:
            raise InputError(f"nothing of the kind {kind!r} is kept; there is {', '.join(there) or 'nothing at all'}")
        print(f"removed {_sum(kept.clear(kind, unused=unused * 86400))}")
