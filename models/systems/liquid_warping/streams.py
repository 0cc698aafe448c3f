"""The three streams of the generator, by the public code's layer plan: G_BG, G_SID and G_TSF."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from warpkit import Flow
from warpkit.models.layers import ResidualBlock, downsample, keep_size, upsample

LevelFlow = Callable[[tuple[int, int]], Flow]
"""The flow at a level of a size."""


class BackgroundStream(nn.Module):
    """G_BG: the background with the person's place filled in."""

    def __init__(self, channels: int = 4, widths: Sequence[int] = (64, 128, 128, 256), blocks: int = 6) -> None:
        super().__init__()

        def layer(conv: nn.Module, out: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(out), nn.ReLU()]

        layers = layer(nn.Conv2d(channels, widths[0], 7, padding=3), widths[0])
        for before, after in pairwise(widths):
            layers += layer(nn.Conv2d(before, after, 3, stride=2, padding=1), after)
        layers += [ResidualBlock(widths[-1], norm=True) for _ in range(blocks)]
        for before, after in pairwise(widths[::-1]):
            layers += layer(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False), after)
        layers += [nn.Conv2d(widths[0], 3, 7, padding=3, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """The whole background.

        Args:
            image: `[B, 3, H, W]` in [-1, 1].
            hole: `[B, 1, H, W]` 1 where the person is.

        Returns:
            `[B, 3, H, W]`.
        """
        seen = 1 - hole
        return self.layers(torch.cat([image * seen, seen], 1))


class Heads(nn.Module):
    """A colour picture and a mask from features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.colour = nn.Conv2d(channels, 3, 5, padding=2, bias=False)
        self.mask = nn.Conv2d(channels, 1, 5, padding=2, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, 3, H, W]` in [-1, 1] and `[B, 1, H, W]` in [0, 1]."""
        return torch.tanh(self.colour(x)), torch.sigmoid(self.mask(x))


class SourceStream(nn.Module):
    """G_SID: a denoising auto-encoder of the sources, whose features are carried over."""

    def __init__(self, channels: int, widths: Sequence[int] = (64, 128, 256), blocks: int = 6) -> None:
        super().__init__()
        before = (channels, *widths[:-1])
        self.encoder = nn.ModuleList(map(downsample, before, widths))
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(blocks))
        up = widths[::-1]
        self.decoder = nn.Sequential(*map(upsample, (up[0], *up[:-1]), up))
        self.heads = Heads(widths[0])
        keep_size(*before_relu(self.encoder, self.blocks, self.decoder))

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[N, channels, H, W]` to the features of each stage and block, finest first."""
        features = []
        for layer in (*self.encoder, *self.blocks):
            x = layer(x)
            features.append(x)
        return features

    def reconstruct(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Colour `[N, 3, H, W]` in [-1, 1] and mask `[N, 1, H, W]` in [0, 1] of sources, from what `forward` gave."""
        return self.heads(self.decoder(features[-1]))


class TransferStream(nn.Module):
    """G_TSF: a residual U-net of the target, into which the sources' features are carried.

    Args:
        channels: of its input.
        fuse: makes the block that carries features over, after each stage and each residual block; None: none is.
    """

    def __init__(
        self,
        channels: int,
        fuse: Callable[[int], nn.Module] | None,
        widths: Sequence[int] = (64, 128, 256),
        blocks: int = 6,
    ) -> None:
        super().__init__()
        before = (channels, *widths[:-1])
        self.encoder = nn.ModuleList(downsample(a, b, bias=False) for a, b in zip(before, widths, strict=True))
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1]) for _ in range(blocks))
        sites = (*widths, *[widths[-1]] * blocks)
        self.fusions = nn.ModuleList() if fuse is None else nn.ModuleList(map(fuse, sites))
        up = widths[::-1]
        self.decoder = nn.ModuleList(map(upsample, (up[0], *up[:-1]), up))
        self.joins = nn.ModuleList(
            nn.Sequential(nn.Conv2d(skip + after, after, 3, padding=1), nn.ReLU())
            for skip, after in zip(up[1:], up[:-1], strict=True)
        )
        self.heads = Heads(widths[0])
        keep_size(*before_relu(self.encoder, self.blocks, self.decoder, self.joins))

    def forward(self, x: Tensor, features: Sequence[Tensor], flow: LevelFlow, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Draws the target.

        Args:
            x: `[B, channels, H, W]`.
            features: of the sources, `[B, S, C, h, w]` each, finest first.
            flow: of each level.
            valid: `[B, S]` bool: the sources that are real.

        Returns:
            Colour `[B, 3, H, W]` and mask `[B, 1, H, W]`.
        """
        stages = []
        for number, layer in enumerate((*self.encoder, *self.blocks)):
            x = layer(x)
            if self.fusions:
                x = self.fusions[number](x, features[number], flow((x.shape[-2], x.shape[-1])), valid)
            stages.append(x)
        skips = stages[len(self.encoder) - 2 :: -1]
        for number, layer in enumerate(self.decoder):
            x = layer(x)
            if number < len(skips):
                x = self.joins[number](torch.cat([skips[number], x], 1))
        return self.heads(x)


def before_relu(*parts: nn.Module) -> Iterator[nn.Conv2d | nn.ConvTranspose2d]:
    """The convolutions of stages and residual blocks that ReLU follows."""
    for part in parts:
        for name, conv in part.named_modules():
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and not name.endswith("second"):
                yield conv
