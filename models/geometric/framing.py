"""The square of the source picture that a clip shows, and cameras carried into its pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.bodies import Body, Camera


@dataclass(frozen=True)
class Framing:
    """A square of the picture shown at `size` pixels a side."""

    left: float
    top: float
    side: float
    """Pixels of the picture; the square may reach beyond it."""
    size: int
    """Pixels of the frame."""

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
        """The square of `picture` `[C, H, W]` as `[C, size, size]`, smoothed when it shrinks.

        Beyond the picture: its reflection ("reflect") or its border's colour ("border").
        """
        shrink = 1.0 / self.zoom
        height, width = picture.shape[-2:]
        if shrink > 1.0:  # shrink the whole picture with a filter first, then sample what is left at one to one
            new = max(1, round(height / shrink)), max(1, round(width / shrink))
            picture = torch.nn.functional.interpolate(picture[None], new, mode="bilinear", antialias=True)[0]
        steps = (torch.arange(self.size, device=picture.device) + 0.5) / self.size * self.side
        x = (self.left + steps) / width * 2 - 1
        y = (self.top + steps) / height * 2 - 1
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None].to(picture)
        mode = "reflection" if outside == "reflect" else outside
        return torch.nn.functional.grid_sample(picture[None], grid, padding_mode=mode, align_corners=False)[0]

    def inside(self, size: tuple[int, int]) -> Tensor:
        """[size, size] bool: frame pixels that lie in a picture of `size` (height, width)."""
        steps = (torch.arange(self.size) + 0.5) / self.size * self.side
        y, x = self.top + steps, self.left + steps
        return ((y >= 0) & (y < size[0]))[:, None] & ((x >= 0) & (x < size[1]))[None]


def frame_round(box: tuple[float, float, float, float], margin: float, size: int) -> Framing:
    """The square round `box` (x0, y0, x1, y1) with `margin` of its longer side left free on each side."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * (1 + 2 * margin)
    return Framing((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, size)


def frame_motion(points: Tensor, camera: Camera, picture: tuple[int, int], size: int) -> Framing:
    """The square that holds a whole motion with a little air, inside `picture` as far as that fits.

    `points` `[T, N, 3]` of the body in body space, `camera` of T frames in the picture's pixels, `picture` (height,
    width).
    """
    pixels = camera.pixels(points)
    tall = (pixels[..., 1].amax(1) - pixels[..., 1].amin(1)).amax()
    low = pixels.amin((0, 1)) - 0.06 * tall
    high = pixels.amax((0, 1)) + 0.06 * tall
    framing = frame_round((*low.tolist(), *high.tolist()), 0.0, size)
    height, width = picture

    def shifted(start: float, length: int) -> float:
        if framing.side >= length:
            return start if start < 0 and start + framing.side > length else (length - framing.side) / 2
        return min(max(start, 0.0), length - framing.side)

    return Framing(shifted(framing.left, width), shifted(framing.top, height), framing.side, size)
