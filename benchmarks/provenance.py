"""What a figure was made with: the same words in every file of results."""

from typing import Any

from warpkit.models.app.console import counted


def where(machine: dict[str, Any]) -> str:
    """`machine.describe()` in a line; what a file does not tell is left out."""
    said = [machine["processor"], machine["device"]] if machine else ["unknown machine"]
    said += [counted(machine["threads"], "thread")] if "threads" in machine else []
    said += [f"load {machine['load']} at the start"] if machine.get("load") is not None else []
    said += [f"commit `{machine['commit'][:7]}`"] if machine.get("commit") else []
    return ", ".join([*said, machine["date"][:10]] if machine else said)
