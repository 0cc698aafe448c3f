"""The outline of a mask and the outline of a body, and which point of one belongs to which point of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from warpkit.models.bodies import PARTS, BodyModel, Camera, part_of_vertices

WORK_HEIGHT = 320  # pixels of a person in the copy that outlines are taken from
POINTS = 400  # of an outline, at most
SAME_WAY = 0.5  # the least cosine between the outward directions of two points that belong together
REACH = 0.08  # of the body's height: points farther apart never belong together


@dataclass(frozen=True)
class Outline:
    """Points [M, 2] of a mask's outline in pixels and their outward directions [M, 2]; not at the picture's edges."""

    points: Tensor
    outward: Tensor


@dataclass(frozen=True)
class Matches:
    """Vertices [N] of a body, where their pixels should lie [N, 2] along a direction [N, 2], and the weights [N]."""

    vertices: Tensor
    points: Tensor
    outward: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Frame:
    """A part of a picture at the working resolution: pixel = origin + step · (small pixel)."""

    origin: tuple[float, float]
    step: float
    size: tuple[int, int]

    @staticmethod
    def around(box: tuple[float, float, float, float]) -> Frame:
        """The frame round a box, with a margin."""
        x0, y0, x1, y1 = box
        length = max(x1 - x0, y1 - y0, 1.0)
        step, margin = max(length / WORK_HEIGHT, 1e-3), 0.1 * length
        size = (int((y1 - y0 + 2 * margin) / step) + 1, int((x1 - x0 + 2 * margin) / step) + 1)
        return Frame((x0 - margin, y0 - margin), step, size)

    def camera(self, camera: Camera) -> Camera:
        """A camera of the picture, for the frame's own pixels."""
        return Camera(camera.scale / self.step, (camera.offset - camera.offset.new_tensor(self.origin)) / self.step)

    def cut(self, mask: Tensor) -> np.ndarray:
        """The mask [H, W] of the whole picture in the frame; zero outside the picture."""
        factor = max(1, round(self.step))
        if factor > 1:
            mask = torch.nn.functional.avg_pool2d(mask[None, None], factor, ceil_mode=True, count_include_pad=False)[
                0, 0
            ]
        height, width = mask.shape[0] * factor, mask.shape[1] * factor
        y = (torch.arange(self.size[0]) + 0.5) * self.step + self.origin[1]
        x = (torch.arange(self.size[1]) + 0.5) * self.step + self.origin[0]
        rows, columns = torch.meshgrid(y / height * 2 - 1, x / width * 2 - 1, indexing="ij")
        grid = torch.stack([columns, rows], -1)
        return torch.nn.functional.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0].numpy()


def mask_outline(mask: np.ndarray, frame: Frame, size: tuple[int, int]) -> Outline:
    """The outline of a soft mask, to a fraction of a pixel.

    Args:
        mask: the frame's cut of the mask.
        frame: where the cut lies.
        size: (height, width) of the picture: outlines at its edges are no outlines of the person.
    """
    soft = gaussian_filter(mask.astype(np.float32), 1.0)
    down, right = np.gradient(soft)
    steep = np.hypot(right, down)
    inside = soft > 0.5
    edge = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
    rows, columns = np.nonzero(edge & (steep > 1e-3))
    if len(rows) > POINTS:
        chosen = np.linspace(0, len(rows) - 1, POINTS).astype(int)  # row by row, so evenly from head to feet
        rows, columns = rows[chosen], columns[chosen]
    slope = steep[rows, columns]
    outward = -np.stack([right[rows, columns], down[rows, columns]], 1) / slope[:, None]
    shift = np.clip((soft[rows, columns] - 0.5) / slope, -1.5, 1.5)
    points = (np.stack([columns + 0.5, rows + 0.5], 1) + outward * shift[:, None]) * frame.step + frame.origin
    border = 1.5 * frame.step
    kept = (points > border).all(1) & (points < np.array([size[1], size[0]]) - border).all(1)
    return Outline(torch.from_numpy(points[kept]).float(), torch.from_numpy(outward[kept]).float())


class Silhouettes:
    """What a body model looks like from outside: its mask, and the vertices of its outline."""

    def __init__(self, model: BodyModel) -> None:
        self.model = model
        faces = model.faces.long().cpu()
        self.faces = faces
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        owner = torch.arange(len(faces)).repeat(3)
        key = edges.amin(1) * model.num_vertices + edges.amax(1)
        key, order = key.sort()
        twins = torch.nonzero(key[1:] == key[:-1])[:, 0]
        self.edge_vertices = edges[order[twins]]
        self.edge_faces = torch.stack([owner[order[twins]], owner[order[twins + 1]]], 1)
        self.head = part_of_vertices(model).cpu() == PARTS.index("head")

    def mask(self, vertices: Tensor, camera: Camera, size: tuple[int, int]) -> np.ndarray:
        """The body's mask, bool [H, W], of vertices [1, V, 3] in body space."""
        from warpkit import rasterize

        return (rasterize(camera.project(vertices, size), self.model.faces, size).face_index[0] >= 0).numpy()

    def outline(self, vertices: Tensor, camera: Camera, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Indices [N], pixels [N, 2] and outward directions [N, 2] of the vertices on the outline."""
        pixels = camera.pixels(vertices)[0]
        corners = pixels[self.faces]
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        facing = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) < 0
        turned = facing[self.edge_faces[:, 0]] != facing[self.edge_faces[:, 1]]
        edges, towards = self.edge_vertices[turned], self.edge_faces[turned]
        # outward: across the edge, away from the third corner of the face that is seen
        seen = torch.where(facing[towards[:, 0]], towards[:, 0], towards[:, 1])
        along = pixels[edges[:, 1]] - pixels[edges[:, 0]]
        across = torch.nn.functional.normalize(torch.stack([-along[:, 1], along[:, 0]], 1), dim=1)
        away = pixels[edges[:, 0]] - corners[seen].mean(1)
        across = across * (across * away).sum(1, keepdim=True).sign()
        direction = torch.zeros_like(pixels)
        direction.index_add_(0, edges[:, 0], across).index_add_(0, edges[:, 1], across)
        candidates = edges.unique()

        small = frame.camera(camera)
        inside = distance_transform_edt(self.mask(vertices, small, frame.size))
        place = small.pixels(vertices)[0][candidates].floor().long()
        limits = place.new_tensor([frame.size[1] - 1, frame.size[0] - 1])
        within = ((place >= 0) & (place <= limits)).all(1)
        place = place.clamp(min=place.new_zeros(2), max=limits)
        depth = torch.from_numpy(inside)[place[:, 1], place[:, 0]]
        outer = candidates[within & (depth <= 2.0)]
        if len(outer) > POINTS:
            outer = outer[torch.linspace(0, len(outer) - 1, POINTS).long()]
        return outer, pixels[outer], torch.nn.functional.normalize(direction[outer], dim=1)


def match(outline: Outline, body: tuple[Tensor, Tensor, Tensor], height: float, head: Tensor) -> Matches:
    """Each point of the mask's outline with a vertex, and each vertex of the body's outline with a point.

    Args:
        outline: of the mask.
        body: indices, pixels and outward directions, of `Silhouettes.outline`.
        height: of the body in pixels.
        head: [V] bool, the vertices of the head: where the mask is outside of them there is hair.
    """
    vertices, pixels, outward = body
    distance = torch.cdist(outline.points, pixels) / height
    same_way = outline.outward @ outward.T > SAME_WAY
    distance = torch.where(same_way, distance, torch.full_like(distance, torch.inf))
    pairs = []
    for axis, count in ((1, len(outline.points)), (0, len(vertices))):
        if distance.numel() == 0:
            continue
        nearest = distance.min(axis)
        kept = torch.nonzero(nearest.values < REACH)[:, 0]
        other = nearest.indices[kept]
        point, vertex = (kept, other) if axis == 1 else (other, kept)
        pairs.append((point, vertex, torch.full((len(kept),), 0.5 / max(count, 1))))
    if not pairs:
        empty = torch.zeros(0)
        return Matches(empty.long(), empty.reshape(0, 2), empty.reshape(0, 2), empty)
    point, vertex, weight = (torch.cat(column) for column in zip(*pairs, strict=True))
    gap = ((outline.points[point] - pixels[vertex]) * outline.outward[point]).sum(1) / height
    hair = head[vertices[vertex]] & (gap > 0)
    weight = torch.where(hair, weight * 0.1, weight)
    return Matches(vertices[vertex], outline.points[point], outline.outward[point], weight)
