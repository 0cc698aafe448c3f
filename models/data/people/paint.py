"""The colours of skin, hair and cloth at places of the neutral body's T-pose: patterns, prints, a simple face."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.data.people.cut import arm_of, hair_margin, in_head, leg_of
from warpkit.models.data.people.layers import Marks
from warpkit.models.data.people.noise import noise, unit_hash
from warpkit.models.data.people.wardrobe import Cloth, Outfits


@dataclass(frozen=True)
class Paint:
    """What a surface is like at N places."""

    albedo: Tensor  # [N, 3] in [0, 1]
    bump: Tensor  # [N, 3] added to the unit normal
    shine: Tensor  # [N]


def unrolled(places: Tensor, marks: Marks, *, legs: bool = True) -> tuple[Tensor, Tensor]:
    """Metres along and across a sleeve, a leg (`legs`) or the trunk, `[N]` each: cloth laid flat."""
    x, y, z = places.unbind(-1)
    on_arm, on_leg = arm_of(places, marks) > -0.05, (leg_of(places, marks) > 0.12) & legs
    trunk = torch.atan2(x, z + 0.02) * 0.15
    leg = torch.atan2(x - x.sign() * 0.1, z) * 0.08 + x.sign() * 0.4
    arm = torch.atan2(z, y - (marks.armpit + 0.09)) * 0.05 + x.sign() * 0.7
    along = torch.where(on_arm, marks.armpit + 0.09 - (x.abs() - marks.shoulder), y)
    return along, torch.where(on_arm, arm, torch.where(on_leg, leg, trunk))


def _line(value: Tensor, width: float) -> Tensor:
    return (1 - value.abs() / width).clamp(0, 1)


def woven(cloth: Cloth, places: Tensor, marks: Marks, *, legs: bool = True) -> Paint:
    """Cloth at `places` `[N, 3]`; `cloth` has one entry for each place."""
    along, across = unrolled(places, marks, legs=legs)
    u, v = across / cloth.period, along / cloth.period
    rough = noise(places / cloth.period[:, None] * 0.55 + cloth.place, 2)
    fine = noise(places * 160 + cloth.place, 1)
    hoop, stripe = (v % 1 < 0.42).float(), (u % 1 < 0.38).float()
    # each its own grid: dots in quincunx, patches of chance
    shifted = u + 0.5 * (v.floor() % 2)
    dot = (((shifted % 1) - 0.5).square() + ((v % 1) - 0.5).square() < 0.07).float()
    patch = unit_hash(torch.stack([(u * 0.5).floor(), (v * 0.5).floor()], -1))
    petal = (rough[:, 2] > 0.75).float()
    shares = torch.stack(
        [
            torch.zeros_like(u),
            hoop,
            stripe,
            0.5 * hoop + 0.5 * stripe,
            dot,
            (rough[:, 0] > 0.15).float(),
            (patch < 0.35).float(),
            (0.5 + 0.35 * fine[:, 0]).clamp(0, 1) * 0.6,
            petal,
            ((u + v) % 1 < 0.3).float(),
        ],
        -1,
    )
    share = shares.gather(1, cloth.pattern[:, None])
    albedo = torch.lerp(cloth.colours[:, 0], cloth.colours[:, 1], share)
    third = ((cloth.pattern == 5) & (rough[:, 1] > 0.6)) | ((cloth.pattern == 8) & (rough[:, 3] > 1.0))
    third = third | ((cloth.pattern == 6) & (patch > 0.85))
    albedo = torch.where(third[:, None], cloth.colours[:, 2], albedo)
    albedo = albedo * (1 + 0.05 * fine[:, 1:2])
    # folds run across limbs that bend and down cloth that hangs
    stretched = torch.stack([across * 16, along * 9, along * 0], -1)
    fold = noise(stretched + cloth.place, 2)[:, :3]
    bump = 0.22 * cloth.folds[:, None] * fold + 0.05 * fine[:, 1:]
    return Paint(albedo, bump, cloth.shine)


def _darker(paint: Paint, share: Tensor) -> Paint:
    return Paint(paint.albedo * (1 - share[:, None]), paint.bump, paint.shine)


def top(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """A shirt, jumper or blouse with its print, seams, cuffs."""
    paint = woven(outfit.top, places, marks)
    x, y, z = places.unbind(-1)
    middle, half_width, half_height = outfit.print_box.unbind(-1)
    s, t = x / half_width, (y - marks.hip - middle) / half_height
    kind, front = outfit.print_kind, z > 0
    cell = torch.stack([(x * 70).floor(), (y * 45).floor(), outfit.identity], -1)
    letters = (unit_hash(cell) < 0.55) & ((y * 45) % 1 < 0.7) & (s.abs() < 1) & (t.abs() < 0.6)
    inside = (
        ((kind == 1) & (s.abs() < 1) & (t.abs() < 1))
        | ((kind == 2) & (s.square() + t.square() < 1))
        | ((kind == 3) & letters)
        | ((kind == 4) & (t.abs() < 0.5))
    )
    printed = inside & ((front & (x.abs() < 0.16)) | (kind == 4))
    inner = (kind < 3) & (s.abs() + t.abs() < 0.7)
    ink = torch.where(inner[:, None], 1 - outfit.top.colours[:, 2], outfit.top.colours[:, 2])
    albedo = torch.where(printed[:, None], ink, paint.albedo)
    arm = arm_of(places, marks)
    seam = _line(arm - 0.02, 0.012) * (arm > -0.5)
    cuff = ((arm > outfit.sleeve - 0.04) & (arm > 0.1)) | (y < marks.hip - outfit.top_length + 0.018)
    return _darker(Paint(albedo, paint.bump, paint.shine), 0.3 * seam + 0.14 * cuff)


def bottom(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """Trousers or shorts with belt, side seams, fly and pockets."""
    paint = woven(outfit.bottom, places, marks)
    x, y, z = places.unbind(-1)
    leg = leg_of(places, marks)
    outer = _line(torch.atan2(z, x.abs() - 0.1), 0.07) * (x.abs() > 0.1)
    band = (y > marks.hip + outfit.waist - 0.035 - 0.15 * z * (z > 0)).float()
    fly = _line(x, 0.004) * ((z > 0) & (y > marks.hip - 0.06))
    pocket = _line(y - marks.hip - 0.02 + 1.6 * (x.abs() - 0.12), 0.008) * (z > 0) * (leg < 0.1)
    faded = 0.12 * (noise(places * 5 + outfit.bottom.place)[:, 0]).clamp(-1, 1)
    return _darker(paint, 0.3 * outer + 0.35 * band + 0.35 * fly + 0.3 * pocket + faded)


def skirt(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """A skirt with its band and hem."""
    paint = woven(outfit.bottom, places, marks, legs=False)
    y, z = places[..., 1], places[..., 2]
    band = (y > marks.hip + outfit.waist - 0.03 - 0.15 * z * (z > 0)).float()
    hem = _line(leg_of(places, marks) - outfit.skirt_length + 0.025, 0.008)
    return _darker(paint, 0.3 * band + 0.3 * hem)


def coat(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """A jacket with zip or buttons, pockets and cuffs."""
    paint = woven(outfit.coat, places, marks)
    x, y, z = places.unbind(-1)
    arm = arm_of(places, marks)
    edge = _line(x.abs() - outfit.coat_open - 0.45 * (y - marks.neck + 0.22).clamp(min=0), 0.012) * (z > 0)
    pocket = _line((y - marks.hip - 0.06) - 0.3 * (x.abs() - 0.09), 0.006) * (z > 0) * ((x.abs() - 0.1).abs() < 0.05)
    cuff = ((arm > outfit.coat_sleeve - 0.05) & (arm > 0.1)).float() + (y < marks.hip - outfit.coat_length + 0.03)
    seam = _line(arm - 0.03, 0.014) * (arm > -0.5)
    return _darker(paint, (0.35 * edge + 0.35 * pocket + 0.15 * cuff + 0.3 * seam).clamp(max=0.7))


def shoes(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """Shoes with soles and laces."""
    paint = woven(outfit.shoe, places, marks)
    x, y, z = places.unbind(-1)
    sole = y < marks.sole + 0.018
    colour = torch.where(
        (outfit.identity % 3 == 0)[:, None], outfit.shoe.colours[:, 1], torch.full_like(paint.albedo, 0.85)
    )
    albedo = torch.where(sole[:, None], colour, paint.albedo)
    on_top = (z > 0.02) & (z < 0.10) & (y > marks.sole + 0.045) & ((x.abs() - 0.1).abs() < 0.02)
    laces = on_top & ((z * 75) % 1 < 0.4) & (outfit.identity % 2 == 0)
    albedo = torch.where(laces[:, None], torch.full_like(albedo, 0.9), albedo)
    return Paint(albedo, 0.3 * paint.bump, (outfit.shoe.shine + 0.1).clamp(max=0.4))  # fmt: skip


def hair(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """Strands, darker near their roots."""
    curl = outfit.hair_curl[:, None]
    stretch = torch.lerp(places.new_tensor([110.0, 14.0, 60.0]), places.new_tensor([45.0, 40.0, 45.0]), curl)
    strands = noise(places * stretch + outfit.place, 2)
    depth = (hair_margin(places, outfit, marks) / 0.2).clamp(0, 1)
    albedo = outfit.hair * (0.85 + 0.22 * strands[:, :1]) * (0.8 + 0.25 * depth[:, None])
    return Paint(albedo.clamp(0.01, 1), 0.28 * strands[:, 1:], torch.full_like(depth, 0.22))


def locks(outfit: Outfits, places: Tensor, marks: Marks) -> Paint:
    """Hair that hangs."""
    return hair(outfit, places, marks)


def skin(outfit: Outfits, places: Tensor, marks: Marks, eye: Tensor, nose: Tensor) -> Paint:
    """Skin, the face, socks; stubble of hair that is cropped to nothing. `eye`, `nose` `[3]`: of the neutral body."""
    x, y, z = places.unbind(-1)
    tone = noise(places * 14 + outfit.place, 2)
    albedo = outfit.skin * (1 + 0.035 * tone[:, :1])
    head = in_head(places, marks)
    face = (head[:, 2] > 0.55) & (head[:, 1] > 0.25)
    mouth = nose[1] - 0.036
    blush = torch.exp(-((x.abs() - 0.038) / 0.02).square() - ((y - nose[1] + 0.005) / 0.02).square()) * face
    albedo = albedo * (1 - blush[:, None] * places.new_tensor([0.0, 0.10, 0.09]))
    lips = ((x / 0.024).square() + ((y - mouth) / (0.0085 - 0.1 * x.abs())).square() < 1) & face
    albedo = torch.where(lips[:, None], outfit.lips, albedo)
    albedo = albedo * (1 - 0.45 * (_line(y - mouth, 0.0015) * (lips & (x.abs() < 0.022)))[:, None])
    jaw = (y < mouth + 0.018) & (y > mouth - 0.055) & face
    around = jaw & ~lips & ((x / 0.07).square() + ((y - mouth + 0.02) / 0.045).square() < 1.6)
    stubble = outfit.beard[:, None] * around[:, None] * (0.75 + 0.2 * noise(places * 120)[:, :1]).clamp(0, 1)
    albedo = torch.lerp(albedo, outfit.hair * 0.8, stubble)
    ex, ey = x.abs() - eye[0], y - eye[1]
    brow = (ex.abs() < 0.02) & ((ey - 0.021 + 5.0 * (ex - 0.004).square()).abs() < 0.0032) & face
    albedo = torch.lerp(albedo, outfit.hair * 0.7, 0.75 * brow[:, None])
    lid = ((ex / 0.0165).square() + (ey / 0.0082).square() < 1) & face
    white = ((ex / 0.0145).square() + (ey / 0.0058).square() < 1) & face
    ball = ex.square() + ey.square()
    albedo = torch.where(lid[:, None], albedo * 0.55, albedo)
    albedo = torch.where(white[:, None], torch.full_like(albedo, 0.86), albedo)
    albedo = torch.where((white & (ball < 0.0056**2))[:, None], outfit.eyes, albedo)
    albedo = torch.where((white & (ball < 0.0026**2))[:, None], torch.full_like(albedo, 0.03), albedo)
    scalp = (hair_margin(places, outfit, marks) > 0.0) & (head[:, 1] > 0.1)
    cropped = scalp & ((outfit.identity % 2 == 0) | (outfit.hair_volume > 0))
    albedo = torch.where(cropped[:, None], torch.lerp(albedo, outfit.hair, 0.6), albedo)
    sock = (y < marks.ankle + outfit.sock_height) & (outfit.sock_height > -0.05)
    ribs = outfit.sock * (1 + 0.06 * torch.sin(torch.atan2(x - x.sign() * 0.1, z) * 60))[:, None]
    albedo = torch.where(sock[:, None], ribs, albedo)
    hand = places[:, 0].abs() > marks.wrist + 0.07
    albedo = torch.where(hand[:, None], albedo * places.new_tensor([1.0, 0.95, 0.94]), albedo)
    return Paint(albedo.clamp(0, 1), 0.03 * tone[:, 1:], torch.full_like(y, 0.06) * ~sock)
