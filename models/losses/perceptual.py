"""The distance of two pictures in a trained network's features: Liquid Warping GAN, Eq. 3, f."""

from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit.models.features.vgg import Vgg, unit_distance

Distance = Literal["absolute", "unit"]
"""Of features: their mean absolute difference, as in the public code; or the mean squared difference of unit vectors,
which weighs layers alike and is what results call VGG distance."""
PUBLIC_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1 to relu5_1 in the public code; the paper gives none."""


class PerceptualLoss(nn.Module):
    """The weighted sum over layers of a distance of features.

    Args:
        features: a VGG, as `weights.features("vgg")` gives it.
        weights: of the layers, as many as there are `layers` or more (those left over belong to layers that the
            network does not have); None: 1 each.
        size: pictures are first resized to this square ("native" or None: not at all; 224 in the public code).
        layers: None: the first of each block that the network has, as in the public code.
        distance: see `Distance`.
        prepare: whether pictures are standardised as the network was trained; False in the public code.
        bf16: features in bfloat16, by autocast: half the time on a CPU that has instructions for it, nearly the same
            gradient. Differences and means stay in float32.
    """

    def __init__(
        self,
        features: Vgg,
        weights: tuple[float, ...] | None = None,
        size: int | Literal["native"] | None = None,
        *,
        layers: tuple[str, ...] | None = None,
        distance: Distance = "absolute",
        prepare: bool = True,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.features = features
        self.layers = features.first_of_blocks() if layers is None else layers
        self.weights = (1.0,) * len(self.layers) if weights is None else weights
        self.size = None if size == "native" else size
        self.distance = distance
        self.prepare = prepare
        self.bf16 = bf16
        if len(self.weights) < len(self.layers):
            raise ValueError(f"weights: expected {len(self.layers)}, of {self.layers}, got {len(self.weights)}")

    @property
    def network(self) -> str:
        """Whose features they are, for logs and results."""
        return self.features.network

    def forward(self, made: Tensor, truth: Tensor) -> Tensor:
        """A number, differentiable in `made` `[B, 3, H, W]`; `truth` likewise in [-1, 1]."""
        if self.size is not None:
            made, truth = (F.interpolate(x, (self.size, self.size), mode="bilinear") for x in (made, truth))
        with torch.autocast(made.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            first = self.features(made, self.layers, prepare=self.prepare)
            second = self.features(truth.detach(), self.layers, prepare=self.prepare)
        total = made.new_zeros((), dtype=torch.float32)
        for weight, one, other in zip(self.weights, first, second, strict=False):
            if self.distance == "unit":
                total = total + weight * unit_distance([one], [other]).mean()
            else:
                total = total + weight * F.l1_loss(one.float(), other.float())
        return total
