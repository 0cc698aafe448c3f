"""Who is compared in an evaluation: renderers, each of which draws a case."""

from dataclasses import replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from warpkit.models.batch import (
    Batch,
    Condition,
    Geometric,
    Pictures,
    SurfaceCondition,
    Visibility,
    make_batch,
    retarget,
)
from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.data.cases import Case
from warpkit.models.data.person import PersonSamples, Photo
from warpkit.models.errors import InputError, check_trains
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.geometric.matte import spread
from warpkit.models.systems.liquid_warping import Critics, LiquidWarping, geometric_picture
from warpkit.models.tasks.personalize import all_poses, own_chance, person_trainer

Background = Literal["same", "own"]
"""same: all persons are put over one background, that of `plate`. own: a system makes its background itself."""


class Renderer(Protocol):
    """Anything that draws people."""

    def __call__(self, case: Case) -> Tensor:
        """`[B, 3, H, W]` in [-1, 1] of the case's drawings; its truth is not looked at."""
        ...


def plate(sources: Pictures) -> Tensor:
    """`[1 or B, 3, H, W]` the background alone: the true one where it is known, else the first source's, filled."""
    if sources.plate is not None:
        return sources.plate
    pairs = zip(sources.image[:, 0].cpu(), sources.alpha[:, 0, 0].cpu(), strict=True)  # filling is the CPU's
    return torch.stack([fill_background(image, person_hole(alpha)) for image, alpha in pairs]).to(sources.image)


def batch_of(case: Case, model: BodyModel, condition: Condition, visibility: Visibility) -> Batch:
    """Sources and drawings (as many of the ones as of the others) as systems are given them.

    The flow takes from each source its parts of the body alone (head of one, clothes of another), where a case says so.
    """
    return make_batch(
        case.sources,
        case.target_vertices,
        model,
        condition,
        visibility=visibility,
        face_mask=_face_mask(case, model),
    )


def _face_mask(case: Case, model: BodyModel) -> Tensor | None:
    """`[B, S, F]` bool: the faces that each source may give; None: all."""
    if case.parts is None:
        return None
    of_face = model.parts.to(case.target_vertices.device)
    wanted = [
        torch.tensor([PARTS.index(p) for p in PARTS if own is None or p in own]).to(of_face) for own in case.parts
    ]
    masks = torch.stack([torch.isin(of_face, own) for own in wanted])
    return masks.expand(len(case.target_vertices), -1, -1)


def _single(case: Case, number: int) -> Case:
    """One drawing of a case."""
    row = slice(number, number + 1)
    own = slice(0, 1) if len(case.sources.image) == 1 else row
    given = case.sources
    parts = {name: getattr(given, name)[own] for name in ("image", "alpha", "vertices", "valid")}
    sources = replace(given, **parts, plate=None if given.plate is None else given.plate[own])
    return replace(case, sources=sources, target_vertices=case.target_vertices[row])


class GeometricPictures:
    """What the renderer of `warpkit imitate` draws without a network: the person as gathered, over the background."""

    @torch.no_grad()
    def __call__(self, case: Case) -> Tensor:
        """`[B, 3, H, W]`.

        Raises:
            InputError: the data do not gather what their sources show.
        """
        if case.gathered is None:
            raise InputError(
                "these cases come without what the geometric renderer gathers from sources; compare with 'warped', the "
                "sources warped and blended"
            )
        drawn = case.gathered.geometric
        return torch.lerp(plate(case.sources), drawn.colour, drawn.alpha)


class WarpedPictures:
    """Sources warped once and blended, holes filled from round them, over the background: no network, no shell."""

    def __init__(self, model: BodyModel) -> None:
        self.model = model
        self.condition = SurfaceCondition(model)

    @torch.no_grad()
    def __call__(self, case: Case) -> Tensor:
        """`[B, 3, H, W]`."""
        made, behind = [], plate(case.sources)
        for number in range(len(case.target_vertices)):
            drawn = geometric_picture(batch_of(_single(case, number), self.model, self.condition, "pixel"))
            colour = spread(drawn.colour[0], drawn.seen[0, 0])
            made.append(torch.lerp(behind[min(number, len(behind) - 1)], colour, drawn.alpha[0]))
        return torch.stack(made)


class SystemPictures:
    """What a trained system draws; sources that all drawings share are encoded once."""

    def __init__(self, system: LiquidWarping, model: BodyModel, background: Background = "same") -> None:
        """`system` on the device of `model`.

        One that corrects a geometric picture is given the renderer's, where cases bring it along.
        """
        self.system = system.eval()
        self.model = model
        self.background = background
        self.condition = system.condition(model)

    @torch.no_grad()
    def __call__(self, case: Case) -> Tensor:
        """`[B, 3, H, W]`."""
        system, made = self.system, []
        behind = plate(case.sources) if self.background == "same" else None
        shared = len(case.sources.image) == 1
        for number in range(len(case.target_vertices)):
            one = _single(case, number)
            if number == 0 or not shared:
                batch = batch_of(one, self.model, self.condition, system.visibility)
                own = None if behind is None else behind[min(number, len(behind) - 1)][None]
                encoded = system.encode_sources(batch, background=own)
            else:
                batch = retarget(
                    batch,
                    one.target_vertices,
                    self.model,
                    self.condition,
                    visibility=system.visibility,
                    face_mask=_face_mask(one, self.model),
                )
            geometric: Geometric | None = None
            if case.gathered is not None and system.preset.layers == "small":
                geometric = case.gathered.geometric[number : number + 1]
            made.append(system.render(encoded, batch, geometric).image.float().clamp(-1, 1))
        return torch.cat(made)


def photos_of(case: Case) -> list[Photo]:
    """The sources of a case, whole in their pictures, as `warpkit personalize` has photos.

    Raises:
        InputError: the data do not gather what their sources show.
    """
    if case.gathered is None:
        raise InputError("personalization needs bodies and an appearance, which these cases come without")
    photos = []
    for index in range(case.sources.image.shape[1]):
        image, alpha = case.sources.image[0, index], case.sources.alpha[0, index, 0]
        hole = person_hole(alpha.cpu())
        filled = fill_background(image.cpu(), hole)
        body, device = case.gathered.bodies[index], image.device
        photos.append(Photo(image, alpha, body.to(device), filled.to(device), hole.to(device)))
    return photos


class PersonalizedPictures:
    """What a trained system draws after it was adapted to the person of each case, from the case's sources alone."""

    def __init__(
        self,
        system: LiquidWarping,
        model: BodyModel,
        critics: Critics,
        steps: int,
        background: Background = "same",
        seed: int = 0,
    ) -> None:
        """`system` on the device of `model`; it stays as it is. `critics`: networks of its losses. `steps`: of each.

        Raises InputError where the extra [train] is missing.
        """
        check_trains()
        self.system, self.model, self.critics = system, model, critics
        self.steps, self.background, self.seed = steps, background, seed

    def __call__(self, case: Case) -> Tensor:
        """`[B, 3, H, W]`.

        Raises:
            InputError: nothing was gathered, the sources show two outfits, or a loss was no number.
        """
        if case.parts is not None:
            raise InputError("the sources of appearance transfer show two outfits: there is no one person to adapt to")
        photos = photos_of(case)
        assert case.gathered is not None
        device, small = case.target_vertices.device, self.system.preset.layers == "small"
        samples = PersonSamples(
            photos,
            case.gathered.appearance,
            self.model,
            all_poses().to(device),
            seed=self.seed,
            correcting=small,
        )
        trainer = person_trainer(
            self.system,
            samples,
            self.model,
            self.critics,
            steps=self.steps,
            sources=len(photos),
            seed=self.seed,
            device=device,
        )
        with own_chance(device):
            outcome = trainer.fit()
        if outcome.reason == "asked":
            raise KeyboardInterrupt
        if outcome.reason != "finished":
            raise InputError(f"personalization ended at step {outcome.step} of {self.steps}: a loss was no number")
        with trainer.ema.applied():
            return SystemPictures(trainer.module, self.model, self.background)(case)
