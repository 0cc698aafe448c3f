"""What a figure was measured on and with: processor, device, versions, commit, weights."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import warpkit


def describe(device: torch.device) -> dict[str, Any]:
    """What runs here, to be written beside figures; `commit` is empty where warpkit does not run from a checkout."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "commit": commit(),
        **warpkit.build_info(),
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def commit() -> str:
    """The commit of the checkout that warpkit runs from, with "+changes" where its code differs; else empty."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str | None:
        try:
            found = subprocess.run(
                ["git", "-C", str(here.parent), *arguments], capture_output=True, text=True, check=False
            )
        except OSError:  # no git
            return None
        return found.stdout.strip() if found.returncode == 0 else None

    # an environment within somebody's repository is not a checkout of warpkit
    if not git("ls-files", "--error-unmatch", here.name):
        return ""
    code = ("../warpkit", "../models", "../csrc", "../CMakeLists.txt")
    changed = git("status", "--porcelain", "-uno", "--", *code)
    return (git("rev-parse", "HEAD") or "") + ("+changes" if changed else "")


def fingerprint(path: Path) -> str:
    """The first twelve digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
