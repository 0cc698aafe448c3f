"""The tasks of evaluation on rendered people: cross-imitation, appearance transfer and novel views, with exact truth.

Bodies, cameras and masks are exact here; recovery's errors belong to self-imitation, which is `RenderedPeople.draw`.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from warpkit.models.batch import Pictures
from warpkit.models.bodies import JOINTS, PARTS, Body, Camera, mirror_pose, on_device
from warpkit.models.data.cases import TASKS, Case, Task
from warpkit.models.data.gather import atlas_for, with_gathered
from warpkit.models.data.people.cut import thickness
from warpkit.models.data.people.gathered import GatheredPeople
from warpkit.models.data.people.layers import LAYERS
from warpkit.models.data.people.poses import any_pose, poses_of, turned
from warpkit.models.data.people.render import draw
from warpkit.models.data.people.samples import IDENTITIES, RenderedPeople, kind_of, seeded
from warpkit.models.data.people.wardrobe import Outfits

REAL = 8
"""Real pictures of the person beside each cross-imitation: the paper's candidates."""
VIEWS = tuple(range(30, 360, 30))
"""Degrees round a person in A-pose."""
CLOTHES = ("top", "sleeve", "neckline", "collar", "print_", "bottom", "skirt", "waist", "coat", "shoe", "sock", "dyed")
"""How the names of those fields of an outfit begin that are put on and taken off."""
GARMENTS = ("shoes", "bottom", "skirt", "top", "coat")
"""The layers that are."""
CLOTHED = tuple(part for part in PARTS if part != "head")


def redressed(outfit: Outfits, dressed_as: Outfits) -> Outfits:
    """The people of the one in the clothes of the other: body, skin, face and hair stay."""
    fields = [name for name in outfit.__dataclass_fields__ if name.startswith(CLOTHES)]
    garments = torch.tensor([layer in GARMENTS for layer in LAYERS])
    worn = torch.where(garments, dressed_as.worn, outfit.worn)
    baked = torch.cat([outfit.baked[:, :1], dressed_as.baked[:, 1:]], 1)
    return replace(outfit, worn=worn, baked=baked, **{name: getattr(dressed_as, name) for name in fields})


@dataclass(frozen=True)
class _Shots:
    """One person in one place."""

    pictures: Pictures
    """B = 1, N of them."""
    bodies: Body
    """Of the pictures, and after them bodies that were only asked for; on the CPU."""
    vertices: Tensor
    """[N + ..., V, 3] of all these bodies, NDC."""


class HeldOut(RenderedPeople):
    """Rendered people with all tasks of the protocol.

    Args:
        *arguments: as of `RenderedPeople`.
        gathered: each case comes with what the renderer of `warpkit imitate` makes of it, and its sources cut as there.
        atlas_size: texels along a side of what is gathered; None: enough for pictures of this size.
        **options: as of `RenderedPeople`; gathered cases show whole people, `scale` is not for them.
    """

    tasks = TASKS

    def __init__(self, *arguments: Any, gathered: bool = False, atlas_size: int | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if gathered and self.scales != (self.size, self.size):
            raise ValueError("scale: gathered cases show whole people; leave it out")
        self.atlas_size = atlas_for(self.size) if atlas_size is None else atlas_size
        self.gathered = GatheredPeople(self, reuse=1, atlas_size=self.atlas_size) if gathered else None
        self._placed = on_device(self.model, self.device)

    @torch.no_grad()
    def cases(self, task: Task, step: int, sources: int) -> Case:
        """The case of a number, the same for the same arguments.

        - "self": one sample of `draw`, or of `GatheredPeople`.
        - "cross": a person with her own shape in the pose of somebody else; real pictures of her beside it.
        - "transfer": the last source is the reference, whose head is kept; the others show the same person in the
          clothes that are wanted. Truth: those clothes in the reference's pose.
        - "views": an A-pose every 30° round, from `sources` views spread evenly.
        """
        if task == "self":
            if self.gathered is not None:
                return self.gathered.case(step, sources)
            drawn = self.draw_with_truth(step, 1, sources)
            kind = drawn.truth.kinds[0]
            return Case(drawn.sources, drawn.target.vertices[:, 0], drawn.target, kind=kind)
        dice = seeded(self.seed, self.split, task, step)
        numbers = IDENTITIES[self.split]
        first, other = (numbers[int(torch.randint(len(numbers), (1,), generator=dice))] for _ in range(2))
        outfit = self.outfits([first], dice)
        if task == "views":
            return self._views(outfit, sources, dice)
        if task == "transfer":
            dressed_as = self.outfits([other], dice)
            while kind_of(dressed_as) != kind_of(outfit):  # painted clothes and photographed ones are not mixed
                dressed_as = self.outfits([other], dice)
            return self._transfer(outfit, dressed_as, sources, dice)
        own = poses_of(self.frames, sources + REAL, 1.0, dice)
        yaw = float(torch.rand(1, generator=dice) * 2 - 1)  # within a right angle to the front, mostly
        reference = turned(any_pose(self.frames, dice), yaw, dice)[None]
        shots = self._shoot([outfit] * len(own), own, dice, extra=reference)
        case = Case(shots.pictures[:sources], shots.vertices[-1:], real=shots.pictures[sources:], kind=kind_of(outfit))
        return self._with_gathered(case, shots.bodies[:sources], shots.bodies[-1])

    def _transfer(self, outfit: Outfits, dressed_as: Outfits, sources: int, dice: torch.Generator) -> Case:
        wanted = redressed(outfit, dressed_as)
        poses = poses_of(self.frames, sources + 1, 1.0, dice)  # the reference's first, then the sources'
        poses = torch.cat([poses[1:], poses[:1], poses[:1]])
        shots = self._shoot([wanted] * sources + [outfit, wanted], poses, dice)
        truth, parts = shots.pictures[-1:], (*[CLOTHED] * sources, ("head",))
        case = Case(shots.pictures[:-1], truth.vertices[:, 0], truth, parts=parts, kind=kind_of(outfit))
        return self._with_gathered(case, shots.bodies[:-1], shots.bodies[-1])

    def _views(self, outfit: Outfits, sources: int, dice: torch.Generator) -> Case:
        half = torch.zeros(len(JOINTS), 3)
        half[JOINTS.index("left_shoulder"), 2] = -0.75
        half[JOINTS.index("left_hip"), 2] = 0.12
        shown = [round(number * 360 / sources) for number in range(sources)]
        targets = [angle for angle in VIEWS if angle not in shown]
        pose = (half + mirror_pose(half)).expand(sources + len(targets), -1, -1).clone()
        pose[:, 0, 1] = torch.deg2rad(torch.tensor([*shown, *targets]).float())
        shots = self._shoot([outfit] * len(pose), pose, dice)
        given, truth = shots.pictures[:sources], shots.pictures[sources:]
        plate = None if given.plate is None else given.plate.expand(len(targets), -1, -1, -1)
        each = Pictures(
            truth.image[0][:, None], truth.alpha[0][:, None], truth.vertices[0][:, None], truth.valid.T, plate
        )
        names = tuple(f"{angle}°" for angle in targets)
        case = Case(given, truth.vertices[0], each, names=names, kind=kind_of(outfit))
        return self._with_gathered(case, shots.bodies[:sources], shots.bodies[sources:])

    def _with_gathered(self, case: Case, sources: Body, targets: Body) -> Case:
        """The case with what is gathered from its sources, which are cut as photos are, where that is asked for."""
        if self.gathered is None:
            return case
        return with_gathered(case, sources, targets, self.model, placed=self._placed, atlas_size=self.atlas_size)

    def _shoot(
        self, outfits: list[Outfits], pose: Tensor, dice: torch.Generator, extra: Tensor | None = None
    ) -> _Shots:
        """Pictures of one person in given outfits and poses in one place; and the body in `extra` poses."""
        count, size = len(pose), (self.size, self.size)
        outfit = Outfits.joined(outfits)
        poses = pose if extra is None else torch.cat([pose, extra])
        naked = self.model(poses, outfit.shape[:1])
        low, high = naked[..., :2].amin(1), naked[..., :2].amax(1)
        scale = (0.9 * self.size / (high - low).amax()).expand(len(poses))
        offset = self.size / 2 - (low + high) / 2 * scale[:, None] * naked.new_tensor([1.0, -1.0])
        camera = Camera(scale, offset)
        vertices = camera.project(naked, size).to(self.device)
        dressed = outfit.to(self.device)
        worn = {layer: thickness(layer, self.figure, dressed) for layer in LAYERS[1:]}
        light = self.light(1, count, dice)
        drawn = naked[:count]
        if self.photos is not None:
            drawn = self.model(pose, outfit.shape[:1], offsets=self.photos.offsets_of(outfit.baked))
        made = draw(
            self.figure,
            dressed,
            worn,
            drawn.to(self.device),
            camera[slice(count)].to(self.device),
            light,
            size,
            self.supersample,
            self.photos,
        )
        plate = self.background(self.size, dice)[None]
        image = made.colour + (1 - made.alpha) * plate
        valid = torch.ones(1, count, dtype=torch.bool, device=self.device)
        pictures = Pictures(image[None], made.alpha[None], vertices[None, :count], valid, plate)
        return _Shots(pictures, Body(poses, outfit.shape[:1].expand(len(poses), -1), camera), vertices)
