"""Where a picture's error lies: which shares of it are outline, surface that a source saw, and surface that none did.

`python -m benchmarks.error_shares small.safetensors --json benchmarks/results/error-shares.json` takes held-out
rendered people, as `warpkit evaluate` does, and splits the squared error and the VGG distance in the widened mask. Then
it tells how far the geometric picture would come with the true outline, or with the true colours: what can be gained.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.provenance import where
from warpkit.models.app.console import Bars, sentences
from warpkit.models.bodies import load_body
from warpkit.models.data.cases import Case
from warpkit.models.data.people import HeldOut
from warpkit.models.features.vgg import Vgg, unit_distance_map
from warpkit.models.geometric.matte import spread
from warpkit.models.machine import describe
from warpkit.models.metrics import widened
from warpkit.models.metrics.judges import Judges
from warpkit.models.systems.liquid_warping import weights_named
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


def measure(renderers: dict[str, Renderer], cases: Sequence[Case], vgg: Vgg | None = None) -> dict[str, Any]:
    """Shares of the widened mask, and of two errors in it, by region; means over cases.

    Returns:
        "area": shares by region. "squared", and with `vgg` "vgg", for each of the renderers: shares by region of the
        first renderer's squared error, case by case, or of its whole VGG distance. "gains": for all others and the
        `bounds`, "psnr" in dB, case by case, and "vgg" relative to the first renderer's.
    """
    area = torch.zeros(len(REGIONS), dtype=torch.float64)
    sums: dict[str, dict[str, list[Tensor]]] = {"squared": {}} if vgg is None else {"squared": {}, "vgg": {}}
    for case in cases:
        assert case.truth is not None
        where, truth = regions(case), case.truth.image[:, 0]
        area += where.flatten(1).sum(1).double() / where.sum() / len(cases)
        seen = None if vgg is None else vgg(truth)
        for name, image in ({name: render(case) for name, render in renderers.items()} | bounds(case)).items():
            maps = {"squared": (image - truth).square().sum(1)[0]}
            if vgg is not None and seen is not None:
                height, width = truth.shape[-2:]
                maps["vgg"] = unit_distance_map(vgg(image), seen, (height, width)).reshape(height, width)
            for metric, values in maps.items():
                inside = torch.stack([values[part].double().sum() for part in where]) / where.sum()
                sums[metric].setdefault(name, []).append(inside)
    found = {metric: {name: torch.stack(rows) for name, rows in of.items()} for metric, of in sums.items()}
    first = {metric: next(iter(of.values())) for metric, of in found.items()}
    gains: dict[str, dict[str, float]] = {}
    for name in list(found["squared"])[1:]:
        ratio = first["squared"].sum(1) / found["squared"][name].sum(1)
        gains[name] = {"psnr": float((10 * torch.log10(ratio)).mean())}
        if vgg is not None:
            gains[name]["vgg"] = float(found["vgg"][name].sum() / first["vgg"].sum() - 1)
    shares = {"squared": {name: (found["squared"][name] / first["squared"].sum(1, True)).mean(0) for name in renderers}}
    if vgg is not None:
        shares["vgg"] = {name: found["vgg"][name].sum(0) / first["vgg"].sum() for name in renderers}
    listed = {metric: {name: of.tolist() for name, of in by.items()} for metric, by in shares.items()}
    return {"area": area.tolist(), **listed, "gains": gains}


def table(found: dict[str, Any]) -> list[str]:
    """One measurement in Markdown."""
    lines = ["| | " + " | ".join(REGIONS) + " |", "|" + "---|" * (len(REGIONS) + 1)]
    rows = {"area": found["area"]}
    for metric, title in (("squared", "squared error"), ("vgg", "VGG distance")):
        rows |= {f"{title}, {name}": shares for name, shares in found.get(metric, {}).items()}
    lines += [f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in row) + " |" for name, row in rows.items()]
    better = []
    for name, gain in found["gains"].items():
        vgg = f", VGG distance {100 * gain['vgg']:+.1f} %" if "vgg" in gain else ""
        better.append(f"- {name}: {gain['psnr']:+.2f} dB{vgg}")
    if "vgg" in found:
        unseen = next(iter(found["vgg"].values()))[REGIONS.index("unseen")]
        better.append(f"- with all true but surface that no source shows: VGG distance {100 * (unseen - 1):+.1f} %")
    return [*lines, "", "Against the geometric picture:", "", *better]


def markdown(results: dict[str, Any]) -> list[str]:
    """All that `main` wrote to a file."""
    lines = [f"{results['weights']}; seed {results['seed']}; {where(results['machine'])}", ""]
    for sources, found in results["sources"].items():
        lines += [f"**{sources} source{'s' * (sources != '1')}**, {results['count']} pairs at {results['size']}²", ""]
        lines += [*table(found), ""]
    return lines[:-1]


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_shares", description=__doc__)
    parser.add_argument("weights", type=Path, help="a system's checkpoint")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sources", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the shares to this file")
    arguments = parser.parse_args(given)
    with sentences(False), Bars():
        model = load_body("anny")
        people = HeldOut(model, arguments.size, "test", arguments.seed, gathered=True)
        renderers = {
            "geometric": GeometricPictures(),
            arguments.weights.stem: SystemPictures(load(arguments.weights), model),
        }
        vgg = Judges.find().vgg
        results: dict[str, Any] = {
            "machine": describe(torch.device("cpu")),
            "weights": weights_named(arguments.weights),
            "seed": arguments.seed,
            "size": arguments.size,
            "count": arguments.count,
            "sources": {},
        }
        for sources in arguments.sources:
            cases = [people.cases("self", step, sources) for step in range(arguments.count)]
            results["sources"][str(sources)] = measure(renderers, cases, vgg)
        print("\n".join(markdown(results)))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
