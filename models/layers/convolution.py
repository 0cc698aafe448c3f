"""Convolutions in the few arrangements that generators are built of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def downsample(channels: int, out_channels: int, *, bias: bool = True) -> nn.Sequential:
    """`[B, C, H, W]` to half of it, by a 3x3 convolution of stride 2 and ReLU."""
    return nn.Sequential(nn.Conv2d(channels, out_channels, 3, stride=2, padding=1, bias=bias), nn.ReLU())


def upsample(channels: int, out_channels: int) -> nn.Sequential:
    """`[B, C, H, W]` to twice of it, by a 4x4 transposed convolution of stride 2 and ReLU."""
    return nn.Sequential(nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1), nn.ReLU())


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), 3x3 both.

    Args:
        channels: of input and output.
        norm: instance normalisation after each convolution.
        identity: starts as the identity (the second convolution starts at zero).
    """

    def __init__(self, channels: int, *, norm: bool = False, identity: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.InstanceNorm2d(channels) if norm else nn.Identity()
        if identity:
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` to the same."""
        return x + self.norm(self.second(F.relu(self.norm(self.first(x)))))


class GatedConv(nn.Module):
    """A convolution whose every output is multiplied by a learned sigmoid: for pictures with holes.

    A hole's pixels are no colour; the gate learns to leave them out.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(channels, 2 * out_channels, kernel, stride, padding, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` to `[B, out_channels, H / stride, W / stride]`."""
        values, gate = self.conv(x).chunk(2, 1)
        return F.relu(values) * torch.sigmoid(gate)


class UpsampleTo(nn.Module):
    """Enlarges a level bilinearly to its skip's size, joins the two and convolves: sizes need not be even."""

    def __init__(self, channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + skip_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`[B, channels, h, w]` and `[B, skip_channels, H, W]` to `[B, out_channels, H, W]`."""
        size = (skip.shape[-2], skip.shape[-1])
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return F.relu(self.conv(torch.cat([x, skip], 1)))


def keep_size(*convs: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Starts convolutions that ReLU follows so that what passes neither grows nor fades (He et al., 2015).

    For networks without normalisation: by PyTorch's own start each layer lets less than half of it through.
    """
    for conv in convs:
        taps = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
        if isinstance(conv, nn.ConvTranspose2d):  # each pixel of its output is reached by some of them
            taps //= conv.stride[0] * conv.stride[1]
        nn.init.normal_(conv.weight, std=(2 / taps) ** 0.5)
