"""What the camera does while a person moves: their bodies in the pixels of frames that stand still or go with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion
from warpkit.models.geometric.feet import find_contacts
from warpkit.models.geometric.framing import Framing
from warpkit.models.geometric.smoothing import smooth

CameraMode = Literal["path", "stay", "follow", "copy"]
"""path: the camera stands still and the person goes where the reference goes. stay: they move on the spot. follow: the
camera goes with them. copy: they are where the reference is in its own pictures."""
TRAVEL = 1.0
"""Seconds that a path is smoothed over to tell where somebody goes from how they step and sway."""
GROUND = 0.3
"""Seconds likewise, for the height of the ground below them in the picture."""
STANDS = 0.5
"""Of `Contacts.planted`: from here on the ground is where the foot is."""


@torch.no_grad()
def stay(bodies: Body, model: BodyModel, fps: float) -> Body:
    """T bodies on the spot: of the first one's size, over the place and on the ground of the first frame.

    Where they go, and nearer or farther, is left out: what is slower than about `TRAVEL`. Steps, sways, squats and
    jumps remain: the pelvis keeps its height above the ground that feet stand on in the picture.
    """
    camera = bodies.camera
    beside = (camera.offset[:, 0] - smooth(camera.offset[:, 0], fps, TRAVEL)) / camera.scale
    above = (ground_rows(bodies, model, fps) - camera.offset[:, 1]) / camera.scale
    size, start = camera.scale[0], camera.offset[0]
    moved = torch.stack((beside, above[0] - above), -1)
    return replace(bodies, camera=Camera(size.expand(len(above)), start + size * moved))


@torch.no_grad()
def ground_rows(bodies: Body, model: BodyModel, fps: float) -> Tensor:
    """[T] rows of the picture, pixels, where the ground below each body is: in a jump, from before and after it."""
    contacts = find_contacts(bodies, model, fps)
    lowest = contacts.place[..., 1].amax(1) * bodies.camera.scale[0]
    known = torch.nonzero(contacts.planted.amax(1) > STANDS)[:, 0]
    if not len(known):
        return lowest
    place = torch.arange(len(lowest))
    after = torch.searchsorted(known, place).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, place, right=True) - 1).clamp(min=0)
    gap = (known[after] - known[before]).clamp(min=1)
    share = ((place - known[before]) / gap).clamp(0, 1)
    return smooth(torch.lerp(lowest[known[before]], lowest[known[after]], share), fps, GROUND)


@torch.no_grad()
def copied(bodies: Body, motion: Motion, model: BodyModel) -> Body:
    """T bodies where the reference is in its own pictures, in their pixels: as tall as it is there, on its path.

    Raises ValueError where the motion was not seen in pictures.
    """
    place = motion.place
    if place is None:
        raise ValueError("motion must have a place, but comes from no pictures")
    ratio = motion.height / model.height(bodies.shape[:1])
    start = motion.path.new_tensor(place.pelvis)
    camera = Camera(place.scale * ratio * motion.scale, start + place.scale * motion.path)
    return replace(bodies, camera=camera)


@dataclass(frozen=True)
class Following:
    """A camera that goes with somebody: over T frames, how a picture of frame 0's is moved and enlarged."""

    centre: Tensor
    """`[T, 2]` pixels of the picture, what the frame stays over."""
    size: Tensor
    """`[T]` of the person, relative to frame 0."""

    def steady(self, bodies: Body) -> Body:
        """The bodies as they would be seen if the camera of frame 0 saw the others' frames."""
        camera = bodies.camera
        offset = (camera.offset - self.centre) / self.size[:, None] + self.centre[0]
        return replace(bodies, camera=Camera(camera.scale / self.size, offset))

    def framing(self, index: int, first: Framing) -> Framing:
        """The part of the picture that frame `index` shows, where `first` is what frame 0 shows."""
        size = float(self.size[index])
        (x0, y0), (x, y) = self.centre[0].tolist(), self.centre[index].tolist()
        return replace(
            first, left=x + (first.left - x0) * size, top=y + (first.top - y0) * size, side=first.side * size
        )

    def all(self, first: Framing, most: int) -> Framing:
        """What all frames show together; at the finest of their resolutions, or `most` pixels along the longer side."""
        framings = [self.framing(index, first) for index in range(len(self.size))]
        ratio = first.shape[0] / first.shape[1]
        left, top = min(one.left for one in framings), min(one.top for one in framings)
        across = max(one.left + one.side for one in framings) - left
        down = max(one.top + one.side * ratio for one in framings) - top
        zoom = min(max(one.zoom for one in framings), most / max(across, down))
        size = max(1, round(across * zoom))
        return Framing(left, top, across, size, max(1, round(down * size / across)))


def follow(bodies: Body, fps: float) -> Following:
    """The camera that goes where T bodies go and keeps them as large, without following their steps (`TRAVEL`)."""
    centre = smooth(bodies.camera.offset, fps, TRAVEL)
    size = smooth(bodies.camera.scale.log(), fps, TRAVEL).exp()
    return Following(centre, size / size[0])


Plates = Callable[[int], Tensor]
"""The background of a frame, `[3, H, W]`, by its number."""


def moving_plate(canvas: Tensor, whole: Framing, following: Following, first: Framing) -> Plates:
    """Backgrounds cut from one large picture.

    Args:
        canvas: `[3, H, W]` what `whole` shows.
        whole: a part of the first source's picture.
        following: the camera.
        first: what frame 0 shows.
    """

    def plate(index: int) -> Tensor:
        shown = following.framing(index, first)
        left, top = (shown.left - whole.left) * whole.zoom, (shown.top - whole.top) * whole.zoom
        return replace(shown, left=left, top=top, side=shown.side * whole.zoom).cut(canvas, "border")

    return plate
