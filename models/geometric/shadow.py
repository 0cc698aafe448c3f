"""The soft shadow where a person touches the ground: without it they seem to float over a background."""

import math

import torch
from torch import Tensor

STRENGTH = 0.5
"""Share of the light that a full contact takes away."""
SOFTNESS = 0.035
"""Metres: how soft the shadow is along the ground."""
FADES = 0.04
"""Metres above the ground at which a sole's shadow has faded to a third."""
SLOPE = 0.1
"""Height in the picture of a metre of depth on the ground: cameras look down a little."""
SOLE = 0.015
"""Metres from the sole's lowest point up to the middle of its shadow."""
COARSE = 2
"""Pixels a side of the cells in which the shadow is worked out."""


def contact_shadow(feet: Tensor, scale: Tensor, pelvis: Tensor, size: tuple[int, int]) -> Tensor:
    """How much darker the background is round the soles, `[H, W]` in [0, STRENGTH].

    Args:
        feet: `[N, 3]` points of the feet in body space, metres; the lowest stands on the ground.
        scale: pixels per metre.
        pelvis: `[2]` pixel (x, y) of the origin of body space.
        size: height and width of the frame.
    """
    height, width = -(-size[0] // COARSE), -(-size[1] // COARSE)
    ground = feet[:, 1].amin()
    behind = feet[:, 2].mean() - feet[:, 2]
    x = ((pelvis[0] + scale * feet[:, 0]) / COARSE).floor().long()
    y = ((pelvis[1] - scale * (ground + SOLE + SLOPE * behind)) / COARSE).floor().long()
    near = torch.exp((ground - feet[:, 1]) / FADES)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    cells = torch.zeros(height * width, device=feet.device)
    # A cell is as dark as its lowest point, however dense the mesh is there.
    cells.scatter_reduce_(0, torch.where(inside, y * width + x, 0), torch.where(inside, near, 0), "amax")
    sigma = max(float(SOFTNESS * scale) / COARSE, 0.5)
    steps = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1, device=feet.device)

    def blur(values: Tensor, sigma: float, shape: tuple[int, ...]) -> Tensor:
        taps = torch.exp(-0.5 * (steps / sigma).square())
        return torch.nn.functional.conv2d(values, (taps / taps.sum()).view(shape), padding="same")

    shade = blur(cells.view(1, 1, height, width), sigma, (1, 1, 1, -1))
    shade = blur(shade, max(0.4 * sigma, 0.5), (1, 1, -1, 1))
    shade = STRENGTH * (1 - torch.exp(-4 * shade))
    full = torch.nn.functional.interpolate(shade, (height * COARSE, width * COARSE), mode="bilinear")
    return full[0, 0, : size[0], : size[1]]
