"""Appearance transfer: a person wears what others wear (Liquid Warping GAN with Attention, section 3.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel, load_body
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance, gather_appearance
from warpkit.models.geometric.cells import CELLS, WEARABLE
from warpkit.models.geometric.framing import frame_motion
from warpkit.models.geometric.hems import read_planes
from warpkit.models.geometric.skin import recoloured, skin_colour, skin_mask
from warpkit.models.geometric.view import View, see
from warpkit.models.geometric.wear import Giver, put_together
from warpkit.models.media.images import check_readable, parse_color
from warpkit.models.progress import SILENT, Progress
from warpkit.models.tasks.choices import RendererName, check_background, check_size, choose_device, choose_system
from warpkit.models.tasks.clip import Clip, extent, make_plate, views_of
from warpkit.models.tasks.imitate import check_motion, imitate_body, resolve_motion
from warpkit.models.tasks.sources import Source, check_one_person, notes, read_sources, standing_body
from warpkit.models.tasks.view import is_level, own_axis, same_length, turned, view_rotations

DEFAULT = ("clothes",)
"""What is worn where nothing is said."""


@dataclass(frozen=True)
class Wear:
    """Someone whose parts are worn."""

    photos: Sequence[str | Path | np.ndarray]
    """1 to 8 pictures of them."""
    parts: tuple[str, ...] = DEFAULT
    """Names from `WEARABLE`."""

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in WEARABLE:
                raise InputError(f"there is no part {part!r}; the parts are {', '.join(WEARABLE)}")
        if not self.parts:
            raise InputError(f"no part was named to wear; the parts are {', '.join(WEARABLE)}")


def parse_wear(text: str) -> Wear:
    """Who gives what, from `PHOTO`, `PHOTO:part,part` or `PHOTO+PHOTO:part`; a name that is a file is taken whole.

    Raises InputError for an unknown part (the known ones are listed).
    """
    if Path(text).exists():
        return Wear([Path(text)])
    names, colon, parts = text.rpartition(":")
    if not colon or "/" in parts or "\\" in parts:
        names, parts = text, ",".join(DEFAULT)
    photos = [Path(names)] if Path(names).exists() else [Path(name) for name in names.split("+")]
    return Wear(photos, tuple(part.strip() for part in parts.split(",") if part.strip()))


def who_gives(wear: Sequence[Wear]) -> list[tuple[str, ...]]:
    """The cells of the person (first) and of each of `wear`; where two name one, the later has it.

    Raises InputError where somebody is left with nothing.
    """
    owner = dict.fromkeys(CELLS, 0)
    for number, one in enumerate(wear, 1):
        for part in one.parts:
            owner.update(dict.fromkeys(WEARABLE[part], number))
    cells = [tuple(cell for cell in CELLS if owner[cell] == number) for number in range(len(wear) + 1)]
    for number, one in enumerate(wear, 1):
        if not cells[number]:
            raise InputError(
                f"nothing is left of {_name(one)}: what it gives ({', '.join(one.parts)}) is given by later ones too"
            )
    return cells


def _name(one: Wear) -> str:
    return " and ".join(str(photo) if not isinstance(photo, np.ndarray) else "the picture" for photo in one.photos)


class _Person:
    """Somebody whose pictures were read, and who may get another colour of skin."""

    def __init__(self, sources: list[Source], resolution: int, model: BodyModel) -> None:
        self.sources, self.resolution, self.model = sources, resolution, model
        self.views = [source.view(resolution) for source in sources]
        check_one_person([source.name for source in sources], self.views, model)
        self.recolour: tuple[Tensor, Tensor] | None = None
        """The skin's own colour and the wanted one, `[3]` each."""

    def skin(self) -> Tensor | None:
        """[3] the colour of their face, of the first view that shows it."""
        colours = (skin_colour(view, see(view, self.model), self.model) for view in self.views)
        return next((colour for colour in colours if colour is not None), None)

    def seen(self, views: list[View]) -> list[View]:
        """Views of them with the colour of skin that is wanted."""
        if self.recolour is None:
            return views
        own, wanted = self.recolour
        sights = [see(view, self.model) for view in views]
        masks = [skin_mask(view, sight, own, self.model) for view, sight in zip(views, sights, strict=True)]
        return [recoloured(view, mask, own, wanted) for view, mask in zip(views, masks, strict=True)]

    def gather(self) -> Appearance:
        """What they look like."""
        return gather_appearance(self.seen(self.views), self.model)

    def views_of(self, shape: Tensor, resolution: int) -> list[View]:
        """Views of them at another resolution, with bodies of `shape` `[1, K]`."""
        return self.seen(views_of(self.sources, shape, resolution))


def transfer(
    photos: Sequence[str | Path | np.ndarray],
    wear: Sequence[Wear],
    *,
    motion: str | Path | Motion | None = None,
    azimuth: float | Sequence[float] = 0.0,
    elevation: float | Sequence[float] = 0.0,
    roll: float | Sequence[float] = 0.0,
    size: int = 512,
    background: str | Path = "keep",
    body: str = "anny",
    body_folder: Path | None = None,
    device: str = "auto",
    person: int | None = None,
    fps: float | None = None,
    renderer: RendererName | None = None,
    weights: str | Path | None = None,
    progress: Progress = SILENT,
) -> Clip:
    """The person in `photos` in what others wear: in their own pose, from other sides, or moving.

    Shape, pose, background, camera and all that nobody else gives are the person's. Skin that shows on what others give
    gets the colour of the person's own, unless the head is given by the same one.

    Args:
        photos: 1 to 8 pictures of the person, any views; files or uint8 RGB arrays `[H, W, 3]`. The first gives pose,
            background, place and size in the picture.
        wear: who gives which parts; where two name one part, the later gives it.
        motion: a name from `MOTIONS`, a motion file, a video or a `Motion`; None: the first photo's pose.
        azimuth: degrees that the person turns to their own left; without a motion one or one for each view. With a
            motion several are spread over its length.
        elevation: degrees of the camera above the horizon, likewise.
        roll: degrees that the picture turns clockwise, likewise.
        size: height and width of the frames, pixels.
        background: "keep" (the first photo's, with the person removed), a colour (`#rrggbb` or a name) or a picture.
        body: the body model, "anny", or "smpl", "smplh", "smplx" from `body_folder`.
        device: "cpu", "cuda" or "auto".
        person: which person of the photos of the person with several, counted from 1; the largest by default, as in the
            others' photos.
        fps: frames a second; by default the motion's, 25 for views.
        renderer: "geometric" or "learned"; None: learned, where this installation has a trained model or `weights` are
            given.
        weights: the checkpoint of a trained system that draws the person; the embedded model if None.
        progress: told of each stage.

    Returns:
        An iterable of frames that also knows their number, rate, and what the user should be told.

    Raises:
        InputError: something given cannot be used; the message says what and why.
    """
    if not wear:
        raise InputError("nobody was named whose clothes are to be worn")
    cells = who_gives(wear)
    azimuths, elevations, rolls = same_length(azimuth=azimuth, elevation=elevation, roll=roll)
    check_background(background)
    if motion is not None:
        check_motion(motion)
    for photo in (photo for one in (photos, *(other.photos for other in wear)) for photo in one):
        if not isinstance(photo, np.ndarray):
            check_readable(Path(photo), "picture")
    system = choose_system(renderer, weights)
    check_size(size, system)
    where = choose_device(device)
    model = load_body(body, body_folder)
    resolution = round(1.5 * size)
    with torch.no_grad():
        people = [_Person(read_sources(photos, model, person=person, progress=progress), resolution, model)]
        for other in wear:
            people.append(_Person(read_sources(other.photos, model, progress=progress), resolution, model))
        told = [note for number, one in enumerate(people) for note in notes(one.sources, None if number else person)]
        progress.stage("Gathering appearances", len(people))
        wearer = people[0]
        wanted = wearer.skin()
        appearances = []
        for one, given in zip(people, cells, strict=True):
            if one is not wearer and "face" not in given:
                theirs = one.skin()
                if wanted is None or theirs is None:
                    unseen = f"no face was seen in {(wearer if wanted is None else one).sources[0].name}"
                    told.append(f"{unseen}: skin keeps the colour that it has in {one.sources[0].name}")
                else:
                    one.recolour = (theirs, wanted)
            appearances.append(one.gather())
            progress.advance()
        own = appearances[0]
        giving = [number for number, given in enumerate(cells) if given]
        givers = [Giver(appearances[n], cells[n], read_planes(appearances[n], model)) for n in giving]
        appearance = put_together(givers, own.shape, model)
        first = wearer.sources[0]
        video, rate = None, fps or 25.0
        standing = standing_body(first, own)
        bodies = standing
        if motion is not None:
            moving, video = resolve_motion(motion, model, fps, progress)
            bodies, rate = imitate_body(standing, moving, model), moving.fps
            azimuths, elevations, rolls = (
                spread_over(angles, len(bodies.pose)) for angles in (azimuths, elevations, rolls)
            )
        axis = own_axis(standing, model)
        bodies = turned(bodies, model, view_rotations(azimuths, elevations, rolls, axis))
        framing = frame_motion(*extent(bodies, model), first.person.size, size)
        progress.stage("Making the background", None)
        plate = make_plate(background, first, framing)

    def views(resolution: int) -> list[View]:
        return [view for n in giving for view in people[n].views_of(appearances[n].shape, resolution)]

    return Clip(
        model,
        wearer.sources,
        appearance,
        bodies,
        framing,
        plate,
        fps=rate,
        device=where,
        system=system,
        video=video,
        shadow=parse_color(str(background)) is None and is_level(elevations, rolls),
        notes=told,
        views=views,
    )


def spread_over(angles: Sequence[float], frames: int) -> list[float]:
    """Angles spread evenly over so many frames, straight between them."""
    places = np.linspace(0, len(angles) - 1, frames)
    return [float(angle) for angle in np.interp(places, np.arange(len(angles)), angles)]
