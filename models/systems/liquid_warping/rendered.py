"""What a system makes of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.batch import Geometric


@dataclass(frozen=True)
class Sources:
    """What a person's pictures give every frame: made once, used for all."""

    features: tuple[Tensor, ...]
    """[B, S, C, h, w] each, finest first; none for strategies that carry no features over."""
    background: Tensor
    """[B, 3, H, W]."""
    images: Tensor | None
    """[B, S, 3, H, W] the reconstructed sources (Eq. 1), where that was asked for and the layers can."""
    alphas: Tensor | None
    """[B, S, 1, H, W]."""

    def to(self, device: torch.device) -> "Sources":
        """The same on another device."""
        kept = (None if part is None else part.to(device) for part in (self.images, self.alphas))
        return Sources(tuple(level.to(device) for level in self.features), self.background.to(device), *kept)


@dataclass(frozen=True)
class Rendered:
    """A frame."""

    image: Tensor
    """[B, 3, H, W] in [-1, 1]: the person over the background (Eq. 1)."""
    alpha: Tensor
    """[B, 1, H, W] in [0, 1]: A_t, 1 = person, whatever the preset's masks say."""
    colour: Tensor
    """[B, 3, H, W]: P_t."""
    background: Tensor
    """[B, 3, H, W]."""
    source_images: Tensor | None
    """[B, S, 3, H, W] the reconstructed sources, in training."""
    source_alphas: Tensor | None
    """[B, S, 1, H, W]: A_s."""
    geometric: Geometric | None = None
    """What the frame was drawn over, by presets that do."""
    gate: Tensor | None = None
    """[B, 1, H, W] in [0, 1]: the share of the colour that is the geometric picture's."""
