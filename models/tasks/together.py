"""Several people with motions of their own: who does what, where each stands, and the frames that show all of them."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.camera_path import CameraMode, ground_rows
from warpkit.models.geometric.renderer import Layer
from warpkit.models.tasks.choices import Look, Travel
from warpkit.models.tasks.clip import Clip
from warpkit.models.tasks.imitate import Reference, check_motion, has_pictures, is_video
from warpkit.models.tasks.sources import Photos, Shown, Source, standing_body

MOST_PEOPLE = 8
"""In one picture."""
APART = 1.0
"""Metres between neighbours where nothing says where they stand."""
DISTANCE, EYES = 5.0, 1.5
"""Metres from the camera to the first person, and of it above the ground: how much smaller and higher in the picture
somebody further back is."""
IN_FRONT = 0.05
"""Metres that somebody's ground must lie lower in the picture to pass in front of who was in front of them."""


@dataclass(frozen=True)
class Role:
    """Somebody, and what they do. Raises InputError where that cannot be."""

    photos: Photos
    """1 to 8 pictures of them."""
    motion: str | Path | Motion
    """As of `Pipeline.imitate`."""
    reference_person: int | None = None
    """Who of a video with several people they do as; counted from left to right, where it first shows all who are in at
    least half of it. None: the largest; of people in one picture who share a video the first takes person 1, and so
    on."""
    person: int | None = None
    """Who of a photo with several people they are, counted from 1 in order of size; None: the largest."""
    place: tuple[float, float] | None = None
    """Metres to the right of the first person and behind them, at first, in one picture with them. None: where the
    photo or the video that both share shows them, else `APART` to the right of the one before."""

    def __post_init__(self) -> None:
        check_motion(self.motion, self.reference_person)
        if self.place is not None and not (all(map(math.isfinite, self.place)) and self.place[1] > 1 - DISTANCE):
            raise InputError(
                f"a place must be metres to the right and behind, at most {DISTANCE - 1:g} in front; {self.place} came"
            )


def parse_place(text: str) -> tuple[float, float]:
    """Metres from `RIGHT` or `RIGHT,BACK`. Raises InputError where it is neither."""
    try:
        right, back = (float(number) for number in (text if "," in text else f"{text},0").split(","))
    except ValueError as error:
        raise InputError(f"a place must be RIGHT,BACK in metres, as 1.2,0.5; {text!r} came") from error
    return right, back


def check_mode(role: Role, travel: Travel, look: Look) -> CameraMode:
    """What the camera does. Raises InputError where `travel` goes with neither the motion nor the look."""
    return travel.mode(look, is_video(role.motion), has_pictures(role.motion))


def check_side_by_side(wanted: bool, look: Look, mode: CameraMode) -> None:
    """Raises InputError where the photo and the reference do not go beside such frames."""
    if wanted and (look.transparent or look.frame != "square" or mode == "copy"):
        raise InputError(
            "side by side shows three opaque squares: it goes with neither a transparent background, nor frame "
            "photo, nor camera copy"
        )


def check_together(roles: Sequence[Role], copying: bool, scene: bool) -> None:
    """Raises InputError where `roles` cannot be in one picture: `copying` the camera, in the `scene` of a video."""
    if not 1 <= len(roles) <= MOST_PEOPLE:
        raise InputError(f"1 to {MOST_PEOPLE} people go into one picture, not {len(roles)}")
    if scene and (None in map(_video, roles) or len(set(map(_video, roles))) > 1):
        raise InputError("background reference is the scene of one video: all must do as people of that one do")
    if copying and not all(has_pictures(role.motion) for role in roles):
        raise InputError("camera copy needs a video as the motion of each, or a file made from one")
    if roles[0].place is not None:
        raise InputError("places are counted from the first person, who has none: where they stand is in their photo")


def _video(role: Role) -> str | None:
    """The file that a video really is, by whatever name; None where the motion is something else."""
    return os.path.realpath(role.motion) if not isinstance(role.motion, Motion) and is_video(role.motion) else None


def who_drives(roles: Sequence[Role]) -> list[int | None]:
    """For each role the person of the video they do as: where several share a video, the next whom nobody named."""
    numbers: list[int | None] = []
    for role in roles:
        shared = [other for other in roles if _video(other) is not None and _video(other) == _video(role)]
        number = role.reference_person
        if number is None and len(shared) > 1:
            named = {other.reference_person for other in shared}
            earlier = sum(other.reference_person is None for other in shared[: _index(shared, role)])
            free = (candidate for candidate in count(1) if candidate not in named)
            number = next(islice(free, earlier, None))
        numbers.append(number)
    return numbers


def _index(roles: Sequence[Role], role: Role) -> int:
    return next(number for number, other in enumerate(roles) if other is role)


def scene_of(people: Sequence[Shown]) -> Source:
    """The first one's first photo; of those of the others who are shown in that same photo it is rid, too."""
    first, *others = (shown.sources[0] for shown in people)
    for other in others:
        if _same_photo(first, other):
            one, two = first.person, other.person
            low, high = np.minimum(one.box[:2], two.box[:2]), np.maximum(one.box[2:], two.box[2:])
            box = (*low.tolist(), *high.tolist())
            first = replace(first, person=replace(one, mask=torch.maximum(one.mask, two.mask), box=box))
    return first


def _same_photo(one: Source, other: Source) -> bool:
    return one.image.shape == other.image.shape and bool(np.array_equal(one.image, other.image))


def placed(
    people: Sequence[Shown], roles: Sequence[Role], references: Sequence[Reference], model: BodyModel
) -> list[Body]:
    """Everybody as they stand before they move, in the pixels of the first one's first photo."""
    standing = [standing_body(shown.sources[0], shown.appearance) for shown in people]
    first, result = standing[0], standing[:1]
    for number in range(1, len(roles)):
        role, body, reference = roles[number], standing[number], references[number]
        shared = _video(role) is not None and _video(role) == _video(roles[0])
        if role.place is not None:
            body = _beside(first, body, role.place, model)
        elif not _same_photo(people[0].sources[0], people[number].sources[0]):
            if shared:
                body = _as_seen(first, body, references[0].motion, reference.motion, model)
            else:
                body = _beside(first, body, (number * APART, 0.0), model)
        result.append(body)
    return result


def _beside(first: Body, body: Body, place: tuple[float, float], model: BodyModel) -> Body:
    """A body at a place in metres to the right of the first and behind them, as large as it is seen from there."""
    right, back = place
    far = DISTANCE / (DISTANCE + back)
    scale = first.camera.scale
    x = first.camera.offset[:, 0] + far * scale * right
    return _set_down(body, x, _ground(first, model) - (1 - far) * scale * EYES, far * scale, model)


def _as_seen(first: Body, body: Body, lead: Motion, motion: Motion, model: BodyModel) -> Body:
    """A body where the reference of `motion` stands to that of `lead` in the first frame, and as near."""
    assert lead.place is not None
    assert motion.place is not None
    unit = first.camera.scale * (model.height(first.shape) / lead.height) / lead.place.scale
    x = first.camera.offset[:, 0] + unit * (motion.place.pelvis[0] - lead.place.pelvis[0])
    lower = _ground_of_reference(motion, model) - _ground_of_reference(lead, model)
    nearer = motion.place.scale / lead.place.scale
    return _set_down(body, x, _ground(first, model) + unit * lower, first.camera.scale * nearer, model)


def _set_down(body: Body, x: Tensor, ground: Tensor, scale: Tensor, model: BodyModel) -> Body:
    offset = torch.stack((x, ground - scale * _below(body, model)), -1)
    return replace(body, camera=Camera(scale, offset))


def _below(body: Body, model: BodyModel) -> Tensor:
    """[1] metres from the pelvis down to the lowest point."""
    return -model(body.pose, body.shape)[:, :, 1].amin(1)


def _ground(body: Body, model: BodyModel) -> Tensor:
    """[1] the row of the picture, in pixels, that a body stands on."""
    return body.camera.offset[:, 1] + body.camera.scale * _below(body, model)


def _ground_of_reference(motion: Motion, model: BodyModel) -> float:
    """Likewise the row of the video that the reference stands on in its first frame."""
    assert motion.place is not None
    shape = model.mean_shape[None]
    metres = -model(motion.rotations[:1], shape)[0, :, 1].amin() * (motion.height / model.height(shape)[0])
    return motion.place.pelvis[1] + motion.place.scale * float(metres)


def draw_order(bodies: Sequence[Body], model: BodyModel, fps: float) -> list[list[int]]:
    """Who is drawn after whom in each frame: whoever stands lower in the picture is nearer, and comes later."""
    rows = torch.stack([ground_rows(body, model, fps) for body in bodies])
    slack = IN_FRONT * torch.stack([body.camera.scale for body in bodies]).mean(0)
    order = rows[:, 0].argsort(stable=True).tolist()
    orders = []
    for now, least in zip(rows.T.tolist(), slack.tolist(), strict=True):
        for _ in order:  # neighbours change places until all is right, but not for a trifle
            for place in range(len(order) - 1):
                far, near = order[place : place + 2]
                if now[far] > now[near] + least:
                    order[place : place + 2] = near, far
        orders.append(list(order))
    return orders


class Together:
    """Frames of several people before one background, made as they are asked for."""

    def __init__(self, clips: Sequence[Clip], order: Sequence[Sequence[int]]) -> None:
        """`clips`: of each of the people by themselves, all alike but for them. `order`: from `draw_order`."""
        first = clips[0]
        self.clips, self.order = list(clips), [list(numbers) for numbers in order]
        self.framing, self.fps, self.size, self.num_frames = first.framing, first.fps, first.size, first.num_frames
        self.device, self.transparent, self.audio_from = first.device, first.transparent, first.audio_from
        self.notes = list(dict.fromkeys(note for clip in clips for note in clip.notes))
        """Sentences that the user should see."""

    @torch.no_grad()
    def render(self, index: int) -> Layer:
        """The people of frame `index` by itself, without the background, nearer ones over those further back."""
        return self._stacked([clip.render(index) for clip in self.clips], index)

    def _stacked(self, people: Sequence[Layer], index: int) -> Layer:
        shape = self.framing.shape
        colour = torch.full((3, *shape), -1.0, device=self.device)
        alpha = torch.zeros(1, *shape, device=self.device)
        for number in self.order[index]:
            layer = people[number].alone(shape)
            share = layer[3:] + (1 - layer[3:]) * alpha
            colour = torch.lerp(colour, layer[:3], layer[3:] / share.clamp(min=1e-6))
            alpha = share
        return Layer(colour[None], alpha[None], (0, 0))

    def ground(self, index: int) -> Tensor:
        """[3, H, W] the background of frame `index`, with the shadows of everybody's feet."""
        ground = self.clips[0].plate(index)
        for clip in self.clips:
            ground = clip.shaded(ground, index)
        return ground

    @torch.no_grad()
    def frame(self, index: int) -> np.ndarray:
        """Frame `index` by itself, uint8 RGB `[H, W, 3]`; RGBA `[H, W, 4]` where the clip is transparent."""
        return self._finished(self.render(index), index)

    def _finished(self, people: Layer, index: int) -> np.ndarray:
        return self.clips[0].picture(people, index, self.ground(index))

    def __len__(self) -> int:
        return self.num_frames

    @torch.no_grad()
    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames in order, as of `frame`, but each with those before it in mind where `Look.steady` says so."""
        for index, people in enumerate(zip(*(clip.renders() for clip in self.clips), strict=True)):
            yield self._finished(self._stacked(people, index), index)
