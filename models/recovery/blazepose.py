"""BlazePose: where a person is (detector), 33 landmarks in the picture and in metres, and the person's mask.

The networks are those of MediaPipe 0.10.14 (Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking",
2020); what lies round them (anchors, boxes, turned crops, refinement by heatmap) is written here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from warpkit.models.recovery.crops import Pyramid, Square
from warpkit.models.recovery.networks import network

LANDMARKS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_big_toe", "right_big_toe",
)  # fmt: skip
NUM_LANDMARKS = len(LANDMARKS)
CENTRE, REACH = 33, 34  # two more points that the network gives: the middle of the hips, and how far the body reaches

DETECTOR_SIZE, LANDMARK_SIZE = 224, 256
DETECTOR_SCORE, SAME_FACE = 0.5, 0.3
MARGIN = 1.25  # a person's square is this much larger than the circle that the two points give
STRIDES = ((8, 2), (16, 2), (32, 6))  # pixels between anchors, anchors at each place


def _mirrored() -> np.ndarray:
    swapped = [
        name.replace("left", "*").replace("right", "left").replace("*", "right") if "_" in name else name
        for name in LANDMARKS
    ]
    return np.array([*(LANDMARKS.index(name) for name in swapped), *range(NUM_LANDMARKS, 39)])


MIRRORED = _mirrored()


@dataclass(frozen=True)
class Landmarks:
    """What the landmark network says of one square."""

    points: np.ndarray  # [39, 2] pixels of the picture: LANDMARKS, then six helpers of which CENTRE and REACH are used
    world: np.ndarray  # [33, 3] metres from the middle of the hips: x right, y down, z away from the camera
    visibility: np.ndarray  # [33] in [0, 1]: in the picture and not hidden
    score: float  # in [0, 1]: is there a person in the square at all
    mask: np.ndarray  # [256, 256] in [0, 1], over `square`
    square: Square

    def next_square(self) -> Square:
        """The square that fits this person better: where to look again, or in the next frame."""
        return person_square(self.points[CENTRE], self.points[REACH])


def person_square(centre: np.ndarray, reach: np.ndarray) -> Square:
    """The upright square of a person: round `centre`, turned so that `reach` (towards the head) is straight above."""
    x, y = np.asarray(reach, float) - centre
    side = 2 * MARGIN * max(math.hypot(x, y), 1.0)
    return Square((float(centre[0]), float(centre[1])), side, math.atan2(x, -y))


@lru_cache(maxsize=1)
def _anchors() -> np.ndarray:
    """[2254, 2]: the middles that the detector's boxes are counted from, in [0, 1]."""
    places = []
    for stride, repeats in STRIDES:
        steps = (np.arange(DETECTOR_SIZE // stride) + 0.5) * stride / DETECTOR_SIZE
        grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        places.append(np.repeat(grid, repeats, axis=0))
    return np.concatenate(places)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -80, 80)))


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box [4] (x0, y0, x1, y1) with boxes [N, 4]."""
    inside = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(inside, 0, None).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared + 1e-9)


def detect(picture: Pyramid, square: Square) -> list[tuple[float, Square]]:
    """Scores and squares of the people that the detector sees in a square of the picture, best first.

    Boxes (of faces) that overlap are one person: their points are averaged by score ("weighted" suppression).
    """
    outputs = network("pose_detection")(picture.crop(square, DETECTOR_SIZE) * 2 - 1)
    scores = _sigmoid(outputs["Identity_1"][:, 0])
    kept = np.flatnonzero(scores > DETECTOR_SCORE)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    scores, raw, anchors = scores[kept], outputs["Identity"][kept] / DETECTOR_SIZE, _anchors()[kept]
    middle, half = raw[:, :2] + anchors, raw[:, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], 1)
    points = raw[:, 4:].reshape(-1, 4, 2) + anchors[:, None]

    found = []
    left = np.arange(len(kept))
    while len(left):
        same = _overlap(boxes[left[0]], boxes[left]) > SAME_FACE
        group = left[same]
        mean = np.average(points[group], axis=0, weights=scores[group])
        centre, reach = square.to_picture(mean[:2])
        found.append((float(scores[group[0]]), person_square(centre, reach)))
        left = left[~same]
    return found


def _refined(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Points [39, 2] in [0, 1], moved to the middle of their heatmap's 7×7 neighbourhood where that is sure."""
    size, result = heat.shape[0], points.copy()
    for i, (x, y) in enumerate(np.floor(points * size)):
        if not (0 <= x < size and 0 <= y < size):
            continue
        x0, y0 = int(max(x - 3, 0)), int(max(y - 3, 0))
        near = heat[y0 : int(y) + 4, x0 : int(x) + 4, i]
        if near.max() >= 0.5:
            rows, columns = np.mgrid[: near.shape[0], : near.shape[1]]
            result[i] = ((near * columns).sum() / near.sum() + x0, (near * rows).sum() / near.sum() + y0)
            result[i] /= size
    return result


def landmarks(picture: Pyramid, square: Square, *, flip: bool = False) -> Landmarks:
    """The landmark network on one square of the picture; with `flip` it looks at the mirrored square."""
    crop = picture.crop(square, LANDMARK_SIZE)
    outputs = network("pose_landmark_full")(crop[:, ::-1] if flip else crop)
    raw = outputs["Identity"].reshape(39, 5).astype(np.float64)
    points = _refined(raw[:, :2] / LANDMARK_SIZE, _sigmoid(outputs["Identity_3"]))
    visibility = _sigmoid(raw[:, 3])
    world = outputs["Identity_4"].reshape(39, 3).astype(np.float64)
    mask = _sigmoid(outputs["Identity_2"][..., 0])
    if flip:
        points = (points * [-1, 1] + [1, 0])[MIRRORED]
        world, visibility, mask = (world * [-1, 1, 1])[MIRRORED], visibility[MIRRORED], mask[:, ::-1]
    world = world[:NUM_LANDMARKS]
    turn = square.axes() / square.side
    world = np.concatenate([world[:, :2] @ turn.T, world[:, 2:]], 1)
    return Landmarks(
        square.to_picture(points), world, visibility[:NUM_LANDMARKS], float(outputs["Identity_1"][0]), mask, square
    )
