"""Who does what, from what people write for `warpkit imitate`."""

import os
from collections.abc import Sequence
from pathlib import Path

from warpkit.models.app.console import counted, tell
from warpkit.models.errors import InputError
from warpkit.models.media.video import ENDINGS
from warpkit.models.tasks.imitate import is_video
from warpkit.models.tasks.sources import named_photos
from warpkit.models.tasks.together import Role, parse_place

People = Sequence[tuple[list[Path], int | None]]
"""Photos of each, and which person of them they are."""


def read_people(photos: list[Path], person: int | None, others: Sequence[str]) -> People:
    """The first one's photos, and everybody else's: see `named_photos`."""
    return [(photos, person), *map(named_photos, others)]


def is_folder(out: Path, videos: int) -> bool:
    """Whether `out` is a folder for videos: it is one, or could be, and there are several to write."""
    return os.path.isdir(out) or (not out.suffix and videos > 1)


def check_one_each(numbers: Sequence[int], places: Sequence[str], frames: Path | None) -> int | None:
    """Who of the videos everybody does as. Raises InputError for what is of one picture with several people."""
    if places:
        raise InputError("--place puts people into one picture, but a folder gets each by themselves: leave it out")
    if frames is not None:
        raise InputError("--frames is of one video, but a folder gets several: leave it out")
    if len(numbers) > 1:
        raise InputError("into a folder everybody does every motion: give --reference-person once, or leave it out")
    return numbers[0] if numbers else None


def left_to_make(roles: list[Role], written: list[Path], force: bool) -> tuple[list[Role], list[Path]]:
    """The roles whose videos are not there yet, and those videos; how many there are already is told.

    Raises InputError where `force` is set too.
    """
    if force:
        raise InputError("--keep leaves what is there, and --force replaces it: give one of them")
    left = [number for number, path in enumerate(written) if not path.exists()]
    if len(left) < len(written):
        tell(f"{counted(len(written) - len(left), 'video')} of {len(written)} there already")
    return [roles[number] for number in left], [written[number] for number in left]


def roles_together(
    people: People, motions: Sequence[str], numbers: Sequence[int], places: Sequence[str], side_by_side: bool
) -> list[Role]:
    """Who does what in one picture. Raises InputError where counts do not match."""
    count = len(people)
    if count == 1 and len(motions) > 1:
        raise InputError(
            f"{len(motions)} motions of one person are as many videos: give --out a folder, which is a name without an "
            "ending"
        )
    if len(motions) not in (1, count):
        raise InputError(f"{count} people do one motion, or one each: {len(motions)} came")
    motions = list(motions) * (count if len(motions) == 1 else 1)
    videos = sum(map(is_video, motions))
    if len(numbers) not in (0, videos):
        raise InputError(
            "--reference-person is given once for each person whose motion is a video, or not: "
            f"{len(numbers)} came for {videos}"
        )
    if len(places) not in (0, count - 1):
        raise InputError(f"--place is given once for each --and, or not: {len(places)} came for {count - 1}")
    if side_by_side and count > 1:
        raise InputError("--side-by-side shows one person beside their photo: leave it out, or --and")
    whom = iter(numbers)
    return [
        Role(
            photos,
            motions[number],
            next(whom, None) if is_video(motions[number]) else None,
            person,
            parse_place(places[number - 1]) if places and number else None,
        )
        for number, (photos, person) in enumerate(people)
    ]


def file_names(folder: Path, roles: Sequence[Role], transparent: bool) -> list[Path]:
    """A name in `folder` for each role: who and what, counted where two would be the same."""
    ending = ".webm" if transparent else ENDINGS[0]
    names: list[str] = []
    for role in roles:
        name = f"{Path(str(role.photos[0])).stem}_{Path(str(role.motion)).stem}"
        again = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{again + 1}" if again else name)
    return [folder / f"{name}{ending}" for name in names]
