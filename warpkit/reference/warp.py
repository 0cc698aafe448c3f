"""Twins of warp and what reads sources as it does."""

import torch
from torch import Tensor

from warpkit.flow import Flow


def warp(features: Tensor, flow: Flow) -> Tensor:
    """Sources read where the flow says; see `warpkit.warp`."""
    grid = flow.grid
    images = features if features.dim() == 5 else features[:, None]  # [B, S, C, h, w]
    height, width = images.shape[-2:]
    reads = _reads(images, flow)
    point = torch.where(reads[..., None], grid, 0)  # so that no gradient, be it NaN, comes from where nothing is read
    x = point[..., 0] * (width / 2) + (width - 1) / 2
    y = point[..., 1] * (height / 2) + (height - 1) / 2
    dtype = torch.promote_types(images.dtype, grid.dtype)
    out = torch.zeros((*images.shape[:3], *grid.shape[2:4]), dtype=dtype, device=grid.device)
    for down in (0, 1):
        for across in (0, 1):
            left, top = x.detach().floor(), y.detach().floor()
            column, row = left + across, top + down
            # Not by absolute values: on a pixel's centre, where these have no slope, it is that of the right-hand side.
            weight = ((x - left if across else 1 - (x - left)) * (y - top if down else 1 - (y - top)))[:, :, None]
            inside = reads & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = torch.where(inside, row * width + column, 0).long().flatten(2)[:, :, None]
            value = images.flatten(3).gather(3, index.expand(-1, -1, images.shape[2], -1)).view(out.shape)
            unread = ~inside[:, :, None] | ((weight == 0) & ~value.isfinite())
            out = out + torch.where(unread, 0, value) * weight
    return (out if features.dim() == 5 else out[:, 0]).to(features.dtype)


def warp_reduce(features: Tensor, flow: Flow, reduce: str = "sum", weights: Tensor | None = None) -> Tensor:
    """Sources read where the flow says and summed; see `warpkit.warp_reduce`."""
    warped = warp(features, flow)
    if weights is not None:
        read = _reads(features, flow)
        warped = torch.where(read[:, :, None], warped * torch.where(read, weights, 0)[:, :, None], 0)
    total = warped.sum(1)
    return total / max(features.shape[1], 1) if reduce == "mean" else total


def warp_attention(
    query: Tensor, features: Tensor, flow: Flow, *, value: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Attention over sources read where the flow says; see `warpkit.warp_attention`."""
    keys = warp(features, flow)
    values = keys if value is None else warp(value, flow)
    if scale is None:
        scale = max(query.shape[1], 1) ** -0.5
    taking_part = torch.ones_like(flow.grid[..., 0], dtype=torch.bool) if flow.visible is None else flow.visible
    read = _reads(features, flow)
    scores = torch.where(read, (query[:, None] * keys).sum(2) * scale, 0)  # [B, S, H, W]
    if scores.shape[1] == 0:
        return values.sum(1)
    largest = scores.detach().masked_fill(~taking_part, -torch.inf).amax(1, keepdim=True)
    exponents = torch.where(taking_part, scores - largest, 0)
    powers = torch.where(taking_part, exponents.exp(), 0)
    total = powers.sum(1, keepdim=True)
    alpha = powers / torch.where(total == 0, 1, total)
    return torch.where(read[:, :, None], alpha[:, :, None] * values, 0).sum(1)


def _reads(features: Tensor, flow: Flow) -> Tensor:
    """Whether a source is visible and read at all at each pixel: ``[B, S, H, W]``."""
    grid, visible = flow
    height, width = features.shape[-2:]
    x = grid[..., 0] * (width / 2) + (width - 1) / 2
    y = grid[..., 1] * (height / 2) + (height - 1) / 2
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    usable = (grid.abs() <= 1e6).all(-1) & inside
    return usable if visible is None else usable & visible
