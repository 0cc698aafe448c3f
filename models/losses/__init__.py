"""Distances and penalties that several systems are trained on. Which of them, and how much, a system's preset says."""

from warpkit.models.losses.adversarial import lsgan_discriminator, lsgan_generator
from warpkit.models.losses.face import FaceLoss
from warpkit.models.losses.masks import bce, mask_loss, total_variation
from warpkit.models.losses.perceptual import PerceptualLoss

__all__ = [
    "FaceLoss",
    "PerceptualLoss",
    "bce",
    "lsgan_discriminator",
    "lsgan_generator",
    "mask_loss",
    "total_variation",
]
