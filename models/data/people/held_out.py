"""The tasks of evaluation on rendered people: cross-imitation, appearance transfer and novel views, with exact truth.

Bodies, cameras and masks are exact here; recovery's errors belong to self-imitation, which is `RenderedPeople.draw`.
"""

from dataclasses import replace

import torch
from torch import Tensor

from warpkit.models.batch import Pictures
from warpkit.models.bodies import JOINTS, PARTS, Camera, mirror_pose
from warpkit.models.data.cases import TASKS, Case, Task
from warpkit.models.data.people.cut import thickness
from warpkit.models.data.people.layers import LAYERS
from warpkit.models.data.people.poses import any_pose, poses_of, turned
from warpkit.models.data.people.render import draw
from warpkit.models.data.people.samples import IDENTITIES, RenderedPeople, seeded
from warpkit.models.data.people.wardrobe import Outfits, people

REAL = 8
"""Real pictures of the person beside each cross-imitation: the paper's candidates."""
VIEWS = tuple(range(30, 360, 30))
"""Degrees round a person in A-pose."""
CLOTHES = ("top", "sleeve", "neckline", "collar", "print_", "bottom", "skirt", "waist", "coat", "shoe", "sock")
"""How the names of those fields of an outfit begin that are put on and taken off."""
GARMENTS = ("shoes", "bottom", "skirt", "top", "coat")
"""The layers that are."""


def redressed(outfit: Outfits, dressed_as: Outfits) -> Outfits:
    """The people of the one in the clothes of the other: body, skin, face and hair stay."""
    fields = [name for name in outfit.__dataclass_fields__ if name.startswith(CLOTHES)]
    garments = torch.tensor([layer in GARMENTS for layer in LAYERS])
    worn = torch.where(garments, dressed_as.worn, outfit.worn)
    return replace(outfit, worn=worn, **{name: getattr(dressed_as, name) for name in fields})


class HeldOut(RenderedPeople):
    """Rendered people with all tasks of the protocol; arguments as of `RenderedPeople`."""

    tasks = TASKS

    @torch.no_grad()
    def cases(self, task: Task, step: int, sources: int) -> Case:
        """The case of a number, the same for the same arguments.

        - "self": one sample of `draw`.
        - "cross": a person with her own shape in the pose of somebody else; real pictures of her beside it.
        - "transfer": the last source is the reference, whose head is kept; the others show the same person in the
          clothes that are wanted. Truth: those clothes in the reference's pose.
        - "views": an A-pose every 30° round, from `sources` views spread evenly.
        """
        if task == "self":
            sources_, target = self.draw(step, 1, sources)
            return Case(sources_, target.vertices[:, 0], target)
        dice = seeded(self.seed, self.split, task, step)
        numbers = IDENTITIES[self.split]
        first, other = (numbers[int(torch.randint(len(numbers), (1,), generator=dice))] for _ in range(2))
        outfit = people(self.model, [first])
        if task == "views":
            return self._views(outfit, sources, dice)
        if task == "transfer":
            return self._transfer(outfit, people(self.model, [other]), sources, dice)
        own = poses_of(self.frames, sources + REAL, 1.0, dice)
        yaw = float(torch.rand(1, generator=dice) * 2 - 1)  # within a right angle to the front, mostly
        reference = turned(any_pose(self.frames, dice), yaw, dice)[None]
        shots = self._shoot([outfit] * len(own), own, dice, extra=reference)
        return Case(shots[0][:sources], shots[1], real=shots[0][sources:])

    def _transfer(self, outfit: Outfits, dressed_as: Outfits, sources: int, dice: torch.Generator) -> Case:
        wanted = redressed(outfit, dressed_as)
        poses = poses_of(self.frames, sources + 1, 1.0, dice)  # the reference's first, then the sources'
        poses = torch.cat([poses[1:], poses[:1], poses[:1]])
        shots, _ = self._shoot([wanted] * sources + [outfit, wanted], poses, dice)
        clothed: tuple[str, ...] = tuple(part for part in PARTS if part != "head")
        truth = shots[-1:]
        return Case(shots[:-1], truth.vertices[:, 0], truth, parts=(*[clothed] * sources, ("head",)))

    def _views(self, outfit: Outfits, sources: int, dice: torch.Generator) -> Case:
        half = torch.zeros(len(JOINTS), 3)
        half[JOINTS.index("left_shoulder"), 2] = -0.75
        half[JOINTS.index("left_hip"), 2] = 0.12
        shown = [round(number * 360 / sources) for number in range(sources)]
        targets = [angle for angle in VIEWS if angle not in shown]
        pose = (half + mirror_pose(half)).expand(sources + len(targets), -1, -1).clone()
        pose[:, 0, 1] = torch.deg2rad(torch.tensor([*shown, *targets]).float())
        shots, _ = self._shoot([outfit] * len(pose), pose, dice)

        def for_each(values: Tensor) -> Tensor:
            return values.expand(len(targets), *values.shape[1:])

        given, plate = shots[:sources], for_each(shots.plate) if shots.plate is not None else None
        truth = shots[sources:]
        return Case(
            Pictures(
                for_each(given.image), for_each(given.alpha), for_each(given.vertices), for_each(given.valid), plate
            ),
            truth.vertices[0],
            Pictures(
                truth.image[0][:, None], truth.alpha[0][:, None], truth.vertices[0][:, None], truth.valid.T, plate
            ),
            names=tuple(f"{angle}°" for angle in targets),
        )

    def _shoot(
        self, outfits: list[Outfits], pose: Tensor, dice: torch.Generator, extra: Tensor | None = None
    ) -> tuple[Pictures, Tensor]:
        """Pictures (B = 1) of one person in given outfits and poses in one place; and the body in `extra` poses."""
        count, size = len(pose), (self.size, self.size)
        outfit = Outfits.joined(outfits)
        poses = pose if extra is None else torch.cat([pose, extra])
        body = self.model(poses, outfit.shape[:1])
        low, high = body[..., :2].amin(1), body[..., :2].amax(1)
        scale = (0.9 * self.size / (high - low).amax()).expand(len(poses))
        offset = self.size / 2 - (low + high) / 2 * scale[:, None] * body.new_tensor([1.0, -1.0])
        camera = Camera(scale, offset)
        vertices = camera.project(body, size).to(self.device)
        dressed = outfit.to(self.device)
        worn = {layer: thickness(layer, self.figure, dressed) for layer in LAYERS[1:]}
        light = self.light(1, count, dice)
        shown = Camera(scale[:count], offset[:count]).to(self.device)
        bodies = body[:count].to(self.device)
        made = draw(self.figure, dressed, worn, bodies, shown, light, size, self.supersample)
        plate = self.background(self.size, dice)[None]
        image = made.colour + (1 - made.alpha) * plate
        valid = torch.ones(1, count, dtype=torch.bool, device=self.device)
        return Pictures(image[None], made.alpha[None], vertices[None, :count], valid, plate), vertices[count:]
