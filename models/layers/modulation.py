"""Normalisation that takes its scale and shift from other features."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pixel_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Each pixel's channels brought to mean 0 and deviation 1, `[B, C, H, W]`: does not depend on the rest of it."""
    centred = x - x.mean(1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + eps)


class SPADE(nn.Module):
    """Spatially-adaptive denormalisation: norm(x) * (1 + gamma) + beta, both drawn from a condition by convolutions.

    Args:
        channels: of x.
        condition_channels: of the condition.
        hidden: channels between the condition and gamma, beta.
        norm: "instance": over each picture and channel; "pixel": over each pixel's channels, so that a crop is
            treated as the whole picture is.
    """

    def __init__(
        self,
        channels: int,
        condition_channels: int,
        hidden: int = 128,
        norm: Literal["instance", "pixel"] = "instance",
    ) -> None:
        super().__init__()
        self.shared = nn.Conv2d(condition_channels, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)
        self.norm = norm

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`[B, channels, H, W]` and `[B, condition_channels, H, W]` to `[B, channels, H, W]`."""
        normal = F.instance_norm(x) if self.norm == "instance" else pixel_norm(x)
        hidden = F.relu(self.shared(condition))
        return normal * (1 + self.gamma(hidden)) + self.beta(hidden)


class AdaIN(nn.Module):
    """Adaptive instance normalisation over each pixel's channels: they take the style's mean and deviation there."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """`[B, C, H, W]` and `[B, D, H, W]` to `[B, C, H, W]`."""
        variance, mean = torch.var_mean(x, 1, keepdim=True)
        style_variance, style_mean = torch.var_mean(style, 1, keepdim=True)
        # inside the roots: that of a variance of zero (no source there) has no slope
        return (x - mean) * torch.sqrt((style_variance + self.eps) / (variance + self.eps)) + style_mean
