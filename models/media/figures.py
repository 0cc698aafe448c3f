"""Pictures with a title, a caption and a legend, and sheets of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from warpkit.models.errors import needs_extra
from warpkit.models.media.draw import PAPER, fit_into

with needs_extra("person"):
    from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

INK, QUIET = (235, 235, 240), (165, 165, 175)
GAP = 8
MOST_KEYS = 9
"""Entries of a legend that a sheet still shows."""


@dataclass(frozen=True)
class Figure:
    """A picture that explains something."""

    name: str
    """Of its file, without the ending."""
    title: str
    """A few words."""
    caption: str
    """What the picture shows and what its colours mean: a sentence or two."""
    image: np.ndarray
    """uint8 `[H, W, 3]`."""
    legend: tuple[tuple[str, Colour], ...] = ()
    """What each colour stands for."""
    key: np.ndarray | None = None
    """uint8 `[h, w, 3]`: a legend that is a picture."""
    focus: tuple[int, int, int, int] | None = None
    """Top, left, bottom and right of what a sheet shows of it; None: all."""

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"image: expected uint8 [H, W, 3], got {self.image.dtype} {list(self.image.shape)}")


def labelled(figure: Figure, within: str = "", *, least_width: int = 360) -> np.ndarray:
    """The figure in its own size under its title, with caption and legend below it; uint8 `[H, W, 3]`.

    `within`: the heading that it belongs under. `least_width`: that words have, however narrow the picture.
    """
    width = max(figure.image.shape[1], least_width)
    tile = _tile(figure, figure.image, width, title=18, text=14, keys=len(figure.legend))
    rows = [tile] if not within else [_line(within, 14, QUIET, width), tile]
    return _framed(_below(rows, 0))


def figure_sheet(
    title: str, sections: Iterable[tuple[str, Sequence[Figure]]], *, height: int = 320, columns: int = 11
) -> np.ndarray:
    """Figures in sections under their headings, each picture `height` pixels tall; uint8 `[H, W, 3]`.

    `columns`: figures in a row, at most; short sections stand beside each other. Long legends are left out.
    """
    shelves: list[list[np.ndarray]] = []
    room = 0
    for heading, figures in sections:
        starts = range(0, len(figures), columns)
        rows = [_beside([_small(one, height) for one in figures[start : start + columns]], 2 * GAP) for start in starts]
        block = _below([_line(heading, 20, QUIET), *rows], GAP)
        if len(figures) > room:
            shelves.append([])
            room = columns
        shelves[-1].append(block)
        room = max(0, room - len(figures))
    return _framed(_below([_line(title, 26, INK), *(_beside(shelf, 5 * GAP) for shelf in shelves)], 2 * GAP))


def _small(figure: Figure, height: int) -> np.ndarray:
    top, left, bottom, right = figure.focus or (0, 0, *figure.image.shape[:2])
    shown = np.ascontiguousarray(figure.image[top:bottom, left:right])
    width = max(1, round(height * shown.shape[1] / shown.shape[0]))
    keys = len(figure.legend) if len(figure.legend) <= MOST_KEYS else 0
    return _tile(figure, fit_into(shown, height, width), max(width, height // 2), title=15, text=12, keys=keys)


def _tile(figure: Figure, image: np.ndarray, width: int, *, title: int, text: int, keys: int) -> np.ndarray:
    """`image` between words of so many pixels, with the first `keys` entries of the legend."""
    large, small = ImageFont.load_default(title), ImageFont.load_default(text)
    above = _wrapped(figure.title, large, width)
    beside = 0 if figure.key is None else figure.key.shape[1] + GAP
    below = _wrapped(figure.caption, small, width - beside)
    places, legend_height = _legend_places([name for name, _ in figure.legend[:keys]], small, width, text)
    line, small_line = title + 4, text + 4
    head = len(above) * line + 4
    words = max(len(below) * small_line, 0 if figure.key is None else len(figure.key) + 4)
    tile = Image.new("RGB", (width, head + len(image) + 4 + words + legend_height), PAPER)
    draw = ImageDraw.Draw(tile)
    for number, words_of_line in enumerate(above):
        draw.text((0, number * line), words_of_line, fill=INK, font=large)
    tile.paste(Image.fromarray(image), (0, head))
    top = head + len(image) + 4
    if figure.key is not None:
        tile.paste(Image.fromarray(figure.key), (0, top + 2))
    for number, words_of_line in enumerate(below):
        draw.text((beside, top + number * small_line), words_of_line, fill=QUIET, font=small)
    for (name, colour), (left, row) in zip(figure.legend[:keys], places, strict=True):
        corner = top + words + row
        draw.rectangle((left, corner + 3, left + text - 3, corner + text), fill=colour)
        draw.text((left + text + 2, corner), name, fill=INK, font=small)
    return np.asarray(tile)


def _legend_places(
    names: Sequence[str], font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int, text: int
) -> tuple[list[tuple[int, int]], int]:
    """Where each entry of a legend begins (left, top), and how tall it is in all."""
    places, left, top = [], 0, 0
    for name in names:
        length = text + 2 + math.ceil(font.getlength(name))
        if left and left + length > width:
            left, top = 0, top + text + 4
        places.append((left, top))
        left += length + GAP
    return places, top + text + 6 if names else 0


def _wrapped(words: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> list[str]:
    """Lines that are at most `width` pixels long, unless a word is longer."""
    lines: list[str] = []
    for word in words.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _line(words: str, size: int, colour: Colour, width: int | None = None) -> np.ndarray:
    """A line of words, as long as they are or, with `width`, cut there."""
    font = ImageFont.load_default(size)
    line = Image.new("RGB", (width or math.ceil(font.getlength(words)) + 2, size + 8), PAPER)
    ImageDraw.Draw(line).text((0, 2), words, fill=colour, font=font)
    return np.asarray(line)


def _paper(height: int, width: int) -> np.ndarray:
    return np.tile(np.array(PAPER, np.uint8), (height, width, 1))


def _beside(pictures: Sequence[np.ndarray], gap: int) -> np.ndarray:
    row = _paper(max(map(len, pictures)), sum(one.shape[1] + gap for one in pictures) - gap)
    left = 0
    for one in pictures:
        row[: len(one), left : left + one.shape[1]] = one
        left += one.shape[1] + gap
    return row


def _below(pictures: Sequence[np.ndarray], gap: int) -> np.ndarray:
    column = _paper(sum(len(one) + gap for one in pictures) - gap, max(one.shape[1] for one in pictures))
    top = 0
    for one in pictures:
        column[top : top + len(one), : one.shape[1]] = one
        top += len(one) + gap
    return column


def _framed(picture: np.ndarray) -> np.ndarray:
    framed = _paper(len(picture) + 2 * GAP, picture.shape[1] + 2 * GAP)
    framed[GAP:-GAP, GAP:-GAP] = picture
    return framed
