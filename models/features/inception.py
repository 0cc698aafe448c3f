"""The Inception-v3 whose last features FID is defined on (Heusel et al., 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.features.frozen import Embedding


class Inception(Embedding):
    """State as in the PyTorch port of TensorFlow's FID network (`Conv2d_1a_3x3.conv.weight`, `Mixed_5b…`).

    It differs from torchvision's: averages leave out the padding, and the last block pools by the maximum.
    """

    network = "inception-fid"
    size = (299, 299)
    eps = 1e-3

    def _c(self, x: Tensor, name: str, stride: int = 1, padding: int | None = None) -> Tensor:
        return F.relu(self.norm(self.conv(x, f"{name}.conv", stride, padding), f"{name}.bn"))

    def _pooled(self, x: Tensor, name: str) -> Tensor:
        return self._c(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), f"{name}.branch_pool")

    def _chain(self, x: Tensor, name: str, count: int) -> Tensor:
        for step in range(1, count + 1):
            x = self._c(x, f"{name}_{step}")
        return x

    def _a(self, x: Tensor, name: str) -> Tensor:
        five, three = self._chain(x, f"{name}.branch5x5", 2), self._chain(x, f"{name}.branch3x3dbl", 3)
        return torch.cat([self._c(x, f"{name}.branch1x1"), five, three, self._pooled(x, name)], 1)

    def _b(self, x: Tensor, name: str) -> Tensor:
        twice = self._c(self._chain(x, f"{name}.branch3x3dbl", 2), f"{name}.branch3x3dbl_3", 2, 0)
        return torch.cat([self._c(x, f"{name}.branch3x3", 2, 0), twice, F.max_pool2d(x, 3, 2)], 1)

    def _sevens(self, x: Tensor, name: str) -> Tensor:
        seven, twice = self._chain(x, f"{name}.branch7x7", 3), self._chain(x, f"{name}.branch7x7dbl", 5)
        return torch.cat([self._c(x, f"{name}.branch1x1"), seven, twice, self._pooled(x, name)], 1)

    def _d(self, x: Tensor, name: str) -> Tensor:
        three = self._c(self._c(x, f"{name}.branch3x3_1"), f"{name}.branch3x3_2", 2, 0)
        seven = self._c(self._chain(x, f"{name}.branch7x7x3", 3), f"{name}.branch7x7x3_4", 2, 0)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def _e(self, x: Tensor, name: str, *, average: bool) -> Tensor:
        three = self._c(x, f"{name}.branch3x3_1")
        twice = self._chain(x, f"{name}.branch3x3dbl", 2)
        split = [self._c(three, f"{name}.branch3x3_2{side}") for side in "ab"]
        split += [self._c(twice, f"{name}.branch3x3dbl_3{side}") for side in "ab"]
        pool = self._pooled(x, name) if average else self._c(F.max_pool2d(x, 3, 1, 1), f"{name}.branch_pool")
        return torch.cat([self._c(x, f"{name}.branch1x1"), *split, pool], 1)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, 3, H, W]` in [-1, 1] to `[B, 2048]`."""
        x = self._c(self.resized(image), "Conv2d_1a_3x3", 2, 0)
        x = self._c(self._c(x, "Conv2d_2a_3x3", 1, 0), "Conv2d_2b_3x3")
        x = self._c(F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1")
        x = F.max_pool2d(self._c(x, "Conv2d_4a_3x3", 1, 0), 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._a(x, name)
        x = self._b(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self._sevens(x, name)
        x = self._d(x, "Mixed_7a")
        x = self._e(self._e(x, "Mixed_7b", average=True), "Mixed_7c", average=False)
        return x.mean((2, 3))
