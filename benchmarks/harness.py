"""Timing: rows of interleaved contenders, medians with spread, and the floor measured in the same run."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from benchmarks import memory

Call = Callable[[], Any]
Kind = Literal["ours", "variant", "eager", "compiled", "peer", "clone"]
"""Who a contender is: we; we in another way (one by one, deterministic); what a user would write; another library."""


@dataclass
class Contender:
    """`scale` multiplies the time of one that did only 1/scale of the work; `once` is for those that take seconds."""

    kind: Kind
    call: Call
    scale: float = 1.0
    once: bool = False


@dataclass
class Case:
    """One row: contenders by name over the same inputs, the first is ours.

    `bytes` is what must move at least once (inputs read + outputs written). `loop` calls are timed as one sample, for
    calls shorter than the clock can tell; then the host's clock is read on CUDA too. `memory` asks for the peak too.
    """

    name: str
    contenders: dict[str, Contender]
    bytes: int
    note: str = ""
    loop: int = 1
    memory: bool = False


@dataclass
class Timing:
    """Seconds: median, least, and spread (interquartile range over median); `peak`: bytes at most beyond the inputs."""

    kind: Kind
    median: float
    least: float
    spread: float
    samples: int
    scale: float = 1.0
    peak: int | None = None


@dataclass
class Row:
    family: str
    name: str
    timings: dict[str, Timing]
    bytes: int
    floor: float
    """Seconds: bytes over the copy bandwidth of this run."""
    output: int = 0
    """Bytes that our call gives back."""
    note: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    """Contenders that raised, with the error's first line."""

    @property
    def ours(self) -> Timing:
        return next(iter(self.timings.values()))

    def ratio(self, *kinds: Kind) -> float | None:
        """The best median of contenders of these kinds over ours: above one, ours is faster."""
        medians = [timing.median for timing in self.timings.values() if timing.kind in kinds]
        return min(medians) / self.ours.median if medians else None


@dataclass
class Report:
    machine: dict[str, Any]
    peers: dict[str, str]
    bandwidth: float
    """Bytes a second (read + written) of a copy."""
    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Families of rows that raised, with the error's first line."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(found: dict[str, Any]) -> "Report":
        rows = [
            Row(**{**row, "timings": {name: Timing(**timing) for name, timing in row["timings"].items()}})
            for row in found["rows"]
        ]
        return Report(found["machine"], found["peers"], found["bandwidth"], rows, found["failed"])


class Stopwatch:
    """Seconds of one call: the host's clock, or the device's own (CUDA events) after its L2 cache was flushed."""

    def __init__(self, device: torch.device, loop: int = 1) -> None:
        self.device, self.loop = device, loop
        self.on_device = device.type == "cuda" and loop == 1
        self.flush = torch.empty(64 << 20, device=device) if self.on_device else None

    def __call__(self, call: Call) -> float:
        return self._device(call) if self.on_device else self._host(call)

    def _host(self, call: Call) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        for _ in range(self.loop):
            call()
        return (time.perf_counter() - start) / self.loop

    def _device(self, call: Call) -> float:
        assert self.flush is not None
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.flush.zero_()  # also gives the host time to enqueue what is measured, so that launches do not count
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3


def interleave(
    contenders: dict[str, Contender], device: torch.device, seconds: float, loop: int = 1, least: int = 5
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Time all contenders in turns until `seconds` are spent, each at least `least` times, after two warm-up rounds.

    The order turns by one each round, so that none always finds the caches as the same other left them. Gives the
    timings, and the errors of those that raised.
    """
    watch = Stopwatch(device, loop)
    samples: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for name, contender in contenders.items():
        try:
            for _ in range(1 if contender.once else 2):
                found = watch(contender.call)
            samples[name] = [found] if contender.once else []
        except Exception as error:
            if contender.kind in ("ours", "variant"):
                raise
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    timed = [name for name in samples if not contenders[name].once]
    gc.disable()
    try:
        stop = time.perf_counter() + seconds
        while timed and (time.perf_counter() < stop or len(samples[timed[0]]) < least):
            for name in timed:
                samples[name].append(watch(contenders[name].call))
            timed = timed[1:] + timed[:1]
    finally:
        gc.enable()
    return {name: _summary(contenders[name], times) for name, times in samples.items()}, failed


def _summary(contender: Contender, times: list[float]) -> Timing:
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (median, median, median)
    scale = contender.scale
    return Timing(
        contender.kind, median * scale, min(times) * scale, (high - low) / median, len(times), scale=contender.scale
    )


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in value for tensor in tensors(part)] if isinstance(value, tuple | list) else []


def size_of(*values: Any) -> int:
    """Bytes of all tensors in `values`."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(values))


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second, read + written, of copying 64 MB (CUDA: 1 GB) into pages that are already there."""
    source = torch.zeros((256 if device.type == "cuda" else 16) << 20, device=device)
    target = torch.zeros_like(source)
    timing = interleave({"copy": Contender("clone", lambda: target.copy_(source))}, device, 0.3)[0]["copy"]
    return 2 * size_of(source) / timing.median


def measure(family: str, case: Case, device: torch.device, bandwidth: float, seconds: float) -> Row:
    """Time a case, with `clone()` of our outputs as a further contender (it pays for fresh pages, as we do)."""
    contenders = dict(case.contenders)
    outputs = tensors(next(iter(contenders.values())).call())
    if outputs:
        contenders["clone"] = Contender("clone", lambda: [output.clone() for output in outputs])
    timings, failed = interleave(contenders, device, seconds, case.loop)
    if case.memory:
        for name, timing in timings.items():
            timing.peak = memory.peak(contenders[name].call, device)
    return Row(family, case.name, timings, case.bytes, case.bytes / bandwidth, size_of(outputs), case.note, failed)
