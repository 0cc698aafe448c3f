"""What pictures and recovery get wrong: bodies a little off, masks with errors, JPEG, blur, noise, exposure.

The sizes of the errors are those measured on recovered people, see `docs/data.md`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera

POSE_ERROR = 0.0055
"""Radians of each joint's turn, in each axis."""
SHAPE_ERROR = 0.08
"""Standard deviations of each shape parameter; the same in all pictures of a person."""
CAMERA_ERROR = 0.0005
"""Shares of the person's height that the whole body is off, and of the scale."""

_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99,
) + (99,) * 32  # fmt: skip
"""The quantization tables of the JPEG standard (ITU-T T.81, Annex K)."""


def body_errors(count: int, shapes: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Errors of one person in `count` pictures: pose `[count, 22, 3]`, shape `[1, K]`, place `[count, 2]` in shares of
    the height, log of the scale `[count]`."""
    pose = POSE_ERROR * torch.randn(count, len(JOINTS), 3, generator=generator)
    shape = SHAPE_ERROR * torch.randn(1, shapes, generator=generator)
    place = CAMERA_ERROR * torch.randn(count, 2, generator=generator)
    scale = CAMERA_ERROR * torch.randn(count, generator=generator)
    return pose, shape, place, scale


def recovered(
    model: BodyModel, true: Body, turns: Tensor, shapes: Tensor, places: Tensor, scales: Tensor
) -> tuple[Body, Tensor]:
    """Bodies as a fit would find them, and how far their landmarks are off, in shares of the person's height `[P]`.

    Args:
        model: of the bodies.
        true: P bodies.
        turns: `[P, 22, 3]` errors of the pose.
        shapes: `[P, K]` of the shape, the fullness of clothes among them.
        places: `[P, 2]` of the place, in shares of the height.
        scales: `[P]` of the scale's logarithm.
    """
    pose, shape, camera = true.pose + turns, true.shape + shapes, true.camera
    stature = model.height(true.shape)
    found, known = model.keypoints(pose, shape)[..., :2], model.keypoints(true.pose, true.shape)[..., :2]
    # a fit puts landmarks where they are seen, whatever its body is like
    middle, true_middle = found.mean(1, keepdim=True), known.mean(1, keepdim=True)
    found, known = found - middle, known - true_middle
    fitted = (found * known).sum((1, 2)) / found.square().sum((1, 2))
    flip = known.new_tensor([1.0, -1.0])
    moved = (true_middle - fitted[:, None, None] * middle)[:, 0] * camera.scale[:, None] * flip
    tall = (camera.scale * stature)[:, None]
    body = Body(pose, shape, Camera(camera.scale * fitted * scales.exp(), camera.offset + moved + places * tall))
    error = (found * (fitted * scales.exp())[:, None, None] - known) / stature[:, None, None]
    return body, (error + (places * flip)[:, None]).norm(dim=-1).mean(1)


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each of `[P, C, H, W]` by its own Gaussian, `sigma` `[P]` pixels."""
    reach = max(1, math.ceil(3 * float(sigma.max())))
    steps = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-steps.square() / (2 * sigma[:, None].square().clamp(min=1e-4)))
    kernel = kernel / kernel.sum(1, keepdim=True)
    pictures, channels = images.shape[:2]
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    rows = F.pad(images.reshape(1, pictures * channels, *images.shape[2:]), (reach,) * 4, mode="replicate")
    rows = F.conv2d(rows, kernel[:, :, None], groups=pictures * channels)
    return F.conv2d(rows, kernel[..., None], groups=pictures * channels).view_as(images)


def mask_errors(alpha: Tensor, height: Tensor, generator: torch.Generator) -> Tensor:
    """Masks as a network gives them: softer, wider or narrower in places, with pieces missing or too much.

    Args:
        alpha: `[P, 1, H, W]` true.
        height: `[P]` pixels that the person is tall.
        generator: on the CPU.
    """
    pictures, _, rows, columns = alpha.shape
    numbers = torch.rand(pictures, 3, generator=generator).to(alpha)
    waves = torch.randn(pictures, 1, 9, 9, generator=generator).to(alpha)
    pieces = torch.randn(pictures, 1, 17, 17, generator=generator).to(alpha)
    waves = F.interpolate(waves, (rows, columns), mode="bicubic", align_corners=False)
    pieces = F.interpolate(pieces, (rows, columns), mode="bicubic", align_corners=False)
    spread = (0.004 + 0.008 * numbers[:, 0]) * height
    soft = _blurred(alpha, spread.clamp(0.5, 12))
    amount = (0.03 + 0.15 * numbers[:, 1])[:, None, None, None]
    bias = (0.3 * (numbers[:, 2] - 0.5))[:, None, None, None]
    blobs = -0.9 * (pieces > 2.6).to(alpha) * (soft > 0.2) + 0.5 * (pieces < -2.6).to(alpha) * (soft > 0.05)
    return ((soft + bias * (soft > 0.02) + amount * waves * (soft > 0.02) + blobs - 0.5) / 0.35 + 0.5).clamp(0, 1)


def _cosines(device: torch.device) -> Tensor:
    steps = torch.arange(8, dtype=torch.float32, device=device)
    table = torch.cos((2 * steps[None] + 1) * steps[:, None] * math.pi / 16) / 2
    table[0] /= math.sqrt(2)
    return table


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Pictures `[P, 3, H, W]` in [-1, 1] after JPEG of `quality` `[P]` in [1, 100], colours at half resolution.

    H and W must be multiples of 16.
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    turn = images.new_tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    planes = torch.einsum("dc,pchw->pdhw", turn, images * 127.5)
    cosines = _cosines(images.device)

    def coarser(plane: Tensor, table: tuple[int, ...]) -> Tensor:
        height, width = plane.shape[-2:]
        blocks = plane.unflatten(-2, (-1, 8)).unflatten(-1, (-1, 8)).transpose(-3, -2)
        steps = (plane.new_tensor(table).view(8, 8) * scale[:, None, None]).round().clamp(1, 255)
        steps = steps[:, None, None, None]
        found = cosines @ blocks @ cosines.T
        blocks = cosines.T @ ((found / steps).round() * steps) @ cosines
        return blocks.transpose(-3, -2).reshape(*plane.shape[:-2], height, width)

    light = coarser(planes[:, :1], _LUMINANCE)
    tint = coarser(F.avg_pool2d(planes[:, 1:], 2), _CHROMINANCE)
    tint = F.interpolate(tint, scale_factor=2, mode="bilinear", align_corners=False)
    back = torch.linalg.inv(turn.double()).to(turn)
    return (torch.einsum("dc,pchw->pdhw", back, torch.cat([light, tint], 1)) / 127.5).clamp(-1, 1)


def picture_errors(images: Tensor, first: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures `[P, 3, H, W]` as cameras give them: exposure, blur, noise, JPEG.

    `first` `[P]` bool: a person's first picture, which keeps its exposure.
    """
    pictures = len(images)
    numbers = torch.rand(pictures, 6, generator=generator).to(images)
    tint = torch.randn(pictures, 3, generator=generator).to(images)
    grain = torch.randn(images.shape, generator=generator).to(images)
    gain = torch.exp(0.28 * (numbers[:, :1] - 0.5) + 0.03 * tint)
    gain = torch.where(first[:, None], torch.ones_like(gain), gain)[..., None, None]
    images = ((images + 1) * gain - 1).clamp(-1, 1)
    sigma = torch.where(numbers[:, 1] < 0.5, 0.05 + 0 * numbers[:, 2], 0.3 + 0.7 * numbers[:, 2])
    images = _blurred(images, sigma)
    images = images + grain * (0.03 * numbers[:, 3] * (numbers[:, 4] < 0.6))[:, None, None, None]
    return jpeg(images.clamp(-1, 1), 55 + 43 * numbers[:, 5])
