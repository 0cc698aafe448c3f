"""How much videos of a trained system flicker, frame by frame and steadied, and how sharp they are.

`python -m benchmarks.flicker WEIGHTS --out benchmarks/results/flicker.json` draws P008, P009 and P010 of the package
openpeople (pictures made by a model; nobody real; never baked or trained on), each from one picture outdoors, in a
motion of the library whose bodies waver as recovered ones do, and are not smoothed. The same bodies are drawn by
geometry, by the system frame by frame, and steadied (`Look.steady`). Each frame is compared with the one before it,
carried along by `mesh_flow` between the bodies (`warpkit.models.metrics.flicker`). What that costs in truth is measured
on made-up people, whose frames are known. Prints the tables of docs/quality.md.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.blind_pairs import PEOPLE
from benchmarks.feet import wavering
from benchmarks.flicker_truth import against_truth, truth_table
from warpkit import mesh_flow
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.data.photo_like import outdoor
from warpkit.models.geometric.renderer import Layer
from warpkit.models.machine import describe
from warpkit.models.media.output import whole
from warpkit.models.metrics.flicker import edge_width, flicker, sharpness
from warpkit.models.systems.liquid_warping import weights_named
from warpkit.models.tasks import Clip, Look, Pipeline, Travel
from warpkit.models.tasks.choices import STEADY, choose_system

DRAWN = ("geometric", "alone", "steady")
"""By geometry; by the system frame by frame; by the system, steadied."""
PLAIN: dict[str, Any] = {"finer": 1, "smoothed": 0.0}
SEEN: dict[str, Any] = {"finer": 3, "smoothed": 1.0}
"""The frame before is sampled finely, and differences are averaged over a pixel: little is the measure's own then."""
LEVEL, ALPHA = 127.5, 255.0
"""What colours in [-1, 1] and alphas in [0, 1] are multiplied by."""
OUTLINE = 4
"""Pixels from an outline within which alphas are compared."""
WANTED = {"flicker": 0.5, "sharpness": 0.95, "time": 1.1}
"""Steadied against frame by frame: at most, at least, at most."""


def moment(motion: Motion, start: int, frames: int) -> Motion:
    """Some frames of a motion, its path from where they begin."""
    part = slice(start, start + frames)
    path = motion.path[part]
    return replace(motion, rotations=motion.rotations[part], path=path - path[:1], scale=motion.scale[part])


def on_frame(layer: Layer, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Colour `[1, 3, H, W]`, continued by grey, and alpha `[1, 1, H, W]`."""
    top, left = layer.corner
    height, width = layer.alpha.shape[-2:]
    beside = (left, size[1] - left - width, top, size[0] - top - height)
    return F.pad(layer.colour.float(), beside), F.pad(layer.alpha.float(), beside)


def timed(renders: Iterator[Layer], seconds: list[float]) -> Iterator[Layer]:
    """The same; `seconds` grows by the processor time of each."""
    while True:
        start = time.process_time()
        layer = next(renders, None)
        if layer is None:
            return
        seconds.append(time.process_time() - start)
        yield layer


def widest(values: Tensor, reach: int) -> Tensor:
    """The largest of all values within so many pixels, in a square."""
    return F.max_pool2d(values, 2 * reach + 1, 1, reach)


@torch.no_grad()
def measure(clip: Clip, drawn: dict[str, Clip]) -> dict[str, dict[str, float]]:
    """Means over the frames of what each of `DRAWN` makes of the bodies of `clip`."""
    size, faces = clip.framing.shape, clip.geometric.model.faces
    seconds: dict[str, list[float]] = {name: [] for name in drawn}
    renders = {name: timed(one.renders(), seconds[name]) for name, one in drawn.items()}
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in drawn}
    before: dict[str, tuple[Tensor, Tensor]] = {}
    was = None
    for index in range(len(clip)):
        body = clip.body(index)
        posed = clip.geometric.model(body.pose, body.shape, offsets=clip.geometric.appearance.offsets)
        vertices = body.camera.project(posed, size)
        now = {name: on_frame(next(one), size) for name, one in renders.items()}
        alpha = now["alone"][1]
        solid = alpha > 0.99
        outline = (widest(alpha, OUTLINE) > 0.5) & (widest(1 - alpha, OUTLINE) > 0.5)
        nobody = widest(alpha, 2) == 0
        for name in drawn:
            row, (colour, own) = found[name], now[name]
            row["sharpness"].append(LEVEL * float(sharpness(colour, solid)))
            row["edge"].append(float(edge_width(own)))
            row["left behind"].append(float((own * nobody).max()))
        if was is not None:
            flow = mesh_flow(was[:, None], vertices, faces, size)
            assert flow.visible is not None
            both = solid & (carried(before["alone"][1], flow.grid) > 0.99)
            for name in drawn:
                row, (colour, own), (colour_before, own_before) = found[name], now[name], before[name]
                row["plain"].append(LEVEL * float(flicker(colour, colour_before, flow, both, **PLAIN)))
                row["flicker"].append(LEVEL * float(flicker(colour, colour_before, flow, both, **SEEN)))
                row["outline"].append(ALPHA * float(flicker(own, own_before, flow, outline, **SEEN)))
        before, was = now, vertices
    rows = {name: {key: statistics.fmean(values) for key, values in row.items()} for name, row in found.items()}
    for name, row in rows.items():
        row["left behind"] = max(found[name]["left behind"])
        row["ms"] = 1e3 * statistics.median(seconds[name])
    return rows


def carried(alpha: Tensor, grid: Tensor) -> Tensor:
    """`[1, 1, H, W]` what an alpha `[1, 1, h, w]` was at a grid `[1, 1, H, W, 2]`."""
    return F.grid_sample(alpha, grid[:, 0], align_corners=False)


def table(results: dict[str, Any]) -> list[str]:
    """The rows of docs/quality.md, and what was wanted."""
    head = "| | drawn | flicker | plain difference | outline | sharpness | edge, pixels |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    names = {"geometric": "by geometry", "alone": "frame by frame", "steady": "steadied"}
    for who, rows in results["rows"].items():
        for name in DRAWN:
            row = rows[name]
            cells = [f"{row[key]:.2f}" for key in ("flicker", "plain", "outline", "sharpness", "edge")]
            lines.append(f"| {who} | {names[name]} | " + " | ".join(cells) + " |")
    alone, steady = (results["rows"]["mean"][name] for name in ("alone", "steady"))
    floor = results["rows"]["mean"]["geometric"]
    ratios = {key: steady[key] / alone[key] for key in ("flicker", "plain", "outline", "sharpness", "edge", "ms")}
    left = max(0.0, steady["plain"] - floor["plain"]) / (alone["plain"] - floor["plain"])
    worst = max(rows["steady"]["left behind"] for rows in results["rows"].values())
    return [
        *lines,
        "",
        f"steadied against frame by frame: flicker {ratios['flicker']:.2f} (wanted: at most {WANTED['flicker']}), "
        f"plain difference {ratios['plain']:.2f}, and {left:.2f} of what geometry does not have too, "
        f"outline {ratios['outline']:.2f}, sharpness {ratios['sharpness']:.3f} (wanted: at least "
        f"{WANTED['sharpness']}), width of edges {ratios['edge']:.2f}, processor time {ratios['ms']:.2f} (wanted: at "
        f"most {WANTED['time']}); alpha left behind beside people: {worst:.3f}",
    ]


def mean(rows: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of several clips."""
    return {name: {key: statistics.fmean(row[name][key] for row in rows) for key in rows[0][name]} for name in DRAWN}


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flicker", description=__doc__)
    add = parser.add_argument
    add("weights", type=Path, nargs="?", help="a system's checkpoint (default: the embedded one)")
    add("--out", type=Path, required=True, help="the file to write, JSON")
    add("--people", nargs="+", default=list(PEOPLE))
    add("--motions", nargs="+", default=["walk", "dance", "turn"], choices=list(MOTIONS), help="one for each person")
    add("--size", type=int, default=512, help="height and width of the frames, pixels")
    add("--frames", type=int, default=30)
    add("--start", type=int, default=10, help="the first frame of the motion that is drawn")
    add("--steady", type=float, default=STEADY, help="seconds")
    add("--device", default="auto")
    arguments = parser.parse_args(given)
    with sentences(False), Bars() as bars:
        system = choose_system("learned", arguments.weights)
        pipe = Pipeline.from_pretrained(renderer="geometric", device=arguments.device, progress=bars)
        rows = {}
        began = time.perf_counter()
        for person, name in zip(arguments.people, arguments.motions, strict=True):
            motion = moment(wavering(make_motion(name)), arguments.start, arguments.frames)
            look = Look(arguments.size, "transparent", steady=0.0)
            geometric = pipe.imitate(outdoor(person), motion, travel=Travel(smooth=0.0), look=look)
            alone, steady = (geometric.drawn_by(system) for _ in range(2))
            steady.steady = arguments.steady
            bars.stage(f"Drawing {person}: {name}", None)
            rows[f"{person}, {name}"] = measure(geometric, dict(zip(DRAWN, (geometric, alone, steady), strict=True)))
        bars.stage("Drawing people whose truth is known", None)
        truth = against_truth(system, pipe.model, (0.0, arguments.steady), arguments.start, arguments.frames)
        bars.done()
        rows["mean"] = mean(list(rows.values()))
        settings = {key: value for key, value in vars(arguments).items() if key != "out"}
        settings["weights"] = weights_named(arguments.weights)
        results = {"machine": describe(pipe.device), "settings": settings, "rows": rows, "truth": truth}
        results["seconds"] = round(time.perf_counter() - began)
        with whole(arguments.out, overwrite=True) as draft:
            draft.write_text(json.dumps(results, indent=1) + "\n")
        tell("\n".join([*table(results), "", *truth_table(truth)]))


if __name__ == "__main__":
    main()
