"""Memory while a long clip is drawn and encoded: the most that is resident, and what is in use, by count of frames.

`python -m benchmarks.long_clip WEIGHTS --out benchmarks/results/long-clip.json` (Linux): by geometry, and by the
trained system, steadied; at a small size, since it is the count of frames that matters.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory import MB, forget_peak, most, status
from warpkit.models.app.console import Bars, sentences, tell
from warpkit.models.data.motion import Motion
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.data.photo_like import outdoor
from warpkit.models.machine import describe
from warpkit.models.media.output import whole
from warpkit.models.media.video import VideoWriter
from warpkit.models.memory import give_back
from warpkit.models.systems.liquid_warping import weights_named
from warpkit.models.tasks import Clip, Look, Pipeline
from warpkit.models.tasks.choices import choose_system

CPU = torch.device("cpu")


def repeated(motion: Motion, frames: int) -> Motion:
    """So many frames, over and over."""
    index = torch.arange(frames) % len(motion)
    return replace(motion, rotations=motion.rotations[index], path=motion.path[index], scale=motion.scale[index])


def in_use() -> int:
    """Bytes that are resident once free pages, which the allocator would keep, are given back."""
    gc.collect()
    give_back()
    return status("VmRSS")


def draw(clip: Clip, counts: list[int], folder: Path) -> tuple[list[int], list[int]]:
    """Bytes that were resident at most until so many frames were drawn and encoded, and that are in use then."""
    peaks, used, done = [], [], 0
    frames: Iterator[np.ndarray] = iter(clip)
    with VideoWriter(folder / "long.mp4", clip.fps) as writer:
        for count in counts:
            for frame in islice(frames, count - done):
                writer.write(frame)
            done = count
            peaks.append(most(CPU))
            used.append(in_use())
    return peaks, used


def table(rows: dict[str, dict[str, Any]], counts: list[int]) -> list[str]:
    """One line a renderer."""
    lines = ["| drawn | " + " | ".join(f"{count:,} frames" for count in counts) + " | more in use | frames a second |"]
    lines.append("|" + "---|" * (len(counts) + 3))
    for name, row in rows.items():
        both = zip(row["peaks"], row["used"], strict=True)
        cells = [f"{peak / MB:.0f} MB, {used / MB:.0f} in use" for peak, used in both]
        more = (row["used"][-1] - row["used"][0]) / MB
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {more:.1f} MB | {row['rate']:.1f} |")
    return lines


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_clip", description=__doc__)
    add = parser.add_argument
    add("weights", type=Path, nargs="?", help="a system's checkpoint (default: the embedded one)")
    add("--out", type=Path, required=True, help="the file to write, JSON")
    add("--counts", nargs="+", type=int, default=[100, 2000], help="frames after which the peak is read")
    add("--person", default="P008")
    add("--motion", default="walk", choices=list(MOTIONS))
    add("--size", type=int, default=128, help="height and width of the frames, pixels")
    arguments = parser.parse_args(given)
    counts = sorted(arguments.counts)
    with sentences(False), Bars() as bars, tempfile.TemporaryDirectory() as folder:
        system = choose_system("learned", arguments.weights)
        pipe = Pipeline.from_pretrained(renderer="geometric", device=CPU.type, progress=bars)
        motion = repeated(make_motion(arguments.motion), counts[-1])
        geometric = pipe.imitate(outdoor(arguments.person), motion, look=Look(arguments.size))
        rows: dict[str, dict[str, Any]] = {}
        for name, clip in (("by geometry", geometric), ("by the system, steadied", geometric.drawn_by(system))):
            bars.stage(f"Drawing {counts[-1]} frames {name}", None)
            (Path(folder) / "long.mp4").unlink(missing_ok=True)
            in_use()  # pages that are free would count
            forget_peak(CPU)
            began = time.perf_counter()
            peaks, used = draw(clip, counts, Path(folder))
            rows[name] = {"peaks": peaks, "used": used, "rate": counts[-1] / (time.perf_counter() - began)}
        bars.done()
        settings = {key: value for key, value in vars(arguments).items() if key != "out"}
        settings["weights"] = weights_named(arguments.weights)
        results = {"machine": describe(pipe.device), "settings": settings, "rows": rows}
        with whole(arguments.out, overwrite=True) as draft:
            draft.write_text(json.dumps(results, indent=1) + "\n")
        tell("\n".join(table(rows, counts)))


if __name__ == "__main__":
    main()
