"""The tasks as people use them: a pipeline, loaded once, makes clips of photos. The command line is thin over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from warpkit.models.bodies import load_body
from warpkit.models.cache import NO_CACHE, Cache, of_user
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.progress import SILENT, Progress
from warpkit.models.tasks.choices import (
    Adaptation,
    Look,
    RendererName,
    Travel,
    check_still,
    choose_device,
    choose_system,
)
from warpkit.models.tasks.clip import Clip
from warpkit.models.tasks.course import moving
from warpkit.models.tasks.imitate import Reference, in_step, reference_notes
from warpkit.models.tasks.notices import notes
from warpkit.models.tasks.sources import Photos, Shown
from warpkit.models.tasks.studio import Studio, resolution_of
from warpkit.models.tasks.together import (
    Role,
    Together,
    check_mode,
    check_side_by_side,
    check_together,
    draw_order,
    placed,
    who_drives,
)
from warpkit.models.tasks.transfer import Dressing, Wear, who_gives
from warpkit.models.tasks.view import Turn

if TYPE_CHECKING:
    from warpkit.models.training import Outcome


class Pipeline(Studio):
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
        reference_person: int | None = None,
        person: int | None = None,
        personalize: int = 0,
        side_by_side: bool = False,
    ) -> Clip:
        """The person in `photos` moving as `motion` does (section 3.6 of Liquid Warping GAN with Attention).

        Args:
            photos: of the person.
            motion: a name from `MOTIONS`, a motion file (`.npz`), a video, or a `Motion`.
            travel: where they go meanwhile, and how steadily.
            turn: from where they are seen meanwhile; several views are spread over the motion's length.
            look: of the frames.
            reference_person: who of a video with several people, see `Role`; None: the largest.
            person: of the photos.
            personalize: steps of adapting the system to the person first, as `personalize` does at the frames' size;
                the paper's are 100. The cache keeps the outcome.
            side_by_side: frames `[size, 3 size, 3]`: first photo, reference, result.
        """
        role = Role(photos, motion, reference_person, person)
        clips = self.each(
            [role], travel=travel, turn=turn, look=look, personalize=personalize, side_by_side=side_by_side
        )
        return next(clips)

    def each(
        self,
        roles: Sequence[Role],
        *,
        travel: Travel = Travel(),
        turn: Turn = Turn(),
        look: Look = Look(),
        personalize: int = 0,
        side_by_side: bool = False,
    ) -> Iterator[Clip]:
        """`imitate` for each of `roles`, one after the other; photos and motions that they share are read once.

        Every person with every motion is `[Role(photos, motion) for photos in people for motion in motions]`.

        Args:
            roles: who does what; `place` means nothing here.
            travel, turn, look, personalize, side_by_side: as of `imitate`.
        """
        for role in roles:
            check_side_by_side(side_by_side, look, check_mode(role, travel, look))
        self._check_inputs(look, *(role.photos for role in roles), personalize=personalize)
        return self._each(roles, travel, turn, look, personalize, side_by_side)

    def _each(
        self, roles: Sequence[Role], travel: Travel, turn: Turn, look: Look, personalize: int, side_by_side: bool
    ) -> Iterator[Clip]:
        photos = [(*map(_key, role.photos), role.person) for role in roles]
        motions = [(_key(role.motion), role.reference_person) for role in roles]
        people: dict[Any, Shown] = {}
        references: dict[Any, Reference] = {}
        for number, role in enumerate(roles):
            who, what = photos[number], motions[number]
            with torch.no_grad():
                if who not in people:
                    people = {key: people[key] for key in people if key in photos[number:]}
                    people[who] = self._gathered(role.photos, look, role.person, personalize)
                if what not in references:
                    references[what] = self._reference(role.motion, look, role.reference_person)
                shown = people[who].with_notes(reference_notes(references[what], role.reference_person))
                clip = self._clip(shown, look, turn, references[what], travel, side_by_side)
            yield clip

    def together(
        self,
        roles: Sequence[Role],
        *,
        travel: Travel = Travel(),
        turn: Turn = Turn(),
        look: Look = Look(),
        personalize: int = 0,
    ) -> Together:
        """Several people in one picture, each with a motion of their own, or as one of the people of a video.

        The first one's first photo gives the background, and their place and size in it; see `Role.place` for where
        the others stand. Whoever stands lower in the picture is nearer, and drawn over the others. All have the frame
        rate of the first motion and the length of the longest: see `in_step`. People turn each about their own axis.

        Args:
            roles: who does what, 1 to 8 people.
            travel: as of `imitate`; "follow" keeps the middle of all of them.
            turn: likewise.
            look: of the frames.
            personalize: likewise, to each of them.
        """
        modes = [check_mode(role, travel, look) for role in roles]
        check_together(roles, "copy" in modes, look.background == "reference")
        self._check_inputs(look, *(role.photos for role in roles), personalize=personalize)
        with torch.no_grad():
            people = [self._gathered(role.photos, look, role.person, personalize) for role in roles]
            asked = [(role.motion, number) for role, number in zip(roles, who_drives(roles), strict=True)]
            references = in_step(asked, self.model, look.fps, self.progress, self.cache)
            standing = placed(people, roles, references, self.model)
            course = moving(standing, references, travel, turn, look, self.model)
            told = [reference_notes(reference, who or 1) for reference, (_, who) in zip(references, asked, strict=True)]
            people = [one.with_notes(lines) for one, lines in zip(people, told, strict=True)]
            clips = self._clips(people, references, course, look, turn)
            return Together(clips, draw_order(course.bodies, self.model, course.fps))

    def view(
        self,
        photos: Photos,
        turn: Turn = Turn(range(0, 360, 5)),
        *,
        look: Look = Look(),
        person: int | None = None,
        personalize: int = 0,
    ) -> Clip:
        """The person in `photos`, in the pose of the first one, seen from elsewhere; a frame for each view of `turn`.

        The background stays where it is: the person turns, M_t = M_s R + t (section 3.6 of the same paper).

        Args:
            photos: of the person.
            turn: the views.
            look: of the frames.
            person: of the photos.
            personalize: as of `imitate`.
        """
        check_still(look, freeze=turn.freeze)
        self._check_inputs(look, photos, personalize=personalize)
        with torch.no_grad():
            return self._clip(self._gathered(photos, look, person, personalize), look, turn)

    def transfer(
        self,
        photos: Photos,
        wear: Sequence[Wear],
        *,
        motion: str | Path | Motion | None = None,
        travel: Travel = Travel(),
        turn: Turn = Turn(),
        look: Look = Look(),
        reference_person: int | None = None,
        person: int | None = None,
        personalize: int = 0,
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
            reference_person: as of `imitate`.
            person: of the photos; of others' photos see `Wear`.
            personalize: as of `imitate`; to the person, not to what others give.
        """
        if not wear:
            raise InputError("nobody was named whose clothes are to be worn")
        cells = who_gives(wear)
        if motion is not None:
            check_mode(Role(photos, motion, reference_person, person), travel, look)
        else:
            check_still(look, travel, turn.freeze, reference_person)
        self._check_inputs(look, photos, *(other.photos for other in wear), personalize=personalize)
        with torch.no_grad():
            people = [self._read(photos, person), *(self._read(other.photos, other.person) for other in wear)]
            asked = [person, *(other.person for other in wear)]
            told = [note for one, who in zip(people, asked, strict=True) for note in notes(one, who, self.model)]
            resolution = resolution_of(look, people[0])
            shown = Dressing(people, cells, resolution, self.model, self.cache).shown(self.progress).with_notes(told)
            shown = self._adapted(shown, photos, look, person, personalize)
            reference = None if motion is None else self._reference(motion, look, reference_person)
            told = [] if reference is None else reference_notes(reference, reference_person)
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


def _key(one: object) -> object:
    """What tells whether photos or motions are the same ones."""
    return str(one) if isinstance(one, str | Path) else id(one)
