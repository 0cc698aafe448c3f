"""What a frame of motion imitation costs, stage by stage, and how much memory it takes.

`python -m benchmarks.imitation [--size 512] [--views 2] [--threads N] [--renderer learned]`: the sources are photo-like
pictures of the package openpeople; recovery and gathering are timed once, frames many times over (medians). Stages are
timed for frames by themselves; "in order" is what a video takes: on a GPU several frames go together there.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from benchmarks.memory import GB, most
from warpkit.models.data.photo_like import four_views
from warpkit.models.media.video import VideoWriter
from warpkit.models.tasks import Clip, Look, Pipeline
from warpkit.models.tasks.learned import MOST_AT_ONCE

WARM_UP = 5


class Stages:
    """Keeps the seconds of each stage that a task reports."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self.clock = clock
        self._name, self._start = "loading", clock()

    def stage(self, name: str, total: int | None) -> None:
        now = self.clock()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._start
        self._name, self._start = name, now

    def advance(self, steps: int = 1) -> None:
        pass


def median_ms(call: Callable[[int], object], frames: range, clock: Callable[[], float]) -> float:
    samples = []
    for index in frames:
        start = clock()
        call(index)
        finish()
        samples.append(clock() - start)
    return 1e3 * statistics.median(samples[WARM_UP:])


def finish() -> None:
    """Waits for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--views", type=int, default=2, choices=(1, 2, 3, 4))
    parser.add_argument("--person", default="P008")
    parser.add_argument("--motion", default="walk")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--renderer", choices=("geometric", "learned"), default="geometric")
    parser.add_argument("--weights", type=Path, help="what the learned renderer draws with, if not the embedded model")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--processor-time", action="store_true", help="of all threads: for a machine that is busy")
    parser.add_argument("--again", action="store_true", help="also what is left to do once with a warm cache")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.processor_time else time.perf_counter
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    def prepare(cache: str | bool) -> tuple[Clip, Stages]:
        stages = Stages(clock)
        pipe = Pipeline.from_pretrained(arguments.weights, renderer=arguments.renderer, cache=cache, progress=stages)
        photos = four_views(arguments.person)[: arguments.views]
        result = pipe.imitate(photos, arguments.motion, look=Look(arguments.size))
        stages.stage("", None)
        return result, stages

    result, stages = prepare(cache=False)
    again = {}
    if arguments.again:
        with tempfile.TemporaryDirectory() as folder:
            prepare(cache=folder)
            again = prepare(cache=folder)[1].seconds
    prepared = most(result.device)
    frames = range(min(len(result), arguments.frames))
    geometric = result.geometric

    @torch.no_grad()
    def vertices(index: int) -> object:
        posed = result.body(index)
        return geometric.model(posed.pose, posed.shape, offsets=geometric.appearance.offsets)

    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "frames.mp4", result.fps) as writer:
        pictures = [result.frame(index) for index in frames]
        posing = median_ms(vertices, frames, clock)
        rendering = median_ms(result.render, frames, clock)
        whole = median_ms(result.frame, frames, clock)
        encoding = median_ms(lambda index: writer.write(pictures[index]), frames, clock)
    in_order = iter(result)
    for _ in islice(in_order, MOST_AT_ONCE):
        pass
    start, batches = clock(), max(1, len(frames) // MOST_AT_ONCE - 1)  # whole ones: what is drawn is what is counted
    count = sum(1 for _ in islice(in_order, batches * MOST_AT_ONCE))
    rate = count / (clock() - start)

    how = f"{arguments.renderer} renderer, {'processor time' if arguments.processor_time else 'wall time'}"
    where = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{how}, {arguments.views} views, {arguments.size}², {where}")
    for name, seconds in stages.seconds.items():
        warm = f", {again[name]:.2f} s with a warm cache" if again else ""
        print(f"  once       {name:42} {seconds:8.2f} s{warm}")
    print(f"  each frame {'body (vertices)':42} {posing:8.1f} ms")
    stage = "rasterize, flow, warp, blend, smooth edges"
    stage += ", network" if arguments.renderer == "learned" else ""
    print(f"  each frame {stage:42} {rendering - posing:8.1f} ms")
    print(f"  each frame {'shadow, background, to bytes':42} {whole - rendering:8.1f} ms")
    print(f"  each frame {'encode (H.264)':42} {encoding:8.1f} ms")
    print(f"  frames per second, rendered                            {1e3 / whole:8.1f}")
    print(f"  frames per second, rendered and encoded                {1e3 / (whole + encoding):8.1f}")
    print(f"  frames per second, rendered in order                   {rate:8.1f}")
    of = "GPU" if result.device.type == "cuda" else "resident"
    print(f"  {of} memory, at most: prepared {prepared / GB:.2f} GB, with rendering {most(result.device) / GB:.2f} GB")


if __name__ == "__main__":
    main()
