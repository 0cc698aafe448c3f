"""The ways to carry the sources over to the target (section 5.3), behind one interface.

A strategy says what the transfer stream is shown at its input, and what happens at each place where the source stream
has features: a fusion block `(target, sources, flow, valid) -> target`, or nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from warpkit import AttentionWarp, Flow, warp, warp_reduce
from warpkit.models.layers import SPADE, AdaIN


class AttentionFusion(nn.Module):
    """AttLWB, Algorithm 2: attention over the warped sources modulates the target by SPADE.

    Args:
        channels: of target and sources.
        hidden: of SPADE.
        norm: of SPADE.
        residual: the target also passes by SPADE unchanged.
    """

    def __init__(
        self,
        channels: int,
        hidden: int = 128,
        norm: Literal["instance", "pixel"] = "instance",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.attention = AttentionWarp(channels)
        self.spade = SPADE(channels, channels, hidden, norm)
        self.residual = residual

    def forward(self, target: Tensor, sources: Tensor, flow: Flow, valid: Tensor) -> Tensor:
        """Carries the sources over.

        Args:
            target: `[B, C, H, W]` features of the transfer stream.
            sources: `[B, S, C, h, w]` features of the source stream.
            flow: from the target to the sources, at H x W.
            valid: `[B, S]` bool: the sources that are real.

        Returns:
            `[B, C, H, W]`.
        """
        fused = self.spade(target, self.attention(target, sources, flow))
        return target + fused if self.residual else fused


class AttentionAdaINFusion(nn.Module):
    """The public code's other AttLWB: one softmax over sources for the whole picture, then AdaIN."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.adain = AdaIN()

    def forward(self, target: Tensor, sources: Tensor, flow: Flow, valid: Tensor) -> Tensor:
        """As `AttentionFusion`."""
        batch, number, channels = sources.shape[:3]
        height, width = target.shape[-2:]
        # f_K is linear, so that the mean of keys is the key of the mean
        pooled = warp(sources, flow).mean((3, 4)).flatten(0, 1)[:, :, None, None]
        keys = self.key(pooled).view(batch, number, channels)
        query = self.query(target.mean((2, 3), keepdim=True)).view(batch, channels, 1)
        scores = (keys @ query)[..., 0].float() * (channels * height * width) ** -0.5
        weights = scores.masked_fill(~valid, -torch.inf).softmax(1)
        mixed = warp_reduce(sources, flow, weights=weights[:, :, None, None].expand(flow.grid.shape[:-1]))
        return self.adain(target, self.value(mixed))


class SumFusion(nn.Module):
    """LWB: the warped sources are added to the target (Eq. 2), or their mean is (Eq. 9), gated or not (Eq. 10, 11)."""

    def __init__(self, channels: int, *, mean: bool, gated: bool) -> None:
        super().__init__()
        self.mean = mean
        self.gate = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.Sigmoid(),
            )
            if gated
            else None
        )

    def forward(self, target: Tensor, sources: Tensor, flow: Flow, valid: Tensor) -> Tensor:
        """As `AttentionFusion`."""
        carried = warp_reduce(sources, flow)
        if self.mean:
            carried = carried / valid.sum(1).to(carried)[:, None, None, None]
        return target + (carried if self.gate is None else self.gate(target) * carried)


@dataclass(frozen=True)
class Strategy:
    """One way to carry the sources over."""

    input: Literal["sources", "warped"]
    """What the transfer stream is shown: every source with its condition, or one picture of sources warped."""
    block: Callable[..., nn.Module] | None
    """Makes a fusion block for a number of channels; None: nothing of the source stream's is used."""
    spade: bool = False
    """Whether that has SPADE, whose `hidden` channels follow the network's width."""


STRATEGIES: dict[str, Strategy] = {
    "concat": Strategy("sources", None),
    "texture": Strategy("warped", None),
    "attention": Strategy("warped", AttentionFusion, spade=True),
    "attention_pixel": Strategy("warped", partial(AttentionFusion, norm="pixel"), spade=True),
    "attention_adain": Strategy("warped", AttentionAdaINFusion),
    "add": Strategy("warped", lambda channels: SumFusion(channels, mean=False, gated=False)),
    "mean": Strategy("warped", lambda channels: SumFusion(channels, mean=True, gated=False)),
    "gate_add": Strategy("warped", lambda channels: SumFusion(channels, mean=False, gated=True)),
    "gate_mean": Strategy("warped", lambda channels: SumFusion(channels, mean=True, gated=True)),
}
"""Section 5.3's seven; beside the paper's attention the public code's with AdaIN, and one that tells what SPADE's
normalisation costs."""
