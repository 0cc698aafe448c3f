"""Pictures about pictures: a fitted body over its photo, sheets with labels."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from warpkit import interpolate, rasterize
from warpkit.models.bodies import PARTS, Body, BodyModel
from warpkit.models.errors import needs_extra

with needs_extra("person"):
    from PIL import Image, ImageDraw, ImageFont

PAPER = (24, 24, 28)
"""What sheets are drawn on."""


def part_colours() -> Tensor:
    """[P, 3] in [0, 1]: a colour for each of PARTS; left warm, right cool, head and torso neutral."""
    colours = []
    for number, name in enumerate(PARTS):
        step = (number % 6) / 6
        if name.startswith("left"):
            colours.append((0.95, 0.45 + 0.4 * step, 0.25))
        elif name.startswith("right"):
            colours.append((0.25, 0.45 + 0.4 * step, 0.95))
        else:
            colours.append((0.75, 0.75, 0.8))
    return torch.tensor(colours)


def draw_body(image: np.ndarray, body: Body, model: BodyModel, opacity: float = 0.7) -> np.ndarray:
    """The body (B = 1) shaded and coloured by part over `image`, uint8 `[H, W, 3]`, in whose pixels its camera is."""
    size = image.shape[:2]
    vertices = model(body.pose, body.shape)
    fragments = rasterize(body.camera.project(vertices, size), model.faces, size)
    corners = vertices[:, model.faces.long()]
    normals = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    smooth = torch.zeros_like(vertices)
    for corner in range(3):
        smooth.index_add_(1, model.faces[:, corner].long(), normals)
    normal = torch.nn.functional.normalize(interpolate(smooth, model.faces, fragments)[0], dim=-1)
    light = torch.nn.functional.normalize(torch.tensor([0.3, 0.5, 0.8], device=normal.device), dim=0)
    shade = 0.35 + 0.65 * (normal @ light).clamp(min=0)
    index = fragments.face_index[0].long()
    colour = part_colours().to(normal)[model.parts[index.clamp(min=0)]] * shade[..., None] * 255
    cover = opacity * (index >= 0).float()[..., None]
    picture = torch.from_numpy(image).to(normal)
    return torch.lerp(picture, colour, cover).round().to(torch.uint8).cpu().numpy()


def fit_into(image: np.ndarray, height: int, width: int, fill: tuple[int, int, int] = PAPER) -> np.ndarray:
    """`image` made to fit a `height` x `width` field, the rest of which is `fill`."""
    picture = Image.fromarray(image)
    picture.thumbnail((width, height), Image.Resampling.LANCZOS)
    scale = min(width / image.shape[1], height / image.shape[0])
    if scale > 1:
        picture = picture.resize(
            (round(image.shape[1] * scale), round(image.shape[0] * scale)), Image.Resampling.BICUBIC
        )
    field = Image.new("RGB", (width, height), fill)
    field.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return np.asarray(field)


def contact_sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], height: int = 240, gap: int = 6) -> np.ndarray:
    """Rows of pictures, each `height` pixels tall, under labels of as many lines as they take; uint8 `[H, W, 3]`."""
    ink, line, font = (235, 235, 240), 24, ImageFont.load_default(16)
    pictures = [
        [fit_into(image, height, max(1, round(height * image.shape[1] / image.shape[0]))) for image in images]
        for _, images in rows
    ]
    width = max(sum(image.shape[1] + gap for image in row) for row in pictures) + gap
    labels = [_lines(text, lambda words: font.getlength(words) <= width - 2 * gap) for text, _ in rows]
    sheet = Image.new("RGB", (width, sum(height + line * len(label) + gap + 2 for label in labels) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = gap
    for label, row in zip(labels, pictures, strict=True):
        for words in label:
            draw.text((gap, top + 2), words, fill=ink, font=font)
            top += line
        left = gap
        for image in row:
            sheet.paste(Image.fromarray(image), (left, top + 2))
            left += image.shape[1] + gap
        top += height + gap + 2
    return np.asarray(sheet)


def _lines(text: str, fits: Callable[[str], bool]) -> list[str]:
    """A text in lines that fit, but for words that are longer than a line."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if fits(longer) or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def labelled_grid(pictures: Sequence[np.ndarray], labels: Sequence[str], columns: int, gap: int = 6) -> np.ndarray:
    """Pictures of one size in rows of `columns`, each under its own label; uint8 `[H, W, 3]`."""
    ink, label = (235, 235, 240), 26
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (width + gap) + gap, rows * (height + label + gap) + gap)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, text) in enumerate(zip(pictures, labels, strict=True)):
        left, top = gap + number % columns * (width + gap), gap + number // columns * (height + label + gap)
        draw.text((left, top + 2), text, fill=ink, font=ImageFont.load_default(16))
        sheet.paste(Image.fromarray(picture), (left, top + label))
    return np.asarray(sheet)
