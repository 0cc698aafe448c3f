"""Rendered people whose sources were gathered into an appearance: the target comes with its geometric picture.

Gathering takes a second, so a person with their sources is kept for several targets.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.batch import Geometric, Pictures
from warpkit.models.bodies import Body, Camera, on_device
from warpkit.models.data.cases import Case, Gathered
from warpkit.models.data.people.cut import thickness
from warpkit.models.data.people.faults import body_errors, mask_errors, picture_errors, recovered
from warpkit.models.data.people.layers import LAYERS
from warpkit.models.data.people.poses import any_pose, pose_near, yaw_of
from warpkit.models.data.people.render import Light, draw
from warpkit.models.data.people.samples import IDENTITIES, RenderedPeople, kind_of, seeded
from warpkit.models.data.people.wardrobe import Outfits
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.matte import estimate_foreground, refine_alpha
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.view import View
from warpkit.models.geometric.whole_frame import whole_frame

ATLAS = 256
"""Texels along a side of the atlas."""
LEAST_KEPT = 16
"""People kept at least, so that those of a check between steps are gathered once."""


@dataclass(frozen=True)
class _Person:
    """Somebody in front of a camera."""

    outfit: Outfits
    worn: dict[str, Tensor]
    pose: Tensor
    """[22, 3] that sources and targets lie round."""
    yaw: float
    near_head: bool
    centre: int
    """The vertex that a crop is cut round."""
    side: int
    """Of the pictures that show the whole person, pixels."""
    scale: float
    """Pixels a metre, by and large."""
    light: Light
    shape_error: Tensor
    """[1, K]."""


@dataclass(frozen=True)
class _Gathered:
    """Somebody gathered from their sources."""

    person: _Person
    sources: Pictures
    """B = 1."""
    geometric: GeometricRenderer
    bodies: Body
    """N of them: as given, in the pixels of the whole pictures."""


class GatheredPeople:
    """Samples of rendered people with geometric pictures; the same for the same seed and step.

    Each window of `reuse * pool` steps has `pool * batch` people, drawn from the seed and the window alone. Every
    `pool` steps all of them come up once, in an order drawn anew, each with a target drawn from the seed and the step.

    Sources are cut as `imitate` cuts photos: the mask that was given follows the picture's edges, and colours along
    the edge are the person's own. What is gathered is the whole person at `people.scale` pixels, heads at the most of
    them; where that is more than `people.size`, sources and targets are crops round a place of the body, or the head.
    """

    def __init__(self, people: RenderedPeople, *, reuse: int = 16, pool: int = 1, atlas_size: int = ATLAS) -> None:
        """Keeps people on their device.

        Args:
            people: what they look like, and everything that `RenderedPeople` is told.
            reuse: targets of each person.
            pool: steps in which everybody comes up once.
            atlas_size: texels along a side of the appearances' atlas.
        """
        if reuse < 1 or pool < 1:
            raise ValueError(f"reuse and pool must be 1 or more, not {reuse} and {pool}")
        self.people, self.reuse, self.pool, self.atlas_size = people, reuse, pool, atlas_size
        self._placed = on_device(people.model, people.device)
        self._kept: OrderedDict[tuple[int, int, int], _Gathered] = OrderedDict()

    @property
    def window(self) -> int:
        """Steps that share their people; those of one number of sources."""
        return self.reuse * self.pool

    @torch.no_grad()
    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Sources (N = `sources`) and target (N = 1) of `batch` people; the target's `geometric` is drawn from them."""
        people = self._shown(step, batch, sources)
        targets = [self._target(person, step, row) for row, person in enumerate(people)]
        return Pictures.joined([person.sources for person in people]), Pictures.joined(targets)

    def case(self, step: int, sources: int) -> Case:
        """What `draw` gives of one person, as a case of self-imitation."""
        (one,) = self._shown(step, 1, sources)
        target = self._target(one, step, 0)
        assert target.geometric is not None
        gathered = Gathered(target.geometric[:, 0], one.geometric.appearance, one.bodies)
        kind = kind_of(one.person.outfit)
        return Case(one.sources, target.vertices[:, 0], target, gathered=gathered, kind=kind)

    def _shown(self, step: int, batch: int, sources: int) -> list[_Gathered]:
        """Whom a step shows."""
        window, within = divmod(step, self.window)
        turn, group = divmod(within, self.pool)
        dice = seeded(self.people.seed, self.people.split, "turns", window, turn)
        order = torch.randperm(self.pool * batch, generator=dice)[group * batch : (group + 1) * batch].tolist()
        room = max(LEAST_KEPT, self.pool * batch)
        return [self._kept_or_gathered(window, number, sources, room) for number in order]

    def _kept_or_gathered(self, window: int, number: int, sources: int, room: int) -> _Gathered:
        key = (window, number, sources)
        if key not in self._kept:
            self._kept[key] = self._gathered(*key)
        self._kept.move_to_end(key)
        while len(self._kept) > room:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _gathered(self, window: int, number: int, count: int) -> _Gathered:
        data, model = self.people, self.people.model
        dice = seeded(data.seed, data.split, "person", window, number)
        numbers = IDENTITIES[data.split]
        identity = numbers[int(torch.randint(len(numbers), (1,), generator=dice))]
        near_head = float(torch.rand(1, generator=dice)) < data.head_share
        centre = int(torch.randint(model.num_vertices, (1,), generator=dice))
        chance = seeded(data.seed, data.split, "scale", window, number)
        side = data.scale(1.0 if near_head else float(torch.rand(1, generator=chance)))
        outfit = data.outfits([identity], dice)
        light = data.light(1, 1, dice)
        pose, yaw = any_pose(data.frames, dice), yaw_of(dice, faces=near_head)
        scale = (0.78 + 0.15 * float(torch.rand(1, generator=dice))) * side / float(model.height(outfit.shape))
        worn = {name: thickness(name, data.figure, outfit.to(data.device)) for name in LAYERS[1:]}
        fuller = data.figure.filled({name: metres.cpu() for name, metres in worn.items()})
        shape_error = fuller + body_errors(1, model.num_shape, dice)[1]
        plate = data.background(side, dice)
        person = _Person(outfit, worn, pose, yaw, near_head, centre, side, scale, light, shape_error)

        gap = data.gap(window * self.window)
        poses = [pose_near(data.frames, pose, yaw, gap, dice, faces=near_head) for _ in range(count)]
        true = self._whole_body(person, torch.stack(poses), side, dice)
        given = self._as_recovered(person, true, dice)
        image, alpha = self._drawn(person, true, plate, side)
        if data.faults:
            tall = true.camera.scale * model.height(true.shape)
            alpha = mask_errors(alpha, tall.to(data.device), dice)
            image = picture_errors(image, (torch.arange(count) == 0).to(data.device), dice)
        views = []
        for index in range(count):
            picture, mask = image[index].cpu(), alpha[index, 0].cpu()
            mask = refine_alpha(picture, mask) if data.faults else mask
            views.append(View(estimate_foreground(picture, mask), mask, given[index]))
        appearance = gather_appearance(views, model, atlas_size=self.atlas_size)
        shown = self._cut(person, views, image.cpu(), true, plate, dice).to(data.device)
        renderer = GeometricRenderer(self._placed, appearance.to(data.device))
        return _Gathered(person, shown, renderer, given)

    def _target(self, gathered: _Gathered, step: int, row: int) -> Pictures:
        data, person, plate = self.people, gathered.person, gathered.sources.plate
        assert plate is not None
        dice = seeded(data.seed, data.split, "target", step, row)
        pose = pose_near(data.frames, person.pose, person.yaw, data.gap(step), dice, faces=person.near_head)[None]
        size = (data.size, data.size)
        if person.side > data.size:
            body = self._body(person, pose)
            jitter = torch.rand(3, generator=dice) * 2 - 1
            scale = person.scale * torch.exp(0.04 * jitter[:1])
            middle = self._middle(person, body, pose) * scale.new_tensor([1.0, -1.0]) * scale
            reach = 0.06 if person.near_head else 0.15
            camera = Camera(scale, data.size / 2 + jitter[None, 1:] * reach * data.size - middle)
            true = Body(pose, person.outfit.shape, camera)
        else:
            true = self._whole_body(person, pose, data.size, dice)
        given = self._as_recovered(person, true, dice).to(data.device)
        image, alpha = self._drawn(person, true, plate[0], data.size)
        geometric = whole_frame(gathered.geometric(given, size), size)
        vertices = given.camera.project(self._placed(given.pose, given.shape), size)
        one = torch.ones(1, 1, dtype=torch.bool, device=data.device)
        parts = (geometric.colour, geometric.seen, geometric.confidence, geometric.alpha)
        drawn = Geometric(*(part[:, None] for part in parts))
        return Pictures(image[None], alpha[None], vertices[None], one, plate, drawn)

    def _body(self, person: _Person, pose: Tensor) -> Tensor:
        """`[N, V, 3]` the naked body as it is drawn."""
        data, shape = self.people, person.outfit.shape.expand(len(pose), -1)
        if data.photos is None:
            return data.model(pose, shape)
        return data.model(pose, shape, offsets=data.photos.offsets_of(person.outfit.baked).expand(len(pose), -1, -1))

    def _middle(self, person: _Person, body: Tensor, pose: Tensor) -> Tensor:
        """`[N, 2]` metres, what a crop is cut round."""
        if person.near_head:
            return self.people.heads(pose, person.outfit.shape.expand(len(pose), -1))[:, :2]
        return body[:, person.centre, :2]

    def _whole_body(self, person: _Person, pose: Tensor, side: int, dice: torch.Generator) -> Body:
        """The person whole in frames of `side` pixels."""
        points = self._body(person, pose)[..., :2]
        low, high = points.amin(1), points.amax(1)
        jitter = torch.rand(len(pose), 3, generator=dice) * 2 - 1
        scale = person.scale * torch.exp(0.04 * jitter[:, 0])
        scale = torch.minimum(scale, 0.93 * side / (high - low).amax(1))
        middle = (low + high) / 2 * scale.new_tensor([1.0, -1.0]) * scale[:, None]
        offset = side / 2 + jitter[:, 1:] * 0.03 * side - middle
        return Body(pose, person.outfit.shape.expand(len(pose), -1), Camera(scale, offset))

    def _as_recovered(self, person: _Person, true: Body, dice: torch.Generator) -> Body:
        if not self.people.faults:
            return true
        model = self.people.model
        turns, _, places, scales = body_errors(len(true.pose), model.num_shape, dice)
        return recovered(model, true, turns, person.shape_error.expand(len(turns), -1), places, scales)[0]

    def _drawn(self, person: _Person, true: Body, plate: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Pictures `[N, 3, side, side]` before `plate`, and alpha `[N, 1, side, side]`."""
        data = self.people
        row = torch.zeros(len(true.pose), dtype=torch.long, device=data.device)
        made = draw(
            data.figure,
            person.outfit.to(data.device)[row],
            {layer: metres[row] for layer, metres in person.worn.items()},
            self._body(person, true.pose).to(data.device),
            true.camera.to(data.device),
            person.light[row],
            (side, side),
            data.supersample,
            data.photos,
        )
        return made.colour + (1 - made.alpha) * plate, made.alpha

    def _cut(
        self, person: _Person, views: list[View], images: Tensor, true: Body, plate: Tensor, dice: torch.Generator
    ) -> Pictures:
        """What a system is given of the views, on the CPU; the plate is cut as the first."""
        size, model = self.people.size, self.people.model
        spare = person.side - size
        middle = self._middle(person, self._body(person, true.pose), true.pose)
        places = true.camera.pixels(torch.nn.functional.pad(middle, (0, 1))[:, None])[:, 0]
        reach = 0.06 if person.near_head else 0.15
        places = places + (torch.rand(len(views), 2, generator=dice) * 2 - 1) * reach * size
        corners = (places - size / 2).round().clamp(0, spare).long().tolist()
        shown, masks, vertices = [], [], []
        for view, image, (left, top) in zip(views, images, corners, strict=True):
            whole = torch.where(view.alpha > 0.05, view.image, image)
            shown.append(whole[:, top : top + size, left : left + size])
            masks.append(view.alpha[None, top : top + size, left : left + size])
            camera = view.body.camera
            camera = Camera(camera.scale, camera.offset - camera.offset.new_tensor([float(left), float(top)]))
            vertices.append(camera.project(model(view.body.pose, view.body.shape), (size, size))[0])
        left, top = corners[0]
        return Pictures(
            torch.stack(shown)[None],
            torch.stack(masks)[None],
            torch.stack(vertices)[None],
            torch.ones(1, len(views), dtype=torch.bool),
            plate[None, :, top : top + size, left : left + size].cpu(),
        )
