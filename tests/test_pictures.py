"""Pictures: read as a viewer shows them, written as they are, refused with a sentence."""

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quarters import close, quarters

pytest.importorskip("PIL", reason="needs the extra [person]")
from PIL import Image, ImageCms

from warpkit.models.errors import InputError
from warpkit.models.media.images import parse_color, read_image, write_image
from warpkit.models.media.tensors import to_image, to_tensor


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tiff"])
def test_a_picture_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, quarters())
    assert close(read_image(tmp_path / name), quarters())


def test_a_jpeg_comes_back_nearly_as_it_was_written(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", quarters())
    assert close(read_image(tmp_path / "a.jpg"), quarters(), tolerance=8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(quarters())
    stored = {
        1: image,
        2: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: image.transpose(Image.Transpose.ROTATE_180),
        4: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: image.transpose(Image.Transpose.TRANSPOSE),
        6: image.transpose(Image.Transpose.ROTATE_90),
        7: image.transpose(Image.Transpose.TRANSVERSE),
        8: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert close(read_image(tmp_path / "a.png"), quarters(), tolerance=0)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    picture = np.dstack([quarters(), np.full((80, 120), 255, np.uint8)])
    picture[:40, :60, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    expected = quarters()
    expected[:40, :60] = 255
    assert (read_image(tmp_path / "a.png") == expected).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK", "YCbCr", "RGBA"])
def test_every_mode_comes_back_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.fromarray(quarters()).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    image = read_image(path)
    assert image.shape == (80, 120, 3)
    assert image.dtype == np.uint8
    if mode in ("P", "RGBA"):
        assert close(image, quarters())


def test_sixteen_bits_keep_their_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.full((70, 70), 257 * 100, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 100).all()


def test_a_colour_profile_is_brought_to_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(quarters()).save(tmp_path / "a.png", icc_profile=profile)
    assert close(read_image(tmp_path / "a.png"), quarters(), tolerance=2)


def test_a_profile_that_is_nonsense_is_left_aside(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "a.png", icc_profile=b"nonsense")
    assert close(read_image(tmp_path / "a.png"), quarters(), tolerance=0)


def test_a_picture_becomes_a_tensor_and_the_same_picture_again() -> None:
    every = np.arange(256 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    tensor = to_tensor(every)
    assert (tensor.shape, tensor.dtype, float(tensor.min()), float(tensor.max())) == (
        (1, 3, 16, 16),
        torch.float32,
        -1,
        1,
    )
    assert (to_image(tensor) == every).all()
    assert (to_image(tensor.bfloat16().float()) == to_image(tensor.bfloat16())).all()
    assert to_image(torch.tensor([-1.5, 0.0, 1.5])[:, None, None]).ravel().tolist() == [0, 128, 255]


def test_a_picture_may_be_written_to_afterwards(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", quarters())
    assert read_image(tmp_path / "a.png").flags.writeable


def bad_pictures(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files that are no usable picture, and what the sentence about them must say."""
    yield folder / "nowhere.jpg", "does not exist"
    (folder / "folder").mkdir()
    yield folder / "folder", "is a folder"
    (folder / "empty.jpg").touch()
    yield folder / "empty.jpg", "is empty"
    (folder / "text.jpg").write_text("not a picture")
    yield folder / "text.jpg", "is not a picture"
    Image.fromarray(quarters(50, 50)).save(folder / "small.png")
    yield folder / "small.png", "50 x 50 pixels; at least 64"
    Image.new("1", (10_000, 10_000)).save(folder / "large.png")
    yield folder / "large.png", "10000 x 10000 pixels; at most 80 megapixels"
    Image.new("1", (20_000, 10_000)).save(folder / "huge.png")
    yield folder / "huge.png", "80 megapixels"
    Image.effect_noise((200, 200), 80).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:3000])
    yield folder / "cut.jpg", "is damaged"


def test_what_is_no_picture_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for path, sentence in bad_pictures(tmp_path):
        with pytest.raises(InputError, match=re.escape(path.name)) as caught:
            read_image(path)
        assert sentence in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(format=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]), data=st.data())
def test_a_broken_picture_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, format: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(quarters()).save(buffer, format, exif=Image.Exif())
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("broken") / f"a.{format.lower()}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(InputError):
        assert read_image(path).shape[2] == 3


def test_a_picture_format_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for name in ("a", "a.txt", "a.psd"):
        with pytest.raises(InputError, match="must end in"):
            write_image(tmp_path / name, quarters())
    assert not list(tmp_path.iterdir())


def test_colours_have_names() -> None:
    assert parse_color("white") == (255, 255, 255)
    assert parse_color("#10ff00") == (16, 255, 0)
    assert parse_color("a picture.jpg") is None
