"""One person's few pictures as training data: what personalization draws from (Liquid Warping GAN, section 3.5).

With one photo, source and target are the same picture and the flow is the identity: nothing is learned of warping. So
the person is also drawn in other poses and views by the geometric renderer, as target or as source.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit import mesh_flow, rasterize, warp
from warpkit.models.batch import Pictures
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle, slerp
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.renderer import GeometricRenderer

KINDS = ("photo", "posed target", "posed sources")
SHARES = (0.2, 0.3, 0.5)
"""How often each is drawn. A photo as target is true everywhere, so posed sources come most."""
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

    def to(self, device: torch.device) -> "Photo":
        """The same on another device."""
        tensors = (part.to(device) for part in (self.image, self.alpha, self.plate, self.hole))
        image, alpha, plate, hole = tensors
        return Photo(image, alpha, self.body.to(device), plate, hole)


@dataclass(frozen=True)
class _Shot:
    """A picture as `Pictures` has it, and where it is true."""

    image: Tensor
    alpha: Tensor
    vertices: Tensor
    known: Tensor
    """[1, H, H] in [0, 1]."""


class PersonSamples:
    """Draws photos and posed pictures of one person; `draw` gives where the target is known as its third value."""

    def __init__(
        self, photos: Sequence[Photo], appearance: Appearance, model: BodyModel, poses: Tensor, *, seed: int = 0
    ) -> None:
        """On one device all of them.

        Args:
            photos: of the person.
            appearance: gathered from them.
            model: of their bodies.
            poses: `[N, J, 3]` to draw other poses from.
            seed: of what is drawn.
        """
        self.photos, self.model, self.poses, self.seed = list(photos), model, poses, seed
        self.shape = appearance.shape
        self.renderer = GeometricRenderer(model, appearance)

    @torch.no_grad()
    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures, Tensor]:
        """As `Samples`; of more `sources` than photos the rest repeat them, not valid where they are photos."""
        people = [
            self._one(torch.Generator().manual_seed(_mixed(self.seed, step, row)), sources) for row in range(batch)
        ]
        return (
            _pictures([given for given, _, _, _ in people], [valid for _, _, _, valid in people]),
            _pictures([[target] for _, target, _, _ in people], [[True] for _ in people]),
            torch.stack([known for _, _, known, _ in people]),
        )

    def _one(self, dice: torch.Generator, sources: int) -> tuple[list[_Shot], _Shot, Tensor, list[bool]]:
        kind = KINDS[int(torch.multinomial(torch.tensor(SHARES), 1, generator=dice))]
        order = torch.randperm(len(self.photos), generator=dice).tolist()
        chosen = [order[number % len(order)] for number in range(sources)]
        valid = [number < len(order) for number in range(sources)]
        photos = [self._photo(number) for number in chosen]
        if kind == "posed target":
            target = self._posed(self.photos[chosen[0]], dice)
            return photos, target, target.known, valid
        target = self._photo(int(torch.randint(len(self.photos), (1,), generator=dice)))
        if kind == "photo":
            return photos, target, target.known, valid
        posed = [self._posed(self.photos[number], dice) for number in chosen]
        return posed, target, self._shown(posed, target), [True] * sources

    def _photo(self, number: int) -> _Shot:
        photo = self.photos[number]
        size = _size(photo)
        vertices = photo.body.camera.project(self.model(photo.body.pose, photo.body.shape), size)[0]
        return _Shot(photo.image, photo.alpha[None], vertices, torch.ones_like(photo.alpha)[None])

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
        return _Shot(drawn.over(photo.plate), alpha, vertices, known.clamp(0, 1))

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
