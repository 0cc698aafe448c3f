"""Pictures in files: uint8 RGB arrays `[H, W, 3]` in memory, upright, in sRGB."""

import io
import warnings
from pathlib import Path

import numpy as np

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.media.output import whole

with needs_extra("person"):
    from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

MIN_SIDE = 64
"""Pixels: nobody can be found in less."""
MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded."""


def read_image(path: str | Path) -> np.ndarray:
    """The picture in a file as uint8 `[H, W, 3]`, turned as its EXIF orientation says; transparency lies over white.

    Raises InputError where there is no such file, it is no picture, is damaged, too small or too large.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder; a picture was expected")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, Image.DecompressionBombError):
            raise InputError(f"{path} has more than the {MAX_PIXELS // 10**6} megapixels that can be used") from error
        raise InputError(f"{path} is not a picture that can be read (JPEG, PNG, WebP, … were expected)") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InputError(f"{path} has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} megapixels can be used")
    if min(width, height) < MIN_SIDE:
        raise InputError(f"{path} has only {width} x {height} pixels; at least {MIN_SIDE} each way are needed")
    try:
        return np.asarray(_to_rgb(ImageOps.exif_transpose(picture)))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _to_rgb(picture: "Image.Image") -> "Image.Image":
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray((values * (255.0 / max(values.max(), 1.0))).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            picture = converted or picture
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile that cannot be understood: the numbers are taken as sRGB
    return picture.convert("RGB")


def write_image(path: str | Path, image: np.ndarray, *, overwrite: bool = False) -> None:
    """Writes a uint8 `[H, W, 3]` picture in the format that the name's ending says, whole or not at all."""
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise InputError(f"{path}: the name must end in .png, .jpg or another picture format")
    with whole(path, overwrite=overwrite) as draft:
        Image.fromarray(image).save(draft, quality=95)


def parse_color(text: str) -> tuple[int, int, int] | None:
    """The colour that `text` names ("white", "#10ff00", "rgb(…)"), or None if it names none."""
    try:
        return ImageColor.getcolor(text, "RGB")[:3]  # type: ignore[index, return-value]
    except ValueError:
        return None
