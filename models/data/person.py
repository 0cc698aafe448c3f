"""One person's few pictures as training data: what personalization draws from (Liquid Warping GAN, section 3.5).

With one photo, source and target are the same picture and the flow is the identity: nothing is learned of warping. So
the person is also drawn in other poses and views by the geometric renderer, as target or as source.

A system that corrects a geometric picture is shown one that does not know the target: gathered from the other photos,
or from the person in other poses. Gathered from the target itself it would be nearly the truth, and copying be learned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from warpkit import mesh_flow, rasterize, warp
from warpkit.models.batch import Geometric, Pictures
from warpkit.models.bodies import Body, BodyModel, Camera, on_device
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle, slerp
from warpkit.models.data.people.faults import body_errors, recovered
from warpkit.models.geometric.appearance import Appearance, gather_appearance
from warpkit.models.geometric.matte import estimate_foreground
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.view import View
from warpkit.models.geometric.whole_frame import whole_frame

KINDS = ("photo", "posed target", "posed sources")
SHARES = (0.2, 0.3, 0.5)
"""How often each is drawn. A photo as target is true everywhere, so posed sources come most."""
CORRECTING = (0.2, 0.0, 0.8)
"""Likewise for systems that correct a geometric picture: photos are drawn from the others, where there are others."""
MISTAKEN = 2.0
"""How many times recovery's errors the bodies of posed sources have, for such systems: in place of moving clothes."""
BRIGHTER = 0.4
"""Most that the logarithm of a target's exposure is changed, to that of what it is drawn from."""
ENOUGH = 30
"""Pixels that make exposures comparable."""
POOL = 8
"""Sets of posed sources that are gathered for such systems, each once: it takes a second or more."""
ATLAS = 512
"""Texels along a side of the appearances that are gathered here."""
POSED = 0.7
"""How far towards another pose, at most."""
TURNED = math.radians(60)
"""How far about the vertical, at most."""


@dataclass(frozen=True)
class Photo:
    """One picture of the person, cut to a square."""

    image: Tensor
    """[3, H, H] in [-1, 1]."""
    alpha: Tensor
    """[H, H] in [0, 1]."""
    body: Body
    """B = 1, in its pixels."""
    plate: Tensor
    """[3, H, H] without the person."""
    hole: Tensor
    """[H, H] bool: where the plate is made up."""
    detail: float = 1.0
    """As of `View`."""

    def to(self, device: torch.device) -> "Photo":
        """The same on another device."""
        tensors = (part.to(device) for part in (self.image, self.alpha, self.plate, self.hole))
        image, alpha, plate, hole = tensors
        return Photo(image, alpha, self.body.to(device), plate, hole, self.detail)

    def view(self) -> View:
        """The person cut out, on the CPU."""
        return _cut_out(self.image, self.alpha, self.body, self.detail)


@dataclass(frozen=True)
class _Shot:
    """A picture as `Pictures` has it, and where it is true."""

    image: Tensor
    alpha: Tensor
    vertices: Tensor
    known: Tensor
    """[1, H, H] in [0, 1]."""
    body: Body
    """B = 1."""
    ground: Photo
    """Before whose background it stands."""


@dataclass(frozen=True)
class _Sample:
    """What one draw gives of the person."""

    sources: list[_Shot]
    valid: list[bool]
    target: _Shot
    known: Tensor
    geometric: Geometric | None


class PersonSamples:
    """Draws photos and posed pictures of one person; `draw` gives where the target is known as its third value."""

    def __init__(
        self,
        photos: Sequence[Photo],
        appearance: Appearance,
        model: BodyModel,
        poses: Tensor,
        *,
        seed: int = 0,
        correcting: bool = False,
        shares: Sequence[float] | None = None,
    ) -> None:
        """On one device all of them.

        Args:
            photos: of the person.
            appearance: gathered from them.
            model: of their bodies.
            poses: `[N, J, 3]` to draw other poses from.
            seed: of what is drawn.
            correcting: targets come with the geometric picture of sources that the target is not among.
            shares: of the kinds; None: as is best.
        """
        self.photos, self.model, self.poses, self.seed = list(photos), model, poses, seed
        self.shape, self.correcting = appearance.shape, correcting
        self.shares = list(shares or (CORRECTING if correcting else SHARES))
        if correcting:
            self.shares[1] = 0.0
            if len(self.photos) == 1:  # there is no other to gather from
                self.shares = [0.0, 0.0, 1.0]
        self.renderer = GeometricRenderer(model, appearance)
        self._without: dict[int, GeometricRenderer] = {}
        self._sets: dict[tuple[int, int], tuple[list[_Shot], GeometricRenderer]] = {}

    @torch.no_grad()
    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures, Tensor]:
        """As `Samples`; of more `sources` than photos the rest repeat them, not valid where they are photos."""
        people = [
            self._one(torch.Generator().manual_seed(_mixed(self.seed, step, row)), sources) for row in range(batch)
        ]
        target = _pictures([[one.target] for one in people], [[True] for _ in people])
        drawn = [one.geometric for one in people if one.geometric is not None]
        if drawn:
            names = ("colour", "seen", "confidence", "alpha")
            parts = (torch.cat([getattr(one, name) for one in drawn])[:, None] for name in names)
            target = replace(target, geometric=Geometric(*parts))
        given = _pictures([one.sources for one in people], [one.valid for one in people])
        return given, target, torch.stack([one.known for one in people])

    def _one(self, dice: torch.Generator, sources: int) -> _Sample:
        kind = KINDS[int(torch.multinomial(torch.tensor(self.shares), 1, generator=dice))]
        order = torch.randperm(len(self.photos), generator=dice).tolist()
        if self.correcting:
            return self._corrected(kind, order, dice, sources)
        chosen = [order[number % len(order)] for number in range(sources)]
        valid = [number < len(order) for number in range(sources)]
        photos = [self._photo(number) for number in chosen]
        if kind == "posed target":
            target = self._posed(self.photos[chosen[0]], dice)
            return _Sample(photos, valid, target, target.known, None)
        target = self._photo(int(torch.randint(len(self.photos), (1,), generator=dice)))
        if kind == "photo":
            return _Sample(photos, valid, target, target.known, None)
        posed = [self._posed(self.photos[number], dice) for number in chosen]
        return _Sample(posed, [True] * sources, target, self._shown(posed, target), None)

    def _corrected(self, kind: str, order: list[int], dice: torch.Generator, sources: int) -> _Sample:
        """A photo to be drawn from others, or from the person in other poses; and what geometry makes of it."""
        target, others = self._photo(order[0]), order[1:]
        if kind == "photo":
            given = [self._photo(others[number % len(others)]) for number in range(sources)]
            valid = [number < len(others) for number in range(sources)]
            geometric, known = self._drawn(self._gathered_without(order[0]), target), target.known
        else:
            given, renderer = self._set(int(torch.randint(POOL, (1,), generator=dice)), sources)
            valid, geometric = [True] * sources, self._drawn(renderer, target)
            known = self._shown(given, target)
        target = self._brought_there(order[0], target, geometric, known, given[0].ground)
        return _Sample(given, valid, target, known * target.known, geometric)

    def _brought_there(self, photo: int, target: _Shot, geometric: Geometric, known: Tensor, ground: Photo) -> _Shot:
        """A photo's person in the exposure of their geometric picture, before the background of the first source.

        Photos differ in both, and no source tells by how much.
        """
        own = self._views[photo].image.to(target.image)
        drawn = geometric.colour[0]
        alike = (target.alpha * known * geometric.seen[0] * geometric.alpha[0] > 0.8)[0]
        if alike.sum() > ENOUGH:
            logs = ((picture[:, alike] + 1).clamp(min=0.04).log() for picture in (drawn, own))
            gain = (next(logs) - next(logs)).median(1).values.clamp(-BRIGHTER, BRIGHTER).exp()
            own = ((own + 1) * gain[:, None, None] - 1).clamp(-1, 1)
        image = torch.lerp(ground.plate, own, target.alpha)
        return replace(target, image=image, known=1 - (1 - target.alpha) * ground.hole, ground=ground)

    @cached_property
    def _views(self) -> list[View]:
        """The photos cut out."""
        return [photo.view() for photo in self.photos]

    def _drawn(self, renderer: GeometricRenderer, target: _Shot) -> Geometric:
        size = (target.image.shape[-2], target.image.shape[-1])
        body = Body(target.body.pose, renderer.appearance.shape, target.body.camera)
        return whole_frame(renderer(body, size), size)

    def _gathered(self, views: list[View]) -> GeometricRenderer:
        appearance = gather_appearance(views, self._on_cpu, atlas_size=ATLAS).to(self.shape.device)
        return GeometricRenderer(self.model, appearance)

    @cached_property
    def _on_cpu(self) -> BodyModel:
        """Appearances are gathered there."""
        return on_device(self.model, torch.device("cpu"))

    def _gathered_without(self, photo: int) -> GeometricRenderer:
        """Gathered from all photos but one."""
        if photo not in self._without:
            views = [view for number, view in enumerate(self._views) if number != photo]
            self._without[photo] = self._gathered(views)
        return self._without[photo]

    def _set(self, number: int, sources: int) -> tuple[list[_Shot], GeometricRenderer]:
        """Posed sources of the pool, with the body found as well as recovery would, and what is gathered from them."""
        key = (number, sources)
        if key not in self._sets:
            dice = torch.Generator().manual_seed(_mixed(self.seed, -1, number, sources))
            order = torch.randperm(len(self.photos), generator=dice).tolist()
            chosen = [self.photos[order[number % len(order)]] for number in range(sources)]
            posed = [self._found(self._posed(photo, dice), dice) for photo in chosen]
            views = [
                Photo(shot.image, shot.alpha[0], shot.body, shot.image, shot.alpha[0] > 0).view() for shot in posed
            ]
            self._sets[key] = posed, self._gathered(views)
        return self._sets[key]

    def _found(self, shot: _Shot, dice: torch.Generator) -> _Shot:
        """The same with recovery's errors in its body, which keeps its shape."""
        turns, shapes, places, scales = (MISTAKEN * part for part in body_errors(1, self.model.num_shape, dice))
        there = shot.body.to(torch.device("cpu"))
        body = recovered(self._on_cpu, there, turns, torch.zeros_like(shapes), places, scales)[0].to(self.shape.device)
        size = (shot.image.shape[-2], shot.image.shape[-1])
        vertices = body.camera.project(self.model(body.pose, body.shape), size)[0]
        return replace(shot, body=body, vertices=vertices)

    def _photo(self, number: int) -> _Shot:
        photo, image = self.photos[number], self.photos[number].image
        if self.correcting:  # as sources are given when people are drawn: with their own colours alone
            image = torch.where(photo.alpha > 0.05, self._views[number].image.to(image), image)
        vertices = photo.body.camera.project(self.model(photo.body.pose, photo.body.shape), _size(photo))[0]
        return _Shot(image, photo.alpha[None], vertices, torch.ones_like(photo.alpha)[None], photo.body, photo)

    def _posed(self, photo: Photo, dice: torch.Generator) -> _Shot:
        """The person of a photo in another pose and view, over the photo's plate."""
        size = _size(photo)
        body = self._moved(photo.body, dice, size)
        drawn = self.renderer(body, size)
        top, left = drawn.corner
        height, width = drawn.alpha.shape[-2:]
        alpha, filled = torch.zeros(2, 1, *size, device=photo.image.device)
        alpha[:, top : top + height, left : left + width] = drawn.alpha[0]
        filled[:, top : top + height, left : left + width] = drawn.filled[0]
        known = (1 - alpha * filled) * (1 - (1 - alpha) * photo.hole)
        vertices = body.camera.project(self.model(body.pose, body.shape), size)[0]
        return _Shot(drawn.over(photo.plate), alpha, vertices, known.clamp(0, 1), body, photo)

    def _moved(self, body: Body, dice: torch.Generator, size: tuple[int, int]) -> Body:
        """Another pose and view, in the frame."""
        amount, turn, choice = torch.rand(3, generator=dice).tolist()
        other = self.poses[int(choice * len(self.poses))][None].to(body.pose)
        pose = slerp(body.pose, other, torch.full(body.pose.shape[:-1], amount * POSED).to(body.pose))
        angle = body.pose.new_tensor([0.0, (2 * turn - 1) * TURNED, 0.0])
        root = axis_angle_to_matrix(angle) @ axis_angle_to_matrix(body.pose[:, 0])
        pose[:, 0] = matrix_to_axis_angle(root)
        points = self.model(pose, self.shape)[0, :, :2] * body.camera.scale[0]
        low, high = points.amin(0), points.amax(0)
        frame = points.new_tensor([size[1], size[0]])
        fit = (0.94 * frame / (high - low)).amin().clamp(max=1.0)
        room = (frame - (high - low) * fit) / 2
        place = frame / 2 + 0.8 * room * (2 * torch.rand(2, generator=dice) - 1).to(points)
        offset = place - (low + high) / 2 * fit * points.new_tensor([1.0, -1.0])
        return Body(pose, self.shape, Camera(body.camera.scale * fit, offset[None]))

    def _shown(self, sources: list[_Shot], target: _Shot) -> Tensor:
        """`[1, H, H]`: where a source shows what it truly knows of the target's surface, and all beside the body."""
        height, width = target.image.shape[-2:]
        flow = mesh_flow(
            torch.stack([shot.vertices for shot in sources])[None],
            target.vertices[None],
            self.model.faces,
            (height, width),
            visibility="pixel",
        )
        body = rasterize(target.vertices[None], self.model.faces, (height, width)).face_index[0] >= 0
        known = torch.stack([shot.known for shot in sources])[None]
        seen = warp(known, flow)[0].amax(0)
        return torch.where(body, seen, 1.0).clamp(0, 1)


def _cut_out(image: Tensor, alpha: Tensor, body: Body, detail: float = 1.0) -> View:
    image, alpha = image.cpu(), alpha.cpu()
    return View(estimate_foreground(image, alpha), alpha, body.to(image.device), detail)


def _size(photo: Photo) -> tuple[int, int]:
    height, width = photo.image.shape[-2:]
    return height, width


def _pictures(people: list[list[_Shot]], valid: list[list[bool]]) -> Pictures:
    def stacked(name: str) -> Tensor:
        return torch.stack([torch.stack([getattr(shot, name) for shot in shots]) for shots in people])

    image = stacked("image")
    return Pictures(image, stacked("alpha"), stacked("vertices"), torch.tensor(valid, device=image.device))


def _mixed(*numbers: int) -> int:
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**61 - 1)
    return mixed
