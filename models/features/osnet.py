"""OSNet (Zhou et al., 2019), by which the paper tells whether two pictures show the same person."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.features.frozen import Embedding, standardised


class OSNet(Embedding):
    """State as in torchreid's osnet_x1_0 and narrower; gives what its classifier sees (512 numbers)."""

    network = "osnet"
    size = (256, 128)

    def _c(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.relu(self.norm(self.conv(x, f"{name}.conv", stride), f"{name}.bn"))

    def _light(self, x: Tensor, name: str) -> Tensor:
        x = self.conv(x, f"{name}.conv1")
        return F.relu(self.norm(self.conv(x, f"{name}.conv2", groups=x.shape[1]), f"{name}.bn"))

    def _gated(self, x: Tensor, name: str) -> Tensor:
        gate = F.relu(self.conv(x.mean((2, 3), keepdim=True), f"{name}.fc1"))
        return x * torch.sigmoid(self.conv(gate, f"{name}.fc2"))

    def _block(self, x: Tensor, name: str) -> Tensor:
        start = self._c(x, f"{name}.conv1")
        total = self._gated(self._light(start, f"{name}.conv2a"), f"{name}.gate")
        for stream, depth in (("b", 2), ("c", 3), ("d", 4)):
            y = start
            for step in range(depth):
                y = self._light(y, f"{name}.conv2{stream}.{step}")
            total = total + self._gated(y, f"{name}.gate")
        total = self.norm(self.conv(total, f"{name}.conv3.conv"), f"{name}.conv3.bn")
        if self.has(f"{name}.downsample.conv.weight"):
            x = self.norm(self.conv(x, f"{name}.downsample.conv"), f"{name}.downsample.bn")
        return F.relu(total + x)

    def forward(self, image: Tensor) -> Tensor:
        """A crop of a person `[B, 3, H, W]` in [-1, 1] to `[B, 512]`."""
        x = F.max_pool2d(self._c(standardised(self.resized(image)), "conv1", 2), 3, 2, 1)
        for stage in ("conv2", "conv3", "conv4"):
            x = self._block(self._block(x, f"{stage}.0"), f"{stage}.1")
            if stage != "conv4":
                x = F.avg_pool2d(self._c(x, f"{stage}.2.0"), 2)
        x = self._c(x, "conv5").mean((2, 3))
        return F.relu(self.norm(self.linear(x, "fc.0"), "fc.1"))
