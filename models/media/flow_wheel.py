"""Flow as colour, by the wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow" (ICCV 2007).

Hue is the direction (right is red, down yellow, left cyan, up violet), saturation the length: white stays in place.
"""

import math

import numpy as np
import torch
from torch import Tensor

from warpkit.models.errors import needs_extra
from warpkit.models.media.draw import PAPER

with needs_extra("person"):
    from PIL import Image, ImageDraw, ImageFont

STEPS = (15, 6, 4, 11, 13, 6)
"""Hues from red to yellow, to green, to cyan, to blue, to magenta and back to red: more where eyes tell more apart."""
CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))
"""The hues between which the steps lead."""
BEYOND = 0.75
"""How bright what is longer than the wheel reaches is drawn, at full saturation."""


def wheel() -> Tensor:
    """[55, 3] in [0, 1]: the hues, from red on."""
    corners = torch.tensor(CORNERS, dtype=torch.float32)
    ways = [
        torch.lerp(corners[number], corners[(number + 1) % 6], torch.arange(steps)[:, None] / steps)
        for number, steps in enumerate(STEPS)
    ]
    return torch.cat(ways)


def flow_colours(move: Tensor, reach: float) -> Tensor:
    """Moves `[..., 2]` (right, down) as colours `[..., 3]` in [0, 1].

    `reach`: the length, in the unit of `move`, that is fully saturated; what is longer is darker. As in the original,
    the last of the 55 hues meets the first to the right, a sixth of a channel apart.
    """
    hues = wheel().to(move)
    length = move.norm(dim=-1, keepdim=True) / reach
    turn = torch.atan2(-move[..., 1], -move[..., 0]) / math.pi  # -1 to 1: right is either, and the wheel's beginning
    turn = torch.where((move[..., 1] == 0) & (move[..., 0] > 0), -1, turn)
    place = (turn + 1) / 2 * (len(hues) - 1)
    before = place.floor().long()
    hue = torch.lerp(hues[before], hues[(before + 1) % len(hues)], (place - before)[..., None])
    return torch.where(length <= 1, 1 - length * (1 - hue), BEYOND * hue)


def draw_flow(move: Tensor, visible: Tensor, reach: float) -> np.ndarray:
    """Moves `[H, W, 2]` (right, down) as colour, uint8 `[H, W, 3]`; dark where `visible` `[H, W]` is false.

    `reach` as for `flow_colours`.
    """
    move = torch.where(visible[..., None], move, 0)  # what is not visible may hold anything
    colour = flow_colours(move, reach).mul(255).round().to(torch.uint8)
    return torch.where(visible[..., None], colour, torch.tensor(PAPER, dtype=torch.uint8).to(colour)).cpu().numpy()


def draw_wheel(reach: float, unit: str = "px", side: int = 96) -> np.ndarray:
    """The wheel as a legend, uint8 `[side, side, 3]`: the move from the middle to a point has the point's colour.

    The rim is `reach` long, which is written in it.
    """
    ticks = (torch.arange(side) + 0.5) / side * 2 - 1
    move = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)
    picture = Image.fromarray(draw_flow(move, move.norm(dim=-1) <= 1, 1.0))
    ImageDraw.Draw(picture).text(
        (side / 2, side / 2), f"{reach:g} {unit}", fill=PAPER, anchor="mm", font=ImageFont.load_default(side / 8)
    )
    return np.asarray(picture)


def reach_of(move: Tensor, visible: Tensor) -> float:
    """A round number that all but the longest hundredth of the visible moves `[..., 2]` stay below; 1 if none moves."""
    lengths = move[visible].norm(dim=-1)
    longest = float(lengths.kthvalue(max(1, math.ceil(0.99 * len(lengths)))).values) if len(lengths) else 0.0
    if longest < 1:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(longest))
    return next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * unit >= longest)
