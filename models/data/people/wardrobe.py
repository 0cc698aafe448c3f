"""Who somebody is and what they wear, as numbers drawn from one identity number: the same for the same number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, cast

import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel
from warpkit.models.data.people.layers import LAYERS

PATTERNS = ("plain", "hoops", "stripes", "checks", "dots", "camouflage", "blocks", "melange", "flowers", "diagonal")
PRINTS = ("none", "square", "disc", "letters", "band")
SKINS = ((0.95, 0.80, 0.70), (0.88, 0.68, 0.55), (0.76, 0.55, 0.42), (0.58, 0.39, 0.28), (0.40, 0.26, 0.18),
         (0.28, 0.18, 0.13))  # fmt: skip
HAIRS = ((0.07, 0.06, 0.06), (0.16, 0.10, 0.07), (0.33, 0.20, 0.11), (0.60, 0.43, 0.24), (0.78, 0.64, 0.42),
         (0.45, 0.45, 0.46), (0.80, 0.79, 0.77), (0.45, 0.16, 0.08))  # fmt: skip


class _Table:
    """A frozen dataclass of tensors and of such tables, one row a person."""

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(
            **{name: v.each(change) if isinstance(v, _Table) else change(v) for name, v in values.items()}
        )

    def __getitem__(self, index: Tensor) -> Self:
        """The rows `index` `[N]`, as often as they are named."""
        return self.each(lambda column: column[index])

    def rows(self, index: Tensor) -> Self:
        """The same as `self[index]`; a column is gathered when it is first asked for: pixels are many, columns too."""
        return cast(Self, _Rows(self, index))

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return self.each(lambda column: column.to(device))

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """One table of the rows of several."""
        columns = {}
        for field in fields(cls):  # type: ignore[arg-type]
            parts = [getattr(table, field.name) for table in tables]
            columns[field.name] = type(parts[0]).joined(parts) if isinstance(parts[0], _Table) else torch.cat(parts)
        return cls(**columns)


class _Rows:
    """What `_Table.rows` gives."""

    def __init__(self, table: _Table, index: Tensor) -> None:
        self._table, self._index = table, index

    def __getattr__(self, name: str) -> object:
        column = getattr(self._table, name)
        value = _Rows(column, self._index) if isinstance(column, _Table) else column[self._index]
        setattr(self, name, value)
        return value

    def __getitem__(self, index: Tensor) -> "_Rows":
        return _Rows(self._table, self._index[index])


@dataclass(frozen=True)
class Cloth(_Table):
    """The stuff of one garment: colours in [0, 1]."""

    colours: Tensor  # [B, 3, 3]: the ground, the pattern, the print or trim
    pattern: Tensor  # [B] into PATTERNS
    period: Tensor  # [B] metres
    place: Tensor  # [B, 3] where in the noise it was cut
    folds: Tensor  # [B] how deep
    shine: Tensor  # [B]


@dataclass(frozen=True)
class Outfits(_Table):
    """B people. Lengths along a limb: 0 at the shoulder or hip, 1 at the wrist or ankle. Metres otherwise."""

    identity: Tensor  # [B] int64
    shape: Tensor  # [B, K]
    skin: Tensor  # [B, 3]
    lips: Tensor  # [B, 3]
    eyes: Tensor  # [B, 3]
    place: Tensor  # [B, 3] in the noise
    worn: Tensor  # [B, L] bool, of LAYERS
    baked: Tensor  # [B, 3] which photographic texture head, top and legs come from; -1: painted
    dyed: Tensor  # [B, 2] bool: whether the photographic top and legs take the colours and patterns of `top`, `bottom`
    hair: Tensor  # [B, 3]
    hair_volume: Tensor  # [B] metres
    hair_line: Tensor  # [B, 2] where it begins above the face, and how far it comes down behind, in heights of the head
    hair_curl: Tensor  # [B]
    beard: Tensor  # [B] in [0, 1]
    top: Cloth
    top_length: Tensor  # [B] hem below the hip joint, metres; negative above
    sleeve: Tensor  # [B]
    neckline: Tensor  # [B, 2] depth and half width, metres
    collar: Tensor  # [B] metres above the base of the neck
    top_loose: Tensor  # [B] metres
    print_kind: Tensor  # [B] into PRINTS
    print_box: Tensor  # [B, 3] height of the middle and half sizes, metres
    bottom: Cloth
    bottom_length: Tensor  # [B]
    bottom_loose: Tensor  # [B] metres at the hip
    bottom_flare: Tensor  # [B] metres more at its end
    skirt_length: Tensor  # [B]
    skirt_flare: Tensor  # [B] metres more at its hem
    waist: Tensor  # [B] metres above the hip joint
    coat: Cloth
    coat_length: Tensor  # [B] as top_length
    coat_sleeve: Tensor  # [B]
    coat_open: Tensor  # [B] half width of the gap in front, metres
    coat_loose: Tensor  # [B] metres
    shoe: Cloth
    shoe_height: Tensor  # [B] metres above the ankle joint
    sock_height: Tensor  # [B] metres above the ankle joint
    sock: Tensor  # [B, 3]


class _Dice:
    """Random draws as tensors of one person."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def chance(self) -> float:
        return float(torch.rand(1, generator=self.generator))

    def between(self, low: float, high: float, size: tuple[int, ...] = (1,)) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=self.generator)

    def normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator)

    def one_of(self, choices: tuple, weights: tuple[float, ...] | None = None):  # type: ignore[no-untyped-def]
        share = torch.tensor(weights or (1.0,) * len(choices), dtype=torch.float32)
        return choices[int(torch.multinomial(share, 1, generator=self.generator))]

    def colour(self, dark: float = 0.0) -> Tensor:
        """[1, 3]: hue and chroma as wardrobes have them: a third without colour, some strong."""
        value = float(self.between(0.06, 0.95)) * (1 - dark) + dark * float(self.between(0.05, 0.4))
        kind = self.chance()
        chroma = 0.06 if kind < 0.33 else float(self.between(0.1, 0.45)) if kind < 0.75 else float(
            self.between(0.45, 0.95)
        )  # fmt: skip
        hue = 2 * math.pi * self.chance()
        wheel = torch.tensor([[math.cos(hue - turn * 2 * math.pi / 3) for turn in range(3)]])
        return (value * (1 + chroma * (wheel - wheel.amax()) / 1.5)).clamp(0.02, 0.97)

    def cloth(self, weights: tuple[float, ...], dark: float = 0.0) -> Cloth:
        ground = self.colour(dark)
        second = ground * float(self.between(0.4, 0.8)) if self.chance() < 0.3 else self.colour(dark)
        return Cloth(
            colours=torch.stack([ground, second, self.colour()], 1),
            pattern=torch.tensor([self.one_of(tuple(range(len(PATTERNS))), weights)]),
            period=self.between(0.02, 0.11),
            place=self.normal(1, 3) * 7,
            folds=self.between(0.3, 1.0),
            shine=torch.tensor([self.one_of((0.0, 0.08, 0.35), (0.6, 0.25, 0.15))]),
        )


_TOPS = (0.28, 0.1, 0.08, 0.1, 0.07, 0.06, 0.07, 0.1, 0.07, 0.07)
_BOTTOMS = (0.55, 0.0, 0.04, 0.08, 0.02, 0.05, 0.0, 0.22, 0.04, 0.0)
_COATS = (0.5, 0.02, 0.05, 0.15, 0.0, 0.06, 0.07, 0.12, 0.0, 0.03)
_PLAIN = (0.7, 0, 0, 0, 0, 0, 0.1, 0.2, 0, 0)


def person(model: BodyModel, identity: int) -> Outfits:
    """The person of that number (B = 1)."""
    dice = _Dice(identity * 2 + 1)
    skin = torch.tensor([SKINS[int(dice.between(0, len(SKINS) - 1e-3))]]) * dice.between(0.92, 1.06, (1, 3))
    hair = torch.tensor([dice.one_of(HAIRS, (5, 4, 4, 2, 2, 1, 1, 1))]) * dice.between(0.85, 1.2, (1, 3))
    if dice.chance() < 0.05:
        hair = dice.colour()
    style = dice.one_of(("none", "cropped", "short", "bob", "long"), (0.07, 0.18, 0.35, 0.18, 0.22))
    volume, down = {"none": (0.0, 0.5), "cropped": (0.007, 0.3), "short": (0.02, 0.24), "bob": (0.024, -0.02),
                    "long": (0.022, -0.55)}[style]  # fmt: skip
    sleeve = dice.one_of((-0.12, 0.28, 0.38, 0.7, 0.97), (0.12, 0.3, 0.18, 0.1, 0.3))
    neck = dice.one_of(((0.02, 0.06), (0.04, 0.08), (0.10, 0.07), (0.07, 0.12)), (0.4, 0.3, 0.2, 0.1))
    loose = float(dice.between(0.003, 0.026))
    kind = dice.one_of(("trousers", "slim", "wide", "shorts", "cropped"), (0.35, 0.25, 0.12, 0.18, 0.1))
    length = {"trousers": 0.97, "slim": 0.95, "wide": 0.98, "shorts": 0.42, "cropped": 0.78}[kind]
    roomy = {"trousers": 0.010, "slim": 0.004, "wide": 0.015, "shorts": 0.014, "cropped": 0.008}[kind]
    flare = {"trousers": 0.014, "slim": 0.004, "wide": 0.038, "shorts": 0.015, "cropped": 0.008}[kind]

    skirt, locks = dice.chance() < 0.18, style == "long" and dice.chance() < 0.7

    def about(value: float, spread: float) -> Tensor:
        return torch.tensor([value]) + spread * dice.normal(1)

    return Outfits(
        identity=torch.tensor([identity]),
        shape=model.mean_shape[None].cpu() + 0.7 * dice.normal(1, model.num_shape),
        skin=skin.clamp(0.05, 0.98),
        lips=skin * torch.tensor([[0.88, 0.62, 0.64]]) * dice.between(0.85, 1.1, (1, 3)),
        eyes=torch.tensor([dice.one_of(((0.22, 0.13, 0.07), (0.35, 0.45, 0.55), (0.3, 0.35, 0.2)), (3, 1, 1))]),
        place=dice.normal(1, 3) * 7,
        worn=torch.tensor([[True, True, not skirt, skirt, True, dice.chance() < 0.25, volume > 0, locks]]),
        baked=torch.full((1, 3), -1),
        dyed=torch.tensor([[dice.chance() < 0.6, dice.chance() < 0.6]]),
        hair=hair.clamp(0.03, 0.95),
        hair_volume=torch.tensor([volume]) * dice.between(0.7, 1.5),
        hair_line=torch.stack([about(0.83, 0.02), about(down, 0.05 + 0.1 * (down < -0.3))], 1),
        hair_curl=dice.between(0, 1),
        beard=torch.tensor([dice.one_of((0.0, 0.35, 0.9), (0.78, 0.12, 0.1))]),
        top=dice.cloth(_TOPS),
        top_length=about(dice.one_of((-0.10, 0.02, 0.10), (0.2, 0.4, 0.4)), 0.015),
        sleeve=about(sleeve, 0.02),
        neckline=torch.tensor([neck]) * dice.between(0.7, 1.3, (1, 2)),
        collar=torch.tensor([dice.one_of((-0.01, 0.01, 0.06), (0.6, 0.25, 0.15))]),
        top_loose=torch.tensor([loose]),
        print_kind=torch.tensor([dice.one_of(tuple(range(len(PRINTS))), (0.55, 0.12, 0.1, 0.15, 0.08))]),
        print_box=torch.cat([dice.between(0.22, 0.36), dice.between(0.04, 0.12, (2,))])[None],
        bottom=dice.cloth(_BOTTOMS, dark=0.5 if dice.chance() < 0.7 else 0.0),
        bottom_length=about(length, 0.02),
        bottom_loose=torch.tensor([roomy]) * dice.between(0.7, 1.5),
        bottom_flare=torch.tensor([flare]) * dice.between(0.6, 1.5),
        skirt_length=dice.between(0.33, 0.85),
        skirt_flare=dice.between(-0.01, 0.05),
        waist=dice.between(0.03, 0.13),
        coat=dice.cloth(_COATS, dark=0.3),
        coat_length=about(dice.one_of((-0.02, 0.05, 0.11), (0.4, 0.3, 0.3)), 0.01),
        coat_sleeve=about(dice.one_of((-0.12, 0.96), (0.15, 0.85)), 0.015),
        coat_open=torch.tensor([dice.one_of((0.0, 0.03, 0.08), (0.35, 0.35, 0.3))]),
        coat_loose=dice.between(0.008, 0.022),
        shoe=dice.cloth(_PLAIN, dark=0.4),
        shoe_height=torch.tensor([dice.one_of((0.0, 0.07, 0.2), (0.65, 0.25, 0.1))]) + 0.01 * dice.normal(1),
        sock_height=torch.tensor([dice.one_of((-0.1, 0.05, 0.15), (0.35, 0.4, 0.25))]),
        sock=dice.colour() if dice.chance() < 0.4 else dice.between(0.75, 0.95).expand(1, 3).clone(),
    )  # fmt: skip


def people(model: BodyModel, identities: list[int]) -> Outfits:
    """The people of these numbers."""
    return Outfits.joined([person(model, identity) for identity in identities])


def photographic(outfits: Outfits, textures: Tensor, shapes: Tensor) -> Outfits:
    """The same people in photographic skins and clothes: nothing painted is left on them but some coats.

    Args:
        outfits: B people.
        textures: `[B, 3]` the numbers of head, top and legs; people with -1 stay as they are.
        shapes: `[B, K]` their shapes.
    """
    baked = textures[:, :1] >= 0
    layers = torch.tensor([layer in ("body", "coat") for layer in LAYERS])
    return replace(
        outfits,
        baked=textures,
        worn=torch.where(baked, outfits.worn & layers, outfits.worn),
        shape=torch.where(baked, shapes, outfits.shape),
    )
