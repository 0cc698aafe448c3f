"""A video: one person followed from frame to frame, then one fit over the whole clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel
from warpkit.models.errors import InputError
from warpkit.models.recovery.crops import Pyramid
from warpkit.models.recovery.fit import SHAPE, Fitter, Targets, targets_of
from warpkit.models.recovery.people import Detection, choose_person, detect_people
from warpkit.models.recovery.photo import fit_detection, fitter
from warpkit.models.recovery.track import KEY_FRAMES, Track, check_frame

WINDOW, OVERLAP = 256, 32  # frames fitted at once, and shared by two windows, which are faded into each other there
LEAST_FOUND = 0.5  # the share of frames in which the person must be found
SEARCHES = 5  # a second, while nobody has been found yet
CONFUSED = 0.32  # seconds that front and back are confused for at most half of


@dataclass(frozen=True)
class Clip:
    """A person in a video.

    Attributes:
        body: B = T frames, with one shape repeated.
        fps: frames a second.
        size: (height, width) of the frames in pixels.
        found: [T] bool; in the other frames the person was lost and the body is interpolated.
        landmark_error: the mean distance, where found, between the body's landmarks and the network's, as a fraction of
            the body's height in pixels.
        people: how many people there were in the frame where the following began.
        whole: the share of the frames with the person in which a leg is in the picture down to the shin; in the others
            what the legs do is a guess.
    """

    body: Body
    fps: float
    size: tuple[int, int]
    found: Tensor
    landmark_error: float
    people: int = 1
    whole: float = 1.0


class _Finder:
    """Finds the person who is wanted, and follows them."""

    def __init__(self, fps: float, person: int | None, allow_upper_body: bool) -> None:
        self.person = person
        self.allow_upper_body = allow_upper_body
        self.pause = max(1, round(fps / SEARCHES))
        self.track = Track()
        self.people = 0
        self.size: tuple[int, int] | None = None
        self.trouble: InputError | None = None

    def add(self, frame: np.ndarray) -> Detection | None:
        """The next frame: who is seen in it, mask and all; without the mask it is kept."""
        self.size = check_frame(frame, len(self.track.detections), self.size)
        if self.track.last is None:
            detection = self._begin(frame, self.allow_upper_body)
        else:
            detection = self.track.look(Pyramid(frame))
            if detection is None and not self.track.keys[0].whole:
                detection = self._begin(frame, False)
                if detection is not None:  # what was followed so far was a title, or somebody in the foreground
                    self.track = Track(len(self.track.detections))
        self.track.keep(detection)
        return detection

    def _begin(self, frame: np.ndarray, allow_upper_body: bool) -> Detection | None:
        if len(self.track.detections) % self.pause:
            return None
        people = detect_people(frame)
        try:
            chosen = choose_person(people, self.person, allow_upper_body=allow_upper_body)
        except InputError as trouble:
            if people or self.trouble is None:
                self.trouble = trouble
            return None
        self.people = len(people)
        return chosen


@torch.no_grad()
def recover_clip(
    frames: Iterable[np.ndarray],
    model: BodyModel,
    fps: float,
    *,
    person: int | None = None,
    allow_upper_body: bool = False,
    progress: Callable[[int], None] | None = None,
    seen: Callable[[Detection | None], None] | None = None,
) -> Clip:
    """Bodies and cameras of one person through a video.

    Frames are read once, one at a time, and only their landmarks are kept. The fit takes one shape from a few frames,
    then poses and cameras of all frames at once, with a prior on accelerations that also fills the frames in which the
    person was lost.

    Args:
        frames: uint8 [H, W, 3], RGB, all of one size.
        model: the body model whose parameters are wanted.
        fps: frames a second.
        person: which one of the people in the first frame that shows a whole person (or any, where that is allowed),
            counted from 1, the largest first; None: the largest.
        allow_upper_body: also follow people whose legs are not in the picture, until a whole one comes when they are
            lost.
        progress: called with the number of frames looked at so far.
        seen: called for each frame in turn with what was seen of the person, or None where nobody was: the masks, which
            are kept nowhere else.

    Raises:
        InputError: no frames, frames too small or of several sizes, no person, no such person, only an upper body, or
            the person was found in fewer than half of the frames.
    """
    finder = _Finder(fps, person, allow_upper_body)
    for frame in frames:
        detection = finder.add(frame)
        if seen is not None:
            seen(detection)
        if progress is not None:
            progress(len(finder.track.detections))
    if finder.size is None:
        raise InputError("the video has no frames")
    if not finder.people:
        raise finder.trouble or InputError("no person was found in the video")
    return replace(fit_track(finder.track, model, fps, finder.size), people=finder.people)


def fit_track(track: Track, model: BodyModel, fps: float, size: tuple[int, int]) -> Clip:
    """The bodies of somebody who was followed through frames of `size` (height, width).

    Raises InputError where they were found in fewer than half of the frames.
    """
    total = len(track.detections)
    found = torch.tensor([one is not None for one in track.detections])
    if int(found.sum()) < LEAST_FOUND * total:
        raise InputError(
            f"the person was found in only {int(found.sum())} of the video's {total} frames: at least half must show "
            "them"
        )

    fit = fitter(model)
    targets = _clip_targets(track.detections, found, fps)
    number = min(max(1, total // 15), KEY_FRAMES, len(track.keys))
    keys = [track.keys[i] for i in np.linspace(0, len(track.keys) - 1, number).round().astype(int)]
    shape = torch.cat([fit_detection(key, model).body.shape for key in keys]).median(0).values
    x = _fit_windows(fit, targets, shape, fps)
    x = _hold_ends(x, found)
    body = fit.body(x, targets)
    points = targets.points[found]
    extent = (points.amax(1) - points.amin(1)).amax(1).clamp(min=1.0)
    error = float((fit.errors(body, targets)[found].mean(1) / extent).mean())
    whole = [one.whole for one in track.detections if one is not None]
    return Clip(body, float(fps), size, found, error, whole=sum(whole) / len(whole))


def _clip_targets(detections: list[Detection | None], found: Tensor, fps: float) -> Targets:
    """Targets of all frames with one height and one middle, so that scale and offset move smoothly."""
    seen = targets_of([one for one in detections if one is not None])
    times, known = np.arange(len(detections)), torch.nonzero(found)[:, 0].numpy()

    def spread(values: Tensor) -> Tensor:
        flat = values.reshape(len(known), -1).numpy()
        columns = [np.interp(times, known, column) for column in flat.T]
        return torch.from_numpy(np.stack(columns, 1)).float().reshape(len(times), *values.shape[1:])

    # a median over neighbours: single frames in which front and back are confused must not turn the start about
    turned = np.unwrap(seen.yaw.numpy())
    reach = max(1, round(CONFUSED / 2 * fps))
    padded = np.pad(turned, reach, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), -1)
    height, middle = seen.height.median(), seen.hips.mean(0)
    weights = spread(seen.weights) * found[:, None]
    return Targets(
        points=spread(seen.points),
        depth=spread(seen.depth),
        weights=weights,
        world_scale=spread(seen.world_scale),
        height=height.expand(len(times)),
        yaw=spread(torch.from_numpy(calm).float()),
        hips=spread(seen.hips),
        middle=middle.expand(len(times), 2),
        found=found.float(),
    )


def _fit_windows(fit: Fitter, targets: Targets, shape: Tensor, fps: float) -> Tensor:
    """The clip fit, in overlapping windows that bound the memory."""
    total = len(targets.points)
    start = fit.start(targets)
    start[:, SHAPE:] = shape
    result = start.clone()
    first = 0
    while True:
        last = min(first + WINDOW, total)
        part = Targets(*(getattr(targets, name)[first:last] for name in Targets.__dataclass_fields__))
        fitted = fit.fit_clip(part, start[first:last], fps)
        fade = torch.ones(last - first, 1)
        if first:
            fade[:OVERLAP, 0] = (torch.arange(OVERLAP) + 1) / (OVERLAP + 1)
        result[first:last] = fade * fitted + (1 - fade) * result[first:last]
        if last == total:
            return result
        first = last - OVERLAP


def _hold_ends(x: Tensor, found: Tensor) -> Tensor:
    """Before the first and after the last frame that shows the person, the body stands still."""
    known = torch.nonzero(found)[:, 0]
    return x[torch.arange(len(x)).clamp(min=int(known[0]), max=int(known[-1]))]
