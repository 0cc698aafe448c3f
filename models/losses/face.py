"""The distance of two faces in a recognition network's features: Liquid Warping GAN, Eq. 4."""

import torch.nn.functional as F
from torch import Tensor, nn

from warpkit.models.features.faces import FaceEmbedding
from warpkit.models.layers import crop

PUBLIC_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of SphereFace's four stages and its embedding in the public code; Eq. 4 has the embedding alone."""


class FaceLoss(nn.Module):
    """The mean absolute difference of two faces' embeddings.

    Args:
        embed: the recognition network, as `weights.features("face")` gives it.
        levels: weights of its features at growing depth, the embedding last; None: the embedding alone.
    """

    def __init__(self, embed: FaceEmbedding, levels: tuple[float, ...] | None = None) -> None:
        super().__init__()
        self.embed = embed
        self.levels = levels

    @property
    def network(self) -> str:
        """Whose embedding it is, for logs and results."""
        return self.embed.network

    def forward(self, made: Tensor, truth: Tensor, head_box: Tensor) -> Tensor:
        """A number, differentiable in `made`.

        Args:
            made: `[B, 3, H, W]` in [-1, 1].
            truth: likewise.
            head_box: `[B, 4]` (left, top, right, bottom) of the head in both, NDC: `Batch.head_box`.
        """
        box = self.embed.box(head_box, made.shape[-1] / made.shape[-2])
        first = self.embed.levels(crop(made, box, self.embed.size))
        second = self.embed.levels(crop(truth.detach(), box, self.embed.size))
        if self.levels is None:
            return F.l1_loss(first[-1].float(), second[-1].float())
        if len(self.levels) != len(first):
            raise ValueError(f"levels: {self.network} has {len(first)}, got {len(self.levels)} weights")
        terms = [w * F.l1_loss(a.float(), b.float()) for w, a, b in zip(self.levels, first, second, strict=True)]
        return sum(terms[1:], terms[0])
