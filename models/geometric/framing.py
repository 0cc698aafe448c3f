"""The square of the source picture that a clip shows, and cameras carried into its pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.bodies import Body, Camera


@dataclass(frozen=True)
class Framing:
    """A square of the picture shown at `size` pixels a side; an upright or a lying rectangle where `rows` says so."""

    left: float
    top: float
    side: float
    """Pixels of the picture across; the square may reach beyond it."""
    size: int
    """Pixels of the frame across."""
    rows: int | None = None
    """Pixels of the frame down; as many as across if None."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame in pixels."""
        return self.rows or self.size, self.size

    @property
    def zoom(self) -> float:
        """Frame pixels for each picture pixel."""
        return self.size / self.side

    def camera(self, camera: Camera) -> Camera:
        """A camera of the picture, in the frame's pixels."""
        corner = camera.offset.new_tensor([self.left, self.top])
        return Camera(scale=camera.scale * self.zoom, offset=(camera.offset - corner) * self.zoom)

    def body(self, body: Body) -> Body:
        """A body of the picture, seen in the frame."""
        return Body(body.pose, body.shape, self.camera(body.camera))

    def cut(self, picture: Tensor, outside: str = "reflect") -> Tensor:
        """The square of `picture` `[C, H, W]` as `[C, size, size]`, smoothed when it shrinks; whole pixels as they are.

        Beyond the picture: its reflection ("reflect") or its border's colour ("border").
        """
        height, width = picture.shape[-2:]
        down, across = self.shape
        if self.zoom == 1 and self.left % 1 == 0 and self.top % 1 == 0:
            left, top = int(self.left), int(self.top)
            if left >= 0 and top >= 0 and left + across <= width and top + down <= height:
                return picture[:, top : top + down, left : left + across].clone()
        shrink = 1.0 / self.zoom
        if shrink > 1.0:  # shrink the whole picture with a filter first, then sample what is left at one to one
            new = max(1, round(height / shrink)), max(1, round(width / shrink))
            picture = torch.nn.functional.interpolate(picture[None], new, mode="bilinear", antialias=True)[0]
        y, x = (steps.to(picture.device) for steps in self._steps())
        grid = torch.stack(torch.meshgrid(y / height * 2 - 1, x / width * 2 - 1, indexing="ij")[::-1], -1)[None]
        mode = "reflection" if outside == "reflect" else outside
        sampled = torch.nn.functional.grid_sample(
            picture[None], grid.to(picture), padding_mode=mode, align_corners=False
        )
        return sampled[0]

    def _steps(self) -> tuple[Tensor, Tensor]:
        """Where the frame's rows and columns lie in the picture, pixels."""
        down, across = self.shape
        return (
            self.top + (torch.arange(down) + 0.5) / across * self.side,
            self.left + (torch.arange(across) + 0.5) / across * self.side,
        )

    def inside(self, size: tuple[int, int]) -> Tensor:
        """[size, size] bool: frame pixels that lie in a picture of `size` (height, width)."""
        y, x = self._steps()
        return ((y >= 0) & (y < size[0]))[:, None] & ((x >= 0) & (x < size[1]))[None]


def whole_picture(picture: tuple[int, int], size: int | None = None) -> Framing:
    """All of a picture (height, width): pixel for pixel, or with `size` pixels (even) along its shorter side."""
    height, width = picture
    if size is None:
        return Framing(0.0, 0.0, float(width), width, height)
    zoom = size / min(height, width)
    return Framing(0.0, 0.0, float(width), 2 * round(width * zoom / 2), 2 * round(height * zoom / 2))


def frame_round(box: tuple[float, float, float, float], margin: float, size: int) -> Framing:
    """The square round `box` (x0, y0, x1, y1) with `margin` of its longer side left free on each side."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * (1 + 2 * margin)
    return Framing((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, size)


def frame_motion(points: Tensor, camera: Camera, picture: tuple[int, int], size: int) -> Framing:
    """The square that holds a whole motion with a little air, and lies inside `picture` as far as that leaves room.

    `points` `[T, N, 3]` of the body in body space, `camera` of T frames in the picture's pixels, `picture` (height,
    width).
    """
    pixels = camera.pixels(points)
    tall = (pixels[..., 1].amax(1) - pixels[..., 1].amin(1)).amax()
    low = pixels.amin((0, 1)) - 0.06 * tall
    high = pixels.amax((0, 1)) + 0.06 * tall
    framing = frame_round((*low.tolist(), *high.tolist()), 0.0, size)
    side = framing.side

    def shifted(start: float, length: int, first: float, last: float) -> float:
        if side < length:
            start = min(max(start, 0.0), length - side)
        elif start >= 0 or start + side <= length:
            start = (length - side) / 2
        return min(max(start, last - side), first)  # but nothing of the motion is cut off

    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    left, top = shifted(framing.left, picture[1], x0, x1), shifted(framing.top, picture[0], y0, y1)
    return Framing(left, top, side, size)
