"""From a folder of videos to a cache of clips: people found, bodies fitted, cut out, and the background behind them.

What was made stays, and is found again by the hash of what it was made from: the video's bytes, the body model, the
networks and the settings. A run that was stopped goes on where it stopped; what changed is made again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path

import torch

from warpkit.models.bodies import BodyModel, body_digest
from warpkit.models.data.clips.footage import Footage, OpenFootage
from warpkit.models.data.clips.layouts import Video, read_layout
from warpkit.models.data.clips.maker import PASSES, Maker, Outcome, Settings
from warpkit.models.data.clips.store import Entry, Index, clip_path, locked, recovered_path
from warpkit.models.errors import InputError
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import networks


@dataclass
class Report:
    """What a run did.

    Attributes:
        made: names of the clips made now.
        kept: of those that were there.
        skipped: name and reason of the videos that cannot be used.
        faults: name and error of those that warpkit failed on.
        doubles: pairs of names of one video.
        frames: of all clips.
    """

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    doubles: list[tuple[str, str]] = field(default_factory=list)
    frames: int = 0


class _Counter:
    """Steps of one video on a bar that all videos share: it ends where it was said to, however many frames came."""

    def __init__(self, progress: Progress, expected: int) -> None:
        self.progress, self.expected, self.done = progress, expected, 0

    def to(self, step: int) -> None:
        step = min(step, self.expected)
        if step > self.done:
            self.progress.advance(step - self.done)
            self.done = step


def prepare_clips(
    folder: Path,
    cache: Path,
    model: BodyModel,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    layout: str = "auto",
    jobs: int = 1,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda text: None,
) -> Report:
    """Makes clips of all videos of a folder that are not there yet.

    Args:
        folder: the videos, see `read_layout`.
        cache: where clips go: a new or empty folder, or one of a run before. One run works on it at a time.
        model: whose bodies are fitted.
        settings: how clips are made.
        layout: see `read_layout`.
        jobs: videos that are made at once, each by a process of its own.
        progress: told of frames.
        tell: told of each video that is skipped, as soon as that is known.

    Returns:
        What was made, kept and skipped. A video that cannot be used is skipped, and no other suffers for it.

    Raises:
        InputError: folder, layout or cache cannot be used, or another run is at work on the cache.
    """
    videos = read_layout(folder, layout)
    networks.network("pose_detection")  # what is not installed is no fault of the videos
    report = Report()
    with locked(cache):
        maker = Maker(cache, model, settings, body_digest(model))
        about = {**asdict(settings), "body": model.name, "body_digest": maker.body}
        clips: dict[str, Entry] = {}

        def write(complete: bool = False) -> None:
            in_order = tuple(clips[video.name] for video in videos if video.name in clips)
            Index(about, in_order, tuple(report.skipped + report.faults), complete).write(cache)

        write()
        opened = _open_all(videos, settings, progress)
        total = sum(PASSES * (one.expected or 0) for one in opened.values() if isinstance(one, OpenFootage))
        progress.stage(f"Preparing {len(videos)} videos", total)
        names: dict[str, str] = {}
        for video, outcome in _outcomes(maker, videos, opened, progress, jobs):
            for note in outcome.notes:
                tell(f"note: {note}")
            if outcome.skipped is not None:
                report.skipped.append((video.name, outcome.skipped))
                tell(f"skipped {video.name}: {outcome.skipped}")
            elif outcome.fault is not None or outcome.keys is None:
                report.faults.append((video.name, f"{outcome.fault}"))
                tell(f"skipped {video.name}; warpkit failed on it: {outcome.fault}")
            elif outcome.keys[1] in names:
                report.doubles.append((video.name, names[outcome.keys[1]]))
                tell(f"{video.name} is the same video as {names[outcome.keys[1]]}; it is used once")
            else:
                names[outcome.keys[1]] = video.name
                (report.made if outcome.made else report.kept).append(video.name)
                clips[video.name] = Entry.of(video, outcome.keys, outcome.frames)
                report.frames += outcome.frames
                if outcome.made:
                    write()
        write(complete=True)
    return report


def _outcomes(
    maker: Maker,
    videos: list[Video],
    opened: dict[str, OpenFootage | InputError],
    progress: Progress,
    jobs: int,
) -> Iterator[tuple[Video, Outcome]]:
    """What becomes of each video, in their order; several are made at once, but told one after the other."""

    def counter(video: Video) -> _Counter:
        footage = opened[video.name]
        return _Counter(progress, PASSES * (footage.expected or 0) if isinstance(footage, OpenFootage) else 0)

    if jobs == 1:
        for video in videos:
            count = counter(video)
            outcome = maker.outcome(video, opened[video.name], count.to)
            count.to(count.expected)
            yield video, outcome
        return
    threads = max(1, torch.get_num_threads() // jobs)
    # new processes, not forks: what threads of this one hold would stay held in those
    others = active_children()
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (maker, threads))
    try:
        futures = {video.name: pool.submit(_outcome, video, opened[video.name]) for video in videos}
        for video in videos:
            outcome = futures[video.name].result()
            count = counter(video)
            count.to(count.expected)
            yield video, outcome
    except BaseException as error:
        for child in active_children():  # do not wait for videos that may take long: nothing half-made is ever used
            if child not in others:
                child.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise InputError(
            f"one of {jobs} processes was ended from outside, as it happens where memory runs out: run again with "
            "fewer --jobs, it goes on where it stopped"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_maker: list[Maker] = []  # of a process of the pool


def _begin(maker: Maker, threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and says what is to be done
    _maker[:] = [maker]


def _outcome(video: Video, opened: OpenFootage | InputError) -> Outcome:
    return _maker[0].outcome(video, opened, lambda step: None)


def _open_all(videos: list[Video], settings: Settings, progress: Progress) -> dict[str, OpenFootage | InputError]:
    """Looks into every video: how long each is, and which cannot be opened."""
    opened: dict[str, OpenFootage | InputError] = {}
    progress.stage("Looking at the videos", len(videos))
    for video in videos:
        try:
            opened[video.name] = Footage(video.path, settings.every, settings.folder_fps).open()
        except InputError as error:
            opened[video.name] = error
        progress.advance()
    return opened


def unused(cache: Path) -> list[Path]:
    """Files of clips and bodies in a cache that its index does not lead to: of other settings, or of other videos."""
    index = Index.read(cache)
    named = {clip_path(cache, entry.key) for entry in index.clips}
    named |= {recovered_path(cache, entry.recovered) for entry in index.clips}
    there = [*(cache / "clips").glob("*.zip"), *(cache / "recovered").glob("*.npz")]
    return sorted(path for path in there if path not in named)
