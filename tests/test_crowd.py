"""The people of a video: followed at once without being taken for each other, counted from left to right."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from warpkit.models.bodies import load_body
from warpkit.models.errors import InputError
from warpkit.models.media.images import read_image
from warpkit.models.recovery import Detection, crowd, recover_people
from warpkit.models.recovery.crops import Square
from warpkit.models.recovery.crowd import Crowd
from warpkit.models.recovery.track import ALIKE, Track, apart

for package in ("ai_edge_litert", "openpeople"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: the extra [demo] brings it", allow_module_level=True)

SIZE = (64, 200)
FPS = 4.0


def somebody(x: float, side: float = 50.0) -> Detection:
    """A person of a made-up video, who is at column `x`."""
    square = Square((x, 32.0), side)
    points = torch.tensor([[x, 32.0]]) + torch.linspace(-10, 10, 66).reshape(33, 2)
    empty = torch.zeros(33, 3)
    box = (x - 10, 10.0, x + 10, 60.0)
    return Detection(SIZE, 1.0, box, points, empty, torch.ones(33), np.zeros((4, 4)), square, square)


def followed(ways: Sequence[Sequence[float | None]], monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Follows people along columns, None where they are not seen; each is found where somebody is nearest."""
    made = Crowd(FPS)

    def there() -> list[Detection]:
        return [somebody(way[made.frames]) for way in ways if way[made.frames] is not None]

    def look(track: Track, _: object, others: Sequence[Detection] = ()) -> Detection | None:
        free = [one for one in there() if all(apart(one, other) >= ALIKE for other in others)]
        near = min(free, key=lambda one: apart(one, track.last), default=None)
        return near if near and apart(near, track.last) < 0.5 else None

    monkeypatch.setattr(Track, "look", look)
    monkeypatch.setattr(crowd, "detect_people", lambda _: sorted(there(), key=lambda one: -float(one.box[0])))
    for _ in ways[0]:
        made.add(np.zeros((*SIZE, 3), np.uint8))
    return made


def columns(crowd: Crowd) -> list[list[int | None]]:
    return [
        [None if seen is None else round(float(seen.landmarks[:, 0].mean())) for seen in track.detections]
        for track in crowd.people()
    ]


def test_people_are_counted_from_left_to_right_where_all_are_seen_first(monkeypatch: pytest.MonkeyPatch) -> None:
    late = [None, None, 20, 30, 40, 50, 60, 70, 80, 90]
    ways = [[150] * 10, late, [100] * 10]
    assert columns(followed(ways, monkeypatch)) == [[None] * 8 + [80, 90], ways[2], ways[0]][1:]  # seen from 8 on
    early = [None, *late[1:]]
    monkeypatch.setattr(crowd, "NEWCOMERS", FPS)
    assert columns(followed([[150] * 10, early, [100] * 10], monkeypatch)) == [early, ways[2], ways[0]]


def test_who_is_there_for_less_than_half_of_the_time_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = [10, 30, 50, *[None] * 5]
    assert columns(followed([passing, [150] * 8], monkeypatch)) == [[150] * 8]
    assert columns(followed([passing, [None] * 8], monkeypatch)) == []


def test_people_who_pass_each_other_keep_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    right, left = list(range(20, 180, 10)), list(range(173, 13, -10))
    seen = columns(followed([left, right], monkeypatch))
    assert len(seen) == 2
    for way, expected in zip(seen, (right, left), strict=True):
        found = [(one, wanted) for one, wanted in zip(way, expected, strict=True) if one is not None]
        assert len(found) >= 12
        assert sum(one == wanted for one, wanted in found[:6]) == 6


def test_who_is_hidden_by_somebody_is_lost_and_not_taken_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    still, walks = [100] * 9, [60, 70, 80, 90, None, 110, 120, 130, 140]  # behind the other in the middle
    assert columns(followed([still, walks], monkeypatch)) == [walks, still]


def standing_people() -> tuple[np.ndarray, np.ndarray]:
    spec = find_spec("openpeople")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data" / "curated"
    one, two = (read_image(data / f"P00{n}" / "assets" / "studio_posture.jpg")[::8, ::8] for n in (6, 8))
    height = min(len(one), len(two))
    return one[:height], two[:height]


def test_a_real_video_of_two_gives_each_of_them() -> None:
    one, two = standing_people()
    frames = []
    for shift in (0, 3, 6):
        left, right = (np.pad(p, ((0, 0), (s, 10 - s), (0, 0)), "edge") for p, s in ((one, shift), (two, 0)))
        frames.append(np.concatenate((left, right), 1))
    model = load_body()
    second, first = recover_people(iter(frames), model, 25.0, [2, 1])
    assert first.people == second.people == 2
    assert len(first.body.pose) == len(second.body.pose) == 3
    middle = one.shape[1] + 10
    assert float(first.body.camera.offset[:, 0].amax()) < middle < float(second.body.camera.offset[:, 0].amin())
    moved = first.body.camera.offset - first.body.camera.offset[:1]
    assert float(moved[2, 0]) == pytest.approx(6, abs=2)
    with pytest.raises(InputError, match="no person 3 in the video: 2 people are in at least half of it"):
        recover_people(iter(frames), model, 25.0, [3])


def test_somebody_without_legs_among_others_is_followed_and_that_is_known() -> None:
    one, two = standing_people()
    two = np.concatenate([np.repeat(two[:1], len(two) // 2, 0), two[: len(two) - len(two) // 2]])  # down to the hips
    frame = np.concatenate((one, two), 1)
    whole, upper = recover_people(iter([frame] * 3), load_body(), 25.0, [1, 2])
    assert (whole.whole, upper.whole) == (1, 0)
    assert float(upper.body.camera.offset[0, 0]) > one.shape[1]


def test_videos_without_people_or_frames_are_sentences() -> None:
    model = load_body()
    with pytest.raises(InputError, match="no frames"):
        recover_people(iter([]), model, 25.0, [1])
    with pytest.raises(InputError, match="no person was found"):
        recover_people(iter([np.full((96, 96, 3), 90, np.uint8)]), model, 25.0, [1])
    with pytest.raises(InputError, match="frame 1 is 100x96"):
        recover_people(iter([np.zeros((96, 96, 3), np.uint8), np.zeros((96, 100, 3), np.uint8)]), model, 25.0, [1])
