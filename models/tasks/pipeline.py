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
from warpkit.models.geometric.camera_path import CameraMode, Plates, copied, follow, stay
from warpkit.models.geometric.feet import plant_feet
from warpkit.models.geometric.framing import Framing, frame_motion, whole_picture
from warpkit.models.media.images import check_readable, parse_color
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.choices import (
    SMOOTH,
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
from warpkit.models.tasks.clip import Clip, extent, filling, leaves, make_plate, passing
from warpkit.models.tasks.imitate import check_motion, has_pictures, imitate_body, is_video, resolve_motion
from warpkit.models.tasks.notices import enlarged, notes
from warpkit.models.tasks.scene import reference_scene
from warpkit.models.tasks.sources import Photos, Shown, Source, gather, read_sources, standing_body
from warpkit.models.tasks.transfer import Dressing, Wear, who_gives
from warpkit.models.tasks.view import Turn, own_axis, turned, view_rotations

if TYPE_CHECKING:
    from warpkit.models.training import Outcome

VIEWS_A_SECOND = 25.0
"""Of a clip without a motion."""
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
            return self._clip(shown, look, turn, motion, travel, side_by_side)

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
        check_still(look)
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
            check_still(look, travel)
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
            return self._clip(shown.with_notes(told), look, turn, motion, travel)

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

    def _clip(
        self,
        shown: Shown,
        look: Look,
        turn: Turn,
        motion: str | Path | Motion | None = None,
        travel: Travel = Travel(),
        side_by_side: bool = False,
    ) -> Clip:
        """Whoever is shown, moving and seen as asked."""
        first, told = shown.sources[0], list(shown.notes)
        bodies = standing = standing_body(first, shown.appearance)
        fps, video, moving = look.fps or VIEWS_A_SECOND, None, None
        camera: CameraMode = "path"
        if motion is not None:
            moving, video = resolve_motion(motion, self.model, look.fps, self.progress, self.cache)
            camera = travel.mode(look, video is not None, moving.place is not None)
            moving = moving.smoothed((SMOOTH if video else 0.0) if travel.smooth is None else travel.smooth)
            bodies, fps = imitate_body(standing, moving, self.model), moving.fps
            if camera == "copy":
                bodies = copied(bodies, moving, self.model)
            if not travel.slide:
                bodies = plant_feet(bodies, self.model, fps)
            if camera == "stay":
                bodies = stay(bodies, self.model, fps)
            turn = turn.spread(len(bodies.pose))
        if turn.turns:
            azimuth, elevation, roll = turn.angles
            rotations = view_rotations(azimuth, elevation, roll, own_axis(standing, self.model))
            bodies = turned(bodies, self.model, rotations, turn.shift)
        following = follow(bodies, fps) if camera == "follow" else None
        if following is not None:
            bodies = following.steady(bodies)
        if camera == "copy" and moving is not None and moving.place is not None:
            framing = whole_picture(moving.place.picture, look.size)
        elif look.frame == "photo":
            framing = whole_picture(first.person.size)
        else:
            framing = frame_motion(*extent(bodies, self.model), first.person.size, look.size)
        check_shape(framing.shape, self.system)
        if leaves(framing.body(bodies), self.model, framing.shape):
            told.append("the person leaves the picture for a part of the time: --camera stay keeps them in place")
        told += enlarged(shown.givers or shown.sources, framing.body(bodies))
        self.progress.stage("Making the background", None)
        plate: Tensor | Plates | None
        if look.background == "reference" and video is not None and moving is not None:
            plate = self._scene(video, moving, framing)
        elif following is not None and str(look.background) == "keep":
            plate = passing(first, framing, following)
        elif camera == "copy" and str(look.background) == "keep":
            plate = filling(first.emptied(), framing.shape)
        else:
            plate = make_plate(look.background, first, framing)
        return Clip(
            self.model,
            shown.sources,
            shown.appearance,
            bodies,
            framing,
            plate,
            fps=fps,
            device=self.device,
            system=self.system,
            video=video,
            side_by_side=side_by_side,
            shadow=plate is not None and parse_color(str(look.background)) is None and turn.level,
            notes=(*told, *([self.cache.trouble] if self.cache.trouble else [])),
            views=shown.views,
            givers=shown.givers,
        )

    def _scene(self, video: Path, motion: Motion, framing: Framing) -> Tensor:
        def find() -> Tensor:
            return reference_scene(video, motion, self.model, framing)

        if self.cache.folder is None:
            return find()
        found, unchanged = content(video)
        return self.cache.remember(
            "backgrounds", (found, motion, body_digest(self.model), framing), find, valid=unchanged
        )


def _resolution(look: Look, sources: Sequence[Source]) -> int:
    """Pixels along a side of the views that appearances are gathered from: on a whole photo, those that it has."""
    if look.frame == "square":
        return round(1.5 * look.size)
    return min(MOST_RESOLUTION, round(sources[0].window(1).side))
