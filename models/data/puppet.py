"""The neutral body as a puppet: feet stand where they are told, legs follow from the pelvis, arms and spine are given.

What the motion library is written with. World: metres, x to the picture's right, y up from the ground, z to the camera.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, PARENTS, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle

SIDES = {"left": 1.0, "right": -1.0}
REACH = 0.998
"""How far a leg stretches at most, as a share of its length."""


@dataclass(frozen=True)
class Foot:
    """One foot over T frames."""

    ball: Tensor  # [T, 3] world place of the ball joint, which the foot rolls over
    yaw: Tensor  # [T] radians, toes turned towards +x from +z
    pitch: Tensor  # [T] radians, heel above the ball
    toes: Tensor  # [T] radians the toes bend up against the foot


@dataclass(frozen=True)
class Puppet:
    """Lengths of the neutral body in its T-pose, metres."""

    height: float
    joints: Tensor  # [22, 3]
    ground: float  # height of the pelvis above the soles

    def place(self, joint: str) -> Tensor:
        """A joint's place in the T-pose, relative to the pelvis."""
        return self.joints[JOINTS.index(joint)]

    @property
    def ball_height(self) -> float:
        """Height of the ball joint over the ground under a flat foot."""
        return float(self.place("left_foot")[1]) + self.ground

    @property
    def ankle_height(self) -> float:
        """Height of the ankle over the ground under a flat foot."""
        return float(self.place("left_ankle")[1]) + self.ground

    def pose(self, pelvis: Tensor, turns: dict[str, Tensor], feet: dict[str, Foot]) -> Tensor:
        """Rotations of all joints.

        Args:
            pelvis: `[T, 3]` world place.
            turns: `[T, 3, 3]` local turns by joint name; "pelvis" is the world's. Legs are found, not given.
            feet: by side.

        Returns:
            `[T, 22, 3]` axis-angle.
        """
        local = torch.eye(3).repeat(len(pelvis), len(JOINTS), 1, 1)
        for joint, turn in turns.items():
            local[:, JOINTS.index(joint)] = turn
        for side, foot in feet.items():
            for joint, turn in self._leg(side, pelvis, local[:, 0], foot).items():
                local[:, JOINTS.index(f"{side}_{joint}")] = turn
        return matrix_to_axis_angle(local)

    def ankle(self, side: str, foot: Foot) -> Tensor:
        """World places `[T, 3]` of the ankle that a foot's place and pitch mean."""
        turn = turn_y(foot.yaw) @ turn_x(foot.pitch)
        return foot.ball - turn @ (self.place(f"{side}_foot") - self.place(f"{side}_ankle"))

    def _leg(self, side: str, pelvis: Tensor, root: Tensor, foot: Foot) -> dict[str, Tensor]:
        """Hip, knee, ankle and toes of one leg by two-bone inverse kinematics; the knee points where the foot does."""
        hip, knee, ankle = (self.place(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        thigh, shin = float((knee - hip).norm()), float((ankle - knee).norm())
        reach = self.ankle(side, foot) - (pelvis + root @ hip)
        length = reach.norm(dim=1).clamp(max=REACH * (thigh + shin))
        down = torch.nn.functional.normalize(reach, dim=1)
        ahead = turn_y(foot.yaw)[:, :, 2] + root[:, :, 2]
        hinge = torch.nn.functional.normalize(torch.linalg.cross(-down, ahead), dim=1)
        # the leg's frame: y up along it, x its hinge
        frame = torch.stack((hinge, -down, torch.linalg.cross(hinge, -down)), 2)
        raise_thigh = ((thigh**2 + length**2 - shin**2) / (2 * thigh * length)).clamp(-1, 1).acos()
        bend = torch.pi - ((thigh**2 + shin**2 - length**2) / (2 * thigh * shin)).clamp(-1, 1).acos()
        thigh_turn = frame @ turn_x(-raise_thigh)
        shin_turn = thigh_turn @ turn_x(bend)
        foot_turn = turn_y(foot.yaw) @ turn_x(foot.pitch)
        return {
            "hip": root.mT @ thigh_turn,
            "knee": turn_x(bend),
            "ankle": shin_turn.mT @ foot_turn,
            "foot": turn_x(-foot.toes),
        }

    def forward(self, rotations: Tensor, pelvis: Tensor) -> Tensor:
        """World places `[T, 22, 3]` of the joints."""
        local = axis_angle_to_matrix(rotations)
        turns, places = [local[:, 0]], [pelvis]
        for joint, parent in enumerate(PARENTS[1:], start=1):
            places.append(places[parent] + turns[parent] @ (self.joints[joint] - self.joints[parent]))
            turns.append(turns[parent] @ local[:, joint])
        return torch.stack(places, 1)


@cache
def neutral() -> Puppet:
    """The neutral Anny as a puppet."""
    model = load_body("anny")
    pose, shape = torch.zeros(1, len(JOINTS), 3), model.mean_shape[None]
    with torch.no_grad():
        joints = model.joints(pose, shape)[0]
        soles = model(pose, shape)[0, :, 1].amin()
        height = model.height(shape)
    return Puppet(float(height), joints, -float(soles))


def turn_x(angle: Tensor) -> Tensor:
    """`[..., 3, 3]` turns about x: positive bends forward, lowers the front, swings a hanging limb back."""
    return axis_angle_to_matrix(torch.nn.functional.pad(angle[..., None], (0, 2)))


def turn_y(angle: Tensor) -> Tensor:
    """`[..., 3, 3]` turns about y: positive turns the front to the body's left, +z to +x."""
    return axis_angle_to_matrix(torch.nn.functional.pad(angle[..., None], (1, 1)))


def turn_z(angle: Tensor) -> Tensor:
    """`[..., 3, 3]` turns about z: positive leans to the body's right, raises the left arm of the T-pose."""
    return axis_angle_to_matrix(torch.nn.functional.pad(angle[..., None], (2, 0)))


def smooth_step(value: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, flat outside, without a jerk at the ends."""
    u = value.clamp(0, 1)
    return u * u * u * (10 + u * (6 * u - 15))


@dataclass(frozen=True)
class Step:
    """A foot's way to a new print: lifted at `start`, down at `end` (seconds); ankle over (x, z), toes at `yaw`."""

    start: float
    end: float
    x: float
    z: float
    yaw: float


@dataclass(frozen=True)
class Gait:
    """How a foot is lifted and set down: radians, metres, seconds."""

    heel_off: float = 0.6  # pitch of the foot as the toes leave the ground
    heel_strike: float = 0.25  # how far the toes point up as the heel lands
    rise: float = 0.3  # the heel comes up for so long before the foot leaves
    settle: float = 0.12  # the toes come down for so long after the heel
    lift: float = 0.04  # how high the ball is carried


def foot_steps(puppet: Puppet, side: str, time: Tensor, first: Step, steps: list[Step], gait: Gait) -> Foot:
    """A foot that stands still on its prints and walks from one to the next.

    Args:
        time: `[T]` seconds.
        first: where it stands at the beginning (its times do not matter).
        steps: in order, not overlapping.
    """
    x, z, yaw = (torch.full_like(time, value) for value in (first.x, first.z, first.yaw))
    pitch, toes, lift = torch.zeros_like(time), torch.zeros_like(time), torch.zeros_like(time)
    last = first
    for step in steps:
        u = ((time - step.start) / (step.end - step.start)).clamp(0, 1)
        swinging = (u > 0) & (u < 1)
        moved = u - torch.sin(2 * torch.pi * u) / (2 * torch.pi)
        x = x + (step.x - last.x) * moved
        z = z + (step.z - last.z) * moved
        yaw = yaw + (step.yaw - last.yaw) * smooth_step(u)
        rising = smooth_step((time - step.start + gait.rise) / gait.rise) * (1 - smooth_step(u / 0.6))
        landing = smooth_step((u - 0.45) / 0.5) * (1 - smooth_step((time - step.end) / gait.settle))
        pitch = pitch + gait.heel_off * rising - gait.heel_strike * landing
        toes = toes + gait.heel_off * rising * (1 - smooth_step(u / 0.5))
        lift = lift + torch.where(swinging, torch.sin(torch.pi * u) ** 2 * gait.lift, 0)
        last = step
    return place_foot(puppet, side, torch.stack((x, z), 1), yaw, pitch, toes, lift)


def place_foot(
    puppet: Puppet,
    side: str,
    ankle: Tensor,
    yaw: Tensor,
    pitch: Tensor,
    toes: Tensor | None = None,
    lift: Tensor | None = None,
) -> Foot:
    """A foot on the ground, rolled over its ball (pitch > 0) or its heel (pitch < 0).

    Args:
        ankle: `[T, 2]` world x and z over which the ankle stands when the foot is flat.
        yaw, pitch: `[T]` radians.
        toes: `[T]` radians; the toes stay flat on the ground if None.
        lift: `[T]` metres off the ground.
    """
    flat = turn_y(yaw)
    to_ball = puppet.place(f"{side}_foot") - puppet.place(f"{side}_ankle")
    ball = flat @ to_ball
    ball = ball + torch.stack((ankle[:, 0], torch.full_like(yaw, puppet.ankle_height), ankle[:, 1]), 1)
    # the heel's lowest point, seen from the ball: under and 5 cm behind the ankle
    heel = torch.tensor([0.0, -puppet.ball_height, -float(to_ball[2]) - 0.05])
    on_heel = flat @ heel - (flat @ turn_x(pitch.clamp(max=0))) @ heel
    ball = ball + on_heel
    if lift is not None:
        ball = ball + torch.nn.functional.pad(lift[:, None], (1, 1))
    return Foot(ball, yaw, pitch, pitch.clamp(min=0) if toes is None else toes)


def pelvis_height(
    puppet: Puppet, place: Tensor, root: Tensor, feet: dict[str, Foot], knees: float, span: int
) -> Tensor:
    """Heights `[T]` of the pelvis that both legs can stand with, smooth in time.

    Args:
        place: `[T, 2]` world x and z of the pelvis.
        root: `[T, 3, 3]` its turn.
        feet: by side.
        knees: metres lower than stretched legs allow.
        span: frames that the heights are smoothed over, on both sides.
    """
    limits = []
    for side, foot in feet.items():
        hip, knee, ankle = (puppet.place(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        length = REACH * float((knee - hip).norm() + (ankle - knee).norm())
        offset = root @ hip
        target = puppet.ankle(side, foot)
        across = (target[:, [0, 2]] - place - offset[:, [0, 2]]).norm(dim=1)
        limits.append(target[:, 1] + (length**2 - across**2).clamp(min=1e-3).sqrt() - offset[:, 1])
    lowest = torch.stack(limits).amin(0).clamp(max=puppet.ground) - knees
    # lowest nearby first, then the mean: smooth, and nowhere above what the legs reach
    padded = torch.nn.functional.pad(lowest[None, None], (2 * span, 2 * span), mode="replicate")
    lowest = -torch.nn.functional.max_pool1d(-padded, 2 * span + 1, 1)
    window = torch.hann_window(2 * span + 3, periodic=False)[1:-1]
    return torch.nn.functional.conv1d(lowest, (window / window.sum())[None, None])[0, 0]
