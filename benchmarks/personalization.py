"""Memory of a step of personalization, counted without computing it.

`python -m benchmarks.personalization [PRESET …] [--size 512 1024] [--sources 2]` prints a table in Markdown: weights,
gradients, Adam's moments, the perceptual network where its weights are at hand, and all that is alive at once.
"""

import argparse
from itertools import product

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.systems import GIB, blank, cost, parameters
from warpkit.models.systems.liquid_warping import PRESETS, Critics, build, perceptual_loss, total
from warpkit.models.tasks.personalize import with_fresh_discriminators
from warpkit.models.training.memory import recompute
from warpkit.models.weights import features, find


def step_bytes(preset: str, size: int, sources: int, *, low_memory: bool, perceptual: bool) -> int:
    """Bytes at most, of one person; `low_memory` as of `warpkit personalize`."""
    critic = perceptual_loss(PRESETS[preset], features("vgg")) if perceptual else None
    outside = 0 if critic is None else sum(x.nbytes for x in (*critic.parameters(), *critic.buffers()))
    with FakeTensorMode(allow_non_fake_inputs=True):
        system = with_fresh_discriminators(build(preset), 0).train()
        if low_memory:
            recompute(system.generator)
        batch = blank(system, size, sources)
        own = parameters(system) * 4
        judged = system.preset.schedule.adversarial_from < 1

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=low_memory):
                rendered = system.render(system.encode_sources(batch), batch)
                loss = total(system.losses(rendered, batch, "generator", Critics(critic), adversarial=judged))
            loss.backward()
            if not judged:
                return
            with torch.autocast("cpu", torch.bfloat16, enabled=low_memory):
                loss = total(system.losses(rendered, batch, "discriminator", adversarial=True))
            loss.backward()

        # the step makes the gradients; weights, two moments and the average lie there before
        return 4 * own + outside + cost(step).peak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.personalization", description=__doc__)
    parser.add_argument("presets", nargs="*", default=["ipercore", "small"], help="of liquid_warping")
    parser.add_argument("--size", nargs="+", type=int, default=[512, 1024])
    parser.add_argument("--sources", nargs="+", type=int, default=[2])
    arguments = parser.parse_args()
    there = find("vgg") is not None
    print("| preset | size | sources | GiB | with --low-memory |")
    print("|---|---|---|---|---|")
    for name, size, count in product(arguments.presets, arguments.size, arguments.sources):
        cells = (
            f"{step_bytes(name, size, count, low_memory=low, perceptual=there) / GIB:.2f}" for low in (False, True)
        )
        print(f"| `{name}` | {size} | {count} | " + " | ".join(cells) + " |")
    print(f"\nperceptual network: {'counted' if there else 'none at hand, not counted'}")


if __name__ == "__main__":
    main()
