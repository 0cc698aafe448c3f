"""A video of several people: all of them followed at once, counted from left to right, each fitted by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from warpkit.models.bodies import BodyModel
from warpkit.models.errors import InputError
from warpkit.models.recovery.crops import Pyramid
from warpkit.models.recovery.people import Detection, detect_people
from warpkit.models.recovery.track import ALIKE, Track, apart, check_frame
from warpkit.models.recovery.video import LEAST_FOUND, SEARCHES, Clip, fit_track

NEWCOMERS = 0.5  # times a second that others are looked for who came into the picture
NEAR = 0.5  # of a square's side: within it somebody who was lost is found again


class Crowd:
    """Follows everybody: each by their own square, and nobody twice."""

    def __init__(self, fps: float) -> None:
        self.tracks: list[Track] = []
        self.size: tuple[int, int] | None = None
        self.frames = 0
        self._fps = fps

    def add(self, frame: np.ndarray) -> None:
        """The next frame."""
        self.size = check_frame(frame, self.frames, self.size)
        seen = self._follow(Pyramid(frame)) if self.tracks else []
        if self._time_for(NEWCOMERS if self.tracks else SEARCHES):
            self._join(detect_people(frame), seen)
        for track, detection in zip(self.tracks, seen, strict=True):
            track.keep(detection)
        self.frames += 1

    def _time_for(self, often: float) -> bool:
        """Whether what is done so often a second is done in this frame."""
        return self.frames % max(1, round(self._fps / often)) == 0

    def _join(self, people: Sequence[Detection], seen: list[Detection | None]) -> None:
        """Adds whoever is not among those `seen` to them: as the one who was lost there, or as a new one."""
        for person in people:
            if any(other and apart(person, other) < ALIKE for other in seen):
                continue
            lost = [number for number, other in enumerate(seen) if other is None]
            near = [(apart(person, last), number) for number in lost if (last := self.tracks[number].last)]
            if near and min(near)[0] < NEAR:
                seen[min(near)[1]] = person
            else:
                self.tracks.append(Track(self.frames))
                seen.append(person)

    def _follow(self, picture: Pyramid) -> list[Detection | None]:
        """Everybody in the next frame. Where two followed to one place, the one who came from nearer has it."""
        searching = self._time_for(SEARCHES)
        seen = [track.look(picture) if searching or self._lately(track) else None for track in self.tracks]
        moved = [
            apart(detection, track.last) if detection and track.last else 0.0
            for track, detection in zip(self.tracks, seen, strict=True)
        ]
        kept: list[Detection] = []
        for number in sorted(range(len(seen)), key=moved.__getitem__):
            detection = seen[number]
            if detection is not None and any(apart(detection, other) < ALIKE for other in kept):
                detection = seen[number] = self.tracks[number].look(picture, kept)
            if detection is not None:
                kept.append(detection)
        return seen

    def _lately(self, track: Track) -> bool:
        """Whether somebody was seen within a second: others are looked for less often."""
        return any(track.detections[-math.ceil(self._fps) :])

    def people(self) -> list[Track]:
        """Those who are in at least half of the video, from left to right where it first shows all of them.

        Where it never does: in the first frame that shows the most of them; whoever is not in it, from where they are
        next.
        """
        there = [track for track in self.tracks if _found(track).sum() >= LEAST_FOUND * self.frames]
        if not there:
            return []
        first = int(np.argmax(np.sum([_found(track) for track in there], 0)))
        return sorted(there, key=lambda track: _across(track, first))


def _found(track: Track) -> np.ndarray:
    return np.array([detection is not None for detection in track.detections])


def _across(track: Track, frame: int) -> float:
    """The column where somebody is in a frame; between those where they were found, if they were not."""
    places = {
        number: float(seen.landmarks[:, 0].mean()) for number, seen in enumerate(track.detections) if seen is not None
    }
    return float(np.interp(frame, list(places), list(places.values())))


@torch.no_grad()
def recover_people(
    frames: Iterable[np.ndarray],
    model: BodyModel,
    fps: float,
    numbers: Sequence[int],
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Clip]:
    """Bodies and cameras of some of the people of a video, all of them as long as the video.

    Frames are read once, one at a time. Each is fitted as by `recover_clip`; of somebody whose legs are not in the
    picture what they do is a guess, see `Clip.whole`.

    Args:
        frames: uint8 [H, W, 3], RGB, all of one size.
        model: the body model whose parameters are wanted.
        fps: frames a second.
        numbers: of whom; from left to right, from 1, where the video first shows all who are in at least half of it.
        progress: called with the number of frames looked at so far.

    Raises:
        InputError: no frames, frames too small or of several sizes, nobody, or no such person.
    """
    crowd = Crowd(fps)
    for frame in frames:
        crowd.add(frame)
        if progress is not None:
            progress(crowd.frames)
    if crowd.size is None:
        raise InputError("the video has no frames")
    people = crowd.people()
    if not people:
        raise InputError("no person was found in at least half of the video")
    for number in numbers:
        if not 1 <= number <= len(people):
            there = "one person is" if len(people) == 1 else f"{len(people)} people are"
            raise InputError(
                f"there is no person {number} in the video: {there} in at least half of it, counted from left to right"
            )
    fitted = {number: fit_track(people[number - 1], model, fps, crowd.size) for number in set(numbers)}
    return [replace(fitted[number], people=len(people)) for number in numbers]
