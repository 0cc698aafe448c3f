"""What stands behind people: walls and floors, skies, gradients, noise, boxes, or pictures of a folder."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.data.people.noise import noise


def _colour(generator: torch.Generator) -> Tensor:
    grey = 0.1 + 0.85 * torch.rand(1, generator=generator)
    return (grey + 0.18 * torch.randn(3, generator=generator)).clamp(0.02, 0.98)


def made_up(size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """`[3, size, size]` in [-1, 1]: a place of one of six kinds."""
    kind = int(torch.randint(6, (1,), generator=generator))
    colours = torch.stack([_colour(generator) for _ in range(4)]).to(device)
    shift = torch.randn(3, generator=generator).to(device) * 9
    numbers = torch.rand(40, generator=generator).tolist()
    steps = (torch.arange(size, device=device) + 0.5) / size
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    flat = torch.stack([x, y, torch.zeros_like(x)], -1).view(-1, 3)

    def field(frequency: float, octaves: int, stretch: float = 1.0) -> Tensor:
        points = flat * flat.new_tensor([frequency, frequency * stretch, 1.0]) + shift
        return noise(points, octaves).view(size, size, -1)

    rough = field(3 + 9 * numbers[0], 3, 1 + 3 * (numbers[1] > 0.7))
    if kind == 0:  # wall and floor
        horizon = 0.55 + 0.3 * numbers[2]
        wall = colours[0] * (1 + 0.05 * rough[..., :1])
        tiles = ((x * (4 + 8 * numbers[3])) % 1 < 0.06) & (y < horizon) & (numbers[4] < 0.4)
        floor = colours[1] * (1 + 0.1 * field(14, 2, 4)[..., :1]) * (0.75 + 0.4 * (y - horizon))[..., None]
        picture = torch.where((y < horizon)[..., None], torch.lerp(wall, colours[2], 0.6 * tiles[..., None]), floor)
    elif kind == 1:  # open air: sky, far things, ground
        horizon = 0.4 + 0.3 * numbers[2] + 0.06 * rough[..., 0]
        sky = torch.lerp(colours[0].new_tensor([0.45, 0.65, 0.92]), colours[0].new_tensor([0.95, 0.95, 0.95]),
                         (y + 0.25 * rough[..., 1])[..., None].clamp(0, 1))  # fmt: skip
        green = colours[1] * colours[1].new_tensor([0.7, 0.9, 0.5]) * (1 + 0.3 * field(22, 3)[..., :1])
        ground = colours[2] * (1 + 0.15 * field(18, 3, 3)[..., :1])
        picture = torch.where((y < horizon - 0.2 * numbers[3])[..., None], sky, green)
        picture = torch.where((y > horizon + 0.1)[..., None], ground, picture)
    elif kind == 2:  # gradient
        across = x * numbers[2] + y * (1 - numbers[2])
        picture = torch.lerp(colours[0], colours[1], across[..., None])
    elif kind == 3:  # texture
        picture = torch.lerp(colours[0], colours[1], (0.5 + 0.4 * rough[..., :1]).clamp(0, 1))
        picture = torch.lerp(picture, colours[2], (rough[..., 1:2] > 0.8).float())
    elif kind == 4:  # boxes: buildings, furniture, windows
        picture = colours[0] * (1 + 0.06 * rough[..., :1])
        for box in range(6):
            left, upper, wide, tall, tone, grid = numbers[4 + 6 * box : 10 + 6 * box]
            inside = (x > left - 0.2) & (x < left - 0.2 + 0.5 * wide) & (y > upper - 0.2) & (y < upper + 0.7 * tall)
            colour = colours[1 + box % 3] * (0.6 + 0.6 * tone)
            panes = ((x * (6 + 20 * grid)) % 1 < 0.25) | ((y * (6 + 20 * grid)) % 1 < 0.25)
            filled = torch.where((panes & (tone > 0.5))[..., None], colour * 0.6, colour)
            picture = torch.where(inside[..., None], filled, picture)
    else:  # plain with a falling-off light
        fall = 1.1 - 0.6 * ((x - numbers[2]).square() + (y - numbers[3]).square())
        picture = colours[0] * fall[..., None] * (1 + 0.02 * rough[..., :1])
    picture = picture.clamp(0, 1).permute(2, 0, 1) * 2 - 1
    softness = int(numbers[39] * 3)
    if softness:  # out of focus
        kernel = 2 * softness * max(1, size // 128) + 1
        for _ in range(2):
            picture = F.avg_pool2d(F.pad(picture[None], (kernel // 2,) * 4, mode="replicate"), kernel, 1)[0]
    return picture


def cut_from(picture: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A square of `picture` `[3, H, W]` as `[3, size, size]`, often mirrored, its colours a little changed."""
    height, width = picture.shape[-2:]
    numbers = torch.rand(4, generator=generator).tolist()
    side = max(1, int(min(height, width) * (0.5 + 0.5 * numbers[0])))
    upper, left = int(numbers[1] * (height - side)), int(numbers[2] * (width - side))
    square = picture[None, :, upper : upper + side, left : left + side]
    square = F.interpolate(square, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    if numbers[3] < 0.5:
        square = square.flip(-1)
    gain = (1 + 0.1 * torch.randn(3, 1, 1, generator=generator)).to(square)
    return ((square + 1) * gain - 1).clamp(-1, 1)
