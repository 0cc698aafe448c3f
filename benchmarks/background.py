"""Which filling of the background is nearer to the truth where the person was: patches of the picture, or a network.

`python -m benchmarks.background WEIGHTS --baked FOLDER --out benchmarks/results/background.json`: rendered people who
are held out, before places that are known, at several sizes. Both fill the same hole, that of `warpkit imitate`; what
is beside it neither may change. `continued` is what the network of `small` starts from: colours continued into the
hole. Writes every distance, and prints a table of each size.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.provenance import where
from warpkit.models.bodies import load_body
from warpkit.models.data.people import RenderedPeople
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.layers import spread
from warpkit.models.machine import describe
from warpkit.models.metrics import Judges
from warpkit.models.systems.liquid_warping import LiquidWarping, weights_named
from warpkit.models.systems.liquid_warping.checkpoints import load

FILLINGS = ("exemplar", "network", "continued")
METRICS = {"psnr/person": "PSNR, dB", "ssim/person": "SSIM", "vgg/person": "VGG distance"}
"""In the hole, and a little round it."""


@torch.no_grad()
def fillings(system: LiquidWarping, image: Tensor, hole: Tensor) -> dict[str, Tensor]:
    """The background `[3, H, W]` by each, of a picture `[3, H, W]` and its hole `[H, W]` bool."""
    mask = hole.float()[None, None]
    return {
        "exemplar": fill_background(image, hole),
        "network": system.generator.background(image[None], mask)[0].float().clamp(-1, 1),
        "continued": torch.where(hole, spread(image[None] * (1 - mask), 1 - mask)[0], image),
    }


def compare(
    system: LiquidWarping, people: RenderedPeople, judges: Judges, count: int
) -> dict[str, dict[str, list[float]]]:
    """Every distance of each filling, picture by picture."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name in FILLINGS}
    for step in range(count):
        given, _ = people.draw(step, 1, 1)
        assert given.plate is not None
        image, alpha, plate = given.image[0, 0].cpu(), given.alpha[0, 0, 0].cpu(), given.plate.cpu()
        hole = person_hole(alpha)
        distances = judges.compared_with(plate, hole.float()[None, None])
        for name, made in fillings(system, image, hole).items():
            assert torch.equal(made[:, ~hole], image[:, ~hole])  # what is seen stays
            for metric, value in distances(made[None]).items():
                values[name].setdefault(metric, []).append(float(value))
    return values


def markdown(results: dict[str, Any]) -> list[str]:
    """All that `main` wrote to a file: a table of each size."""
    lines = [f"{results['settings']['weights']}; {where(results['machine'])}"]
    for size, values in results["values"].items():
        lines += ["", f"**{size}²**", "", *table(values)]
    return lines


def table(values: dict[str, dict[str, list[float]]]) -> list[str]:
    """Means, and the difference from exemplar filling with its standard error."""
    there = [metric for metric in METRICS if metric in values["exemplar"]]
    lines = ["| filling | pictures | " + " | ".join(f"{METRICS[m]} | difference" for m in there) + " |"]
    lines.append("|" + "---|" * (2 + 2 * len(there)))
    for name, of in values.items():
        cells = []
        for metric in there:
            pairs = [
                (a, b) for a, b in zip(of[metric], values["exemplar"][metric], strict=True) if math.isfinite(a + b)
            ]
            apart = [a - b for a, b in pairs]
            error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
            cells += [f"{statistics.fmean(a for a, _ in pairs):.3f}", f"{statistics.fmean(apart):+.3f} ± {error:.3f}"]
        if name == "exemplar":
            cells[1::2] = ["–"] * len(there)
        lines.append(f"| {name} | {len(of[there[0]])} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.background", description=__doc__)
    parser.add_argument("weights", type=Path, help="a checkpoint of the layers `small`")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, JSON")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--baked", type=Path, help="folder of photographic people, whose places are used too")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    system = load(arguments.weights)
    if system.preset.layers != "small":
        raise SystemExit(f"{arguments.weights}: the network of the preset {system.preset.name!r} changes what is seen")
    model, judges = load_body("anny"), Judges.find()
    values = {}
    for size in arguments.size:
        people = RenderedPeople(model, size, "test", arguments.seed, baked=arguments.baked)
        values[str(size)] = compare(system, people, judges, arguments.count)
    settings: dict[str, Any] = {name: value for name, value in vars(arguments).items() if name != "out"}
    settings |= {"weights": weights_named(arguments.weights), "baked": arguments.baked is not None}
    results = {
        "settings": settings,
        "networks": judges.networks(),
        "machine": describe(torch.device("cpu")),
        "values": values,
    }
    arguments.out.write_text(json.dumps(results) + "\n")
    print(*markdown(results), sep="\n")


if __name__ == "__main__":
    main()
