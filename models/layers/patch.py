"""PatchGAN discriminators, and the crops that some of them look at."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit import Flow, warp


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches (142 pixels wide at four layers) of a picture as real or made; no sigmoid.

    Args:
        channels: of the picture and its condition.
        width: of the first layer; each further one doubles it, up to eight times.
        layers: of stride 2.
    """

    def __init__(self, channels: int, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        widths = [min(2**i, 8) * width for i in range(layers + 1)]
        strides = [2] * layers + [1]
        before = [channels, *widths]
        self.convs = nn.ModuleList(
            nn.Conv2d(before[i], widths[i], 4, stride=stride, padding=1) for i, stride in enumerate(strides)
        )
        self.score = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.smallest = 3 * 2**layers
        """Height and width that it needs at least."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, channels, H, W]` to `[B, 1, h, w]` scores."""
        for number, conv in enumerate(self.convs):
            x = conv(x)
            x = F.leaky_relu(x if number == 0 else F.instance_norm(x), 0.2)
        return self.score(x)


def crop(image: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """A box of each picture, resampled bilinearly to `size`; zeros outside the picture.

    Args:
        image: `[B, C, H, W]`.
        box: `[B, 4]` (left, top, right, bottom) NDC.
        size: height and width of the result; its aspect need not be the box's.

    Returns:
        `[B, C, *size]`, differentiable in image.
    """
    height, width = size
    x = (torch.arange(width, device=box.device, dtype=torch.float32) + 0.5) / width
    y = (torch.arange(height, device=box.device, dtype=torch.float32) + 0.5) / height
    left, top, right, bottom = box.float().detach()[:, :, None].unbind(1)
    grid_x = (left + (right - left) * x)[:, None, :].expand(-1, height, -1)
    grid_y = (top + (bottom - top) * y)[:, :, None].expand(-1, -1, width)
    return warp(image, Flow(torch.stack([grid_x, grid_y], -1)[:, None]))
