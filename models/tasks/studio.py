"""What all tasks share: people are read and gathered, and set before a background, each in a clip of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel, body_digest
from warpkit.models.cache import NO_CACHE, Cache, content
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError, check_trains
from warpkit.models.geometric.camera_path import Plates
from warpkit.models.geometric.framing import Framing
from warpkit.models.media.images import check_readable, parse_color
from warpkit.models.media.video import VideoReader
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.beside import Beside
from warpkit.models.tasks.choices import Adaptation, Look, Travel, check_shape, check_size
from warpkit.models.tasks.clip import Clip, filling, make_plate, passing
from warpkit.models.tasks.course import Course, moving, standing_still
from warpkit.models.tasks.imitate import Reference, resolve_motion
from warpkit.models.tasks.notices import in_frames, notes
from warpkit.models.tasks.scene import reference_scene
from warpkit.models.tasks.sources import Photos, Shown, Source, check_photos, gather, read_sources, standing_body
from warpkit.models.tasks.together import scene_of
from warpkit.models.tasks.view import Turn

MOST_RESOLUTION = 2048
"""Pixels along a side of views on a whole photo: more is not gathered."""
LEAST_RESOLUTION = 576
"""Likewise: less does not tell hair from skin, even if frames are small."""
LEAST_ADAPTED = 64
"""Pixels along a side at which a system is adapted, at least."""


class Studio:
    """A body model, what draws people, a device and a cache, and what every task does with them; see `Pipeline`."""

    def __init__(
        self,
        model: BodyModel,
        system: LiquidWarping | None,
        device: torch.device,
        *,
        progress: Progress = SILENT,
        cache: Cache = NO_CACHE,
    ) -> None:
        self.model, self.system, self.device, self.progress, self.cache = model, system, device, progress, cache

    def _read(self, photos: Photos, person: int | None) -> list[Source]:
        return read_sources(photos, self.model, person=person, progress=self.progress, cache=self.cache)

    def _gathered(self, photos: Photos, look: Look, person: int | None, personalize: int = 0) -> Shown:
        sources = self._read(photos, person)
        appearance = gather(sources, self.model, resolution_of(look, sources), self.progress, self.cache)
        shown = Shown(sources, appearance, notes(sources, person, self.model))
        return self._adapted(shown, photos, look, person, personalize)

    def _adapted(self, shown: Shown, photos: Photos, look: Look, person: int | None, steps: int) -> Shown:
        """The same, drawn by a system adapted to them at the size of the frames, with what that told besides."""
        if steps == 0 or self.system is None:
            return shown
        from warpkit.models.tasks.personalize import adapted

        told: list[str] = []
        with torch.enable_grad():
            system = adapted(
                photos,
                Adaptation(steps, max(LEAST_ADAPTED, look.size // 8 * 8)),
                system=self.system,
                model=self.model,
                device=self.device,
                person=person,
                progress=self.progress,
                tell=told.append,
                cache=self.cache,
            )
        noted = [line.removeprefix("note: ") for line in told if line.startswith("note: ")]
        more = [f"adapting to the person: {note}" for note in noted if note not in shown.notes]
        return replace(shown, system=system, notes=(*shown.notes, *more))

    def _check_inputs(self, look: Look, *people: Photos, personalize: int = 0) -> None:
        """Raises InputError for what cannot be read, not drawn or not adapted, before long work."""
        if personalize < 0:
            raise InputError(f"personalize must be the steps of adapting to the person, 0 or more, not {personalize}")
        if personalize and self.system is None:
            raise InputError("geometry has nothing to adapt to a person: leave out personalize, or take a network")
        if personalize:
            check_trains()
        for photos in people:
            check_photos(photos)
            for photo in photos:
                if not isinstance(photo, np.ndarray):
                    check_readable(Path(photo), "picture")
        check_size(look.size, self.system)

    def _reference(self, motion: str | Path | Motion, look: Look, number: int | None) -> Reference:
        return resolve_motion(motion, self.model, look.fps, self.progress, self.cache, number)

    def _clip(
        self,
        shown: Shown,
        look: Look,
        turn: Turn,
        reference: Reference | None = None,
        travel: Travel = Travel(),
        side_by_side: bool = False,
    ) -> Clip:
        """Whoever is shown, moving and seen as asked."""
        standing = standing_body(shown.sources[0], shown.appearance)
        if reference is None:
            course = standing_still(standing, turn, look.fps, self.model)
            return self._clips([shown], [], course, look, turn)[0]
        course = moving([standing], [reference], travel, turn, look, self.model)
        return self._clips([shown], [reference], course, look, turn, side_by_side)[0]

    def _clips(
        self,
        people: Sequence[Shown],
        references: Sequence[Reference],
        course: Course,
        look: Look,
        turn: Turn,
        side_by_side: bool = False,
    ) -> list[Clip]:
        """Each of the people by themselves, all in one frame before one background."""
        first = scene_of(people)
        framing = course.framing(look, first.person.size, self.model)
        check_shape(framing.shape, self.system)
        plate = self._background(first, references, course, framing, look)
        video = next((reference.video for reference in references if reference.video), None)
        sound, told = _sound(video, course)
        told += [self.cache.trouble] if self.cache.trouble else []
        beside = _beside(first, course, framing, video, self.model) if side_by_side else None
        shadow = plate is not None and parse_color(str(look.background)) is None and turn.level
        return [
            Clip(
                self.model,
                shown.sources,
                shown.appearance,
                bodies,
                framing,
                plate,
                fps=course.fps,
                device=self.device,
                system=shown.system or self.system,
                video=sound,
                beside=beside,
                shadow=shadow,
                notes=(
                    *shown.notes,
                    *in_frames(shown, framing.body(bodies), self.model, framing.shape, staying=course.camera == "stay"),
                    *told,
                ),
                views=shown.views,
                givers=shown.givers,
                steady=look.steady,
            )
            for shown, bodies in zip(people, course.bodies, strict=True)
        ]

    def _background(
        self, first: Source, references: Sequence[Reference], course: Course, framing: Framing, look: Look
    ) -> Tensor | Plates | None:
        self.progress.stage("Making the background", None)
        if look.background == "reference":
            return self._scene(references, framing)
        if str(look.background) == "keep" and course.following is not None:
            return passing(first, framing, course.following)
        if str(look.background) == "keep" and course.picture is not None:
            return filling(first.emptied(), framing.shape)
        return make_plate(look.background, first, framing)

    def _scene(self, references: Sequence[Reference], framing: Framing) -> Tensor:
        video, motions = references[0].video, [reference.motion for reference in references]
        assert video is not None

        def find() -> Tensor:
            return reference_scene(video, motions, self.model, framing)

        if self.cache.folder is None:
            return find()
        found, unchanged = content(video)
        return self.cache.remember(
            "backgrounds", (found, motions, body_digest(self.model), framing), find, valid=unchanged
        )


def _sound(video: Path | None, course: Course) -> tuple[Path | None, list[str]]:
    """The video whose sound goes with the frames, and what to say where it does not."""
    if video is None or not course.frozen or not VideoReader(video).has_audio:
        return video, []
    return None, [f"the sound of {video} is left out: it goes on while time is frozen"]


def _beside(first: Source, course: Course, framing: Framing, video: Path | None, model: BodyModel) -> Beside:
    size, (bodies, *_) = framing.size, course.bodies
    return Beside(first.image, bodies, model, size, video=video, fps=course.fps, moments=course.moments)


def resolution_of(look: Look, sources: Sequence[Source]) -> int:
    """Pixels along a side of the views that appearances are gathered from: on a whole photo, those that it has."""
    if look.frame == "square":
        return max(LEAST_RESOLUTION, round(1.5 * look.size))
    return min(MOST_RESOLUTION, round(sources[0].window(1).side))
