"""A small library of motions, written as functions of time: nobody's recordings, so no licence but this package's.

Pelvis, trunk, arms and footprints are given, the legs follow: so everything stands on the ground, and feet that carry
weight do not slide.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from warpkit.models.data.motion import Motion
from warpkit.models.data.puppet import (
    SIDES,
    Foot,
    Gait,
    Puppet,
    Step,
    foot_steps,
    neutral,
    pelvis_height,
    place_foot,
    smooth_step,
    turn_x,
    turn_y,
    turn_z,
)
from warpkit.models.errors import InputError

RATE = 100
"""Frames per second at which motions are worked out, before they are resampled."""

Frames = tuple[Tensor, dict[str, Tensor], dict[str, Foot]]
"""Pelvis places `[T, 3]`, turns by joint name, feet by side."""

DEGREE = math.pi / 180


def make_motion(name: str, fps: float = 25.0, seconds: float | None = None) -> Motion:
    """A motion of the library.

    Args:
        name: one of `MOTIONS`.
        fps: frames per second of the result.
        seconds: how long; the motion's own length if None. Longer repeats it, shorter cuts it.

    Raises:
        InputError: the name is unknown (the message lists the known ones), or the length is not positive.
    """
    if name not in MOTIONS:
        raise InputError(f"unknown motion {name!r}: expected one of {', '.join(MOTIONS)}, a .npz file or a video")
    if not 0 < fps <= 1000:
        raise InputError(f"fps must lie in (0, 1000], not {fps}")
    once = _whole(name)
    frames = round((once.seconds if seconds is None else seconds) * fps)
    if frames < 1:
        raise InputError(f"a motion must last at least one frame, not {seconds} seconds")
    repeats = math.ceil(frames / fps / once.seconds + 1e-9) + 1
    long = Motion(
        RATE,
        once.rotations.repeat(repeats, 1, 1),
        once.path.repeat(repeats, 1),
        once.scale.repeat(repeats),
        once.height,
    ).resampled(fps)
    return Motion(fps, long.rotations[:frames], long.path[:frames], long.scale[:frames], long.height)


@cache
def _whole(name: str) -> Motion:
    """One period of a motion at `RATE`."""
    _, seconds, write = _LIBRARY[name]
    puppet = neutral()
    margin = RATE // 2  # heights are smoothed in time: look beyond both ends
    time = torch.arange(-margin, round(seconds * RATE) + margin) / RATE
    pelvis, turns, feet = write(puppet, time)
    rotations = puppet.pose(pelvis, turns, feet)[margin:-margin]
    pelvis = pelvis[margin:-margin]
    path = (pelvis - pelvis[:1])[:, :2] * torch.tensor([1.0, -1.0])
    return Motion(RATE, rotations, path, torch.ones(len(path)), puppet.height)


def _arm(side: str, hang: Tensor, swing: Tensor, bend: Tensor, twist: Tensor | float = 0.0) -> dict[str, Tensor]:
    """Shoulder and elbow of one arm, radians.

    Args:
        hang: how far below the T-pose's level it is lowered; about 1.25 hangs beside the body.
        swing: forward of that.
        bend: of the elbow.
        twist: of the upper arm about itself; positive turns a bent forearm upwards.
    """
    sign = SIDES[side]
    about = turn_x(-torch.as_tensor(twist, dtype=hang.dtype).expand_as(hang))
    return {
        f"{side}_shoulder": turn_x(-swing) @ turn_z(-sign * hang) @ about,
        f"{side}_elbow": turn_y(-sign * bend),
    }


def _hand(side: str, curl: Tensor) -> dict[str, Tensor]:
    """The wrist: positive bends the palm inwards."""
    return {f"{side}_wrist": turn_z(-SIDES[side] * curl)}


def _spine(yaw: Tensor, pitch: Tensor, roll: Tensor, look: Tensor, nod: Tensor) -> dict[str, Tensor]:
    """Trunk turns spread over the spine's three joints, and the head's over neck and head; radians, local."""
    third = turn_y(yaw / 3) @ turn_x(pitch / 3) @ turn_z(roll / 3)
    half = turn_y(look / 2) @ turn_x(nod / 2)
    return {"spine1": third, "spine2": third, "spine3": third, "neck": half, "head": half}


def _walk(puppet: Puppet, time: Tensor) -> Frames:
    """A slalom towards the viewer: to the right, through the middle to the left, and back, in five strides."""
    period, stride, speed, widest = 5.5, 1.1, 0.95, 66 * DEGREE
    rate = 2 * math.pi / period
    # headings of a slalom, and the way they add up to; the way's x repeats with the period
    fine = torch.arange(-3 * RATE, round((period + 3) * RATE), dtype=torch.float64) / RATE
    heading_fine = widest * torch.cos(rate * fine)
    velocity = speed * torch.stack((heading_fine.sin(), heading_fine.cos()), 1) / RATE
    way_fine = velocity.cumsum(0) - 0.5 * velocity
    way_fine = way_fine - way_fine[3 * RATE]

    def way(at: Tensor | float) -> Tensor:
        place = (torch.as_tensor(at, dtype=torch.float64) + 3) * RATE
        low = place.floor().long().clamp(0, len(fine) - 2)
        return torch.lerp(way_fine[low], way_fine[low + 1], (place - low)[..., None]).float()

    def heading(at: Tensor) -> Tensor:
        return widest * torch.cos(rate * at)

    gait = Gait(heel_off=0.62, heel_strike=0.3, rise=0.26, settle=0.1, lift=0.03)
    feet = {}
    for side, sign in SIDES.items():
        prints = []
        for number in range(-3, round(period / stride) + 3):
            contact = (number + (0.0 if sign > 0 else 0.5)) * stride
            middle = contact + 0.27 * stride
            toward = float(heading(torch.tensor(middle)))
            aside = torch.tensor([math.cos(toward), -math.sin(toward)])
            x, z = (way(middle) + sign * 0.075 * aside).tolist()
            prints.append(Step(contact - 0.38 * stride, contact, x, z, toward + sign * 5 * DEGREE))
        feet[side] = foot_steps(puppet, side, time, prints[0], prints[1:], gait)

    phase = 2 * math.pi * time / stride
    yaw = heading(time)
    turning = -widest * rate * torch.sin(rate * time)
    lean = -0.45 * speed * turning / 9.81
    left = torch.stack((yaw.cos(), -yaw.sin()), 1)
    place = way(time) + left * (0.018 * phase.sin() - 0.25 * lean)[:, None]
    twist, tilt = -4.5 * DEGREE * phase.cos(), 2.5 * DEGREE * (phase - 0.3).sin()
    root = turn_y(yaw + twist) @ turn_x(torch.full_like(yaw, 2 * DEGREE)) @ turn_z(tilt + lean)
    height = pelvis_height(puppet, place, root, feet, knees=0.003, span=9)
    turns = {"pelvis": root}
    ahead = heading(time + 0.35) - yaw
    turns |= _spine(
        -2.2 * twist + 0.3 * ahead,
        torch.full_like(yaw, 2 * DEGREE),
        -tilt * 1.2,
        1.2 * twist + 0.5 * ahead,
        torch.full_like(yaw, -2 * DEGREE),
    )
    for side, sign in SIDES.items():
        forward = -sign * (phase + 0.15).cos()
        turns |= _arm(
            side,
            hang=torch.full_like(yaw, 75 * DEGREE) - 2 * DEGREE * forward,
            swing=(18 * forward + 1) * DEGREE,
            bend=(19 + 10 * forward) * DEGREE,
            twist=-8 * DEGREE,
        )
        turns |= _hand(side, 6 * DEGREE * torch.ones_like(yaw))
    return torch.stack((place[:, 0], height, place[:, 1]), 1), turns, feet


def _turn(puppet: Puppet, time: Tensor) -> Frames:
    """A full turn to the left on the spot, in small steps."""
    begin, end, ease, stride, swing = 0.45, 5.0, 0.7, 0.72, 0.32

    def heading(at: Tensor) -> Tensor:
        # constant speed between two eased ends
        u = (at - begin).clamp(0, end - begin)
        share = ease / (end - begin)
        u = u / (end - begin)
        rising, falling = u.clamp(max=share), (1 - u).clamp(max=share)
        ramp = u - share / 2 + (share - rising) ** 2 / (2 * share) - (share - falling) ** 2 / (2 * share)
        return 2 * math.pi * ramp / (1 - share)

    gait = Gait(heel_off=0.4, heel_strike=0.0, rise=0.18, settle=0.1, lift=0.035)
    wide = 0.115
    feet = {}
    for side, sign in SIDES.items():
        steps = []
        count = 7 if sign > 0 else 6
        for i in range(count):
            start = 0.5 + stride * (i if sign > 0 else i + 0.5)
            # the foot lands where the body will be half-way through its stand
            middle = start + (swing + stride) / 2 if i + 1 < count else end
            toward = float(heading(torch.tensor(middle)))
            x, z = sign * wide * math.cos(toward), -sign * wide * math.sin(toward)
            steps.append(Step(start, start + swing, x, z, toward + sign * 6 * DEGREE))
        first = Step(0, 0, sign * wide, 0.0, sign * 6 * DEGREE)
        feet[side] = foot_steps(puppet, side, time, first, steps, gait)

    yaw = heading(time)
    moving = smooth_step((time - 0.3) / 0.5) * (1 - smooth_step((time - 4.7) / 0.6))
    sway = -torch.cos(2 * math.pi * (time - 0.5 - swing / 2) / stride) * moving
    left = torch.stack((yaw.cos(), -yaw.sin()), 1)
    place = left * (0.03 * sway)[:, None]
    root = turn_y(yaw - 6 * DEGREE * moving) @ turn_z(2 * DEGREE * sway)
    height = pelvis_height(puppet, place, root, feet, knees=0.002, span=9)
    lead = (heading(time + 0.3) - yaw).clamp(max=0.6)
    turns = {"pelvis": root}
    turns |= _spine(
        0.35 * lead + 6 * DEGREE * moving, 2 * DEGREE * moving, -2 * DEGREE * sway, 0.6 * lead, 2 * DEGREE * moving
    )
    for side, sign in SIDES.items():
        turns |= _arm(
            side,
            hang=(74 - 5 * moving) * DEGREE,
            swing=(3 - sign * 9 * moving + 5 * sign * sway) * DEGREE,
            bend=(14 + 8 * moving) * DEGREE,
            twist=-6 * DEGREE,
        )
        turns |= _hand(side, 5 * DEGREE * torch.ones_like(yaw))
    return torch.stack((place[:, 0], height, place[:, 1]), 1), turns, feet


def _standing(puppet: Puppet, time: Tensor, wide: float, out: float) -> dict[str, Foot]:
    """Both feet flat on the ground."""
    feet = {}
    for side, sign in SIDES.items():
        ankle = torch.tensor([sign * wide, 0.0]).expand(len(time), 2)
        yaw = torch.full_like(time, sign * out)
        feet[side] = place_foot(puppet, side, ankle, yaw, torch.zeros_like(time))
    return feet


def _wave(puppet: Puppet, time: Tensor) -> Frames:
    """The right hand is raised, waves four times and comes down again."""
    up = smooth_step((time - 0.25) / 0.9) * (1 - smooth_step((time - 3.6) / 0.9))
    waving = smooth_step((time - 0.9) / 0.5) * (1 - smooth_step((time - 3.2) / 0.6))
    wag = torch.sin(2 * math.pi * 1.7 * (time - 0.95)) * waving
    lag = torch.sin(2 * math.pi * 1.7 * (time - 0.95) - 0.9) * waving
    breath = torch.sin(2 * math.pi * time / 4.8)
    feet = _standing(puppet, time, 0.11, 9 * DEGREE)
    place = torch.stack((0.012 + 0.02 * up, 0.0 * time), 1)
    root = turn_z(-1.5 * DEGREE * up) @ turn_y(2 * DEGREE * up)
    height = pelvis_height(puppet, place, root, feet, knees=0.002, span=9)
    turns = {"pelvis": root}
    turns |= _spine(
        3 * DEGREE * up, 1.0 * DEGREE * breath, (3.5 * up + 0.8 * wag) * DEGREE, -3 * DEGREE * up, (2 - 3 * up) * DEGREE
    )
    turns["head"] = turns["head"] @ turn_z((4 * up - wag) * DEGREE)
    turns["right_collar"] = turn_z(-9 * DEGREE * up)
    turns |= _arm(
        "right",
        hang=(74 * (1 - up) + (27 - 3 * wag) * up) * DEGREE,
        swing=4 * DEGREE * (1 - up),
        bend=(14 + 86 * up + 24 * wag) * DEGREE,
        twist=(-6 + 82 * up) * DEGREE,
    )
    turns["right_wrist"] = turn_y(14 * DEGREE * lag) @ turn_z(5 * DEGREE * (1 - up))
    still = torch.ones_like(time)
    turns |= _arm("left", (74 - 1.5 * up) * DEGREE, (3 + breath) * DEGREE, (14 + 3 * up) * DEGREE, -6 * DEGREE)
    turns |= _hand("left", 5 * DEGREE * still)
    return torch.stack((place[:, 0], height, place[:, 1]), 1), turns, feet


def _squat(puppet: Puppet, time: Tensor) -> Frames:
    """Two squats with the arms stretched forward."""
    period = 2.6
    beat = torch.remainder(time, period)
    deep = smooth_step((beat - 0.15) / 1.05) * (1 - smooth_step((beat - 1.35) / 1.05))
    feet = _standing(puppet, time, 0.19, 16 * DEGREE)
    place = torch.stack((0.0 * time, -0.17 * deep), 1)
    pitch = 26 * DEGREE * deep
    root = turn_x(pitch)
    height = pelvis_height(puppet, place, root, feet, knees=0.002, span=9) - 0.33 * deep
    turns = {"pelvis": root}
    turns |= _spine(0 * time, 14 * DEGREE * deep, 0 * time, 0 * time, (2 - 26 * deep) * DEGREE)
    for side in SIDES:
        turns |= _arm(side, (74 - 2 * deep) * DEGREE, (3 + 112 * deep) * DEGREE, (14 + 2 * deep) * DEGREE, -6 * DEGREE)
        turns |= _hand(side, 5 * DEGREE * (1 - deep))
    return torch.stack((place[:, 0], height, place[:, 1]), 1), turns, feet


def _dance(puppet: Puppet, time: Tensor) -> Frames:
    """Eight beats of step and touch from side to side, then eight of swaying hips with the arms up."""
    beat = time / 0.52  # seconds a beat
    wide = 0.105

    def steps(side: str) -> list[Step]:
        def to(start: float, x: float) -> Step:
            return Step((start + 0.08) * 0.52, (start + 0.85) * 0.52, x, 0.0, SIDES[side] * 10 * DEGREE)

        result = []
        for bar in (0, 4):
            if side == "right":
                result += [to(bar, -wide - 0.26), to(bar + 3, -wide)]
            else:
                result += [to(bar + 1, wide - 0.26), to(bar + 2, wide)]
        # wider apart for the second half, and back for the next round
        sign = SIDES[side]
        return [*result, to(8 if sign > 0 else 9, sign * 0.17), to(14 if sign > 0 else 15, sign * wide)]

    second = smooth_step((beat - 7.6) / 1.4) * (1 - smooth_step((beat - 14.4) / 1.5))
    first = 1 - second
    bounce = 0.5 - 0.5 * torch.cos(2 * math.pi * beat)
    side_to_side = -0.13 + 0.13 * torch.cos(2 * math.pi * beat / 4)
    within = smooth_step(beat / 0.4) * (1 - smooth_step((beat - 7.6) / 0.4))
    sway = torch.sin(math.pi * (beat - 0.5))  # left, right: a beat each

    gait = Gait(heel_off=0.35, heel_strike=0.0, rise=0.16, settle=0.1, lift=0.035)
    feet = {}
    for side, sign in SIDES.items():
        foot = foot_steps(puppet, side, time, Step(0, 0, sign * wide, 0.0, sign * 10 * DEGREE), steps(side), gait)
        free = (
            (-sign * sway).clamp(min=0) ** 2 * 0.3 * smooth_step((beat - 10) / 1) * (1 - smooth_step((beat - 13) / 1))
        )
        feet[side] = Foot(foot.ball, foot.yaw, foot.pitch + free, foot.toes + free)

    place = torch.stack((side_to_side * within + (0.025 * first + 0.06 * second) * sway, 0.0 * time), 1)
    root = turn_y((7 * first + 10 * second) * DEGREE * sway) @ turn_z(-(2 * first + 5 * second) * DEGREE * sway)
    root = root @ turn_x(4 * DEGREE * torch.ones_like(time))
    height = pelvis_height(puppet, place, root, feet, knees=0.02, span=11) - 0.028 * bounce
    turns = {"pelvis": root}
    turns |= _spine(
        -(12 * first + 14 * second) * DEGREE * sway,
        (3 + 3 * bounce) * DEGREE,
        (4 * first + 9 * second) * DEGREE * sway,
        5 * DEGREE * sway,
        (-5 + 4 * bounce) * DEGREE,
    )
    turns["head"] = turns["head"] @ turn_z(-(3 * first + 5 * second) * DEGREE * sway)
    for side, sign in SIDES.items():
        pump = sign * torch.sin(math.pi * (beat - 0.1))
        turns |= _arm(
            side,
            hang=(62 * first - (34 + 8 * sign * sway) * second) * DEGREE,
            swing=(-4 + 24 * pump) * DEGREE * first,
            bend=((78 + 14 * pump) * first + (58 - 14 * sign * sway) * second) * DEGREE,
            twist=(4 * first + 84 * second) * DEGREE,
        )
        turns[f"{side}_collar"] = turn_z(sign * 14 * DEGREE * second)
        turns |= _hand(side, (6 * first - 8 * sign * sway * second) * DEGREE)
    return torch.stack((place[:, 0], height, place[:, 1]), 1), turns, feet


_LIBRARY: dict[str, tuple[str, float, Callable[[Puppet, Tensor], Frames]]] = {
    "walk": ("walks towards the viewer in curves, to the right and to the left", 5.5, _walk),
    "turn": ("turns around once on the spot, in small steps", 5.6, _turn),
    "wave": ("raises the right hand and waves", 4.8, _wave),
    "squat": ("squats twice with the arms stretched forward", 5.2, _squat),
    "dance": ("steps from side to side, then sways with the arms up", 8.32, _dance),
}

MOTIONS: dict[str, str] = {name: description for name, (description, _, _) in _LIBRARY.items()}
"""The motions of the library and what each does, in a line."""
