"""What masks and alphas are drawn to."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(alpha: Tensor, silhouette: Tensor) -> Tensor:
    """The mean square over pixels of the difference of two masks of one shape: Liquid Warping GAN, Eq. 6."""
    return F.mse_loss(alpha.float(), silhouette.float())


def bce(alpha: Tensor, truth: Tensor) -> Tensor:
    """The mean over pixels of the cross-entropy of a mask in [0, 1] with a true one of the same shape."""
    with torch.autocast(alpha.device.type, enabled=False):  # which has none for numbers in [0, 1]
        return F.binary_cross_entropy(alpha.float(), truth.float())


def total_variation(alpha: Tensor, kind: Literal["square", "absolute"] = "square") -> Tensor:
    """How much a mask `[..., H, W]` changes from a pixel to the next, down and right; means over pixels.

    "square": Eq. 6's differences; "absolute": those of its public code.
    """
    if kind not in ("square", "absolute"):
        raise ValueError(f"kind: expected 'square' or 'absolute', got {kind!r}")
    down, right = alpha.float().diff(dim=-2), alpha.float().diff(dim=-1)
    if kind == "square":
        return down.square().mean() + right.square().mean()
    return down.abs().mean() + right.abs().mean()
