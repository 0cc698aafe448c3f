"""Where garments end and how far they stand off: functions of the place on the neutral body's T-pose."""

import torch
from torch import Tensor

from warpkit.models.data.people.layers import LAYERS, Figure, Marks
from warpkit.models.data.people.noise import noise
from warpkit.models.data.people.wardrobe import Outfits


def arm_of(places: Tensor, marks: Marks) -> Tensor:
    """`[...]` 0 at the shoulder, 1 at the wrist, negative towards the neck; minus one below the armpit."""
    along = (places[..., 0].abs() - marks.shoulder) / (marks.wrist - marks.shoulder)
    return torch.where(places[..., 1] > marks.armpit, along, -1.0)


def leg_of(places: Tensor, marks: Marks) -> Tensor:
    """`[...]` 0 at the hip, 1 at the ankle, negative above."""
    return (marks.hip - places[..., 1]) / (marks.hip - marks.ankle)


def in_head(places: Tensor, marks: Marks) -> Tensor:
    """`[..., 3]` across, up and to the face, each from 0 to 1 over the head."""
    low, high = places.new_tensor(marks.head_low), places.new_tensor(marks.head_high)
    return (places - low) / (high - low)


def _step(value: Tensor, low: float, high: float) -> Tensor:
    share = ((value - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def hair_margin(places: Tensor, outfit: Outfits, marks: Marks) -> Tensor:
    """`[...]` how far within the hair a place is, in heights of the head; negative: no hair. `outfit` per place."""
    across, up, forward = in_head(places, marks).unbind(-1)
    line, down = outfit.hair_line.unbind(-1)
    covers_ears = down < 0.1
    ear = torch.where(covers_ears, 0.58, 0.47)
    # above the forehead; from the temples down to before the ears; then down the nape, or further
    temple = line - (line - 0.55) * _step(-forward, -0.80, -0.52)
    lowest = torch.where(forward < ear, down, temple)
    margin = up - lowest
    beside_ear = (across - 0.5).abs() > 0.40
    hidden = ~covers_ears & beside_ear & (up < 0.72)
    below = up < 0.12  # the neck's sides and the shoulders: only behind
    off = below & ((places[..., 0].abs() > 0.11 + 0.02 * (down < -0.4)) | (places[..., 2] > 0.0))
    return torch.where(hidden | off, -1.0, margin)


def keep(layer: str, places: Tensor, outfit: Outfits, marks: Marks) -> Tensor:
    """`[N]` bool: whether the layer has stuff at `places` `[N, 3]`; `outfit` has one entry for each place."""
    x, y, z = places.unbind(-1)
    if layer == "body":
        return torch.ones_like(y, dtype=torch.bool)
    wobble = noise(places * 9 + outfit.place)[:, 0]
    if layer == "shoes":
        return y < marks.ankle + outfit.shoe_height - 0.012 + 0.12 * (z + 0.01).clamp(0, 0.06)
    if layer == "bottom":
        waist = marks.hip + outfit.waist + 0.003 * wobble - 0.15 * z * (z > 0)
        return (y < waist) & (leg_of(places, marks) < outfit.bottom_length + 0.006 * wobble)
    if layer == "skirt":
        waist = marks.hip + outfit.waist - 0.15 * z * (z > 0)
        return (y < waist) & (leg_of(places, marks) < outfit.skirt_length + 0.005 * wobble)
    if layer == "locks":
        strands = noise(places * places.new_tensor([60.0, 6.0, 60.0]) + outfit.place)[:, 1]
        _, up, forward = in_head(places, marks).unbind(-1)
        return (up > outfit.hair_line[:, 1] + 0.08 * strands) & (forward < 0.62)
    if layer == "hair":
        ragged = noise(places * places.new_tensor([70.0, 14.0, 70.0]) + outfit.place)[:, 1]
        return hair_margin(places, outfit, marks) > 0.025 * ragged
    depth, width = outfit.neckline.unbind(-1)
    base = marks.neck - 0.035 - 0.55 * (z + 0.01) + 1.2 * (x.abs() - 0.05).clamp(min=0)
    if layer == "top":
        scoop = depth * (1 - (x / width).square()).clamp(min=0) * (z > 0)
        hem = marks.hip - outfit.top_length + 0.004 * wobble
        inside = (arm_of(places, marks) < outfit.sleeve + 0.008 * wobble) & (y > hem)
        return inside & (y < base + outfit.collar - scoop)
    lapel = outfit.coat_open + 0.45 * (y - marks.neck + 0.22).clamp(min=0)
    hem = marks.hip - outfit.coat_length + 0.004 * wobble
    inside = (arm_of(places, marks) < outfit.coat_sleeve) & (y > hem) & (y < base + 0.02)
    return inside & ((x.abs() > lapel) | (z < 0))


def thickness(layer: str, figure: Figure, outfit: Outfits) -> Tensor:
    """`[B, v]` metres that a layer's vertices stand off the body; NaN where it is not worn, so that it is not drawn."""
    worn = outfit.worn[:, LAYERS.index(layer)]
    return torch.where(worn[:, None], _thickness(layer, figure, outfit), torch.nan)


def _thickness(layer: str, figure: Figure, outfit: Outfits) -> Tensor:
    places, marks = figure.shells[layer].places, figure.marks
    count, batch = len(places), len(outfit.identity)
    points = places.expand(batch, count, 3) + 0.3 * outfit.place[:, None]
    fold = noise((points * points.new_tensor([11.0, 7.0, 11.0])).flatten(0, 1))[:, :2].view(batch, count, 2)
    if layer == "shoes":
        low = _step(marks.sole + 0.04 - places[:, 1], 0.0, 0.03)
        return (0.006 + 0.006 * low).expand(batch, count)
    if layer == "bottom":
        leg = leg_of(places, marks).clamp(0, 1)
        loose = outfit.bottom_loose[:, None] * (1 + 0.5 * fold[..., 0])
        return 0.003 + 0.8 * loose + 0.8 * outfit.bottom_flare[:, None] * leg**1.5 * (1 + 0.35 * fold[..., 1])
    if layer == "skirt":
        low = leg_of(places, marks).clamp(0, 1)
        return 0.006 + outfit.skirt_flare[:, None] * low * (1 + 0.6 * fold[..., 0]) + 0.012 * low * fold[..., 1]
    if layer == "locks":
        return 0.004 + 0.3 * outfit.hair_volume[:, None] * (1 + 0.5 * outfit.hair_curl[:, None] * fold[..., 0])
    arm = arm_of(places, marks)
    waist = _step(marks.hip + 0.25 - places[:, 1], 0.0, 0.3) * (arm < 0)
    if layer == "top":
        loose = outfit.top_loose[:, None] * (0.3 + 0.5 * waist + 0.3 * arm.clamp(0, 1))
        # over the waist of trousers, unless it is tucked in
        over = (outfit.bottom_loose * 0.8 + 0.004)[:, None] * (outfit.top_length[:, None] > -0.05) * waist
        return 0.004 + 0.7 * over + loose * (1 + 0.5 * fold[..., 0])
    if layer == "coat":
        loose = outfit.coat_loose[:, None] * (0.7 + 0.4 * waist)
        return 0.005 + 0.4 * outfit.top_loose[:, None] + loose * (1 + 0.35 * fold[..., 0])
    everyone = outfit.rows(torch.arange(batch, device=places.device).repeat_interleave(count))
    margin = hair_margin(places.repeat(batch, 1), everyone, marks).view(batch, count)
    up = in_head(places, marks)[:, 1]
    swell = _step(margin, -0.02, 0.16) * (1 + 0.3 * outfit.hair_curl[:, None] * fold[..., 0])
    return 0.003 + outfit.hair_volume[:, None] * swell * (1 + 0.8 * (up < 0.15))
