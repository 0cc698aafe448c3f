"""Appearance transfer: a person wears what others wear, part by part (Liquid Warping GAN with Attention, 3.6)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from warpkit.models.bodies import BodyModel
from warpkit.models.cache import NO_CACHE, Cache
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.cells import CELLS, WEARABLE
from warpkit.models.geometric.hems import read_planes
from warpkit.models.geometric.skin import recoloured, skin_colour, skin_mask
from warpkit.models.geometric.view import View, see
from warpkit.models.geometric.wear import Giver, put_together
from warpkit.models.progress import SILENT, Progress
from warpkit.models.tasks.clip import views_of
from warpkit.models.tasks.sources import Photos, Shown, Source, check_one_person, gathered, named_photos

DEFAULT = ("clothes",)
"""What is worn where nothing is said."""


@dataclass(frozen=True)
class Wear:
    """Someone whose parts are worn."""

    photos: Photos
    """1 to 8 pictures of them."""
    parts: tuple[str, ...] = DEFAULT
    """Names from `WEARABLE`."""
    person: int | None = None
    """Who of photos with several people, counted from 1 in order of size; None: the largest."""

    def __post_init__(self) -> None:
        if isinstance(self.parts, str):
            raise InputError(f"parts are several names, such as ({self.parts!r},), not one text")
        for part in self.parts:
            if part not in WEARABLE:
                raise InputError(f"there is no part {part!r}; the parts are {', '.join(WEARABLE)}")
        if not self.parts:
            raise InputError(f"no part was named to wear; the parts are {', '.join(WEARABLE)}")


def parse_wear(text: str) -> Wear:
    """Who gives what, from `PHOTO`, `PHOTO:part,part`, `PHOTO+PHOTO:part` or `PHOTO:PERSON:part`.

    A name that is a file is taken whole. Raises InputError for an unknown part (the known ones are listed).
    """
    names, colon, parts = text.rpartition(":")
    if os.path.lexists(text) or not colon or "/" in parts or "\\" in parts or parts.isdecimal():
        names, parts = text, ",".join(DEFAULT)
    photos, person = named_photos(names)
    return Wear(photos, tuple(part.strip() for part in parts.split(",") if part.strip()), person)


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

    def __init__(self, sources: list[Source], resolution: int, model: BodyModel, cache: Cache) -> None:
        self.sources, self.resolution, self.model, self.cache = sources, resolution, model, cache
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
        return gathered(self.seen(self.views), self.model, self.cache)

    def views_of(self, shape: Tensor, resolution: int) -> list[View]:
        """Views of them at another resolution, with bodies of `shape` `[1, K]`."""
        return self.seen(views_of(self.sources, shape, resolution))


class Dressing:
    """People whose pictures were read, and who gives what to the first of them, the wearer."""

    def __init__(
        self,
        people: Sequence[list[Source]],
        cells: Sequence[tuple[str, ...]],
        resolution: int,
        model: BodyModel,
        cache: Cache = NO_CACHE,
    ) -> None:
        """`cells`: of each of `people`, from `who_gives`. `resolution`: of the pictures that they are gathered from."""
        self.people = [_Person(sources, resolution, model, cache) for sources in people]
        self.cells, self.model = cells, model

    def shown(self, progress: Progress = SILENT) -> Shown:
        """The wearer in what all of them give."""
        progress.stage("Gathering appearances", len(self.people))
        wearer = self.people[0]
        wanted = wearer.skin()
        told, appearances = [], []
        for one, given in zip(self.people, self.cells, strict=True):
            if one is not wearer and "face" not in given:
                theirs = one.skin()
                if wanted is None or theirs is None:
                    unseen = f"no face was seen in {(wearer if wanted is None else one).sources[0].name}"
                    told.append(f"{unseen}: skin keeps the colour that it has in {one.sources[0].name}")
                else:
                    one.recolour = (theirs, wanted)
            appearances.append(one.gather())
            progress.advance()
        giving = [number for number, given in enumerate(self.cells) if given]
        givers = [Giver(appearances[n], self.cells[n], read_planes(appearances[n], self.model)) for n in giving]

        def views(resolution: int) -> list[View]:
            return [view for n in giving for view in self.people[n].views_of(appearances[n].shape, resolution)]

        worn = put_together(givers, appearances[0].shape, self.model)
        photos = [source for n in giving for source in self.people[n].sources]
        return Shown(wearer.sources, worn, tuple(told), views, photos)
