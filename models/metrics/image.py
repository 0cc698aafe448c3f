"""PSNR and SSIM of pictures in [-1, 1], optionally inside a mask only."""

import torch
from torch import Tensor


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over all but the batch of `[B, C, H, W]`, weighted by `mask` `[B, 1, H, W]`."""
    if mask is None:
        return values.flatten(1).mean(1)
    weight = mask.to(values).expand_as(values)
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)


def psnr(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio `[B]`, dB, of `[B, 3, H, W]` in [-1, 1] (peak 2), inside `mask` `[B, 1, H, W]`."""
    return 10 * torch.log10(4 / _mean((first - second).square(), mask).clamp(min=1e-12))


def ssim(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity `[B]` of pictures `[B, C, H, W]` in [-1, 1].

    Wang et al., "Image quality assessment", 2004: Gaussian window of 11 pixels, sigma 1.5, on colours in [0, 1].
    With `mask` `[B, 1, H, W]` the map of similarities is averaged inside it.
    """
    channels = first.shape[1]
    taps = torch.exp(-((torch.arange(11, device=first.device) - 5.0) ** 2) / (2 * 1.5**2))
    taps = (taps / taps.sum()).to(first)

    def blur(values: Tensor) -> Tensor:
        values = torch.nn.functional.pad(values, (5, 5, 5, 5), mode="reflect")
        values = torch.nn.functional.conv2d(values, taps.expand(channels, 1, 1, -1), groups=channels)
        return torch.nn.functional.conv2d(values, taps[:, None].expand(channels, 1, -1, 1), groups=channels)

    first, second = (first + 1) / 2, (second + 1) / 2
    mean_first, mean_second = blur(first), blur(second)
    variance_first = blur(first * first) - mean_first.square()
    variance_second = blur(second * second) - mean_second.square()
    covariance = blur(first * second) - mean_first * mean_second
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_first * mean_second + c1) * (2 * covariance + c2)
    similarity = similarity / (mean_first.square() + mean_second.square() + c1)
    return _mean(similarity / (variance_first + variance_second + c2), mask)
