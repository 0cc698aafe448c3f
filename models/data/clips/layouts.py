"""Which videos a folder holds, who is in them, in which clothes, and what is for training: by the folder's layout.

What the published data sets' folders look like is written in `docs/data.md`, with what could not be tried on them.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from warpkit.models.data.clips.footage import VIDEOS, frames_in, in_order
from warpkit.models.errors import InputError

Split = Literal["train", "test"]
Kind = Literal["turn", "motion"]
TEST_SHARE = 0.2
"""Of the groups; as in the paper, section 4.1."""


@dataclass(frozen=True)
class Video:
    """One video of a data set.

    Attributes:
        name: what it is called in the data set, unique there; parts are separated by "/".
        path: a video file, or a folder of frames.
        identity: who is in it.
        clothes: the outfit; two videos show the same clothes only if identity and clothes are equal.
        kind: "turn": the person stands and turns round, which gives views of one pose; "motion": anything else; None:
            nobody knows.
        split: as the data set's own files say; None where it has none.
    """

    name: str
    path: Path
    identity: str
    clothes: str
    kind: Kind | None = None
    split: Split | None = None

    def group(self, by: Literal["identity", "clothes"]) -> tuple[str, ...]:
        """What must not be torn apart between training and test."""
        return (self.identity,) if by == "identity" else (self.identity, self.clothes)


def find_videos(folder: Path) -> list[Path]:
    """Video files, and folders that hold at least two pictures, anywhere under `folder`; in order."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; a folder of videos was expected")
    found: list[Path] = []
    been: set[str] = set()  # links may lead in circles

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(place)
        folders[:] = [
            name for name in folders if not name.startswith(".") and os.path.realpath(here / name) not in been
        ]
        been.update(os.path.realpath(here / name) for name in folders)
        films = [here / name for name in files if name.lower().endswith(VIDEOS) and not name.startswith(".")]
        found += films
        if not films and len(frames_in(here)) >= 2:  # pictures beside videos are stills of theirs
            found.append(here)
    return sorted(found, key=lambda path: [in_order(Path(part)) for part in path.relative_to(folder).parts])


def _names(path: Path) -> list[str] | None:
    """The lines of a split file, or None where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no list of videos: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _with_split_files(videos: list[Video], folder: Path, *pairs: tuple[str, str]) -> list[Video]:
    """The videos with what the first pair of files (training, test) that exists says of them.

    A video that neither names is left out, as it is by the data set's makers. Files that name a video twice over, or
    none that is there, are refused.
    """
    for training, test in pairs:
        lists = [_names(folder / name) for name in (training, test)]
        if lists[0] is None and lists[1] is None:
            continue
        known: dict[str, Split] = {}
        for split, names in zip(("train", "test"), lists, strict=True):
            for name in names or []:
                key = _key(name)
                if known.setdefault(key, split) != split:  # type: ignore[arg-type]
                    raise InputError(f"{folder}: {training} and {test} both name {name}")
        listed = [replace(video, split=known[_key(video.name)]) for video in videos if _key(video.name) in known]
        if videos and not listed:
            raise InputError(f"{folder}: {training} and {test} name none of the {len(videos)} videos that are there")
        return listed
    return videos


def _key(name: str) -> str:
    """A name as split files write it: of an address the last part, without a video's ending."""
    name = name.rsplit("/", 1)[-1] if "://" in name else name.strip("/")
    return name[: -len(Path(name).suffix)] if name.lower().endswith(VIDEOS) else name


def _plain_name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return name if name != "." else path.resolve().name


def read_folder(folder: Path) -> list[Video]:
    """Any folder: IDENTITY/CLOTHES/…/video, IDENTITY/video, or video alone, who is then somebody of their own."""
    videos = []
    for path in find_videos(folder):
        name = _plain_name(path, folder)
        above = name.split("/")[:-1]
        own = _key(name.rsplit("/", 1)[-1])
        identity = above[0] if above else own
        videos.append(Video(name, path, identity, above[1] if len(above) > 1 else identity))
    return _with_split_files(videos, folder, ("train.txt", "val.txt"), ("train.txt", "test.txt"))


def read_iper(folder: Path) -> list[Video]:
    """iPER: images_HD/ID/CLOTHES/{1,2}/ as frames, or ID_CLOTHES_{1,2}.mp4; 1 is the A-pose turn, 2 the free motion."""
    videos = []
    for path in find_videos(folder):
        parts = _key(path.name).split("_") if path.is_file() else list(path.relative_to(folder).parts)[-3:]
        if len(parts) != 3 or not all(part.isdecimal() for part in parts) or parts[2] not in ("1", "2"):
            continue
        kind: Kind = "turn" if parts[2] == "1" else "motion"
        videos.append(Video("/".join(parts), path, parts[0], parts[1], kind))
    return _with_split_files(_once(videos), folder, ("train.txt", "val.txt"))


def read_motion_synthetic(folder: Path) -> list[Video]:
    """MotionSynthetic: videos/NAME.mp4; PeopleSnapshot_WHO-CLOTHES_… tells the outfit, MG_WHO_… has one each."""
    videos = []
    for path in find_videos(folder / "videos"):
        name = _key(path.name)
        match = re.fullmatch(r"(PeopleSnapshot_\w+-\d+)-(\w+?)_\d+_\d+", name)
        if match:
            identity, clothes = match.groups()
        else:
            identity = clothes = "_".join(name.split("_")[:2])
        videos.append(Video(name, path, identity, clothes))
    return _with_split_files(_once(videos), folder, ("train.txt", "val.txt"))


def read_fashion(folder: Path) -> list[Video]:
    """FashionVideo: videos/NAME.mp4, a person and an outfit each; split by lists of names or of addresses."""
    inside = folder / "videos"
    videos = [
        Video(_key(path.name), path, _key(path.name), _key(path.name))
        for path in find_videos(inside if inside.is_dir() else folder)
    ]
    return _with_split_files(_once(videos), folder, ("train.txt", "val.txt"), ("fashion_train.txt", "fashion_test.txt"))


def read_youtube_dancer(folder: Path) -> list[Video]:
    """Youtube-Dancer-18: videos, a dancer each; none is trained on (section 4.1), so all are for test."""
    return [
        Video(name := _plain_name(path, folder), path, _key(name), _key(name), "motion", "test")
        for path in find_videos(folder)
    ]


def _once(videos: list[Video]) -> list[Video]:
    """Of one video that lies there as a file and as frames the first."""
    return list({video.name: video for video in reversed(videos)}.values())[::-1]


LAYOUTS: dict[str, Callable[[Path], list[Video]]] = {
    "folder": read_folder,
    "iper": read_iper,
    "motion-synthetic": read_motion_synthetic,
    "fashion": read_fashion,
    "youtube-dancer": read_youtube_dancer,
}


def guess_layout(folder: Path) -> str:
    """The layout that a folder looks to have; Youtube-Dancer's cannot be told from any folder of videos."""
    if (folder / "images_HD").is_dir():
        return "iper"
    if (folder / "fashion_train.txt").exists():
        return "fashion"
    if (folder / "videos").is_dir() and (folder / "poses").is_dir():
        return "motion-synthetic"
    return "folder"


def read_layout(folder: Path, layout: str = "auto") -> list[Video]:
    """The videos of a folder.

    Args:
        folder: the data set.
        layout: one of `LAYOUTS`, or "auto".

    Raises:
        InputError: no such folder or layout, no videos in it, two of one name, or split files that cannot be right.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; a folder of videos was expected")
    if layout not in ("auto", *LAYOUTS):
        raise InputError(f"unknown layout {layout!r}: expected auto, {', '.join(LAYOUTS)}")
    layout = guess_layout(folder) if layout == "auto" else layout
    videos = LAYOUTS[layout](folder)
    if not videos:
        raise InputError(f"{folder} holds no videos in the layout {layout!r}")
    return videos


def split_videos(
    groups: Iterable[tuple[str, ...]], seed: int, test_share: float = TEST_SHARE
) -> dict[tuple[str, ...], Split]:
    """Which groups are for training and which for test: the same for the same seed, in any order, on any machine.

    Groups are ranked by a hash; the lowest are for test: the given share, rounded, at least one where there are two.
    """
    if not 0 <= test_share < 1:
        raise ValueError(f"test_share must be in [0, 1), got {test_share}")

    def rank(group: tuple[str, ...]) -> bytes:
        return hashlib.sha256("\0".join([str(seed), *group]).encode(errors="surrogateescape")).digest()

    ranked = sorted(set(groups), key=rank)
    tests = round(test_share * len(ranked))
    if test_share > 0 and len(ranked) > 1:
        tests = min(max(tests, 1), len(ranked) - 1)
    return {group: "test" if number < tests else "train" for number, group in enumerate(ranked)}
