"""Twins of rasterize, barycentrics, visible_faces and interpolate. Edge functions here are int64: up to 2^22 pixels."""

from typing import NamedTuple

import torch
from torch import Tensor

from warpkit.rasterize import Fragments


class _Corners(NamedTuple):
    """The three corners of each face of one image, each ``[F, 3]`` float64; good: ``[F]`` bool, the face may draw."""

    u: Tensor  # pixels, as they are
    v: Tensor
    x: Tensor  # snapped, in 1/256 pixel
    y: Tensor
    z: Tensor
    w: Tensor
    good: Tensor


def _corners(vertices: Tensor, faces: Tensor, size: tuple[int, int], near: float) -> _Corners:
    height, width = size
    num_vertices, components = vertices.shape
    in_range = ((faces >= 0) & (faces < num_vertices)).all(dim=1)
    vertices = torch.cat(
        [vertices.double(), vertices.new_zeros(1, components).double()]
    )  # so that V = 0 can be indexed
    faces = torch.where(in_range[:, None], faces.long(), num_vertices)
    x, y, z = (vertices[:, k][faces] for k in range(3))
    w = vertices[:, 3][faces] if components == 4 else torch.ones_like(x)
    u, v = (x / w + 1) * width, (y / w + 1) * height
    snapped_x, snapped_y = torch.round(u * 128), torch.round(v * 128)
    finite = (snapped_x.isfinite() & snapped_y.isfinite() & (z / w).isfinite() & w.isfinite()).all(dim=1)
    in_front = (w >= near).all(dim=1) if components == 4 else torch.ones_like(in_range)
    return _Corners(u / 2, v / 2, snapped_x, snapped_y, z, w, in_range & finite & in_front)


def _first_pixel(corners: _Corners, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Column and row of the first pixel of each face's box: affine functions are counted from its centre."""
    height, width = size
    columns = torch.ceil((corners.x.amin(1) - 128) / 256).clamp(0, width)
    rows = torch.ceil((corners.y.amin(1) - 128) / 256).clamp(0, height)
    return columns, rows


def _screen_barycentrics(corners: _Corners, size: tuple[int, int]) -> Tensor:
    """Value at the first pixel, growth a column and growth a row of the three affine barycentrics: ``[F, 3, 3]``."""
    columns, rows = _first_pixel(corners, size)
    u, v = corners.u - (columns + 0.5)[:, None], corners.v - (rows + 0.5)[:, None]
    planes = []
    (au, bu, cu), (av, bv, cv) = corners.u.unbind(1), corners.v.unbind(1)
    inverse = 1 / ((bu - au) * (cv - av) - (cu - au) * (bv - av))
    for k in range(3):
        b, c = (k + 1) % 3, (k + 2) % 3
        value = (u[:, b] * v[:, c] - u[:, c] * v[:, b]) * inverse
        per_column = (corners.v[:, b] - corners.v[:, c]) * inverse
        per_row = (corners.u[:, c] - corners.u[:, b]) * inverse
        planes.append(torch.stack([value, per_column, per_row], dim=1))
    flat = torch.tensor([1 / 3, 0, 0], dtype=torch.float64, device=u.device)
    return torch.where(inverse.isfinite()[:, None, None], torch.stack(planes, dim=1), flat)


def _depth_planes(corners: _Corners, size: tuple[int, int]) -> Tensor:
    """What orders faces: float32 ``[F, 5]`` value at the first pixel, growth a column, a row, nearest, farthest."""
    barycentric = _screen_barycentrics(corners, size)
    depth = corners.z / corners.w
    plane = (depth[:, 1] - depth[:, 0])[:, None] * barycentric[:, 1] + (depth[:, 2] - depth[:, 0])[
        :, None
    ] * barycentric[:, 2]
    plane[:, 0] += depth[:, 0]
    most = torch.finfo(torch.float32).max
    return torch.cat([plane, depth.amin(1)[:, None], depth.amax(1)[:, None]], dim=1).clamp(-most, most).float()


def rasterize(
    vertices: Tensor, faces: Tensor, size: tuple[int, int], *, cull: str | None = None, near: float = 1e-4
) -> Fragments:
    """The nearest face under each pixel's centre; see `warpkit.rasterize`."""
    height, width = size
    face_index = torch.full((len(vertices), height, width), -1, dtype=torch.int32, device=vertices.device)
    # Pixel centres in snapped units; all of them, for every face.
    py = torch.arange(height, device=vertices.device)[:, None] * 256 + 128
    px = torch.arange(width, device=vertices.device) * 256 + 128
    for image, ids in zip(vertices.detach(), face_index, strict=True):
        corners = _corners(image, faces, size, near)
        columns, rows = _first_pixel(corners, size)
        planes = _depth_planes(corners, size)
        nearest = torch.full((height, width), torch.inf, device=vertices.device)
        for f in corners.good.nonzero()[:, 0].tolist():
            x, y = corners.x[f].long(), corners.y[f].long()
            area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
            if area == 0 or (cull == "back" and area > 0) or (cull == "front" and area < 0):
                continue
            inside = torch.ones_like(ids, dtype=torch.bool)
            for a, b in ((0, 1), (1, 2), (2, 0)):
                dx, dy = area.sign() * (x[b] - x[a]), area.sign() * (y[b] - y[a])
                edge = dx * (py - y[a]) - dy * (px - x[a])
                top_or_left = (dy < 0) | ((dy == 0) & (dx > 0))
                inside &= (edge > 0) | ((edge == 0) & top_or_left)
            value, per_column, per_row, least, most = planes[f]
            across = (px // 256 - columns[f]).float()
            down = (py // 256 - rows[f]).float()
            depth = (per_column * across + (per_row * down + value)).clamp(least, most)
            wins = inside & (depth < nearest)
            nearest[wins] = depth[wins]
            ids[wins] = f
    return Fragments(face_index, *barycentrics(vertices, faces, face_index, near=near))


def barycentrics(vertices: Tensor, faces: Tensor, face_index: Tensor, *, near: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Barycentrics and depth of known faces; see `warpkit.barycentrics`."""
    dtype = vertices.dtype
    size = (face_index.shape[1], face_index.shape[2])
    if len(faces) == 0 or len(vertices) == 0:
        return vertices.new_zeros(*face_index.shape, 3), vertices.new_full(face_index.shape, torch.inf)
    barycentric, depth = [], []
    rows, columns = torch.meshgrid(*(torch.arange(n, device=vertices.device) for n in size), indexing="ij")
    for image, ids in zip(vertices, face_index, strict=True):
        corners = _corners(image, faces, size, near)
        first_column, first_row = _first_pixel(corners, size)
        shown = (ids >= 0) & (ids < len(faces))
        face = torch.where(shown, ids, 0).long()
        shown = shown & corners.good[face]
        planes = _screen_barycentrics(corners, size) * (corners.w.amin(1)[:, None] / corners.w)[:, :, None]
        value, per_column, per_row = planes.to(dtype)[face].unbind(-1)  # each [H, W, 3]
        across = (columns - first_column[face]).to(dtype)[..., None]
        down = (rows - first_row[face]).to(dtype)[..., None]
        weights = per_column * across + (per_row * down + value)
        weights = torch.where(weights > 0, weights, 0)
        inverse = 1 / ((weights[..., 0] + weights[..., 1]) + weights[..., 2])[..., None]
        weights = torch.where(inverse.isfinite() & (inverse > 0), weights * inverse, 1 / 3)
        z, w = corners.z.to(dtype)[face], corners.w.to(dtype)[face]
        distance = (weights[..., 0] * z[..., 0] + weights[..., 1] * z[..., 1]) + weights[..., 2] * z[..., 2]
        if image.shape[-1] == 4:
            distance = distance / (
                (weights[..., 0] * w[..., 0] + weights[..., 1] * w[..., 1]) + weights[..., 2] * w[..., 2]
            )
        barycentric.append(torch.where(shown[..., None], weights, 0))
        depth.append(torch.where(shown, distance, torch.inf))
    return torch.stack(barycentric), torch.stack(depth)


def visible_faces(face_index: Tensor, num_faces: int) -> Tensor:
    """Which faces own at least one pixel; see `warpkit.visible_faces`."""
    visible = torch.zeros(len(face_index), num_faces, dtype=torch.bool, device=face_index.device)
    for image, ids in zip(visible, face_index, strict=True):
        image[ids[(ids >= 0) & (ids < num_faces)].long()] = True
    return visible


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Vertex attributes at each pixel; see `warpkit.interpolate`."""
    face_index, barycentric, _ = fragments
    batch = len(face_index)
    attributes = attributes.expand(batch, *attributes.shape[-2:])
    num_vertices, dims = attributes.shape[1:]
    if len(faces) == 0 or num_vertices == 0:
        return attributes.new_zeros(*face_index.shape, dims)
    shown = (face_index >= 0) & (face_index < len(faces))
    corners = faces[torch.where(shown, face_index, 0).long()].long()  # [B, H, W, 3]
    shown = shown & ((corners >= 0) & (corners < num_vertices)).all(-1)
    corners = torch.where(shown[..., None], corners, 0)
    out = (
        torch.stack(
            [
                image[ids] * weights[..., None]
                for image, ids, weights in zip(attributes, corners, barycentric, strict=True)
            ]
        )
        if batch
        else attributes.new_zeros(*face_index.shape, 3, dims)
    )  # [B, H, W, 3, D]
    return torch.where(shown[..., None], (out[..., 0, :] + out[..., 1, :]) + out[..., 2, :], 0)
