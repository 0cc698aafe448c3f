"""A user study (Liquid Warping GAN with Attention, section 5.3): results shown without their makers, and counted.

A study is a folder of groups. Each has the results of all methods for one case under letters, in an order of its own,
and beside them what is shown for reference. Which letter is whose is in a hidden file that the tally alone reads.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
import shutil
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from warpkit.models.errors import InputError
from warpkit.models.media.output import FULL, check_output, whole_folder

KEY = ".key.json"
"""Whose the letters are; not for those who answer."""
ANSWERS = "answers.csv"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SHOWN = (*PICTURES, ".mp4", ".mov", ".mkv", ".webm")


def make_study(
    results: Path,
    out: Path,
    *,
    groups: int | None = None,
    seed: int = 0,
    methods: Sequence[str] = (),
    sheets: int | None = None,
    height: int = 512,
    about: Mapping[str, str] | None = None,
) -> int:
    """Writes a study of results that lie in a folder a method, under the same file names.

    Args:
        results: its folders are the methods; one whose name begins with `_` is shown to all for reference.
        out: a new folder: `group_001/A.png`, `B.png`, …, and `answers.csv` to be filled in.
        groups: so many of the cases, chosen by chance; None: all.
        seed: of the choice and of each group's order.
        methods: which folders; none given: all.
        sheets: so many groups to a contact sheet, `sheet_01.png`, …: a row each, letters from left to right; None: no
            sheets.
        height: of the pictures on sheets, pixels.
        about: what is to be said of the pictures beside the verdict; hidden until then.

    Returns:
        The number of groups.

    Raises:
        InputError: fewer than two methods, no case that all of them have, sheets of videos, `out` is not empty or
            cannot be written. Then nothing is left there.
    """
    if not results.is_dir():
        raise InputError(f"{results}: there is no such folder of results")
    folders = sorted(path for path in results.iterdir() if path.is_dir() and not path.name.startswith("."))
    beside = [path for path in folders if path.name.startswith("_")]
    compared = [path for path in folders if path not in beside and (not methods or path.name in methods)]
    missing = set(methods) - {path.name for path in compared}
    if missing:
        raise InputError(f"{results}: has no folder of the method {sorted(missing)[0]!r}")
    if not 2 <= len(compared) <= len(string.ascii_uppercase):
        raise InputError(f"{results}: expected the folders of 2 to 26 methods, got {len(compared)}")
    cases = sorted(set.intersection(*(set(_files(path)) for path in compared)))
    if not cases:
        raise InputError(f"{results}: no picture or video is there, under one name, of all {len(compared)} methods")
    if groups is not None and groups > len(cases):
        raise InputError(f"{results}: has {len(cases)} cases that all methods drew, fewer than {groups}")
    check_output(out / ANSWERS, overwrite=True)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} exists already; a study is written into a new folder")
    if sheets is not None and (videos := [case for case in cases if Path(case).suffix.lower() not in PICTURES]):
        raise InputError(f"{results}: sheets are made of pictures; {videos[0]} is none")
    chance = random.Random(seed)
    chosen = chance.sample(cases, len(cases) if groups is None else groups)
    letters = string.ascii_uppercase[: len(compared)]
    key: dict[str, dict[str, str]] = {}
    with whole_folder(out) as draft:
        for number, case in enumerate(chosen, 1):
            group = f"group_{number:03d}"
            (draft / group).mkdir()
            order = chance.sample(compared, len(compared))
            for letter, method in zip(letters, order, strict=True):
                _copy(method / case, draft / group / f"{letter}{Path(case).suffix}")
            for reference in beside:
                files = [name for name in _files(reference) if Path(name).stem == Path(case).stem]
                for name in files:
                    _copy(reference / name, draft / group / f"{reference.name[1:]}{Path(name).suffix}")
            key[group] = dict(zip(letters, (path.name for path in order), strict=True))
        with (draft / ANSWERS).open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["group", "best"])
            rows.writerows([group, ""] for group in key)
        (draft / KEY).write_text(
            json.dumps({"study": _name(key), "seed": seed, "about": dict(about or {}), "groups": key}, indent=1)
        )
        if sheets is not None:
            _write_sheets(draft, list(key), letters, sheets, height)
    return len(chosen)


def _copy(result: Path, copy: Path) -> None:
    """Without its date, which would tell whose it is."""
    try:
        shutil.copyfile(result, copy)
    except OSError as error:
        if error.errno in FULL:  # a disk is, not the result's fault
            raise
        raise InputError(f"{result} cannot be copied: {error.strerror or error}") from error


def _write_sheets(out: Path, groups: list[str], letters: str, each: int, height: int) -> None:
    from warpkit.models.media.draw import contact_sheet
    from warpkit.models.media.images import read_image, write_image

    for number, first in enumerate(range(0, len(groups), each), 1):
        rows = []
        for group in groups[first : first + each]:
            files = {path.stem: path for path in sorted((out / group).iterdir())}
            beside = [name for name in files if name not in letters and files[name].suffix.lower() in PICTURES]
            order = [*beside, *letters]
            rows.append((f"{group}: {', '.join(order)}", [read_image(files[name]) for name in order]))
        write_image(out / f"sheet_{number:02d}.png", contact_sheet(rows, height))


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix.lower() in SHOWN and not path.name.startswith(".")]


def _name(key: dict[str, dict[str, str]]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Verdict:
    """What people chose."""

    chosen: dict[str, int]
    """Answers for each method, most first."""
    answers: int
    """Of all people together."""
    people: int
    open: int
    """Groups that somebody left without an answer."""
    about: dict[str, str] = field(default_factory=dict)
    """What the study says of its pictures: with which weights, where and when they were made."""

    def interval(self, method: str) -> tuple[float, float]:
        """Wilson's 95 % interval of the share of answers."""
        n, share, z = self.answers, self.chosen[method] / self.answers, 1.96
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return middle - reach, middle + reach

    def by_chance(self, method: str) -> float:
        """How likely so many answers or more for `method` are when people choose without looking."""
        from scipy.stats import binom

        return float(binom.sf(self.chosen[method] - 1, self.answers, 1 / len(self.chosen)))

    def to_json(self) -> str:
        """The counts; `Verdict(**json.loads(text))` gives them back."""
        return json.dumps(asdict(self), indent=1)

    def to_markdown(self) -> str:
        """A table, most liked first."""
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        lines = [
            f"{self.answers} answers of {people}; {self.open} left open",
            "",
            "| method | chosen | share | 95 % interval | as often by chance |",
            "|---|---|---|---|---|",
        ]
        for method, count in self.chosen.items():
            low, high = self.interval(method)
            share = count / self.answers
            chance = self.by_chance(method)
            lines.append(f"| {method} | {count} | {share:.1%} | {low:.1%} to {high:.1%} | {chance:.2g} |")
        return "\n".join(lines)


def tally(study: Path, answers: Sequence[Path] = ()) -> Verdict:
    """Counts what people chose.

    Args:
        study: as `make_study` wrote it.
        answers: a filled `answers.csv` of each person; none given: the study's own.

    Raises:
        InputError: not a study, an answer that no group has, a group twice, or no answer at all.
    """
    if not (study / KEY).is_file():
        raise InputError(f"{study}: not a study with its hidden file {KEY}")
    try:
        hidden = json.loads((study / KEY).read_text())
        key: dict[str, dict[str, str]] = hidden["groups"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{study / KEY}: not a whole file of a study") from error
    chosen = {method: 0 for method in sorted(next(iter(key.values())).values())}
    left = 0
    sheets = list(answers) or [study / ANSWERS]
    for sheet in sheets:
        seen = _read(sheet, key)
        left += len(key) - len(seen)
        for group, letter in seen.items():
            chosen[key[group][letter]] += 1
    if not sum(chosen.values()):
        raise InputError(f"{sheets[0]}: has no answers yet: write a letter beside each group")
    ranked = dict(sorted(chosen.items(), key=lambda pair: -pair[1]))
    return Verdict(ranked, sum(chosen.values()), len(sheets), left, hidden.get("about", {}))


def _read(sheet: Path, key: dict[str, dict[str, str]]) -> dict[str, str]:
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{sheet}: cannot be read as a sheet of answers ({error})") from error
    if not rows or [cell.lower() for cell in rows[0][:2]] != ["group", "best"]:
        raise InputError(f"{sheet}: expected the columns group,best")
    seen: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        group, letter = row[0], row[1].upper() if len(row) > 1 else ""
        if group not in key:
            raise InputError(f"{sheet}, line {number}: the study has no group {group!r}")
        if group in seen:
            raise InputError(f"{sheet}, line {number}: {group} is answered twice")
        if letter and letter not in key[group]:
            raise InputError(f"{sheet}, line {number}: expected one of {', '.join(key[group])}, got {letter!r}")
        if letter:
            seen[group] = letter
    return seen
