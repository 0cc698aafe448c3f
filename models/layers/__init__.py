"""Small layers that several systems are made of."""

from warpkit.models.layers.convolution import GatedConv, ResidualBlock, UpsampleTo, downsample, keep_size, upsample
from warpkit.models.layers.fill import spread
from warpkit.models.layers.modulation import SPADE, AdaIN, pixel_norm
from warpkit.models.layers.patch import PatchDiscriminator, crop

__all__ = [
    "SPADE",
    "AdaIN",
    "GatedConv",
    "PatchDiscriminator",
    "ResidualBlock",
    "UpsampleTo",
    "crop",
    "downsample",
    "keep_size",
    "pixel_norm",
    "spread",
    "upsample",
]
