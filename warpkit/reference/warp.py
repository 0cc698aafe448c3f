"""Twins of warp and what reads sources as it does."""

import torch
from torch import Tensor

from warpkit.flow import Flow


def warp(features: Tensor, flow: Flow) -> Tensor:
    """Sources read where the flow says; see `warpkit.warp`."""
    grid, visible = flow
    images = features if features.dim() == 5 else features[:, None]  # [B, S, C, h, w]
    height, width = images.shape[-2:]
    usable = (grid.abs() <= 1e6).all(-1)
    if visible is not None:
        usable = usable & visible
    point = torch.where(usable[..., None], grid, 0)
    x = point[..., 0] * (width / 2) + (width - 1) / 2
    y = point[..., 1] * (height / 2) + (height - 1) / 2
    out = torch.zeros((*images.shape[:3], *grid.shape[2:4]), dtype=torch.promote_types(images.dtype, grid.dtype))
    for down in (0, 1):
        for across in (0, 1):
            column, row = x.detach().floor() + across, y.detach().floor() + down
            weight = ((1 - (x - column).abs()) * (1 - (y - row).abs()))[:, :, None]
            inside = usable & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = torch.where(inside, row * width + column, 0).long().flatten(2)[:, :, None]
            value = images.flatten(3).gather(3, index.expand(-1, -1, images.shape[2], -1)).view(out.shape)
            unread = ~inside[:, :, None] | ((weight == 0) & ~value.isfinite())
            out = out + torch.where(unread, 0, value) * weight
    return (out if features.dim() == 5 else out[:, 0]).to(features.dtype)
