"""What the figures were measured on: processor, device, versions, commit."""

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
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        found = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return found.stdout.strip()

    changed = git("status", "--porcelain", "-uno", "--", "../warpkit", "../csrc", "../CMakeLists.txt")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD") + ("+changes" if changed else ""),
        **warpkit.build_info(),
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
