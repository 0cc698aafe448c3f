"""Which videos a folder holds, who is in them and what is for training: the layouts, on made-up folders."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("av", reason="needs the extra [person]")
from PIL import Image

from warpkit.models.data.clips import read_layout, split_videos
from warpkit.models.data.clips.footage import Footage
from warpkit.models.errors import InputError


def folder_of_frames(path: Path, count: int = 2) -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((64, 64, 3), number, np.uint8)).save(path / f"{number}.png")
    return path


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"video")


def lists(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        (folder / f"{name}.txt").write_text(text)


def test_iper_frames_tell_actor_clothes_and_kind(tmp_path: Path) -> None:
    for name in ("001/1/1", "001/1/2", "001/10/1", "023/2/2"):
        folder_of_frames(tmp_path / "images_HD" / name)
    lists(tmp_path, train="001/1/1\n001/1/2\n001/10/1\n", val="023/2/2\n")
    videos = {video.name: video for video in read_layout(tmp_path)}
    assert list(videos) == ["001/1/1", "001/1/2", "001/10/1", "023/2/2"]
    assert [video.kind for video in videos.values()] == ["turn", "motion", "turn", "motion"]
    assert (videos["001/10/1"].identity, videos["001/10/1"].clothes) == ("001", "10")
    assert [video.split for video in videos.values()] == ["train", "train", "train", "test"]


def test_iper_videos_are_named_as_its_frames(tmp_path: Path) -> None:
    files(tmp_path, "iPER_1024_video_release/004_1_2.mp4", "iPER_1024_video_release/about.mp4")
    (video,) = read_layout(tmp_path, "iper")
    assert (video.name, video.identity, video.clothes, video.kind) == ("004/1/2", "004", "1", "motion")


def test_motion_synthetic_knows_outfits_of_one_person(tmp_path: Path) -> None:
    names = (
        "PeopleSnapshot_female-3-casual_1604_0093",
        "PeopleSnapshot_female-3-sport_1650_0094",
        "MG_12561_0646_0101",
    )
    files(tmp_path, *(f"videos/{name}.mp4" for name in names), f"poses/{names[0]}/pose_shape.pkl")
    lists(tmp_path, train=f"{names[0]}\n{names[2]}", val=names[1])
    videos = {video.name: video for video in read_layout(tmp_path)}
    assert videos[names[0]].identity == videos[names[1]].identity == "PeopleSnapshot_female-3"
    assert (videos[names[0]].clothes, videos[names[1]].clothes) == ("casual", "sport")
    assert videos[names[2]].identity == "MG_12561"
    assert videos[names[1]].split == "test"


def test_fashion_is_split_by_its_lists_of_addresses(tmp_path: Path) -> None:
    files(tmp_path, "videos/A1.mp4", "videos/B2.mp4", "videos/unlisted.mp4")
    lists(tmp_path, fashion_train="https://a.test/x/A1.mp4\n", fashion_test="https://a.test/x/B2.mp4\n")
    assert [(video.name, video.split) for video in read_layout(tmp_path)] == [("A1", "train"), ("B2", "test")]


def test_youtube_dancers_are_never_trained_on(tmp_path: Path) -> None:
    files(tmp_path, "one.mp4", "deeper/two.mkv")
    videos = read_layout(tmp_path, "youtube-dancer")
    assert [video.split for video in videos] == ["test", "test"]
    assert len({video.identity for video in videos}) == 2


def test_any_folder_tells_people_and_clothes_by_its_tree(tmp_path: Path) -> None:
    files(tmp_path, "alone.mp4", "ann/walk.MOV", "ben/suit/a.mp4", "ben/sport/a.mp4", "notes.txt", ".hidden.mp4")
    folder_of_frames(tmp_path / "ben" / "coat" / "frames")
    found = {video.name: (video.identity, video.clothes) for video in read_layout(tmp_path)}
    assert found == {
        "alone.mp4": ("alone", "alone"),
        "ann/walk.MOV": ("ann", "ann"),
        "ben/coat/frames": ("ben", "coat"),
        "ben/sport/a.mp4": ("ben", "sport"),
        "ben/suit/a.mp4": ("ben", "suit"),
    }


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    files(tmp_path, "a/b.mp4")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert "a/b.mp4" in [video.name for video in read_layout(tmp_path)]


def test_frames_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = folder_of_frames(tmp_path / "frames", 12)
    opened = Footage(folder, every=5).open()
    assert [int(frame[0, 0, 0]) for frame in opened] == [0, 5, 10]
    assert opened.expected == 3


@pytest.mark.parametrize(
    ("prepare", "layout", "sentence"),
    [
        (lambda folder: None, "auto", "holds no videos"),
        (lambda folder: files(folder, "a.mp4"), "ipr", "unknown layout 'ipr'"),
        (lambda folder: files(folder, "a.mp4"), "iper", "holds no videos in the layout 'iper'"),
        (lambda folder: (files(folder, "a.mp4"), lists(folder, train="a.mp4", val="a.mp4")), "auto", "both name a.mp4"),
        (lambda folder: (files(folder, "a.mp4"), lists(folder, train="b.mp4")), "auto", "name none of the 1 videos"),
    ],
)
def test_folders_that_cannot_be_used_are_told_apart(tmp_path: Path, prepare, layout: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    prepare(tmp_path)
    with pytest.raises(InputError, match=sentence):
        read_layout(tmp_path, layout)


@given(st.sets(st.tuples(st.text(min_size=1, max_size=3), st.text(max_size=2)), min_size=2, max_size=40), st.integers())
def test_every_group_is_on_one_side_and_neither_side_is_empty(groups: set[tuple[str, str]], seed: int) -> None:
    split = split_videos(groups, seed)
    assert set(split) == groups
    assert set(split.values()) == {"train", "test"}
    assert abs(list(split.values()).count("test") - 0.2 * len(groups)) <= 1
    assert split == split_videos(sorted(groups, reverse=True), seed)


def test_split_follows_the_seed() -> None:
    groups = [(str(number),) for number in range(20)]
    splits = [tuple(sorted(split_videos(groups, seed).items())) for seed in range(5)]
    assert all(one != other for one, other in itertools.combinations(splits, 2))
