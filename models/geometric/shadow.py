"""The soft shadow where a person touches the ground: without it they seem to float over a background."""

import math

import torch
from torch import Tensor

STRENGTH = 0.45
"""Share of the light that the contact takes away."""
SPREAD = 0.045
"""Metres: how soft the shadow is along the ground."""
LIFT = 0.05
"""Metres above the ground at which a sole's shadow has faded to a third."""
SLOPE = 0.25
"""Height in the picture of a metre of depth on the ground: cameras look down a little."""


def contact_shadow(feet: Tensor, ground: Tensor, scale: Tensor, corner: Tensor, size: tuple[int, int]) -> Tensor:
    """[H, W] in [0, STRENGTH]: how much darker the background is under the feet.

    Args:
        feet: `[N, 3]` points of the feet in metres: x right, height above the pelvis, depth away from the camera.
        ground: the height of the ground, in the same metres.
        scale: pixels per metre.
        corner: `[2]` pixel (x, y) of the pelvis.
        size: height and width of the frame.
    """
    coarse = 4
    height, width = -(-size[0] // coarse), -(-size[1] // coarse)
    sigma = float(SPREAD * scale) / coarse
    depth = feet[:, 2] - feet[:, 2].mean()
    x = ((corner[0] + scale * feet[:, 0]) / coarse).long()
    y = ((corner[1] - scale * (ground + SLOPE * depth)) / coarse).long()
    near = torch.exp(-(feet[:, 1] - ground).clamp(min=0) / LIFT)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mass = torch.zeros(height * width, device=feet.device)
    # Points close together count once: a cell is as dark as its lowest point, however dense the mesh is there.
    mass.scatter_reduce_(0, (y * width + x)[inside], near[inside], "amax")
    reach = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-reach, reach + 1, device=feet.device)
    across = torch.exp(-0.5 * (steps / sigma).square())
    down = torch.exp(-0.5 * (steps / max(0.5 * sigma, 0.5)).square())
    blurred = torch.nn.functional.conv2d(mass.view(1, 1, height, width), across.view(1, 1, 1, -1), padding=(0, reach))
    blurred = torch.nn.functional.conv2d(blurred, down.view(1, 1, -1, 1), padding=(reach, 0))
    dark = 1 - torch.exp(-blurred / (0.35 * max(sigma, 1.0) ** 1.0))
    full = torch.nn.functional.interpolate(dark, (height * coarse, width * coarse), mode="bilinear")
    return STRENGTH * full[0, 0, : size[0], : size[1]]
