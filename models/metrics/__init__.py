"""How close pictures are to others: over the whole of them or inside a mask, one by one or as sets."""

from warpkit.models.metrics.frechet import frechet_distance
from warpkit.models.metrics.image import psnr, ssim
from warpkit.models.metrics.judges import Judges
from warpkit.models.metrics.regions import Faces, body_crop, inside, widened

__all__ = ["Faces", "Judges", "body_crop", "frechet_distance", "inside", "psnr", "ssim", "widened"]
