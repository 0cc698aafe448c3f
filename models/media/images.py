"""Pictures in files: uint8 RGB arrays `[H, W, 3]` in memory, upright, in sRGB."""

import io
import warnings
from pathlib import Path

import numpy as np

from warpkit.models.errors import InputError, needs_extra
from warpkit.models.media.output import check_output, whole

with needs_extra("person"):
    from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

MIN_SIDE = 64
"""Pixels: nobody can be found in less."""
MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded."""
QUALITY = 95
"""Of JPEG and WebP."""


def read_image(path: str | Path) -> np.ndarray:
    """The picture in a file as uint8 `[H, W, 3]`, turned as its EXIF orientation says; transparency lies over white.

    Colours are brought to sRGB where the file carries a profile; 16 bits become 8; of an animation the first picture
    is taken. Raises InputError where there is no such file, it is no picture, is damaged, too small or too large.
    """
    path = Path(path)
    check_readable(path, "picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the many that decoders have about odd files, none is for our users
        try:
            picture = Image.open(path)
        except Image.DecompressionBombError as error:
            raise InputError(f"{path} has more than the {MAX_PIXELS // 10**6} megapixels that can be used") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path} is not a picture that can be read (JPEG, PNG, WebP, …)") from error
        except Exception as error:  # decoders raise whatever a broken header makes them raise
            raise InputError(f"{path} is damaged: {error}") from error
        with picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise InputError(
                    f"{path} has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} megapixels can be used: "
                    "make it smaller"
                )
            if min(width, height) < MIN_SIDE:
                raise InputError(f"{path} has only {width} x {height} pixels; at least {MIN_SIDE} each way are needed")
            try:
                picture.load()
                return np.array(_to_rgb(_upright(picture)))
            except MemoryError:
                raise
            except Exception as error:
                raise InputError(f"{path} is damaged: {error}") from error


def check_readable(path: Path, kind: str) -> None:
    """Raises InputError where `path` is no file with something in it that may be read; a `kind` was expected."""
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            raise InputError(f"{path} is a folder; a {kind} was expected")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path} is empty; a {kind} was expected")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF that cannot be understood says nothing
        return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_eight_bits(np.asarray(picture)))
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    if picture.mode in ("P", "1", "HSV", "YCbCr"):
        picture = picture.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            picture = converted or picture
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile nobody understands, or for another kind of picture: the numbers are taken as sRGB
    return picture.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey of 16 or 32 bits, or of fractions, as uint8; the scale is the least usual one that holds the values."""
    scales = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (65535.0,)
    values = np.nan_to_num(values.astype(np.float32))
    top = next((scale for scale in scales if values.max() <= scale), float(values.max()))
    return (values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)


CLEAR_ENDINGS = (".png", ".webp", ".tiff")
"""Of pictures that can be transparent."""


def check_image_output(path: str | Path, *, overwrite: bool = False, transparent: bool = False) -> Path:
    """As `check_output`, for a name whose ending says a picture format that can be written: transparent, if wanted."""
    ending = Path(path).suffix.lower()
    if Image.registered_extensions().get(ending) not in Image.SAVE:
        raise InputError(f"{path}: the name must end in .png, .jpg or another picture format")
    if transparent and ending not in CLEAR_ENDINGS:
        raise InputError(f"{path}: a {ending} cannot be transparent; {', '.join(CLEAR_ENDINGS)} can")
    return check_output(path, overwrite=overwrite)


def write_image(path: str | Path, image: np.ndarray, *, overwrite: bool = False) -> None:
    """Writes a uint8 picture `[H, W, 3]`, or `[H, W, 4]` with alpha, in the format of the name's ending, whole or not.

    Raises InputError where the format is unknown or the file cannot be written.
    """
    check_image_output(path, overwrite=overwrite, transparent=image.shape[-1] == 4)
    with whole(path, overwrite=overwrite) as draft:
        try:
            packed = io.BytesIO()  # written to a file, Pillow takes no notice of a disk that took only a part
            Image.fromarray(image).save(packed, Image.registered_extensions()[draft.suffix.lower()], quality=QUALITY)
            draft.write_bytes(packed.getvalue())
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def parse_color(text: str) -> tuple[int, int, int] | None:
    """The colour that `text` names ("white", "#10ff00", "rgb(…)"), or None if it names none."""
    try:
        return ImageColor.getcolor(text, "RGB")[:3]  # type: ignore[index, return-value]
    except ValueError:
        return None
