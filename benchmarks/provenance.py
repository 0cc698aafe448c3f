"""What a figure was made with: the same words in every file of results."""

from pathlib import Path
from typing import Any

from warpkit.models.app.console import counted
from warpkit.models.machine import fingerprint
from warpkit.models.systems.liquid_warping import embedded


def weights_named(path: Path | None) -> str:
    """A checkpoint's name and the beginning of its SHA-256; None: the embedded model."""
    if path is not None:
        return f"{path.name}, SHA-256 {fingerprint(path)}"
    found = embedded()
    return "none embedded" if found is None else f"embedded, SHA-256 {fingerprint(found.path)}"


def where(machine: dict[str, Any]) -> str:
    """`machine.describe()` in a line; what a file does not tell is left out."""
    said = [machine["processor"], machine["device"]] if machine else ["unknown machine"]
    said += [counted(machine["threads"], "thread")] if "threads" in machine else []
    said += [f"load {machine['load']} at the start"] if machine.get("load") is not None else []
    said += [f"commit `{machine['commit'][:7]}`"] if machine.get("commit") else []
    return ", ".join([*said, machine["date"][:10]] if machine else said)
