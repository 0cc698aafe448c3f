"""Colours continued to where there are none."""

import torch
import torch.nn.functional as F
from torch import Tensor

GAIN = 2.0
"""A coarser pixel counts as known once half of it is."""


def spread(image: Tensor, weight: Tensor) -> Tensor:
    """Colours continued from where they are known to where they are not, smoothly (push-pull).

    Args:
        image: `[B, C, H, W]`; finite also where it is not known.
        weight: `[B, 1, H, W]` in [0, 1]: 1 where it is known.

    Returns:
        `[B, C, H, W]`: image where weight is 1; 0 where a whole picture has none.
    """
    layers = [(image, weight.clamp(max=1))]
    while max(layers[-1][0].shape[2:]) > 1:
        colour, share = layers[-1]
        pooled = F.avg_pool2d(torch.cat([colour * share, share], 1), 2, ceil_mode=True, count_include_pad=False)
        total = pooled[:, -1:]
        layers.append((pooled[:, :-1] / total.clamp(min=1e-6), (total * GAIN).clamp(max=1)))
    result = layers[-1][0]
    for colour, share in reversed(layers[:-1]):
        wide = F.interpolate(result, size=colour.shape[2:], mode="bilinear", align_corners=False)
        result = torch.lerp(wide, colour, share)
    return result
