"""Memory of this process: what it holds, the most that it held, and what one call takes beyond what was there before.

On the CPU from the kernel's count of resident pages (Linux), on the GPU from torch's allocator.
"""

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from warpkit.models.memory import give_back

MB, GB = 1e6, 1e9
"""Bytes."""


def peak(call: Callable[[], Any], device: torch.device) -> int | None:
    """Bytes that a call takes at most, outputs and scratch together; None where the kernel does not tell."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        forget_peak(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return most(device) - before
    try:
        give_back()  # pages kept from earlier calls would hide this one's
        forget_peak(device)
        before = status("VmRSS")
        call()
        return max(status("VmHWM") - before, 0)
    except (OSError, StopIteration):
        return None


def forget_peak(device: torch.device) -> None:
    """What is held now is the most from here on. Raises OSError where the kernel does not let that be."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")


def most(device: torch.device) -> int:
    """Bytes that were held at most since `forget_peak`, or ever: allocated on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return status("VmHWM")
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def status(field: str) -> int:
    """Bytes that the kernel says of this process: VmRSS, VmHWM, …"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
