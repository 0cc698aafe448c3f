"""One person followed from frame to frame: the landmark network's own square, and the detector again when lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from warpkit.models.errors import InputError
from warpkit.models.recovery.blazepose import Landmarks, detect, landmarks
from warpkit.models.recovery.crops import Pyramid, Square
from warpkit.models.recovery.people import (
    BELIEF,
    LOOKS,
    Detection,
    check_picture,
    look,
    to_detection,
    whole_picture,
)

KEY_FRAMES = 5  # that the shape is taken from, at most
ALIKE = 0.08  # of a square's side: landmarks that are nearer to each other, in the mean, are one person's


class _Keys:
    """Some of many detections, evenly over a clip, however long it grows."""

    def __init__(self) -> None:
        self.kept: list[Detection] = []
        self._step = 1

    def add(self, frame: int, detection: Detection) -> None:
        if not self.kept or frame % self._step == 0:
            self.kept.append(detection)
        if len(self.kept) > 2 * KEY_FRAMES:
            self.kept = self.kept[::2]
            self._step *= 2


class Track:
    """What was seen of one person so far, frame by frame."""

    def __init__(self, missed: int = 0) -> None:
        """`missed`: frames before this one, in which nobody was looked for."""
        self.detections: list[Detection | None] = [None] * missed
        self.last: Detection | None = None
        self._whole, self._cut_off = _Keys(), _Keys()

    @property
    def keys(self) -> list[Detection]:
        """Some frames with their masks, evenly over the clip: of a whole person, who says more of the shape, if one
        was seen more than once."""
        enough = len(self._whole.kept) > 1 or not self._cut_off.kept
        return self._whole.kept if enough else self._cut_off.kept

    def look(self, picture: Pyramid, others: Sequence[Detection] = ()) -> Detection | None:
        """Who was followed so far, in the next frame; none of the `others`. None where they are lost."""
        assert self.last is not None
        square = self.last.next_square
        found = look(picture, square, looks=LOOKS[:1])
        if found.score < BELIEF or _among(found, others):
            again = _find_again(picture, square, others)
            if again is None:
                return None
            found = look(picture, again.next_square(), looks=LOOKS[:1])
            if found.score < BELIEF or _among(found, others):
                return None
        return to_detection(found, picture.size)

    def keep(self, detection: Detection | None) -> None:
        """The next frame; what was seen in it is kept without its mask."""
        if detection is not None:
            self.last = detection
            (self._whole if detection.whole else self._cut_off).add(len(self.detections), detection)
        self.detections.append(detection and replace(detection, small_mask=np.zeros((1, 1))))


def check_frame(frame: np.ndarray, number: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of frame `number`. Raises InputError for no picture, or another size than `size`."""
    if size is None:
        check_picture(frame)
    elif frame.shape[:2] != size:
        raise InputError(
            f"all frames of a video must have one size: frame {number} is {frame.shape[1]}x{frame.shape[0]}, the first "
            f"{size[1]}x{size[0]}"
        )
    return frame.shape[0], frame.shape[1]


def apart(one: Detection, other: Detection) -> float:
    """The mean distance of two people's landmarks, in sides of the first one's square."""
    return _distance(one.landmarks.numpy(), other) / one.square.side


def _distance(points: np.ndarray, other: Detection) -> float:
    return float(np.linalg.norm(points - other.landmarks.numpy(), axis=1).mean())


def _among(found: Landmarks, others: Sequence[Detection]) -> bool:
    return any(_distance(found.points[:33], other) < ALIKE * found.square.side for other in others)


def _find_again(picture: Pyramid, square: Square, others: Sequence[Detection]) -> Landmarks | None:
    """Of the people that the detector sees, the one nearest to where the lost one was, if near enough."""
    candidates = [landmarks(picture, seen) for _, seen in detect(picture, whole_picture(picture.size))]
    near = [
        (float(np.hypot(*np.subtract(one.square.centre, square.centre))), i)
        for i, one in enumerate(candidates)
        if one.score >= BELIEF and 0.5 < one.square.side / square.side < 2.0 and not _among(one, others)
    ]
    near = [pair for pair in near if pair[0] < 0.5 * square.side]
    return candidates[min(near)[1]] if near else None
