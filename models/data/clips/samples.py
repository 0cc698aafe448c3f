"""Sources and target for training, drawn from prepared clips for the three tasks of section 3.4.

Everything that is drawn follows from the seed and the step alone, so that a run that goes on draws what it would have.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from warpkit.models.batch import Pictures
from warpkit.models.bodies import BodyModel, Camera, body_digest
from warpkit.models.data.clips.layouts import TEST_SHARE, Split, split_videos
from warpkit.models.data.clips.maker import LEAST_FRAMES
from warpkit.models.data.clips.store import Entry, Index, StoredClip, clip_path
from warpkit.models.errors import InputError

Task = Literal["imitation", "transfer", "view"]
TASKS: tuple[Task, ...] = ("imitation", "transfer", "view")
OTHER_POSE = 0.03
"""Mean distance of keypoints, as a share of the body's height in the picture, from which on two poses are different."""
OTHER_VIEW = np.radians(30.0)
"""Turn of the body from which on two views are different: the step between the views of section 4.5."""
LEAST_FIT = 0.5
"""Good fits have 0.88 on average (docs/quality.md); a body with a limb elsewhere still has more than half."""
TRIES = 200
"""So many frames are looked at for one that differs from those chosen."""
OPEN_FILES = 16
"""So many clips are held open by a process."""

Pick = tuple[int, int, bool]  # clip, frame of it, valid


class ClipSamples:
    """Draws from a cache that `prepare_clips` made.

    Args:
        cache: the folder, or several, whose videos are then drawn alike, as the paper trains on three data sets. Each
            is split by itself; a video that lies in several counts in the first.
        model: the body model that the clips were made with.
        split: "train" or "test"; None: all clips.
        size: of the pictures, at most that of the clips; None: theirs.
        task: what is drawn where `draw` is not told.
        seed: of the split, where the data set has no files that say it, and of what is drawn.
        by: what of the split is kept together: "clothes", as in the paper, so that no outfit is in both, or "identity".
        test_share: of the groups, for test.
        data_set_split: whether the data set's own split is followed where it has one.
        least_fit: frames in which the body's silhouette and the person overlap by less (intersection over union) are
            not drawn: the fit went astray there.

    With several processes, each gives `draw` steps of its own.

    Raises:
        InputError: there is no such cache, it was not finished, is damaged, was made with another body model or smaller
            pictures, or nothing is in the split.
    """

    def __init__(
        self,
        cache: str | Path | Sequence[str | Path],
        model: BodyModel,
        *,
        split: Split | None = "train",
        size: int | None = None,
        task: Task = "imitation",
        seed: int = 0,
        by: Literal["clothes", "identity"] = "clothes",
        test_share: float = TEST_SHARE,
        data_set_split: bool = True,
        least_fit: float = LEAST_FIT,
    ) -> None:
        if split not in ("train", "test", None):
            raise ValueError(f"split must be 'train', 'test' or None, got {split!r}")
        if by not in ("clothes", "identity"):
            raise ValueError(f"by must be 'clothes' or 'identity', got {by!r}")
        self.model, self.seed, self.task = model, seed, _task(task)
        self.caches = [Path(one) for one in ([cache] if isinstance(cache, str | Path) else cache)]
        indices = [_read(one, model) for one in self.caches]
        largest = min((index.settings["size"] for index in indices), default=0)
        self.size = largest if size is None else size
        if not 8 <= self.size <= largest:
            raise InputError(f"{self._called} has pictures of {largest} pixels; {self.size} cannot be had")
        self._open: OrderedDict[str, StoredClip] = OrderedDict()
        self._process = os.getpid()
        self._paths: dict[str, Path] = {}
        self.clips: list[Entry] = []
        self._arrays: list[dict[str, np.ndarray]] = []
        wanted = 0
        for number, (place, index) in enumerate(zip(self.caches, indices, strict=True)):
            splits = split_clips(index.clips, seed, by=by, test_share=test_share, data_set_split=data_set_split)
            for entry in index.clips:
                if entry.key in self._paths:
                    continue
                self._paths[entry.key] = clip_path(place, entry.key)
                if split not in (None, splits[entry.name]):
                    continue
                wanted += 1
                arrays = _fitting(self._clip(entry.key), least_fit)
                if len(arrays["number"]) >= LEAST_FRAMES:
                    # people of two data sets are two, whatever they are called
                    self.clips.append(replace(entry, identity=f"{number}/{entry.identity}"))
                    self._arrays.append(arrays)
        if not wanted:
            total = sum(len(index.clips) for index in indices)
            raise InputError(f"{self._called}: of {total} clips none is for {split or 'use'}")
        if not self.clips:
            raise InputError(
                f"{self._called}: in none of {wanted} clips the bodies fit the people (intersection over union of at "
                f"least {least_fit})"
            )
        self._of_person: dict[tuple[str, str], list[int]] = {}
        self._of_identity: dict[str, dict[str, list[int]]] = {}
        for number, entry in enumerate(self.clips):
            self._of_person.setdefault(entry.person, []).append(number)
            self._of_identity.setdefault(entry.identity, {}).setdefault(entry.clothes, []).append(number)
        self._dressers = [who for who, outfits in self._of_identity.items() if len(outfits) > 1]
        self._turning = self._clips_that_turn()

    @property
    def _called(self) -> str:
        return ", ".join(map(str, self.caches)) or "no cache"

    def __len__(self) -> int:
        """How many frames can be drawn."""
        return sum(len(arrays["number"]) for arrays in self._arrays)

    def __getstate__(self) -> dict[str, object]:
        """Without open files, for workers."""
        return {**self.__dict__, "_open": OrderedDict()}

    def _clip(self, key: str) -> StoredClip:
        if self._process != os.getpid():  # files that a forked process shares with its parent share their position
            self._open, self._process = OrderedDict(), os.getpid()
        clip = self._open.pop(key, None)
        if clip is None:
            clip = StoredClip(self._paths[key])
            if clip.about.get("key") != key:
                raise InputError(f"{clip.path} is not the clip it should be: prepare the clips again")
        self._open[key] = clip
        while len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)  # it closes when nobody reads it any more
        return clip

    def _clip_of(self, number: int) -> StoredClip:
        return self._clip(self.clips[number].key)

    def _clips_that_turn(self) -> list[list[int]]:
        """For each person the clips in which views are looked for: those said to turn, or else those that do."""
        result = []
        for numbers in self._of_person.values():
            turning = [n for n in numbers if self.clips[n].kind == "turn"] or numbers
            turning = [n for n in turning if _has_other_view(self._arrays[n]["yaw"]).any()]
            if turning:
                result.append(turning)
        return result

    def draw(
        self, step: int, batch: int, sources: int, task: Task | None = None, *, size: int | None = None
    ) -> tuple[Pictures, Pictures]:
        """Sources and target, the same whenever seed and step are the same.

        - "imitation": S + 1 frames of one video, in different poses.
        - "transfer": the target and sources of one identity; every source wears other clothes than the target, and
          sources are spread over the outfits there are.
        - "view": the target and sources of one person in one outfit, each source seen from at least 30° beside the
          target.

        Where a video has too few such frames some are repeated and marked as not valid.

        Args:
            step: of the training.
            batch: B.
            sources: S.
            task: None: that of this object.
            size: of the pictures; None: that of this object.

        Returns:
            Sources with N = S, and the target with N = 1, on the CPU. The plates of both are the target's.

        Raises:
            InputError: there is nobody who can be drawn for the task, or a clip is damaged.
        """
        if batch < 1 or sources < 1:
            raise ValueError(f"batch and sources must be at least 1, got {batch} and {sources}")
        random = np.random.default_rng([self.seed, step])
        chooser = {"imitation": self._imitation, "transfer": self._transfer, "view": self._view}
        choose = chooser[_task(self.task if task is None else task)]
        picks = [choose(random, sources) for _ in range(batch)]
        pixels = self.size if size is None else size
        return (
            self._pictures([one[:-1] for one in picks], pixels, [one[-1][0] for one in picks]),
            self._pictures([one[-1:] for one in picks], pixels, [one[-1][0] for one in picks]),
        )

    # Each chooser gives S sources, then the target.

    def _imitation(self, random: np.random.Generator, sources: int) -> list[Pick]:
        clip = int(random.integers(len(self.clips)))
        order = random.permutation(len(self._arrays[clip]["number"]))
        points = self._arrays[clip]["keypoints"]
        chosen: list[int] = []
        for frame in order[:TRIES].tolist():
            if all(_pose_distance(points[frame], points[other]) >= OTHER_POSE for other in chosen):
                chosen.append(frame)
            if len(chosen) > sources:
                break
        others = [frame for frame in order.tolist() if frame not in chosen]  # if need be, of poses that are alike
        chosen += others[: sources + 1 - len(chosen)]
        target, rest = chosen[0], chosen[1:]
        return [*_filled([(clip, frame) for frame in rest], sources, (clip, target)), (clip, target, True)]

    def _transfer(self, random: np.random.Generator, sources: int) -> list[Pick]:
        if not self._dressers:
            raise InputError(
                f"{self._called}: nobody wears two outfits in these {len(self.clips)} clips, which appearance transfer "
                "needs; clothes are told by the folder's layout: IDENTITY/CLOTHES/video"
            )
        outfits = self._of_identity[self._dressers[int(random.integers(len(self._dressers)))]]
        names = list(outfits)
        worn = names.pop(int(random.integers(len(names))))
        target = self._any_frame(random, outfits[worn])
        order = [names[i] for i in random.permutation(len(names))]
        pairs: list[tuple[int, int]] = []
        for number in range(sources):
            clips = outfits[order[number % len(order)]]
            tries = (self._any_frame(random, clips) for _ in range(TRIES))
            pairs += [pair for pair in tries if pair not in pairs][:1]
        return [*_filled(pairs, sources, pairs[0]), (*target, True)]

    def _view(self, random: np.random.Generator, sources: int) -> list[Pick]:
        if not self._turning:
            raise InputError(
                f"{self._called}: nobody turns by {np.degrees(OTHER_VIEW):.0f}° in these {len(self.clips)} clips, "
                "which views need"
            )
        clips = self._turning[int(random.integers(len(self._turning)))]
        clip = clips[int(random.integers(len(clips)))]
        yaw = self._arrays[clip]["yaw"]
        targets = np.flatnonzero(_has_other_view(yaw))
        target = int(targets[random.integers(len(targets))])
        order = random.permutation(np.flatnonzero(_turn(yaw, yaw[target]) >= OTHER_VIEW)).tolist()
        chosen: list[int] = []
        for frame in order[:TRIES]:
            if len(chosen) < sources and all(_turn(yaw[frame], yaw[other]) >= OTHER_VIEW for other in chosen):
                chosen.append(frame)
        chosen += [frame for frame in order if frame not in chosen][: sources - len(chosen)]
        return [*_filled([(clip, frame) for frame in chosen], sources, (clip, chosen[0])), (clip, target, True)]

    def _any_frame(self, random: np.random.Generator, clips: list[int]) -> tuple[int, int]:
        clip = clips[int(random.integers(len(clips)))]
        return clip, int(random.integers(len(self._arrays[clip]["number"])))

    @torch.no_grad()
    def _pictures(self, picks: list[list[Pick]], size: int, plates: list[int]) -> Pictures:
        batch, count = len(picks), len(picks[0])
        flat = [pick for row in picks for pick in row]
        rows = [(self._arrays[clip], frame) for clip, frame, _ in flat]
        numbers = [int(one["number"][frame]) for one, frame in rows]
        files = [self._clip_of(clip) for clip, _, _ in flat]
        images, alphas = zip(*(file.picture(n, size) for file, n in zip(files, numbers, strict=True)), strict=True)
        pose = torch.from_numpy(np.stack([one["pose"][frame] for one, frame in rows]))
        shape = torch.from_numpy(np.stack([one["shape"] for one, _ in rows]))
        scale = torch.from_numpy(np.stack([one["scale"][frame] for one, frame in rows]))
        offset = torch.from_numpy(np.stack([one["offset"][frame] for one, frame in rows]))
        device = self.model.faces.device
        vertices = self.model(pose.to(device), shape.to(device)).cpu()
        vertices = Camera(scale, offset).project(vertices, (1, 1))
        return Pictures(
            image=_tensor(np.stack(images)).movedim(-1, 1).contiguous().unflatten(0, (batch, count)) * 2 - 1,
            alpha=_tensor(np.stack(alphas))[:, None].unflatten(0, (batch, count)),
            vertices=vertices.unflatten(0, (batch, count)),
            valid=torch.tensor([[valid for _, _, valid in row] for row in picks]),
            plate=self._plates(plates, size),
        )

    def _plates(self, clips: list[int], size: int) -> torch.Tensor | None:
        """The backgrounds of the targets; None unless all are known."""
        plates = [self._clip_of(clip).plate(size) for clip in clips]
        known = [plate for plate in plates if plate is not None]
        return _tensor(np.stack(known)).movedim(-1, 1).contiguous() * 2 - 1 if len(known) == len(plates) else None


def _read(cache: Path, model: BodyModel) -> Index:
    """A cache's index, if it can be drawn from."""
    index = Index.read(cache)
    if not index.complete:
        raise InputError(f"{cache} is not finished: run `warpkit prepare` again, it goes on where it stopped")
    if index.settings["body_digest"] != body_digest(model):
        raise InputError(
            f"{cache} was prepared with the body {index.settings['body']!r}, and its bodies cannot be drawn with "
            f"this {model.name!r}: prepare it again with the same body"
        )
    return index


def _fitting(clip: StoredClip, least: float) -> dict[str, np.ndarray]:
    """Of the frames those whose body fits.

    `number` says which of the clip's they are; cameras are in pictures of one pixel, whatever the size.
    """
    arrays, size = clip.arrays, clip.about["size"]
    kept = np.flatnonzero(arrays["iou"] >= least)
    result = {name: arrays[name][kept] for name in ("pose", "keypoints", "yaw")}
    result |= {name: arrays[name][kept] / np.float32(size) for name in ("scale", "offset")}
    return {**result, "shape": arrays["shape"], "number": kept}


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float() / 255


def _task(task: Task) -> Task:
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    return task


def _filled(pairs: list[tuple[int, int]], count: int, filler: tuple[int, int]) -> list[Pick]:
    """`count` picks: the pairs, and where they are too few their first, or else `filler`, as not valid."""
    rest = (*(pairs[0] if pairs else filler), False)
    return [*((clip, frame, True) for clip, frame in pairs[:count]), *([rest] * (count - len(pairs)))]


def _pose_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of keypoints [K, 2] of two frames, as a share of the first body's height in the picture."""
    height = float(one[:, 1].max() - one[:, 1].min())
    return float(np.linalg.norm(one - other, axis=-1).mean()) / max(height, 1e-6)


def _turn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Radians in [0, π] between the directions of two views."""
    return np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)


def _has_other_view(yaw: np.ndarray) -> np.ndarray:
    """[T] bool: for each frame, whether the clip shows the person from another side too."""
    sides = np.unique(yaw.round(2))  # few, however long the clip is
    apart = _turn(sides[:, None], sides) >= OTHER_VIEW + 0.01
    return apart.any(1)[np.searchsorted(sides, yaw.round(2))]


def split_clips(
    clips: Sequence[Entry],
    seed: int,
    *,
    by: Literal["clothes", "identity"] = "clothes",
    test_share: float = TEST_SHARE,
    data_set_split: bool = True,
) -> dict[str, Split]:
    """Training or test for each clip, by name: as the data set says, and by seed where it says nothing."""

    def group(entry: Entry) -> tuple[str, ...]:
        return (entry.identity,) if by == "identity" else entry.person

    told: dict[tuple[str, ...], Split] = {}
    if data_set_split:
        for entry in clips:
            if entry.split in ("train", "test"):
                told[group(entry)] = entry.split  # type: ignore[assignment]
    drawn = split_videos({group(entry) for entry in clips} - set(told), seed, test_share)
    return {
        entry.name: entry.split if data_set_split and entry.split in ("train", "test") else (told | drawn)[group(entry)]  # type: ignore[misc]
        for entry in clips
    }
