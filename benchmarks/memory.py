"""The peak of memory that one call takes beyond what was there before it."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from warpkit.models.memory import give_back


def peak(call: Callable[[], Any], device: torch.device) -> int | None:
    """Bytes at most, outputs and scratch together; on the CPU from the kernel's count of resident pages (Linux)."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        give_back()  # pages kept from earlier calls would hide this one's
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        before = status("VmRSS")
        call()
        return max(status("VmHWM") - before, 0)
    except (OSError, StopIteration):
        return None


def status(field: str) -> int:
    """Bytes that the kernel says of this process: VmRSS, VmHWM, …"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
