"""The people of a picture: found at several scales, believed or not, seen whole or in part, one of them chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from warpkit.models.errors import InputError
from warpkit.models.recovery.blazepose import LANDMARKS, Landmarks, detect, landmarks
from warpkit.models.recovery.crops import Pyramid, Square, paste

MIN_SIDE = 64  # pixels: in smaller pictures nothing is found reliably
MIN_HEIGHT = 40  # pixels: a smaller person is not worth a fit
BELIEF = 0.6  # the landmark network's score from which on a square is believed to hold a person
SURE = 0.95  # and from which on it is sure
SEEN = 0.5  # the visibility from which on a landmark counts as seen
SAME_PERSON = 0.5  # two masks are one person's when they share this much of the smaller
TILE_SIDES = (0.5, 0.25)  # of the longer side: where small people are looked for
LOOKS = (
    (0.0, 1.0, True),
    (0.03, 0.94, False),
    (-0.03, 1.06, True),
)  # turn, scale, mirrored: averaged with the first look


@dataclass(frozen=True)
class Detection:
    """One person of one picture as the networks see it; nothing is fitted yet.

    Attributes:
        size: (height, width) of the picture in pixels.
        score: in [0, 1], the landmark network's belief that this is a person.
        box: x0, y0, x1, y1 in pixels, round the mask.
        landmarks: [33, 2] pixels, in the order of `blazepose.LANDMARKS`; they may lie outside the picture.
        world: [33, 3] metres from the middle of the hips, in body space's directions: x right, y up, z to the camera.
        visibility: [33] in [0, 1].
    """

    size: tuple[int, int]
    score: float
    box: tuple[float, float, float, float]
    landmarks: Tensor
    world: Tensor
    visibility: Tensor
    small_mask: np.ndarray
    square: Square  # what small_mask covers
    next_square: Square

    @cached_property
    def mask(self) -> Tensor:
        """The person's soft mask, float32 [H, W] in [0, 1]."""
        return paste(self.small_mask, self.square, self.size)

    @property
    def area(self) -> float:
        """Pixels of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    def seen(self, name: str) -> bool:
        """Whether a landmark is visible and lies in the picture."""
        i = LANDMARKS.index(name)
        x, y = self.landmarks[i].tolist()
        height, width = self.size
        return bool(self.visibility[i] >= SEEN) and 0 <= x < width and 0 <= y < height

    @property
    def whole(self) -> bool:
        """Whether a leg is in the picture down to the shin: otherwise only the upper body is."""
        height, width = self.size
        for side in ("left", "right"):
            knee, ankle = (self.landmarks[LANDMARKS.index(f"{side}_{joint}")] for joint in ("knee", "ankle"))
            shin = knee + 0.5 * (ankle - knee)
            if self.seen(f"{side}_knee") and 0 <= shin[0] < width and 0 <= shin[1] < height:
                return True
        return False


def whole_picture(size: tuple[int, int]) -> Square:
    """The square round a whole picture of size (height, width)."""
    height, width = size
    return Square((width / 2, height / 2), max(size))


def _tiles(size: tuple[int, int], side: float) -> list[Square]:
    """Squares of the given side that cover the picture, each overlapping the next by half."""
    counts = [max(1, int(np.ceil(length / (side / 2))) - 1) for length in size]
    rows, columns = (
        np.linspace(side / 2, length - side / 2, count) if count > 1 else np.array([length / 2])
        for length, count in zip(size, counts, strict=True)
    )
    return [Square((float(x), float(y)), side) for y in rows for x in columns]


def _box(found: Landmarks, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box round the mask, within the picture; round the landmarks where the mask is empty."""
    rows, columns = np.nonzero(found.mask > 0.5)
    points = found.points[:33]
    if len(rows):
        points = found.square.to_picture(np.stack([columns + 0.5, rows + 0.5], 1) / found.mask.shape[0])
    limits = np.array([size[1], size[0]], float)
    (x0, y0), (x1, y1) = np.clip(points.min(0), 0, limits), np.clip(points.max(0), 0, limits)
    return float(x0), float(y0), float(x1), float(y1)


def to_detection(found: Landmarks, size: tuple[int, int]) -> Detection:
    """What the landmark network said, with the world turned to body space."""
    return Detection(
        size=size,
        score=found.score,
        box=_box(found, size),
        landmarks=torch.from_numpy(found.points[:33]).float(),
        world=torch.from_numpy(found.world * [1, -1, -1]).float(),
        visibility=torch.from_numpy(found.visibility).float(),
        small_mask=found.mask,
        square=found.square,
        next_square=found.next_square(),
    )


def look(picture: Pyramid, square: Square, *, looks: tuple[tuple[float, float, bool], ...] = LOOKS) -> Landmarks:
    """The landmark network on a person's square, and again a little turned, scaled and mirrored: the mean of all looks.

    The network's noise is about 0.2 % of the body's height a look, and much of it goes with the mean.
    """
    first = landmarks(picture, square)
    others = [landmarks(picture, square.changed(scale, turn), flip=flip) for turn, scale, flip in looks]
    everything = [first, *others]
    masks = [first.mask, *(_resampled(other, square) for other in others)]
    return replace(
        first,
        score=float(np.mean([one.score for one in everything])),
        points=np.mean([one.points for one in everything], 0),
        world=np.mean([one.world for one in everything], 0),
        visibility=np.mean([one.visibility for one in everything], 0),
        mask=np.mean(masks, 0),
    )


def _resampled(found: Landmarks, square: Square) -> np.ndarray:
    """The mask of one look, over the square of another."""
    size = found.mask.shape[0]
    scale = size / square.side
    inside = square.axes().T / square.side @ (np.array(found.square.centre) - square.centre) * scale + size / 2
    moved = Square((inside[0], inside[1]), found.square.side * scale, found.square.angle - square.angle)
    return paste(found.mask, moved, (size, size)).numpy()


def _thumbnail_mask(found: Landmarks, size: tuple[int, int]) -> np.ndarray:
    """The mask in a small copy of the picture, for comparing people."""
    shrink = 256 / max(size)
    small = Square(
        (found.square.centre[0] * shrink, found.square.centre[1] * shrink),
        found.square.side * shrink,
        found.square.angle,
    )
    return paste(found.mask, small, (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))).numpy() > 0.5


def check_picture(image: np.ndarray) -> None:
    """Raises InputError for what is no RGB picture, or one too small to find anybody in."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"a picture must be uint8 [height, width, 3]; this one is {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"the picture has {width}x{height} pixels, too few to find a person in: it needs at least "
            f"{MIN_SIDE} on its shorter side"
        )


def detect_people(image: np.ndarray) -> list[Detection]:
    """All people of a picture, the largest first (by the area of their boxes).

    The detector looks at the whole picture and at overlapping tiles of a half and a quarter of its longer side; what it
    sees counts when the landmark network believes it too, and once for each person.

    Args:
        image: uint8 [H, W, 3], RGB.

    Returns:
        The people; an empty list when there are none.

    Raises:
        InputError: the array is no such picture or has fewer than 64 pixels on a side.
    """
    check_picture(image)
    picture = Pyramid(image)
    size = picture.size
    squares = [(square, 0) for _, square in detect(picture, whole_picture(size))]
    for level, share in enumerate(TILE_SIDES, start=1):
        side = max(size) * share
        if side >= 2 * MIN_SIDE:
            squares += [(square, level) for tile in _tiles(size, side) for _, square in detect(picture, tile)]

    candidates: list[tuple[Landmarks, np.ndarray, tuple[bool, int, int]]] = []
    for square, level in _distinct(squares):
        first = landmarks(picture, square)
        if first.score < BELIEF:
            continue
        found = landmarks(picture, first.next_square())
        box = _box(found, size)
        if found.score >= BELIEF and box[3] - box[1] >= MIN_HEIGHT:
            mask = _thumbnail_mask(found, size)
            unsure = min(first.score, found.score) < SURE
            candidates.append((found, mask, (unsure, level, -int(mask.sum()))))
    # of several views of one person the first counts: the sure ones, because a square with several people can look like
    # one large person; then those of the larger tile, because part of a body can look like a whole one
    candidates.sort(key=lambda candidate: candidate[2])

    people: list[tuple[Landmarks, np.ndarray]] = []
    for found, mask, _ in candidates:
        shared = [(mask & other).sum() / max(1, min(mask.sum(), other.sum())) for _, other in people]
        if mask.any() and all(share < SAME_PERSON for share in shared):
            people.append((found, mask))
    detections = [to_detection(look(picture, found.next_square()), size) for found, _ in people]
    believed = [detection for detection in detections if detection.score >= BELIEF]
    return sorted(believed, key=lambda detection: -detection.area)


def _distinct(squares: list[tuple[Square, int]]) -> list[tuple[Square, int]]:
    """Squares without those that nearly repeat an earlier one."""
    kept: list[tuple[Square, int]] = []
    for square, level in squares:
        if not any(
            np.hypot(*np.subtract(square.centre, other.centre)) < 0.1 * other.side
            and 0.8 < square.side / other.side < 1.25
            for other, _ in kept
        ):
            kept.append((square, level))
    return kept


def choose_person(people: list[Detection], person: int | None, *, allow_upper_body: bool = False) -> Detection:
    """The person to work with: number `person` counted from 1, the largest first; the largest for None.

    Raises:
        InputError: nobody is there, fewer people than `person` are, or only this person's upper body is in the picture.
    """
    if not people:
        raise InputError(
            "no person was found in the picture: it needs one who is well visible, from head to feet if possible"
        )
    number = 1 if person is None else person
    if not 1 <= number <= len(people):
        there = "one person was" if len(people) == 1 else f"{len(people)} people were"
        raise InputError(
            f"there is no person {number} in the picture: {there} found, counted from 1, the largest first"
        )
    chosen = people[number - 1]
    if not chosen.whole and not allow_upper_body:
        raise InputError(
            "only the upper body of the person is in the picture: the legs must be in it too, down to the feet"
        )
    return chosen
