"""What a whole run costs: photos and a video in, a video out (Liquid Warping GAN with Attention, section 5.4, Fig. 16).

`python -m benchmarks.costs --json FILE` writes and prints

- counted: parameters, multiplications and memory of presets at each size, from shapes alone;
- measured: seconds and memory of each stage, with reading and writing: two sources of 4032 x 3024 (photo-like
  pictures of openpeople, enlarged), a reference of 165 frames of 1080p, personalization and frames at each size. Fresh
  weights: they cost what trained ones do. Of `--steps` steps and `--frames` frames the median is multiplied by 100 and
  165.

`--counted` or `--measured` alone; every row is kept in the file as it comes.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.memory import GB, forget_peak, most
from benchmarks.personalization import step_bytes
from benchmarks.systems import blank, parameters, rendering
from warpkit.models.bodies import load_body
from warpkit.models.data.motion import Motion
from warpkit.models.data.photo_like import four_views
from warpkit.models.errors import InputError
from warpkit.models.machine import describe
from warpkit.models.media.draw import fit_into
from warpkit.models.media.images import read_image
from warpkit.models.media.video import VideoWriter
from warpkit.models.systems.liquid_warping import PRESETS, build
from warpkit.models.systems.liquid_warping.checkpoints import save
from warpkit.models.tasks import Adaptation, Look, Pipeline
from warpkit.models.tasks.choices import choose_device
from warpkit.models.tasks.imitate import resolve_motion
from warpkit.models.weights import find

FRAMES, STEPS = 165, 100
"""Of the paper's table: frames of its video, steps of its personalization."""
PHOTO, VIDEO = (4032, 3024), (1080, 1920)
"""Height and width of sources and of the reference."""
PUBLIC = {"run at 512": 2.0, "personalize at 512": 9.8, "personalize at 1024": 20.0}
"""GB that the paper's system takes, as its public code's page tells."""


def running_bytes(preset: str, size: int, sources: int) -> int:
    """Everything that drawing frames holds at once: weights, pictures, encoded sources, and the most beyond them."""
    once, frame = rendering(preset, size, sources)
    system = build(preset)
    small = 64
    batch = blank(system, small, sources)
    with torch.no_grad():
        encoded = system.eval().encode_sources(batch, reconstruct=False)
    tensors = [*_tensors(batch), *encoded.features, encoded.background]
    pictures = sum(tensor.nbytes for tensor in tensors) * size**2 // small**2
    weights = sum(value.nbytes for value in system.generator.parameters())
    return weights + pictures + max(once.peak, frame.peak)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value if isinstance(value, tuple) else vars(value).values() if hasattr(value, "__dict__") else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def counted(preset: str, size: int, sources: int) -> dict[str, Any]:
    """One row, from shapes alone."""
    once, frame = rendering(preset, size, sources)
    perceptual = find("vgg") is not None
    plain, frugal = (step_bytes(preset, size, sources, low_memory=low, perceptual=perceptual) for low in (False, True))
    return {
        "preset": preset,
        "size": size,
        "sources": sources,
        "parameters": parameters(build(preset).generator),
        "once_macs": once.macs,
        "frame_macs": frame.macs,
        "run_bytes": running_bytes(preset, size, sources),
        "personalize_bytes": plain,
        "personalize_low_memory_bytes": frugal,
        "perceptual_network": perceptual,
    }


class Clock:
    """A progress that keeps the seconds of stages and of their steps, and the most memory in each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stages: dict[str, dict[str, Any]] = {}
        self._name, self._began, self._step = "", 0.0, 0.0
        self.stage("", None)

    def stage(self, name: str, total: int | None) -> None:
        self._close()
        self._name, self._began = name, time.perf_counter()
        self._step = self._began
        self.stages.setdefault(name, {"seconds": 0.0, "bytes": 0, "steps": []})
        with suppress(OSError):  # where that cannot be, it is the peak of the whole process
            forget_peak(self.device)

    def advance(self, steps: int = 1) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.stages[self._name]["steps"].append(now - self._step)
        self._step = now

    def _close(self) -> None:
        if self._name in self.stages:
            kept = self.stages[self._name]
            kept["seconds"] += time.perf_counter() - self._began
            kept["bytes"] = max(kept["bytes"], most(self.device))

    def done(self) -> dict[str, dict[str, Any]]:
        """All stages; the last one ends."""
        self._close()
        self._name = "over"
        return {name: stage for name, stage in self.stages.items() if name}


def make_inputs(folder: Path, person: str, sources: int, frames: int) -> tuple[list[Path], Path]:
    """Photos and a reference video of the sizes of the table."""
    pictures = four_views(person)
    photos = []
    for number, picture in enumerate(pictures[:sources]):
        enlarged = Image.fromarray(fit_into(picture, *PHOTO, fill=tuple(picture[0, 0].tolist())))
        photos.append(folder / f"photo_{number}.jpg")
        enlarged.save(photos[-1], quality=92)
    small = Pipeline.from_pretrained(renderer="geometric").imitate(pictures[:1], "walk", look=Look(540))
    video = folder / "reference.mp4"
    with VideoWriter(video, small.fps) as writer:
        for index in range(frames):
            frame = small.frame(index % len(small))
            writer.write(np.ascontiguousarray(fit_into(frame, *VIDEO, fill=tuple(frame[0, 0].tolist()))))
    return photos, video


def measured_once(photos: Sequence[Path], video: Path, device: torch.device) -> tuple[dict[str, Any], Motion]:
    """What does not depend on the size of the result: reading photos, following the video."""
    clock = Clock(device)
    model = load_body("anny")
    clock.stage("read the photos", len(photos))
    for photo in photos:
        read_image(photo)
    motion = resolve_motion(video, model, None, clock).motion
    stages = clock.done()
    return {"frames": len(motion.rotations), "stages": stages}, motion


def measured(
    preset: str, size: int, photos: Sequence[Path], motion: Motion, folder: Path, device: torch.device, *,
    steps: int, frames: int, low_memory: bool,
) -> dict[str, Any]:  # fmt: skip
    """One row: a run of a preset (or "geometric") at a size."""
    clock = Clock(device)
    weights = None
    if preset != "geometric":
        weights = folder / f"{preset}.safetensors"
        if not weights.exists():
            torch.manual_seed(0)
            save(build(preset), weights)
        if steps:
            person = folder / "person.safetensors"
            pipe = Pipeline.from_pretrained(weights, device=device.type, cache=False, progress=clock)
            pipe.personalize(photos, person, Adaptation(steps, size, low_memory=low_memory), overwrite=True)
            weights = person
    personalizing = clock.done()
    clock = Clock(device)
    renderer: Any = "geometric" if weights is None else "learned"
    pipe = Pipeline.from_pretrained(weights, renderer=renderer, device=device.type, cache=False, progress=clock)
    result = pipe.imitate(photos, motion, look=Look(size))
    clock.stage("frames", frames)
    pictures = []
    for index in range(min(frames, len(result))):
        pictures.append(result.frame(index))
        clock.advance()
    clock.stage("write the video", frames)
    with VideoWriter(folder / "out.mp4", result.fps, overwrite=True) as writer:
        for picture in pictures:
            writer.write(picture)
            clock.advance()
    stages = clock.done()
    return {
        "preset": preset,
        "size": size,
        "sources": len(photos),
        "low_memory": low_memory,
        "personalize": personalizing,
        "run": stages,
    }


def pace(stage: dict[str, Any]) -> float:
    """Seconds of a step: the median but for the first, which prepares."""
    steps = stage["steps"]
    return statistics.median(steps[1:] if len(steps) > 1 else steps)


def table_counted(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [
        "| preset | size | sources | parameters, M | once a person, GMAC | a frame, GMAC | to run, GB "
        "| to personalize, GB | with `--low-memory`, GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['once_macs'] / 1e9:.1f}",
            f"{row['frame_macs'] / 1e9:.1f}",
            *(f"{row[key] / GB:.2f}" for key in ("run_bytes", "personalize_bytes", "personalize_low_memory_bytes")),
        )
        lines.append(f"| `{row['preset']}` | {row['size']}² | {row['sources']} | {' | '.join(cells)} |")
    return lines


def table_measured(once: dict[str, Any] | None, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: seconds of whole runs; where fewer steps or frames were taken, what they come to."""
    lines = []
    if once is not None:
        stages = once["stages"]
        follow = next((stage for name, stage in stages.items() if name.startswith("Following")), None)
        lines += [f"- reading the photos: {stages['read the photos']['seconds']:.1f} s"]
        if follow is not None:
            each = follow["seconds"] / once["frames"]
            lines += [
                f"- following the person in the reference: {1000 * each:.0f} ms a frame of 1080p with reading it, "
                f"{each * FRAMES:.0f} s for {FRAMES}; at most {follow['bytes'] / GB:.2f} GB"
            ]
        lines += [""]
    lines += [
        f"| preset | size | prepare, s | personalize, s a step | {STEPS} steps, s | GB | a frame, ms | written, ms "
        f"| {FRAMES} frames, s | GB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        run, adapted = row["run"], row["personalize"].get("Training")
        prepare = sum(stage["seconds"] for name, stage in run.items() if name not in ("frames", "write the video"))
        frame, write = pace(run["frames"]), pace(run["write the video"])
        most = max(run["frames"]["bytes"], run["write the video"]["bytes"])
        cells = [f"{prepare:.1f}"]
        if adapted is None:
            cells += ["–", "–", "–"]
        else:
            cells += [f"{pace(adapted):.2f}", f"{pace(adapted) * STEPS:.0f}", f"{adapted['bytes'] / GB:.2f}"]
        cells += [f"{1000 * frame:.0f}", f"{1000 * write:.0f}", f"{(frame + write) * FRAMES:.0f}", f"{most / GB:.2f}"]
        name = f"`{row['preset']}`" if row["preset"] in PRESETS else row["preset"]
        lines.append(f"| {name} | {row['size']}² | {' | '.join(cells)} |")
    return lines


def tables(found: dict[str, Any]) -> str:
    """All of a file, in Markdown."""
    lines: list[str] = []
    if found["counted"]:
        lines += [*table_counted(found["counted"]), ""]
    if found["measured"]:
        lines += [*table_measured(found["once"], found["measured"]), ""]
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    add = parser.add_argument
    add("presets", nargs="*", default=["geometric", "small", "ipercore"], help="geometric, or of liquid_warping")
    add("--size", nargs="+", type=int, default=[256, 512, 1024, 1920])
    add("--sources", type=int, default=2)
    add("--steps", type=int, default=4, help="of personalization, at each size; 0: none")
    add("--adapt-up-to", type=int, default=1024, help="the largest size of personalization: its memory grows fast")
    add("--frames", type=int, default=6, help="drawn at each size")
    add("--video", type=int, default=FRAMES, help="frames of the reference that is followed")
    add("--low-memory", action="store_true", help="personalize in bfloat16 with activations computed again")
    add("--person", default="P008", help="of openpeople")
    add("--counted", action="store_true", help="count only")
    add("--measured", action="store_true", help="measure only")
    add("--device", default="auto")
    add("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(given)
    unknown = [name for name in arguments.presets if name != "geometric" and name not in PRESETS]
    if unknown:
        parser.error(f"expected geometric or one of {', '.join(PRESETS)}, got {unknown[0]}")
    try:
        device = choose_device(arguments.device)
    except InputError as error:
        parser.error(str(error))
    settings = {key: value for key, value in vars(arguments).items() if key != "json"}
    found: dict[str, Any] = {
        "machine": {**describe(device), "threads": torch.get_num_threads()},
        "settings": settings,
        "public_gb": PUBLIC,
        "counted": [],
        "once": None,
        "measured": [],
    }

    def keep() -> None:
        if arguments.json is not None:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(found, indent=1))

    runs = list(product(arguments.presets, arguments.size))
    if not arguments.measured:
        for preset, size in runs:
            if preset != "geometric":
                found["counted"].append(counted(preset, size, arguments.sources))
                keep()
    if not arguments.counted:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            photos, video = make_inputs(folder, arguments.person, arguments.sources, arguments.video)
            found["once"], motion = measured_once(photos, video, device)
            keep()
            for preset, size in runs:
                steps = arguments.steps if size <= arguments.adapt_up_to else 0
                row = measured(
                    preset,
                    size,
                    photos,
                    motion,
                    folder,
                    device,
                    steps=steps,
                    frames=arguments.frames,
                    low_memory=arguments.low_memory,
                )
                found["measured"].append(row)
                keep()
                print(table_measured(None, [row])[-1], flush=True)
    print(tables(found))


if __name__ == "__main__":
    main()
