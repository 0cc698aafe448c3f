"""Smooth periodic noise in space, looked up rather than summed: what cloth, skin and walls are made of."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 48
"""Cells along a side of the volume, after which it repeats."""
CHANNELS = 4
"""Independent fields that one look-up gives."""


@cache
def _volume(device: torch.device) -> Tensor:
    """`[1, C, n + 1, n + 1, n + 1]` of unit variance, its features three cells wide; its last layers are its first."""
    white = torch.randn(CHANNELS, CELLS, CELLS, CELLS, generator=torch.Generator().manual_seed(0))
    frequency = torch.fft.fftfreq(CELLS)
    radius = frequency[:, None, None] ** 2 + frequency[None, :, None] ** 2 + frequency[None, None] ** 2
    smooth = torch.fft.ifftn(torch.fft.fftn(white, dim=(1, 2, 3)) * torch.exp(-radius * 30.0), dim=(1, 2, 3)).real
    smooth = smooth / smooth.std((1, 2, 3), keepdim=True)
    return F.pad(smooth[None], (0, 1) * 3, mode="circular").to(device)


def noise(points: Tensor, octaves: int = 1) -> Tensor:
    """Fields `[N, CHANNELS]` of about unit size at `points` `[N, 3]`; one unit of length is one feature."""
    volume = _volume(points.device)
    total = points.new_zeros(len(points), CHANNELS)
    share = 1.0
    for octave in range(octaves):
        place = (points * (3.0 * 2.0**octave / CELLS) + 0.37 * octave) % 1.0
        grid = (place * 2 - 1).view(1, 1, 1, -1, 3)
        total = total + share * F.grid_sample(volume, grid, align_corners=True)[0, :, 0, 0].T
        share *= 0.5
    return total


def unit_hash(cells: Tensor) -> Tensor:
    """A number in [0, 1) for each whole-numbered place `[..., D]`, the same on every device."""
    mixed = torch.zeros_like(cells[..., 0], dtype=torch.int64)
    for axis, prime in enumerate((73856093, 19349663, 83492791)[: cells.shape[-1]]):
        mixed = mixed ^ (cells[..., axis].long() * prime + 12345 * axis)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed ^ (mixed >> 16)) & 0xFFFF).float() / 65536.0
