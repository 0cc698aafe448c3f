"""Feet that stand: told from how they move, and the path of the body mended so that they stay where they stand.

In a weak-perspective picture a foot that stands on the ground stands still in the picture, as long as the camera does,
wherever the body above it goes. A recovered path and a recovered pose do not quite agree about that, nor do the path of
one body and the legs of another: then feet slide. Here the pose is believed about steps, the path about the way.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, KEYPOINTS, Body, BodyModel, Camera
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle, nearest_rotation
from warpkit.models.geometric.legs import global_rotations, reach
from warpkit.models.geometric.smoothing import smooth, velocity

CONTACTS = ("left_heel", "left_toe", "right_heel", "right_toe")
"""Where a foot touches the ground; toes: the middle of the big and the small one."""
LOW, HIGH = 0.015, 0.05
"""Metres above the lowest contact: up to the one it surely touches the ground, from the other on it does not."""
SLOW, FAST = 0.25, 0.75
"""Metres per second in the picture, likewise. Feet that swing go at 1 to 4."""
DEEP_SLOW, DEEP_FAST = 0.5, 1.2
"""Metres per second towards the camera, against the lowest contact, likewise; poses are poor in depth."""
SETTLED = 0.04
"""Seconds that the contacts are smoothed over before they are judged."""
LASTS = 0.2
"""Seconds that a rest lasts at least: at the top of a jump feet are slow too."""
DRIFT = 20.0
"""Seconds after which the path given counts more than the steps: far longer than a step."""
QUICK, LEG_QUICK = 0.08, 0.01
"""Seconds: what a foot does faster is the pose's noise, which the whole body must not follow; but the leg may."""
FREE = 0.02
"""How much of a standing foot's say the path's own speed has while nothing stands."""
LEG = 2.0
"""Seconds after which the pose given counts more than a foot's rest: longer than a step."""
RELEASE = 0.08
"""Seconds in which a leg goes back to its own way once its foot leaves the ground."""
ROUNDS = 3


@dataclass(frozen=True)
class Contacts:
    """Where feet are over T frames, and whether they stand.

    Attributes:
        place: `[T, 4, 2]` metres of the body's size in frame 0, in the picture (right, down), of `CONTACTS`.
        planted: `[T, 4]` in [0, 1]: 1 surely stands.
        fps: frames per second.
    """

    place: Tensor
    planted: Tensor
    fps: float

    def slip(self) -> float:
        """Mean speed of standing contacts in metres per second; 0 where nothing ever stands."""
        speed = velocity(self.place, self.fps).norm(dim=-1)
        return float((speed * self.planted).sum() / self.planted.sum().clamp(min=1e-9))


@torch.no_grad()
def find_contacts(bodies: Body, model: BodyModel, fps: float) -> Contacts:
    """Heels and toes of T bodies of one shape in the pixels of one picture, and which of them stand.

    A contact stands where it is not above the lowest of all (`LOW`, `HIGH`) and moves neither in the picture (`SLOW`,
    `FAST`) nor, against the lowest, in depth.
    """
    points = _soles(bodies, model)
    low = points[..., 1].amin(1, keepdim=True)
    place = _in_picture(points, bodies.camera)
    calm = smooth(place, fps, SETTLED)
    planted = 1 - _ramp(points[..., 1] - low, LOW, HIGH)
    planted = planted * (1 - _ramp(velocity(calm, fps).norm(dim=-1), SLOW, FAST))
    deep = velocity(smooth(points[..., 2], fps, 2 * SETTLED), fps)
    lowest = points[..., 1].argmin(1, keepdim=True)
    planted = planted * (1 - _ramp((deep - deep.gather(1, lowest)).abs(), DEEP_SLOW, DEEP_FAST))
    return Contacts(place, _lasting(planted, fps), fps)


@torch.no_grad()
def plant_feet(bodies: Body, model: BodyModel, fps: float) -> Body:
    """The same bodies with feet that do not slide while they stand: by the path, and what is left by the legs.

    Shapes and sizes stay. Feet that stand on heel and toe do not turn. The path stays too, up to what the steps say it
    must be: minimised over the shift d of each frame is Σ standing |d' + slip|² + (FREE where nothing stands) |d'|²
    + QUICK² |d''|² + |d|² / DRIFT², in seconds and metres, so that the frame rate does not matter. Then each leg
    follows its own foot likewise, and lets go of it in the time `RELEASE`.

    Args:
        bodies: T of one shape, in the pixels of one picture.
        model: of the bodies.
        fps: frames per second.
    """
    if len(bodies.pose) < 3:
        return bodies
    metre = bodies.camera.scale[0]
    planted = find_contacts(bodies, model, fps).planted
    bodies = Body(_flat_feet(bodies.pose, planted, fps), bodies.shape, bodies.camera)
    original = _in_picture(_soles(bodies, model), bodies.camera)
    mended = bodies
    for _ in range(ROUNDS):  # what stands is told better once it hardly slides
        contacts = find_contacts(mended, model, fps)
        shift = _least_slip(original, contacts.planted, torch.zeros(len(original)), DRIFT, QUICK, fps)
        shift = shift - shift[:1]
        mended = Body(bodies.pose, bodies.shape, Camera(bodies.camera.scale, bodies.camera.offset + metre * shift))
    contacts = find_contacts(mended, model, fps)
    moves = torch.zeros(len(original), 2, 3)
    for foot in range(2):
        own = slice(2 * foot, 2 * foot + 2)
        planted = contacts.planted[:, own]
        shift = _least_slip(contacts.place[:, own], planted, 1 - planted.amax(1), LEG, LEG_QUICK, fps)
        moves[:, foot, :2] = shift * torch.tensor([1.0, -1.0]) * (metre / mended.camera.scale)[:, None]
    pose = reach(mended.pose, mended.shape[:1], model, moves)
    return Body(pose, mended.shape, mended.camera)


def _flat_feet(pose: Tensor, planted: Tensor, fps: float) -> Tensor:
    """`[T, 22, 3]` poses whose feet do not turn while both heel and toe of them stand, `planted` `[T, 4]`."""
    local = axis_angle_to_matrix(pose)
    turned = global_rotations(local)
    result = pose.clone()
    for foot, side in enumerate(("left", "right")):
        knee, ankle = JOINTS.index(f"{side}_knee"), JOINTS.index(f"{side}_ankle")
        flat = planted[:, [2 * foot, 2 * foot + 1]].amin(1, keepdim=True)
        given = turned[:, ankle].flatten(1)[:, None]
        change = _least_slip(given, flat, 1 - flat[:, 0], LEG, LEG_QUICK, fps)
        still = nearest_rotation((given[:, 0] + change).unflatten(1, (3, 3)))
        result[:, ankle] = matrix_to_axis_angle(turned[:, knee].mT @ still)
    return result


def _least_slip(place: Tensor, planted: Tensor, released: Tensor, drift: float, slow: float, fps: float) -> Tensor:
    """[T, D] to move each frame by, so that what is planted `[T, N]` of `place` `[T, N, D]` stands still.

    `released` `[T]` in [0, 1]: where the shift fades in the time `RELEASE` rather than in `drift` (seconds). It changes
    speed in `slow` seconds.
    """
    frames = len(place)
    slip = ((place[1:] - place[:-1]) * fps).double().numpy()  # [T - 1, N, D]
    weight = torch.minimum(planted[1:], planted[:-1]).double().numpy()
    total = weight.sum(1)
    shared = total + FREE * np.clip(1 - total, 0, None)
    bands = np.zeros((3, frames))  # the upper diagonals of a symmetric matrix, the main one last
    bands[2] += 1 / drift**2 + released.double().numpy() / RELEASE**2
    bands[2, 1:] += shared * fps**2
    bands[2, :-1] += shared * fps**2
    bands[1, 1:] -= shared * fps**2
    quick = slow**2 * fps**4 * np.maximum(shared[1:], shared[:-1])
    for offset, by in ((0, 1.0), (1, 4.0), (2, 1.0)):
        bands[2, offset : frames - 2 + offset] += by * quick
    bands[1, 1:-1] -= 2 * quick
    bands[1, 2:] -= 2 * quick
    bands[0, 2:] += quick
    wanted = (weight[..., None] * slip).sum(1) * fps
    right = np.zeros((frames, place.shape[-1]))
    right[1:] -= wanted
    right[:-1] += wanted
    return torch.from_numpy(scipy.linalg.solveh_banded(bands, right)).to(place)


def _soles(bodies: Body, model: BodyModel) -> Tensor:
    """[T, 4, 3] metres in body space of `CONTACTS`, brought down to where a flat foot's touch the ground."""
    shape = bodies.shape[:1]
    rest = model.keypoints(bodies.pose.new_zeros(1, len(JOINTS), 3), shape)
    ground = model(bodies.pose.new_zeros(1, len(JOINTS), 3), shape)[..., 1].amin()
    flat = _contacts(rest)[..., 1] - ground  # [1, 4]: how high they lie on a foot that stands flat
    points = torch.cat([_contacts(model.keypoints(pose, shape)) for pose in bodies.pose.split(256)])
    return torch.stack((points[..., 0], points[..., 1] - flat, points[..., 2]), -1)


def _contacts(keypoints: Tensor) -> Tensor:
    """[B, 4, 3] from the keypoints of a body model `[B, 23, 3]`."""
    parts = []
    for side in ("left", "right"):
        heel, big, small = (
            keypoints[:, KEYPOINTS.index(f"{side}_{name}")] for name in ("heel", "big_toe", "small_toe")
        )
        parts += [heel, (big + small) / 2]
    return torch.stack(parts, 1)


def _in_picture(points: Tensor, camera: Camera) -> Tensor:
    """[T, N, 2] right and down, in metres of the size that the body has in frame 0."""
    return camera.pixels(points) / camera.scale[0]


def _lasting(planted: Tensor, fps: float) -> Tensor:
    """`[T, N]` without what rises for less than `LASTS`."""
    reach = round(LASTS / 2 * fps)

    def lowest(values: Tensor) -> Tensor:
        wide = torch.nn.functional.pad(values.T[None], (reach, reach), mode="replicate")
        return -torch.nn.functional.max_pool1d(-wide, 2 * reach + 1, 1)[0].T

    return -lowest(-lowest(planted)) if 0 < reach < len(planted) else planted


def _ramp(values: Tensor, start: float, end: float) -> Tensor:
    """From 0 up to `start` to 1 from `end` on, smoothly."""
    share = ((values - start) / (end - start)).clamp(0, 1)
    return share.square() * (3 - 2 * share)
