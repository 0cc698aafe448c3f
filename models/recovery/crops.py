"""Turned squares of a picture: cut out without aliasing, for networks that want a small square, and pasted back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

PASTE_SIDE = 1024  # a turned mask is resampled at no more than this, and from there enlarged along rows and columns


@dataclass(frozen=True)
class Square:
    """A square of a picture: `centre` (x, y) and `side` in pixels, turned clockwise by `angle` radians."""

    centre: tuple[float, float]
    side: float
    angle: float = 0.0

    def axes(self) -> np.ndarray:
        """[2, 2]: the columns are the square's right and down sides in pixels."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.side * np.array([[cos, -sin], [sin, cos]])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 2] of the square, in [0, 1], as pixels [N, 2] of the picture."""
        return (points - 0.5) @ self.axes().T + np.array(self.centre)

    def corners(self) -> np.ndarray:
        """The corners [4, 2] in pixels."""
        return self.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))

    def changed(self, scale: float = 1.0, turn: float = 0.0) -> Square:
        """The same square, `scale` times as large and turned by `turn` more radians."""
        return Square(self.centre, self.side * scale, self.angle + turn)


class Pyramid:
    """A picture (uint8 [H, W, 3]) with its halvings, made as they are needed: a crop at any scale is cheap."""

    def __init__(self, image: np.ndarray) -> None:
        self.size = (image.shape[0], image.shape[1])
        self._levels = [image]

    def _level(self, level: int) -> np.ndarray:
        while len(self._levels) <= level:
            self._levels.append(np.asarray(Image.fromarray(self._levels[-1]).reduce(2)))
        return self._levels[level]

    def crop(self, square: Square, size: int) -> np.ndarray:
        """The square, resampled to float32 [size, size, 3] in [0, 1]; black where it reaches out of the picture."""
        level = max(0, min(round(math.log2(square.side / size)), int(math.log2(min(self.size)))))
        image, shrink = self._level(level), 2.0**-level
        low = np.floor(square.corners().min(0) * shrink).astype(int) - 1
        high = np.ceil(square.corners().max(0) * shrink).astype(int) + 1
        (x0, y0), (x1, y1) = np.maximum(low, 0), np.minimum(high, [image.shape[1], image.shape[0]])
        if x1 <= x0 or y1 <= y0:
            return np.zeros((size, size, 3), np.float32)
        part = torch.from_numpy(image[y0:y1, x0:x1].astype(np.float32) / 255).permute(2, 0, 1)[None]
        steps = (np.arange(size) + 0.5) / size
        points = square.to_picture(np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)) * shrink
        grid = (points - [x0, y0]) / [x1 - x0, y1 - y0] * 2 - 1
        grid = torch.from_numpy(grid.astype(np.float32)).reshape(1, size, size, 2)
        return F.grid_sample(part, grid, align_corners=False)[0].permute(1, 2, 0).numpy()


def paste(mask: np.ndarray, square: Square, size: tuple[int, int]) -> torch.Tensor:
    """What `Pyramid.crop` cut out, put back: mask [h, h] of `square` as float32 [H, W], zero outside."""
    height, width = size
    shrink = max(1.0, max(size) / PASTE_SIDE)
    small = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    y, x = torch.meshgrid(
        (torch.arange(small[0]) + 0.5) * (height / small[0]) - square.centre[1],
        (torch.arange(small[1]) + 0.5) * (width / small[1]) - square.centre[0],
        indexing="ij",
    )
    inverse = np.linalg.inv(square.axes()) * 2
    grid = torch.stack(
        [inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y],
        -1,
    )
    source = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))[None, None]
    pasted = F.grid_sample(source, grid[None].float(), mode="bicubic", align_corners=False)[0, 0]
    if small != size:
        enlarged = Image.fromarray(pasted.numpy()).resize((width, height), Image.Resampling.BICUBIC)
        pasted = torch.from_numpy(np.array(enlarged))
    return pasted.clamp(0, 1)
