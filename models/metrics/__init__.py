"""How close two pictures are, over the whole of them or inside a mask."""

from warpkit.models.metrics.image import psnr, ssim

__all__ = ["psnr", "ssim"]
