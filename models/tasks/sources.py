"""From photos of one person to their appearance: found, fitted, cut out and gathered."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.batch import MAX_SOURCES
from warpkit.models.bodies import PARTS, Body, BodyModel, Camera, body_digest
from warpkit.models.cache import NO_CACHE, Cache
from warpkit.models.errors import InputError
from warpkit.models.geometric.appearance import Appearance, gather_appearance
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.geometric.cut_out import cut_out, window_round
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.matte import refine_alpha
from warpkit.models.geometric.trust import typical_colours, unlike
from warpkit.models.geometric.view import View, see
from warpkit.models.media.images import read_image
from warpkit.models.media.tensors import to_tensor
from warpkit.models.progress import SILENT, Progress
from warpkit.models.recovery import Detection, Person, recover_detection
from warpkit.models.recovery.crops import Square
from warpkit.models.systems.liquid_warping import LiquidWarping

Photos = Sequence[str | Path | np.ndarray]
"""Pictures of one person: files or uint8 RGB arrays `[H, W, 3]`."""
MOST_UNLIKE = 0.4
"""Difference of typical colours beyond which two photos do not show one person in one outfit; views of one differ by up
to 0.26 in openpeople, of people in other clothes by 0.35 in the median."""
STILL_UNLIKE = 0.2
"""The same once the light of one is made that of the other: one person in two lights has 0.16 at most, measured."""
STOPS, TINT = 1.0, 0.35
"""How much lighter, and how much more of a colour than of the others, light may be for that: natural logarithms."""
COMPARED = ("torso", "upper_arm", "upper_leg", "lower_leg")
"""Parts whose colours are compared."""


@dataclass(frozen=True)
class Source:
    """One photo and the person in it."""

    name: str
    image: np.ndarray
    person: Person
    cache: Cache = NO_CACHE
    """Of what is made of the photo."""

    def window(self, resolution: int) -> Framing:
        """The square round the person that `view` shows."""
        return window_round(self.person.box, resolution)

    def view(self, resolution: int) -> View:
        """The person cut out in a square of `resolution` pixels, with their own colours only."""
        person, window = self.person, self.window(resolution)

        def cut() -> View:
            return cut_out(to_tensor(self.image), person.mask, person.body, window)

        return self.cache.remember("cut-outs", (self.image, person.mask, person.body, window), cut, View, Body, Camera)

    def emptied(self) -> Tensor:
        """[3, H, W] the photo with the person gone: bit for bit itself where they are not.

        Raises InputError where there is nothing to fill it from; so does `plate`.
        """
        height, width = self.person.size
        x0, y0, x1, y1 = self.person.box
        air = 0.5 * max(x1 - x0, y1 - y0)  # what the hole is filled from
        left, top = max(0, int(x0 - air)), max(0, int(y0 - air))
        around = slice(top, min(height, int(y1 + air) + 1)), slice(left, min(width, int(x1 + air) + 1))
        picture = to_tensor(self.image)
        part = picture[:, *around].contiguous()
        mask = self.person.mask[around].contiguous()

        def fill() -> Tensor:
            return self._filled(part, person_hole(refine_alpha(part, mask)))

        picture[:, *around] = self.cache.remember("backgrounds", (part, mask), fill)
        return picture

    def plate(self, framing: Framing) -> Tensor:
        """[3, size, size] what the photo shows in `framing` with the person gone and its borders continued."""
        picture = framing.cut(to_tensor(self.image))
        inside = framing.inside(self.person.size)
        soft = framing.cut(self.person.mask[None], "border")[0] * inside

        def fill() -> Tensor:
            return self._filled(picture, person_hole(refine_alpha(picture, soft)) | ~inside)

        return self.cache.remember("backgrounds", (picture, soft, inside), fill)

    def _filled(self, picture: Tensor, hole: Tensor) -> Tensor:
        try:
            return fill_background(picture, hole)
        except ValueError as error:
            raise InputError(
                f"the frame shows too little of {self.name} beside the person to continue its background: choose "
                "another --background, or another photo"
            ) from error


@dataclass(frozen=True)
class Shown:
    """Whoever is drawn: where they come from and what they look like."""

    sources: list[Source]
    """Of the person."""
    appearance: Appearance
    """Of the person, in what they wear."""
    notes: tuple[str, ...] = ()
    """What the user should know."""
    views: Callable[[int], list[View]] | None = None
    """The pictures that the appearance was gathered from, at any resolution; None: those of the sources."""
    givers: list[Source] | None = None
    """The photos of the views, in their order; None: the sources."""
    system: LiquidWarping | None = None
    """What draws them in place of the pipeline's: that one adapted to them."""

    def with_notes(self, more: Sequence[str]) -> "Shown":
        """The same with `more` to tell, before the rest."""
        return replace(self, notes=(*more, *self.notes))


def recovered(image: np.ndarray, model: BodyModel, *, person: int | None = None, cache: Cache = NO_CACHE) -> Person:
    """`recover`, of an upper body too, kept with the mask as large as the network made it: the photo's is larger."""

    def find() -> tuple[Detection, Person]:
        seen, found = recover_detection(image, model, person=person, allow_upper_body=True)
        return seen, replace(found, mask=torch.empty(0, 0))

    inputs = (image, body_digest(model), person)
    seen, found = cache.remember("bodies", inputs, find, Detection, Square, Person, Body, Camera)
    return replace(found, mask=seen.mask)


def named_photos(text: str) -> tuple[list[Path], int | None]:
    """Photos, and which person of them, from `PHOTO`, `PHOTO+PHOTO` or `PHOTO:PERSON`; a file's name is taken whole."""
    names, number = text, None
    if not os.path.lexists(text):
        before, colon, after = text.rpartition(":")
        if colon and after.isdecimal():
            names, number = before, int(after)
    return [Path(names)] if os.path.lexists(names) else [Path(name) for name in names.split("+")], number


def check_photos(photos: Photos) -> None:
    """Raises InputError where these cannot be the photos of one person, by their number."""
    if isinstance(photos, str | Path | np.ndarray):
        raise InputError("photos: expected a list of pictures of one person, got a single one; put it in a list")
    if not 1 <= len(photos) <= MAX_SOURCES:
        raise InputError(f"1 to {MAX_SOURCES} photos of one person are needed, {len(photos)} came")


def read_sources(
    photos: Photos,
    model: BodyModel,
    *,
    person: int | None = None,
    progress: Progress = SILENT,
    cache: Cache = NO_CACHE,
) -> list[Source]:
    """Reads `photos` (files or uint8 `[H, W, 3]` arrays) of one person and fits their body in each.

    Raises InputError where a photo cannot be used, or there are none or too many.
    """
    check_photos(photos)
    named = [
        (photo, f"photo {number}") if isinstance(photo, np.ndarray) else (read_image(photo), str(photo))
        for number, photo in enumerate(photos, 1)
    ]  # all, before the first is worked on for long
    progress.stage("Fitting the body in each photo", len(photos))
    sources = []
    for image, name in named:
        try:
            sources.append(Source(name, image, recovered(image, model, person=person, cache=cache), cache))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        progress.advance()
    return sources


def check_one_person(names: list[str], views: list[View], model: BodyModel) -> None:
    """Raises InputError where two of `views` show people dressed too unlike each other to be gathered into one.

    What is compared are the typical colours of trunk, arms and legs, whatever the light. Builds would be the other
    sign, but a body fitted to one photo is too uncertain: views of one person differ as much as people do.
    """
    colours = torch.stack([typical_colours(view, see(view, model), model) for view in views])
    compared = [number for number, part in enumerate(PARTS) if part.endswith(COMPARED)]
    for second in range(1, len(views)):
        for first in range(second):
            one, other = colours[first, compared], colours[second, compared]
            difference, still = _difference(one, other), _difference(_in_light_of(one, other), other)
            if difference > MOST_UNLIKE and still > STILL_UNLIKE:
                raise InputError(
                    f"the people in {names[first]} and {names[second]} look too unlike each other (colours differ by "
                    f"{difference:.2f}, at most {MOST_UNLIKE} can be one person in one outfit): give photos of one "
                    "person in the same clothes"
                )


def _difference(one: Tensor, other: Tensor) -> Tensor:
    """How unlike colours `[P, 3]` are, the mean of those that both know."""
    return torch.maximum(unlike(one, other, 1), unlike(other, one, 1)).nanmean()


def _in_light_of(one: Tensor, other: Tensor) -> Tensor:
    """Colours `[P, 3]` in the light that would make most of them those of `other`."""
    ratio = ((other + 1).clamp(min=0.05) / (one + 1).clamp(min=0.05)).log()
    gain = ratio.nanmedian(0).values
    lighter = gain.mean()
    gain = lighter.clamp(-STOPS, STOPS) + (gain - lighter).clamp(-TINT, TINT)
    return (one + 1) * gain.exp() - 1


def gather(
    sources: list[Source], model: BodyModel, resolution: int, progress: Progress = SILENT, cache: Cache = NO_CACHE
) -> Appearance:
    """The appearance of the person in `sources`, from views of `resolution` pixels a side.

    Raises InputError where the sources look like different people.
    """
    progress.stage("Gathering the person's appearance", len(sources) + 1)
    views = []
    for source in sources:
        views.append(source.view(resolution))
        progress.advance()
    check_one_person([source.name for source in sources], views, model)
    appearance = gathered(views, model, cache)
    progress.advance()
    return appearance


def gathered(views: list[View], model: BodyModel, cache: Cache = NO_CACHE) -> Appearance:
    """`gather_appearance`, kept."""
    inputs = (views, body_digest(model))
    return cache.remember("appearances", inputs, lambda: gather_appearance(views, model), Appearance)


def standing_body(source: Source, appearance: Appearance) -> Body:
    """The body of `source` with the shape gathered from all pictures."""
    body = source.person.body
    return Body(body.pose, appearance.shape, body.camera)
