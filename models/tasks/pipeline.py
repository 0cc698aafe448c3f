"""The tasks as people use them: a pipeline, loaded once, makes clips of photos. The command line is thin over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel, body_digest, load_body
from warpkit.models.cache import NO_CACHE, Cache, content, of_user
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.camera_path import Plates
from warpkit.models.geometric.framing import Framing
from warpkit.models.media.images import check_readable, parse_color
from warpkit.models.media.video import VideoReader
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.beside import Beside
from warpkit.models.tasks.choices import (
    Adaptation,
    Look,
    RendererName,
    Travel,
    check_shape,
    check_size,
    check_still,
    choose_device,
    choose_system,
)
from warpkit.models.tasks.clip import Clip, filling, make_plate, passing
from warpkit.models.tasks.course import Course, moving, standing_still
from warpkit.models.tasks.imitate import Reference, check_motion, has_pictures, is_video, resolve_motion
from warpkit.models.tasks.notices import in_frames, notes
from warpkit.models.tasks.scene import reference_scene
from warpkit.models.tasks.sources import Photos, Shown, Source, gather, read_sources, standing_body
from warpkit.models.tasks.transfer import Dressing, Wear, who_gives
from warpkit.models.tasks.view import Turn

if TYPE_CHECKING:
    from warpkit.models.training import Outcome

MOST_RESOLUTION = 2048
"""Pixels along a side of views on a whole photo: more is not gathered."""


class Pipeline:
    """A body model, what draws people, and a device, loaded once; each task makes a `Clip` of photos with them.

    Attributes:
        model: the body model.
        system: the trained system that draws the person; None: geometry does.
        device: where frames are rendered.
        progress: told of each stage.
        cache: what is slow to make of photos and videos is kept there.

    In all tasks photos are 1 to 8 pictures of one person, any views: files, or uint8 RGB arrays `[H, W, 3]`. The first
    gives the background, the place and the size in the picture. `person` says which person of a photo with several,
    counted from 1 in order of size; the largest by default. A clip is an iterable of frames, uint8 RGB `[H, W, 3]`,
    made as they are asked for; it also knows their number, their rate, and what the user should be told. What cannot be
    used raises InputError, whose message says what and why.
    """

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

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path | None = None,
        *,
        renderer: RendererName | None = None,
        body: str = "anny",
        body_folder: str | Path | None = None,
        device: str = "auto",
        cache: bool | str | Path = True,
        progress: Progress = SILENT,
    ) -> Pipeline:
        """A pipeline with everything loaded.

        Args:
            weights: the checkpoint of a trained or personalized system that draws the person; None: the embedded model.
            renderer: "geometric" or "learned"; None: learned, where this installation has a trained model or `weights`
                are given.
            body: the body model, "anny", or "smpl", "smplh", "smplx" from `body_folder`.
            body_folder: of the model files of SMPL's family.
            device: "cpu", "cuda" or "auto".
            cache: whether bodies, masks, appearances, backgrounds and personalized weights are kept in the user's cache
                folder and taken from there, or another folder for them. Results are the same, bit for bit.
            progress: told of each stage of all tasks.
        """
        system = choose_system(renderer, weights)
        where = choose_device(device)
        model = load_body(body, None if body_folder is None else Path(body_folder))
        kept = Cache(cache) if isinstance(cache, str | Path) else of_user() if cache else NO_CACHE
        return cls(model, system, where, progress=progress, cache=kept)

    def imitate(
        self,
        photos: Photos,
        motion: str | Path | Motion,
        *,
        travel: Travel = Travel(),
        turn: Turn = Turn(),
        look: Look = Look(),
        person: int | None = None,
        side_by_side: bool = False,
    ) -> Clip:
        """The person in `photos` moving as `motion` does (section 3.6 of Liquid Warping GAN with Attention).

        Args:
            photos: of the person.
            motion: a name from `MOTIONS`, a motion file (`.npz`), a video, or a `Motion`.
            travel: where they go meanwhile, and how steadily.
            turn: from where they are seen meanwhile; several views are spread over the motion's length.
            look: of the frames.
            person: of the photos.
            side_by_side: frames `[size, 3 size, 3]`: first photo, reference, result.
        """
        check_motion(motion)
        check_size(look.size, self.system)
        camera = travel.mode(look, is_video(motion), has_pictures(motion))
        if side_by_side and (look.transparent or look.frame != "square" or camera == "copy"):
            raise InputError(
                "side by side shows three opaque squares: it goes with neither a transparent background, nor frame "
                "photo, nor camera copy"
            )
        with torch.no_grad():
            shown = self._gathered(photos, look, person)
            return self._clip(shown, look, turn, self._reference(motion, look), travel, side_by_side)

    def view(
        self, photos: Photos, turn: Turn = Turn(range(0, 360, 5)), *, look: Look = Look(), person: int | None = None
    ) -> Clip:
        """The person in `photos`, in the pose of the first one, seen from elsewhere; a frame for each view of `turn`.

        The background stays where it is: the person turns, M_t = M_s R + t (section 3.6 of the same paper).

        Args:
            photos: of the person.
            turn: the views.
            look: of the frames.
            person: of the photos.
        """
        check_size(look.size, self.system)
        check_still(look, freeze=turn.freeze)
        with torch.no_grad():
            return self._clip(self._gathered(photos, look, person), look, turn)

    def transfer(
        self,
        photos: Photos,
        wear: Sequence[Wear],
        *,
        motion: str | Path | Motion | None = None,
        travel: Travel = Travel(),
        turn: Turn = Turn(),
        look: Look = Look(),
        person: int | None = None,
    ) -> Clip:
        """The person in `photos` in what others wear: in their own pose, seen from elsewhere, or moving.

        Shape, pose, background, camera and all that nobody else gives are the person's. Skin that shows on what others
        give gets the colour of the person's own, unless the head is given by the same one.

        Args:
            photos: of the person.
            wear: who gives which parts; where two name one part, the later gives it.
            motion: as of `imitate`; None: the first photo's pose.
            travel: as of `imitate`; for a motion only.
            turn: from where they are seen; with a motion, several views are spread over its length.
            look: of the frames.
            person: of the photos; of others' photos it is the largest.
        """
        if not wear:
            raise InputError("nobody was named whose clothes are to be worn")
        cells = who_gives(wear)
        if motion is not None:
            check_motion(motion)
            travel.mode(look, is_video(motion), has_pictures(motion))
        else:
            check_still(look, travel, turn.freeze)
        for photo in (photo for one in (photos, *(other.photos for other in wear)) for photo in one):
            if not isinstance(photo, np.ndarray):
                check_readable(Path(photo), "picture")
        check_size(look.size, self.system)
        with torch.no_grad():
            people = [self._read(photos, person), *(self._read(other.photos, None) for other in wear)]
            told = [
                note for number, one in enumerate(people) for note in notes(one, None if number else person, self.model)
            ]
            resolution = _resolution(look, people[0])
            shown = Dressing(people, cells, resolution, self.model, self.cache).shown(self.progress)
            reference = None if motion is None else self._reference(motion, look)
            return self._clip(shown.with_notes(told), look, turn, reference, travel)

    def personalize(
        self,
        photos: Photos,
        out: str | Path,
        how: Adaptation = Adaptation(),
        *,
        person: int | None = None,
        overwrite: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> Outcome:
        """Adapts this pipeline's system to the person in `photos` (section 3.5 of the same paper), and writes it.

        Args:
            photos: of the person.
            out: the safetensors file to write, which `from_pretrained` takes. The pipeline's own system stays as it is.
            how: for how long, and how.
            person: of the photos.
            overwrite: whether `out` may exist.
            tell: told sentences.

        Returns:
            How the training ended. Unless it "finished", nothing was written.
        """
        from warpkit.models.tasks.personalize import personalize

        outcome = personalize(
            photos,
            out,
            how,
            system=self.system,
            model=self.model,
            device=self.device,
            person=person,
            overwrite=overwrite,
            progress=self.progress,
            tell=tell,
            cache=self.cache,
        )
        if self.cache.trouble:
            tell(f"note: {self.cache.trouble}")
        return outcome

    def _read(self, photos: Photos, person: int | None) -> list[Source]:
        return read_sources(photos, self.model, person=person, progress=self.progress, cache=self.cache)

    def _gathered(self, photos: Photos, look: Look, person: int | None) -> Shown:
        sources = self._read(photos, person)
        appearance = gather(sources, self.model, _resolution(look, sources), self.progress, self.cache)
        return Shown(sources, appearance, notes(sources, person, self.model))

    def _reference(self, motion: str | Path | Motion, look: Look) -> Reference:
        return resolve_motion(motion, self.model, look.fps, self.progress, self.cache)

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
        first = people[0].sources[0]
        framing = course.framing(look, first.person.size, self.model)
        check_shape(framing.shape, self.system)
        video = references[0].video if references else None
        told, sound = [self.cache.trouble] if self.cache.trouble else [], video
        if video is not None and course.frozen and VideoReader(video).has_audio:
            told.append(f"the sound of {video} is left out: it goes on while time is frozen")
            sound = None
        beside = None
        if side_by_side:
            size, moments = framing.size, course.moments
            beside = Beside(
                first.image, course.bodies[0], self.model, size, video=video, fps=course.fps, moments=moments
            )
        plate = self._background(first, references, course, framing, look)
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
                system=self.system,
                video=sound,
                beside=beside,
                shadow=plate is not None and parse_color(str(look.background)) is None and turn.level,
                notes=(*shown.notes, *in_frames(shown, framing.body(bodies), self.model, framing.shape), *told),
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


def _resolution(look: Look, sources: Sequence[Source]) -> int:
    """Pixels along a side of the views that appearances are gathered from: on a whole photo, those that it has."""
    if look.frame == "square":
        return round(1.5 * look.size)
    return min(MOST_RESOLUTION, round(sources[0].window(1).side))
