"""How much a video of a person flickers, and how sharp it is: on the person, where the surface shows in both frames."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Flow, warp


def flicker(now: Tensor, before: Tensor, flow: Flow, where: Tensor, *, finer: int = 1, smoothed: float = 0.0) -> Tensor:
    """Mean absolute difference between a frame and the one before it, carried along with the surface.

    A texture that is painted on the bodies has some too, for `before` is sampled a second time, between its pixels.
    With `finer` = 3 and `smoothed` = 1 that is a quarter of it; measure it as well, whatever they are.

    Args:
        now: `[B, C, H, W]` a frame.
        before: `[B, C, h, w]` the frame before it.
        flow: S = 1, from `now` to `before`, by `mesh_flow` of the bodies that both were drawn from.
        where: `[B, 1, H, W]` bool: pixels of `now` that count, if the flow sees them too.
        finer: how many times larger `before` is made (bicubic) before it is sampled.
        smoothed: standard deviation, in pixels, of the Gaussian that differences are averaged over; 0: none.

    Returns:
        `[B]`, in the unit of the frames; nought where no pixel counts.
    """
    counted = (where & flow.visible if flow.visible is not None else where).to(now)
    if finer > 1:
        before = F.interpolate(before, scale_factor=finer, mode="bicubic", align_corners=False)
    change = (now - warp(before, flow)) * counted
    if smoothed > 0:
        change = _averaged(change, smoothed) / _averaged(counted, smoothed).clamp(min=1e-6) * counted
    return change.abs().mean(1).sum((1, 2)) / counted.sum((1, 2, 3)).clamp(min=1)


def sharpness(picture: Tensor, where: Tensor) -> Tensor:
    """Mean length of the gradient between neighbouring pixels.

    Args:
        picture: `[B, C, H, W]`.
        where: `[B, 1, H, W]` bool: pixels that count, if their neighbours to the right and below do too.

    Returns:
        `[B]`, in the unit of the picture per pixel; nought where no pixel counts.
    """
    right, down = picture.diff(dim=-1)[..., :-1, :], picture.diff(dim=-2)[..., :-1]
    counted = where[..., :-1, :-1] & where[..., :-1, 1:] & where[..., 1:, :-1]
    steepness = torch.sqrt(right.square() + down.square()).mean(1, keepdim=True)
    return (steepness * counted).sum((1, 2, 3)) / counted.sum((1, 2, 3)).clamp(min=1)


def edge_width(alpha: Tensor) -> Tensor:
    """How soft outlines are: of alphas `[B, 1, H, W]` in [0, 1], `[B]` in pixels; nought where there is no outline.

    The integral of 4 alpha (1 - alpha) over that of the gradient's length: an edge that rises evenly has 2/3 of the
    pixels in which it does.
    """
    right, down = alpha.diff(dim=-1)[..., :-1, :], alpha.diff(dim=-2)[..., :-1]
    length = torch.sqrt(right.square() + down.square()).sum((1, 2, 3))
    soft = 4 * (alpha * (1 - alpha))[..., :-1, :-1].sum((1, 2, 3))
    return soft / length.clamp(min=1e-6)


def _averaged(values: Tensor, deviation: float) -> Tensor:
    """`[B, C, H, W]` under a Gaussian of so many pixels; nought beyond the borders."""
    reach = max(1, round(3 * deviation))
    step = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (step / deviation).square())
    kernel = kernel / kernel.sum()
    channels = values.shape[1]
    row, column = kernel.view(1, 1, 1, -1), kernel.view(1, 1, -1, 1)
    wide = F.conv2d(values, row.expand(channels, 1, 1, -1), padding=(0, reach), groups=channels)
    return F.conv2d(wide, column.expand(channels, 1, -1, 1), padding=(reach, 0), groups=channels)
