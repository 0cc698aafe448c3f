"""Where a picture's error lies: which shares of it are outline, surface that a source saw, and surface that none did.

`python -m benchmarks.error_shares small.safetensors [--size 128] [--sources 1 4] [--count 16]` takes held-out rendered
people, as `warpkit evaluate` does, and splits the squared error in the widened mask. Then it tells how far the
geometric picture would come with the true outline, or with the true colours: what can be gained at all.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from warpkit.models.app.console import Bars, sentences
from warpkit.models.bodies import load_body
from warpkit.models.data.cases import Case
from warpkit.models.data.people import HeldOut
from warpkit.models.geometric.matte import spread
from warpkit.models.metrics import widened
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks.compared import GeometricPictures, Renderer, SystemPictures, plate

REGIONS = ("person drawn as background", "background drawn as person", "seen", "unseen", "round the person")


def regions(case: Case) -> Tensor:
    """`[5, H, W]` bool: the widened mask of a case of one drawing, shared out among `REGIONS`."""
    assert case.truth is not None
    assert case.gathered is not None
    true, drawn = case.truth.alpha[0, 0, 0] > 0.5, case.gathered.geometric.alpha[0, 0] > 0.5
    seen = case.gathered.geometric.seen[0, 0] > 0.5
    mask = widened(case.truth.alpha[:, 0])[0, 0] > 0
    both = true & drawn
    parts = [true & ~drawn, drawn & ~true, both & seen, both & ~seen, ~true & ~drawn]
    return torch.stack(parts) & mask


def bounds(case: Case) -> dict[str, Tensor]:
    """`[1, 3, H, W]`: the geometric picture with the true outline; with the true colours."""
    assert case.truth is not None
    assert case.gathered is not None
    drawn, behind = case.gathered.geometric, plate(case.sources)
    image, alpha = case.truth.image[:, 0], case.truth.alpha[:, 0]
    own = spread(image[0], (alpha[0, 0] > 0.95).to(image))[None]
    return {
        "with the true outline": torch.lerp(behind, drawn.colour, alpha),
        "with the true colours": torch.lerp(behind, own, drawn.alpha),
    }


def measure(renderers: dict[str, Renderer], cases: Sequence[Case]) -> tuple[list[list[float]], dict[str, float]]:
    """Rows of shares by region: of the area, of the error of the first renderer, and of each of the others by that same
    error; and gains over the first, dB. All are means over cases."""
    shares = torch.zeros(1 + len(renderers), len(REGIONS), dtype=torch.float64)
    gains: dict[str, float] = {}
    for case in cases:
        assert case.truth is not None
        where, truth = regions(case), case.truth.image[0, 0]
        made = {name: render(case) for name, render in renderers.items()} | bounds(case)
        errors = {name: (image[0] - truth).square().sum(0).double() for name, image in made.items()}
        sums = {name: torch.stack([(error * part).sum() for part in where]) for name, error in errors.items()}
        first = next(iter(sums.values())).sum()
        rows = [where.flatten(1).sum(1) / where.sum(), *(sums[name] / first for name in renderers)]
        shares += torch.stack([row.double() for row in rows]) / len(cases)
        for name, own in list(sums.items())[1:]:
            gains[name] = gains.get(name, 0.0) + float(10 * torch.log10(first / own.sum())) / len(cases)
    return shares.tolist(), gains


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_shares", description=__doc__)
    parser.add_argument("weights", type=Path, help="a system's checkpoint")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--sources", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    with sentences(False), Bars():
        model = load_body("anny")
        people = HeldOut(model, arguments.size, "test", arguments.seed, gathered=True)
        system = SystemPictures(load(arguments.weights), model)
        for sources in arguments.sources:
            cases = [people.cases("self", step, sources) for step in range(arguments.count)]
            shares, gains = measure({"geometric": GeometricPictures(), "system": system}, cases)
            print(f"\n{sources} source{'s' * (sources > 1)}, {arguments.count} pairs at {arguments.size}²\n")
            print("| | " + " | ".join(REGIONS) + " |\n|" + "---|" * (len(REGIONS) + 1))
            for name, row in zip(("area", "geometric", "system"), shares, strict=True):
                print(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in row) + " |")
            print("\nbetter than geometric: " + ", ".join(f"{name} {gain:+.2f} dB" for name, gain in gains.items()))


if __name__ == "__main__":
    main()
