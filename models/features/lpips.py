"""LPIPS (Zhang et al., 2018): a distance of features with learned weights, as the papers report it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.features.frozen import Frozen, unit
from warpkit.models.features.state import State

ALEX = ("slice1.0", "slice2.3", "slice3.6", "slice4.8", "slice5.10")
VGG = tuple(
    tuple(f"slice{block}.{conv}" for conv in convs)
    for block, convs in enumerate([(0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)], 1)
)


class Lpips(Frozen):
    """State as that of the reference package's `LPIPS(net="alex")` or `(net="vgg")`: network and learned weights."""

    def __init__(self, state: State) -> None:
        super().__init__({name.removeprefix("net."): value for name, value in state.items()})
        self.alex = self.tensor("slice1.0.weight").shape[-1] == 11
        self.network = "lpips-alex" if self.alex else "lpips-vgg"

    def features(self, image: Tensor) -> list[Tensor]:
        """Of a picture in [-1, 1], after each of five layers."""
        shift, scale = image.new_tensor([-0.030, -0.088, -0.188]), image.new_tensor([0.458, 0.448, 0.450])
        x = (image - shift[:, None, None]) / scale[:, None, None]
        made = []
        for number in range(5):
            if self.alex:
                x = F.max_pool2d(x, 3, 2) if number in (1, 2) else x
                name = ALEX[number]
                x = F.relu(self.conv(x, name, 4, 2) if number == 0 else self.conv(x, name))
            else:
                x = F.max_pool2d(x, 2) if number else x
                for name in VGG[number]:
                    x = F.relu(self.conv(x, name))
            made.append(x)
        return made

    def map(self, first: Tensor, second: Tensor) -> Tensor:
        """`[B, 1, H, W]`: the distance at each place of two `[B, 3, H, W]` in [-1, 1]."""
        total = torch.zeros_like(first[:, :1])
        for number, (one, other) in enumerate(zip(self.features(first), self.features(second), strict=True)):
            distance = self.conv((unit(one) - unit(other)).square(), f"lin{number}.model.1")
            total = total + F.interpolate(distance, first.shape[-2:], mode="bilinear")
        return total

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """`[B]`: the distance of two `[B, 3, H, W]` in [-1, 1]."""
        total = first.new_zeros(len(first))
        for number, (one, other) in enumerate(zip(self.features(first), self.features(second), strict=True)):
            distance = self.conv((unit(one) - unit(other)).square(), f"lin{number}.model.1")
            total = total + distance.flatten(1).mean(1)
        return total
