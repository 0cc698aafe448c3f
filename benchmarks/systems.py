"""What systems cost: parameters, multiplications and the memory of their tensors, counted without computing them.

`python -m benchmarks.systems [PRESET …] [--size 512 1024] [--sources 1 2 4 8] [--training]` prints tables in Markdown.
Shapes alone are followed (fake tensors), so that 1920 x 1920 takes no longer than 64 x 64, on any machine.
"""

import argparse
import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from warpkit import Flow
from warpkit.models.batch import Batch, Pictures
from warpkit.models.systems.liquid_warping import PRESETS, LiquidWarping, build, total

GIB = 2**30


class LiveBytes(TorchDispatchMode):
    """Follows how many bytes of tensors that were made inside it are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        if storage not in self._seen:
            self._seen.add(storage)
            size = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True)
class Cost:
    """Of one call."""

    macs: float
    peak: int


def cost(call: Callable[[], Any]) -> Cost:
    """Multiply-accumulates of convolutions and matrix products, and the most bytes alive beyond those before."""
    with FlopCounterMode(display=False) as counter, LiveBytes() as live:
        kept = call()
    del kept
    return Cost(counter.get_total_flops() / 2, live.peak)


def blank(system: LiquidWarping, size: int, sources: int) -> Batch:
    """A batch of the right shapes that holds nothing."""
    channels, dtype = system.preset.condition_channels, torch.float32

    def empty(*shape: int) -> Tensor:
        return torch.empty(1, *shape, size, size, dtype=dtype)

    visible = None if system.visibility is None else torch.empty(1, sources, size, size, dtype=torch.bool)
    valid = torch.ones(1, sources, dtype=torch.bool)
    return Batch(
        sources=Pictures(empty(sources, 3), empty(sources, 1), torch.empty(1, sources, 1, 3), valid),
        source_condition=empty(sources, channels),
        source_silhouette=empty(sources, 1),
        target_vertices=torch.empty(1, 1, 3),
        target_condition=empty(channels),
        target_silhouette=empty(1),
        flow=Flow(torch.empty(1, sources, size, size, 2), visible),
        head_box=torch.empty(1, 4),
        body_box=torch.empty(1, 4),
        target_image=empty(3),
        target_alpha=empty(1),
        plate=empty(3),
    )


def parameters(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def describe(presets: list[str], sizes: list[int], sources: list[int]) -> None:
    print("| preset | parameters, M | G_BG | G_SID | G_TSF | fusion | each discriminator |")
    print("|---|---|---|---|---|---|---|")
    systems = {name: build(name).eval() for name in presets}
    for name, system in systems.items():
        generator = system.generator
        fusion = parameters(generator.transfer.fusions)
        parts = (generator, generator.background, generator.source, None)
        counts = [parameters(part) for part in parts]
        counts[3] = parameters(generator.transfer) - fusion
        discriminator = parameters(next(iter(system.discriminators.values())))
        print(f"| `{name}` | " + " | ".join(f"{n / 1e6:.2f}" for n in (*counts, fusion, discriminator)) + " |")
    print()
    print("| preset | size | sources | once a person: GMAC | MiB | a frame: GMAC | MiB |")
    print("|---|---|---|---|---|---|---|")
    for name, size, count in product(presets, sizes, sources):
        once, frame = rendering(name, size, count)
        cells = (f"{cost.macs / 1e9:.1f} | {cost.peak / 2**20:.0f}" for cost in (once, frame))
        print(f"| `{name}` | {size} | {count} | " + " | ".join(cells) + " |")


def rendering(preset: str, size: int, sources: int) -> tuple[Cost, Cost]:
    """Of a person's sources, then of a frame; memory beyond weights, pictures and, for a frame, encoded sources."""
    with FakeTensorMode(), torch.no_grad():
        system = build(preset).eval()
        batch = blank(system, size, sources)
        once = cost(lambda: system.encode_sources(batch))
        encoded = system.encode_sources(batch)
        return once, cost(lambda: system.render(encoded, batch))


def timed(preset: str, size: int, sources: int, device: torch.device) -> tuple[float, float]:
    """Milliseconds to encode a person's sources and to render a frame, really computed: the median of five each."""
    system = build(preset).eval().to(device, memory_format=torch.channels_last)
    batch = blank(system, size, sources).to(device)
    batch.flow.grid.uniform_(-1, 1)
    with torch.no_grad():
        encoded = system.encode_sources(batch)

        def median(call: Callable[[], Any]) -> float:
            seconds = []
            for _ in range(6):
                began = time.perf_counter()
                call()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                seconds.append(time.perf_counter() - began)
            return 1000 * statistics.median(seconds[1:])

        return median(lambda: system.encode_sources(batch)), median(lambda: system.render(encoded, batch))


def training(preset: str, size: int, sources: int, *, bf16: bool, recompute: Callable[[nn.Module], Any] | None) -> int:
    """Bytes at most in a step of one person: weights, gradients, Adam's two moments and all that is alive.

    Networks from outside (perceptual, face) are not among it, nor are workspaces of convolutions.
    """
    with FakeTensorMode():
        system = build(preset).train()
        if recompute is not None:
            recompute(system.generator)
        batch = blank(system, size, sources)
        held = 4 * 4 * (parameters(system.generator) + parameters(system.discriminators))  # with gradients and moments

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                rendered = system.render(system.encode_sources(batch), batch)
                loss = total(system.losses(rendered, batch, "generator", adversarial=True))
            loss.backward()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = total(system.losses(rendered, batch, "discriminator", adversarial=True))
            loss.backward()

        made = parameters(system) * 4  # the gradients, which the step makes
        return held - made + cost(step).peak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.systems", description=__doc__)
    parser.add_argument("presets", nargs="*", default=list(PRESETS), help="of liquid_warping (default: all)")
    parser.add_argument("--size", nargs="+", type=int, default=[256, 512, 1024, 1920])
    parser.add_argument("--sources", nargs="+", type=int, default=[2])
    parser.add_argument("--training", action="store_true", help="memory of a training step instead")
    parser.add_argument("--time", action="store_true", help="milliseconds instead, on --device")
    parser.add_argument("--device", default="cpu", type=torch.device)
    arguments = parser.parse_args()
    if arguments.time:
        print("| preset | size | sources | once a person, ms | a frame, ms |")
        print("|---|---|---|---|---|")
        for name, size, count in product(arguments.presets, arguments.size, arguments.sources):
            once, frame = timed(name, size, count, arguments.device)
            print(f"| `{name}` | {size} | {count} | {once:.0f} | {frame:.0f} |")
        return
    if not arguments.training:
        describe(arguments.presets, arguments.size, arguments.sources)
        return
    from warpkit.models.training.memory import recompute

    print("| preset | size | sources | GiB, float32 | bfloat16 | bfloat16, activations computed again |")
    print("|---|---|---|---|---|---|")
    for name, size, count in product(arguments.presets, arguments.size, arguments.sources):
        ways = ((False, None), (True, None), (True, recompute))
        peaks = [training(name, size, count, bf16=bf16, recompute=again) / GIB for bf16, again in ways]
        print(f"| `{name}` | {size} | {count} | " + " | ".join(f"{peak:.2f}" for peak in peaks) + " |")


if __name__ == "__main__":
    main()
