"""Where people go in a clip: from how they stand, motions, the camera and the views to their bodies, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.data.motion import Motion
from warpkit.models.errors import InputError
from warpkit.models.geometric.camera_path import CameraMode, Following, copied, follow, stay
from warpkit.models.geometric.feet import plant_feet
from warpkit.models.geometric.framing import Framing, frame_motion, whole_picture
from warpkit.models.tasks.choices import SMOOTH, Look, Travel
from warpkit.models.tasks.clip import extent
from warpkit.models.tasks.imitate import Reference, imitate_body
from warpkit.models.tasks.view import Turn, own_axis, turned, view_rotations

VIEWS_A_SECOND = 25.0
"""Of a clip without a motion."""


@dataclass(frozen=True)
class Course:
    """The bodies of one or several people through T frames."""

    bodies: list[Body]
    """T of each person, in the pixels of the first photo; with camera "copy" in those of the reference."""
    fps: float
    camera: CameraMode
    picture: tuple[int, int] | None
    """Height and width of the reference's pictures where the camera copies, else None."""
    moments: list[int]
    """The frame of the motion that each frame shows; several show one while time stands still."""
    following: Following | None = None
    """The camera, where it goes with the people."""

    @property
    def frozen(self) -> bool:
        """Whether time stands still for a while."""
        return len(set(self.moments)) < len(self.moments)

    def framing(self, look: Look, photo: tuple[int, int], model: BodyModel) -> Framing:
        """The part of the picture that shows all of it; `photo`: height and width of the first one."""
        if self.picture is not None:
            return whole_picture(self.picture, look.size)
        if look.frame == "photo":
            return whole_picture(photo)
        points, cameras = zip(*(extent(bodies, model) for bodies in self.bodies), strict=True)
        camera = Camera(torch.cat([one.scale for one in cameras]), torch.cat([one.offset for one in cameras]))
        return frame_motion(torch.cat(points), camera, photo, look.size)


def standing_still(standing: Body, turn: Turn, fps: float | None, model: BodyModel) -> Course:
    """Somebody who does not move, a frame for each view."""
    bodies = _turned(standing, standing, turn, model)
    return Course([bodies], fps or VIEWS_A_SECOND, "path", None, [0] * len(bodies.pose))


def moving(
    standing: Sequence[Body], references: Sequence[Reference], travel: Travel, turn: Turn, look: Look, model: BodyModel
) -> Course:
    """People who move as their references do, all of one rate and length, from where they stand.

    Raises InputError where what was asked for does not go with the motions.
    """
    first = references[0].motion
    modes = [travel.mode(look, one.video is not None, one.motion.place is not None) for one in references]
    mode = modes[0]
    pictures = {one.motion.place.picture for one in references if one.motion.place}
    if mode == "copy" and len(pictures) > 1:
        raise InputError("camera copy puts people into the picture of one video: these motions come from several")
    smooth = [_smoothed(reference, travel.smooth) for reference in references]
    fps = first.fps
    moments, views = turn.timed(len(first), fps)
    people = []
    for stands, motion in zip(standing, smooth, strict=True):
        bodies = _moved(stands, motion, mode, not travel.slide, model)
        people.append(_turned(bodies[torch.tensor(moments)], stands, views, model))
    picture = pictures.pop() if mode == "copy" else None
    if mode != "follow":
        return Course(people, fps, mode, picture, moments)
    following = follow(_middle(people), fps)
    return Course([following.steady(bodies) for bodies in people], fps, mode, picture, moments, following)


def _smoothed(reference: Reference, seconds: float | None) -> Motion:
    usual = SMOOTH if reference.video else 0.0
    return reference.motion.smoothed(usual if seconds is None else seconds)


def _moved(standing: Body, motion: Motion, mode: CameraMode, plant: bool, model: BodyModel) -> Body:
    bodies = imitate_body(standing, motion, model)
    if mode == "copy":
        bodies = copied(bodies, motion, model)
    if plant:
        bodies = plant_feet(bodies, model, motion.fps)
    return stay(bodies, model, motion.fps) if mode == "stay" else bodies


def _turned(bodies: Body, standing: Body, turn: Turn, model: BodyModel) -> Body:
    if not turn.turns:
        return bodies
    azimuth, elevation, roll = turn.angles
    rotations = view_rotations(azimuth, elevation, roll, own_axis(standing, model))
    return turned(bodies, model, rotations, turn.shift)


def _middle(people: Sequence[Body]) -> Body:
    """The first of the people, seen by a camera in the middle of all of theirs: what a camera follows."""
    scale = torch.stack([bodies.camera.scale.log() for bodies in people]).mean(0).exp()
    offset: Tensor = torch.stack([bodies.camera.offset for bodies in people]).mean(0)
    return replace(people[0], camera=Camera(scale, offset))
