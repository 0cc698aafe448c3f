"""The streams of the preset `small`: thin at full resolution, deep where it is cheap, 26 GMAC a frame at 512 x 512.

The transfer stream corrects a geometric picture rather than drawing one: it starts as that picture, and learns
outlines, holes, seams and hair.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit.models.layers import GatedConv, ResidualBlock, UpsampleTo, keep_size, spread
from warpkit.models.systems.liquid_warping.fusion import AttentionFusion
from warpkit.models.systems.liquid_warping.streams import LevelFlow

WIDTHS = (16, 32, 64, 128, 256)
"""Channels at 1, 1/2, 1/4, 1/8 and 1/16 of the picture."""
SOURCE_BLOCKS = (1, 1, 1, 2)
"""Residual blocks of the source stream at 1/2 … 1/16."""
TRANSFER_BLOCKS = (0, 1, 2, 3)
"""Of the transfer stream, before it widens again."""
HIDDEN = (16, 32, 64, 64)
"""Of SPADE at 1/2 … 1/16."""
CONFIDENT = 3.0
"""Logit at the start of the alpha that geometry says: 0.95."""
TRUSTING = 2.0
"""Logit at the start of the gate: 0.88."""
REACH = 2.0
"""How far a drawn colour can lie from the one that it starts from: all of [-1, 1]."""


def small_fusion(channels: int) -> nn.Module:
    """AttLWB whose normalisation sees a pixel at a time, and which the target also passes by."""
    return AttentionFusion(channels, HIDDEN[WIDTHS.index(channels) - 1], norm="pixel", residual=True)


class SmallBackgroundStream(nn.Module):
    """G_BG of gated convolutions: what is seen of the background is kept, only the hole is filled.

    It corrects the surroundings continued into the hole, and starts as that.
    """

    def __init__(self, widths: Sequence[int] = (24, 48, 96)) -> None:
        super().__init__()
        first, second, third = widths
        self.down = nn.ModuleList(
            [GatedConv(4, first, 5, stride=2), GatedConv(first, second, stride=2), GatedConv(second, third, stride=2)]
        )
        self.middle = nn.ModuleList(GatedConv(third, third, dilation=2**i) for i in range(4))
        self.up = nn.ModuleList([UpsampleTo(third, second, second), UpsampleTo(second, first, first)])
        self.colour = _zero(nn.Conv2d(first + 4, 3, 3, padding=1))

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """As `BackgroundStream`; exactly `image` where there is no hole."""
        seen = 1 - hole
        around = spread(image * seen, seen)
        x = known = torch.cat([around, seen], 1)
        stages = []
        for layer in self.down:
            x = layer(x)
            stages.append(x)
        for layer in self.middle:
            x = x + layer(x)
        for layer, skip in zip(self.up, stages[-2::-1], strict=True):
            x = layer(x, skip)
        x = F.interpolate(x, size=image.shape[-2:], mode="bilinear", align_corners=False)
        filled = _drawn(around, self.colour(torch.cat([x, known.to(x)], 1)))
        return torch.where(hole > 0, hole * filled + seen * image, image)


class SmallSourceStream(nn.Module):
    """G_SID: an encoder of the sources. It reconstructs nothing: features answer for what they give the target."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, WIDTHS[1], 5, stride=2, padding=2)
        down = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(WIDTHS[1:])]
        self.down = nn.ModuleList(down)
        self.blocks = nn.ModuleList(_blocks(width, n) for width, n in zip(WIDTHS[1:], SOURCE_BLOCKS, strict=True))
        keep_size(self.stem, *down)

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[N, channels, H, W]` to features at 1/2, 1/4, 1/8 and 1/16."""
        features = []
        for layer, blocks in zip((self.stem, *self.down), self.blocks, strict=True):
            x = blocks(F.relu(layer(x)))
            features.append(x)
        return features


class SmallTransferStream(nn.Module):
    """G_TSF: a U-net with a stage at full resolution, whose output is gated.

    With I_geo the geometric picture, P what the network draws and m the gate, the colour is m I_geo + (1 - m) P; m is
    nought where no source saw the surface. P is I_geo, continued to where nothing was seen, with a correction. The last
    convolution starts at zero, so that colour and alpha start as geometry has them.
    """

    def __init__(self, channels: int, fuse: Callable[[int], nn.Module] | None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, WIDTHS[0], 3, padding=1)
        pairs = list(pairwise(WIDTHS))
        down = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs]
        self.down = nn.ModuleList(down)
        self.fusions = nn.ModuleList() if fuse is None else nn.ModuleList(map(fuse, WIDTHS[1:]))
        self.blocks = nn.ModuleList(_blocks(width, n) for width, n in zip(WIDTHS[1:], TRANSFER_BLOCKS, strict=True))
        ups = [UpsampleTo(b, a, a) for a, b in pairs[::-1]]
        self.up = nn.ModuleList(ups)
        self.after = nn.ModuleList(ResidualBlock(a, identity=True) for a, _ in pairs[::-1])
        self.heads = _zero(nn.Conv2d(WIDTHS[0], 5, 3, padding=1))
        keep_size(self.stem, *down, *(up.conv for up in ups))

    def forward(
        self,
        x: Tensor,
        features: Sequence[Tensor],
        flow: LevelFlow,
        valid: Tensor,
        geometric: Tensor,
        seen: Tensor,
        outline: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws the target.

        Args:
            x: `[B, channels, H, W]`.
            features: of the sources at 1/2 … 1/16, `[B, S, C, h, w]` each.
            flow: of each level.
            valid: `[B, S]` bool: the sources that are real.
            geometric: `[B, 3, H, W]` I_geo, continued to where nothing was seen.
            seen: `[B, 1, H, W]` in [0, 1]: how much of it a source has seen.
            outline: `[B, 1, H, W]` in [0, 1]: the alpha that geometry would give it.

        Returns:
            Colour `[B, 3, H, W]`, alpha and m `[B, 1, H, W]`, float32.
        """
        x = F.relu(self.stem(x))
        stages = [x]
        for number, (layer, blocks) in enumerate(zip(self.down, self.blocks, strict=True)):
            x = F.relu(layer(x))
            if self.fusions:
                size = (x.shape[-2], x.shape[-1])
                x = self.fusions[number](x, features[number], flow(size), valid)
            x = blocks(x)
            stages.append(x)
        for layer, block, skip in zip(self.up, self.after, stages[-2::-1], strict=True):
            x = block(layer(x, skip))
        drawn, alpha, gate = self.heads(x).float().split([3, 1, 1], 1)
        gate = seen * torch.sigmoid(gate + TRUSTING)
        colour = gate * geometric + (1 - gate) * _drawn(geometric, drawn)
        return colour, torch.sigmoid(alpha + CONFIDENT * (2 * outline - 1)), gate


def _drawn(start: Tensor, correction: Tensor) -> Tensor:
    """A colour picture that starts as another; kept in [-1, 1], with a slope also where it would leave that."""
    colour = start + REACH * torch.tanh(correction.float())
    return colour + (colour.clamp(-1, 1) - colour).detach()


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels, identity=True) for _ in range(count)])
