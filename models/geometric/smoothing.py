"""Signals in time made smooth: how long a moment is smoothed over is said in seconds, whatever the frame rate."""

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 4.0
"""Standard deviations at which the kernel ends."""


def smooth(values: Tensor, fps: float, seconds: float) -> Tensor:
    """Values without what changes faster than about `seconds`, not delayed and with peaks kept.

    Each moment becomes what the cubic says that fits its neighbourhood best, weighted by a Gaussian whose standard
    deviation is `seconds`: of a swing of 0.16 / `seconds` Hz nine tenths remain, of one of 0.29 / `seconds` Hz half.
    Whatever goes evenly stays as it is, also at both ends, which lie fixed.

    Args:
        values: `[T, ...]` floating point, T >= 1.
        fps: values per second.
        seconds: 0 or less changes nothing, nor does anything much shorter than a frame.

    Returns:
        `[T, ...]`. The same signal at another rate comes out the same at the moments that both have.
    """
    sigma = seconds * fps
    frames = len(values)
    if frames < 3 or sigma < 0.3:
        return values.clone()
    reach = max(1, round(REACH * sigma))
    step = torch.arange(-reach, reach + 1, dtype=torch.float64)
    gauss = torch.exp(-0.5 * (step / sigma).square())
    # the weights of a local cubic's middle: (a + b t^2) g(t), with no second moment and a sum of one
    m0, m2, m4 = (float((gauss * step**k).sum()) for k in (0, 2, 4))
    kernel = (m4 - m2 * step.square()) * gauss / (m0 * m4 - m2 * m2)
    flat = values.reshape(frames, -1).double()
    padded = _continued(flat, torch.arange(-reach, frames + reach)).T[:, None]
    smoothed = F.conv1d(padded, kernel[None, None])
    return smoothed[:, 0].T.reshape(values.shape).to(values)


def _continued(values: Tensor, places: Tensor) -> Tensor:
    """Values `[T, N]` at `places` `[M]`, which may lie beyond both ends: there turned about the end point."""
    last = len(values) - 1
    turns, place = places.div(2 * last, rounding_mode="floor"), places.remainder(2 * last)
    turned = 2 * values[-1] - values[(2 * last - place).clamp(max=last)]
    within = torch.where((place <= last)[:, None], values[place.clamp(max=last)], turned)
    return within + 2 * turns[:, None] * (values[-1] - values[0])


def velocity(values: Tensor, fps: float) -> Tensor:
    """Change per second `[T, ...]` of values `[T, ...]`: between the neighbours, at the ends to the only one."""
    if len(values) < 2:
        return torch.zeros_like(values)
    return torch.gradient(values, spacing=1.0 / fps, dim=0)[0]
