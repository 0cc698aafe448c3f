"""What was set out to be reached, as ratios within one run, and whether a report reaches it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import fusion
from benchmarks.harness import Report, Row

ATTENTION_CPU, ATTENTION_CUDA = 1, 8
"""Batches of the rows on either device."""


@dataclass(frozen=True)
class Target:
    """`measured` gives the figure from its row, or None where a contender is missing."""

    device: str
    what: str
    row: str
    goal: float
    at_least: bool
    measured: Callable[[Row], float | None]
    unit: str = "×"

    def says(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.goal:g}{'' if self.unit == '×' else ' '}{self.unit}"

    def reached(self, value: float) -> bool:
        return value >= self.goal if self.at_least else value <= self.goal


@dataclass(frozen=True)
class Answer:
    target: Target
    value: float | None
    verdict: str
    """`reached`, `missed` or `not run`."""


def answers(report: Report) -> Iterator[Answer]:
    """Each target of both devices; those of the device that was not there are `not run`."""
    rows = {row.name: row for row in report.rows}
    device = "cpu" if report.machine["device"] == "cpu" else "cuda"
    for target in TARGETS:
        row = rows.get(target.row) if target.device == device else None
        value = target.measured(row) if row else None
        verdict = "not run" if value is None else "reached" if target.reached(value) else "missed"
        yield Answer(target, value, verdict)


def over(name: str) -> Callable[[Row], float | None]:
    """How many times the contender's median is ours."""
    return lambda row: row.timings[name].median / row.ours.median if name in row.timings else None


def ours_over(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.ours.median / row.timings[name].median if name in row.timings else None


def best(*kinds: str) -> Callable[[Row], float | None]:
    return lambda row: row.ratio(*kinds)  # type: ignore[arg-type]


def to_floor(row: Row) -> float | None:
    return row.ours.median / row.floor


def to_copy(row: Row) -> float | None:
    return 100 * row.timings["copy"].median / row.ours.median if "copy" in row.timings else None


def microseconds(row: Row) -> float | None:
    return row.ours.median * 1e6


def beyond_output(row: Row) -> float | None:
    """The peak of memory over the output's size: one, if nothing but the output is held, whatever S."""
    return row.ours.peak / row.output if row.ours.peak is not None and row.output else None


def _targets() -> Iterator[Target]:
    rasterize, flow = "rasterize 13776 faces, 8 x 1024²", "mesh_flow pixel 13776 faces, 8 x 2 x 1024²"
    yield Target("cpu", "rasterize: DRTK's rasterize + render", rasterize, 3, True, over("DRTK"))
    yield Target("cpu", "rasterize: PyTorch3D's", rasterize, 3000, True, over("PyTorch3D"))
    yield Target("cpu", "mesh_flow: our own ops one by one", flow, 1.5, True, over("one by one"))
    for shape, factor in (("1 x 1 x 64 x 512x512", 3), ("1 x 1 x 256 x 128x128", 8)):
        row = f"warp {shape} channels-last"
        yield Target("cpu", f"warp {shape}: of clone() of the output", row, 1.2, False, ours_over("clone"))
        yield Target("cpu", f"warp {shape}: grid_sample's better layout", row, factor, True, best("eager"))
        row = f"warp backward {shape} channels-last"
        yield Target("cpu", f"warp backward {shape}: grid_sample's better layout", row, 2.5, True, best("eager"))
    yield from _attention("cpu", ATTENTION_CPU, 10, 10)
    for name in ("rasterize", "barycentrics", "interpolate", "compose_flow", "warp", "warp_reduce", "warp_attention"):
        yield Target("cpu", f"call overhead, {name}", f"overhead {name}", 12, False, microseconds, "µs")

    for peer, factor in (("nvdiffrast", 3), ("DRTK", 2), ("PyTorch3D", 20)):
        yield Target("cuda", f"rasterize: {peer}", rasterize, factor, True, over(peer))
    yield Target("cuda", "rasterize: of the floor", rasterize, 2.5, False, to_floor)
    yield Target("cuda", "mesh_flow: of the floor (24 maps of ids or depth, one grid)", flow, 3, False, to_floor)
    for shape in ("8 x 1 x 64 x 512x512", "8 x 1 x 256 x 128x128"):
        row = f"warp {shape} bf16 channels-last"
        yield Target("cuda", f"warp {shape} bf16: share of a copy's speed", row, 80, True, to_copy, "%")
        yield Target("cuda", f"warp {shape} bf16: grid_sample's better layout", row, 3, True, best("eager"))
        row = f"warp backward {shape} bf16 channels-last"
        yield Target("cuda", f"warp backward {shape} bf16: grid_sample's", row, 3, True, best("eager"))
        yield Target("cuda", f"warp backward {shape} bf16: deterministic", row, 2, False, over("deterministic"))
    yield from _attention("cuda", ATTENTION_CUDA, 5, 2)
    for name in ("rasterize", "barycentrics", "interpolate", "compose_flow", "warp", "warp_reduce", "warp_attention"):
        yield Target("cuda", f"call overhead, {name}", f"overhead {name}", 12, False, microseconds, "µs")


def _attention(device: str, batch: int, eager: float, compiled: float) -> Iterator[Target]:
    for channels, size in fusion.SITES:
        for sources in fusion.SOURCES:
            name = f"warp_attention S={sources} C={channels} {batch} x {size}²"
            yield Target(device, f"{name}: eager", name, eager, True, best("eager"))
            yield Target(device, f"{name}: compiled", name, compiled, True, best("compiled"))
            yield Target(device, f"{name}: peak memory over the output's", name, 1.2, False, beyond_output)


TARGETS = tuple(_targets())
