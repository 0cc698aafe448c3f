"""Timing: rows of interleaved contenders, medians with spread, and the floor measured in the same run."""

import gc
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import warpkit

Call = Callable[[], Any]


@dataclass
class Case:
    """One row: contenders by name, ours first, over the same inputs.

    `bytes` is what must move at least once (inputs read + outputs written). Contenders may return anything; the first
    one's tensors are cloned as a further yardstick.
    """

    name: str
    calls: dict[str, Call]
    bytes: int
    note: str = ""


@dataclass
class Timing:
    """Seconds a call: the median of `samples`, the least, and the spread (interquartile range over median)."""

    median: float
    least: float
    spread: float
    samples: int


@dataclass
class Row:
    name: str
    timings: dict[str, Timing]
    floor: float
    """Seconds: bytes over the copy bandwidth of this run."""
    to_floor: float
    """Our median over the floor."""
    to_clone: float
    """Our median over that of cloning our outputs."""
    to_peer: float | None
    """Our median over that of the best peer; None without one."""
    note: str = ""


@dataclass
class Report:
    machine: dict[str, Any]
    bandwidth: float
    """Bytes a second (read + written) of a copy."""
    rows: list[Row] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Stopwatch:
    """Times one call: the clock on CPU, events on CUDA (the device's time, not the launch's)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, call: Call) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3


def interleave(calls: dict[str, Call], device: torch.device, seconds: float, least: int = 5) -> dict[str, Timing]:
    """Time all calls in turns until `seconds` are spent, each at least `least` times, after two warm-up rounds."""
    watch = Stopwatch(device)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(2):
        for call in calls.values():
            call()
    gc.disable()
    try:
        stop = time.perf_counter() + seconds
        while time.perf_counter() < stop or len(next(iter(samples.values()))) < least:
            for name, call in calls.items():
                samples[name].append(watch(call))
    finally:
        gc.enable()
    return {name: _summary(times) for name, times in samples.items()}


def _summary(times: list[float]) -> Timing:
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4)
    return Timing(median, min(times), (high - low) / median, len(times))


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in value for tensor in tensors(part)] if isinstance(value, tuple | list) else []


def size_of(*values: Any) -> int:
    """Bytes of all tensors in `values`."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(values))


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second, read + written, of copying 64 MB into pages that are already there."""
    source = torch.zeros(16 << 20, device=device)
    target = torch.zeros_like(source)
    timing = interleave({"copy": lambda: target.copy_(source)}, device, 0.3)["copy"]
    return 2 * size_of(source) / timing.median


def measure(case: Case, device: torch.device, bandwidth: float, seconds: float) -> Row:
    ours = next(iter(case.calls))
    outputs = tensors(case.calls[ours]())
    timings = interleave({**case.calls, "clone": lambda: [output.clone() for output in outputs]}, device, seconds)
    mine = timings[ours].median
    peers = [timing.median for name, timing in timings.items() if name not in (ours, "clone")]
    floor = case.bytes / bandwidth
    to_peer = mine / min(peers) if peers else None
    return Row(case.name, timings, floor, mine / floor, mine / timings["clone"].median, to_peer, case.note)


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        found = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return found.stdout.strip()

    return {
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else ""),
        **warpkit.build_info(),
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
