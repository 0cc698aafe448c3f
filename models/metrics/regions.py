"""Where pictures are compared: the person's mask made wider, the person's box, the face."""

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Flow, warp
from warpkit.models.bodies import JOINTS, BodyModel
from warpkit.models.features.faces import FaceEmbedding
from warpkit.models.geometric.mesh import t_pose, vertex_normals

WIDER = 0.02
"""By how much the person's mask is widened, as a share of the person's height in the picture."""
BODY_MARGIN = 0.1
"""Beside the body's box, in its own height: clothes and hair reach further than the body."""
EYE_VERTICES = 8
"""Vertices whose middle is taken for an eye's."""
FACING = 0.5
"""Cosine between the face's direction and the camera's from which on a face is compared: it is seen within 60°."""


def widened(alpha: Tensor, share: float = WIDER) -> Tensor:
    """Masks `[B, 1, H, W]` made wider all round by a share of the height of what they show; alpha > 0.5 counts.

    Returns:
        `[B, 1, H, W]` float, 0 or 1; all 0 where a mask shows nothing.
    """
    result = []
    for mask in (alpha > 0.5).float():
        rows = mask[0].amax(1).nonzero()
        radius = 0 if len(rows) == 0 else round(share * float(rows[-1] - rows[0] + 1))
        result.append(_dilated(mask, radius))
    return torch.stack(result)


def inside(box: Tensor, size: tuple[int, int]) -> Tensor:
    """`[B, 1, H, W]` float, 0 or 1: pixels of pictures of `size` whose centres lie in boxes `[B, 4]` NDC; NaN: none."""
    height, width = size
    y, x = ((torch.arange(side, device=box.device) * 2 + 1) / side - 1 for side in (height, width))
    left, top, right, bottom = (edge[:, None] for edge in box.unbind(1))
    rows, columns = (y >= top) & (y <= bottom), (x >= left) & (x <= right)
    return (rows[:, :, None] & columns[:, None]).float()[:, None]


def _dilated(mask: Tensor, radius: int) -> Tensor:
    """`[1, H, W]` by a disc, row by row of the disc."""
    if radius == 0:
        return mask
    height = mask.shape[-2]
    padded = F.pad(mask, (0, 0, radius, radius))
    wide = torch.zeros_like(mask)
    for row in range(-radius, radius + 1):
        half = int((radius**2 - row**2) ** 0.5)
        moved = padded[:, radius + row : radius + row + height]
        wide = torch.maximum(wide, F.max_pool2d(moved, (1, 2 * half + 1), 1, (0, half)))
    return wide


def body_crop(image: Tensor, vertices: Tensor, size: tuple[int, int]) -> Tensor:
    """The person cut out of each picture, with the aspect of `size`, for networks that tell people apart.

    Args:
        image: `[B, 3, H, W]`.
        vertices: `[B, V, 3]` NDC of the body in it.
        size: height and width of the result.
    """
    aspect = image.shape[-1] / image.shape[-2]
    points = vertices[..., :2] * vertices.new_tensor([aspect, 1])
    low, high = points.amin(1), points.amax(1)
    half = (high - low) / 2 + BODY_MARGIN * (high - low)[:, 1:]
    tall = torch.maximum(half[:, 1], half[:, 0] * size[0] / size[1])
    half = torch.stack([tall * size[1] / size[0], tall], 1)
    across = torch.stack([half[:, 0] * 2, torch.zeros_like(tall)], 1)
    down = torch.stack([torch.zeros_like(tall), half[:, 1] * 2], 1)
    corner = (low + high) / 2 - half
    return _cut(image, corner, across, down, size)


class Faces:
    """Finds the face on a posed body, from its vertices alone."""

    def __init__(self, model: BodyModel) -> None:
        shape = model.mean_shape[None]
        rest = t_pose(model, shape)[0]
        points = model.keypoints(torch.zeros(1, len(JOINTS), 3, device=rest.device), shape)[0]
        eyes = points[1:3].flip(0)  # the right eye is on the left of a picture
        near = torch.cdist(eyes, rest).topk(EYE_VERTICES, largest=False).indices
        head = model.faces[model.parts == 0].long().unique()
        normals = vertex_normals(rest[None], model.faces)[0]
        gap = torch.linalg.vector_norm(eyes[0] - eyes[1])
        middle = eyes.mean(0)
        around = torch.linalg.vector_norm(rest[head] - middle, dim=1) < 1.2 * gap
        self.eyes = near
        self.front = head[around & (normals[head, 2] > 0.5)]
        self.faces = model.faces

    def facing(self, vertices: Tensor, aspect: float = 1.0) -> Tensor:
        """`[B]` cosine between where faces of bodies `[B, V, 3]` NDC look and the way to the camera."""
        square = vertices * vertices.new_tensor([aspect, 1, 1])
        normals = vertex_normals(square, self.faces.to(vertices.device))[:, self.front.to(vertices.device)]
        return -F.normalize(normals.mean(1), dim=-1)[:, 2]

    def chips(self, image: Tensor, vertices: Tensor, network: FaceEmbedding) -> Tensor:
        """Faces turned upright, cut out as `network` wants them.

        The size is that of the distance of the eyes in space, so that a face that turns away does not grow.

        Args:
            image: `[B, 3, H, W]`.
            vertices: `[B, V, 3]` NDC of the body in it, depth in the unit of y.
            network: whose `eyes` and `size` say where the eyes come to lie.
        """
        aspect = image.shape[-1] / image.shape[-2]
        eyes = vertices[:, self.eyes.to(vertices.device)].mean(2) * vertices.new_tensor([aspect, 1, 1])
        (x0, y0), (x1, y1) = network.eyes
        height, width = network.size
        wide = torch.linalg.vector_norm(eyes[:, 1] - eyes[:, 0], dim=-1, keepdim=True) / (x1 - x0)
        along = eyes[:, 1, :2] - eyes[:, 0, :2]
        across = torch.where(along[:, :1] > 0.3 * wide * (x1 - x0), along, along.new_tensor([1.0, 0.0]))
        across = F.normalize(across, dim=-1) * wide
        down = torch.stack([-across[:, 1], across[:, 0]], 1) * height / width
        corner = eyes.mean(1)[:, :2] - (x0 + x1) / 2 * across - (y0 + y1) / 2 * down
        return _cut(image, corner, across, down, network.size)


def _cut(image: Tensor, corner: Tensor, across: Tensor, down: Tensor, size: tuple[int, int]) -> Tensor:
    """A parallelogram of each picture, at `size`, with four samples a pixel; zeros outside the picture.

    `corner`, `across`, `down`: `[B, 2]`, of which y is NDC and x is NDC times the picture's aspect.
    """
    height, width = 2 * size[0], 2 * size[1]
    x = (torch.arange(width, device=image.device) + 0.5) / width
    y = (torch.arange(height, device=image.device) + 0.5) / height
    points = (
        corner[:, None, None]
        + across[:, None, None] * x[None, None, :, None]
        + down[:, None, None] * y[None, :, None, None]
    )
    grid = points / points.new_tensor([image.shape[-1] / image.shape[-2], 1])
    return F.avg_pool2d(warp(image, Flow(grid.float()[:, None])), 2)
