"""Twins of rasterize, barycentrics, visible_faces and interpolate. Edge functions here are int64: up to 2^22 pixels."""

from typing import NamedTuple

import torch
from torch import Tensor

from warpkit.rasterize import Fragments


class _Faces(NamedTuple):
    """The faces of one image, float64. A face that draws nothing has harmless corners."""

    corners: Tensor
    """``[F, 3, 4]`` x, y, z, w as they are."""
    good: Tensor
    """``[F]`` bool: the face may draw."""
    cut: Tensor
    """``[F]`` bool: the near plane cuts it."""
    outline: Tensor
    """``[F, 6, 3]`` the polygon at w >= near: column and row snapped, in 1/256 pixel, and depth."""
    on: Tensor
    """``[F, 6]`` bool: which of these corners the polygon has."""


def _project(points: Tensor, size: tuple[int, int]) -> Tensor:
    """``[..., 4]`` x, y, z, w to columns and rows in pixels, and depth: ``[..., 3]``."""
    x, y, z, w = points.unbind(-1)
    return torch.stack([(x / w + 1) * size[1] / 2, (y / w + 1) * size[0] / 2, z / w], -1)


def _snap(points: Tensor) -> Tensor:
    return torch.cat([torch.round(points[..., :2] * 256), points[..., 2:]], -1)


def _faces(vertices: Tensor, faces: Tensor, size: tuple[int, int], near: float) -> _Faces:
    num_vertices, components = vertices.shape
    in_range = ((faces >= 0) & (faces < num_vertices)).all(dim=1)
    vertices = vertices.double()
    if components == 3:
        vertices = torch.cat([vertices, torch.ones_like(vertices[:, :1])], dim=1)
    harmless = vertices.new_tensor([0, 0, 0, 1])
    vertices = torch.cat([vertices, harmless[None]])  # so that V = 0 can be indexed
    corners = vertices[torch.where(in_range[:, None], faces.long(), num_vertices)]
    front = corners[..., 3] >= (near if components == 4 else 0)
    good = in_range & corners.isfinite().all(-1).all(-1) & front.any(1)
    corners = torch.where(good[:, None, None], corners, harmless)
    cut = good & ~front.all(1)
    # Round the triangle: a corner, then the point where the edge that follows passes the near plane. Counted from the
    # end in front to the end behind, so that faces which share the edge agree.
    outline, on = [], []
    for k in range(3):
        here, there, ahead = corners[:, k], corners[:, (k + 1) % 3], front[:, k, None]
        near_end, far_end = torch.where(ahead, here, there), torch.where(ahead, there, here)
        crosses = cut & (front[:, k] != front[:, (k + 1) % 3])
        fall = torch.where(crosses, near_end[:, 3] - far_end[:, 3], 1)
        part = (near_end[:, 3] - near) / fall
        passing = near_end + part[:, None] * (far_end - near_end)
        passing = torch.cat([passing[:, :3], torch.full_like(part, near)[:, None]], dim=1)
        for point, there_is in ((here, front[:, k]), (passing, crosses)):
            outline.append(_snap(_project(torch.where(there_is[:, None], point, harmless), size)))
            on.append(there_is)
    points = torch.stack(outline, dim=1).detach()
    good = good & points.isfinite().all(-1).all(-1) & (points[..., :2].abs() < 2.0**61).all(-1).all(-1)
    return _Faces(torch.where(good[:, None, None], corners, harmless), good, cut & good, points, torch.stack(on, dim=1))


def _first_pixel(faces: _Faces, size: tuple[int, int]) -> Tensor:
    """Column and row of the first pixel of each face's box ``[F, 2]``: affine functions are counted from its centre."""
    least = torch.where(faces.on[..., None], faces.outline[..., :2], torch.inf).amin(1)
    first = torch.ceil((least - 128) / 256).clamp(min=0)
    first = torch.minimum(first, first.new_tensor([size[1], size[0]]))
    return torch.where(faces.good[:, None], first, 0)


def _whole_planes(faces: _Faces, size: tuple[int, int]) -> Tensor:
    """Screen-space barycentrics of whole faces ``[F, 3, 3]``: value at the first pixel, growth a column, a row."""
    whole = (faces.good & ~faces.cut)[:, None, None]
    corners = _project(torch.where(whole, faces.corners, faces.corners.new_tensor([0, 0, 0, 1])), size)
    u, v = corners[..., 0], corners[..., 1]
    (au, bu, cu), (av, bv, cv) = u.unbind(1), v.unbind(1)
    area = (bu - au) * (cv - av) - (cu - au) * (bv - av)
    has_area = (1 / area.detach()).isfinite()
    inverse = 1 / torch.where(has_area, area, 1)
    first = _first_pixel(faces, size) + 0.5
    du, dv = u - first[:, :1], v - first[:, 1:]
    planes = []
    for k in range(3):
        b, c = (k + 1) % 3, (k + 2) % 3
        value = (du[:, b] * dv[:, c] - du[:, c] * dv[:, b]) * inverse
        planes.append(torch.stack([value, (v[:, b] - v[:, c]) * inverse, (u[:, c] - u[:, b]) * inverse], dim=1))
    return torch.where(has_area[:, None, None], torch.stack(planes, dim=1), _equal_planes(u))


def _cut_planes(faces: _Faces, size: tuple[int, int]) -> Tensor:
    """Barycentrics over w of faces that the near plane cuts, from the whole face: as `_whole_planes`."""
    x, y, _, w = faces.corners.unbind(-1)
    first = _first_pixel(faces, size) + 0.5
    u = (x + w) * (0.5 * size[1]) - first[:, :1] * w
    v = (y + w) * (0.5 * size[0]) - first[:, 1:] * w
    planes, volume = [], torch.zeros_like(w[:, 0])
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        value = u[:, i] * v[:, j] - u[:, j] * v[:, i]
        per_column, per_row = v[:, i] * w[:, j] - v[:, j] * w[:, i], w[:, i] * u[:, j] - w[:, j] * u[:, i]
        planes.append(torch.stack([value, per_column, per_row], dim=1))
        volume = volume + value * w[:, k]
    has_volume = (1 / volume.detach()).isfinite()
    inverse = (1 / torch.where(has_volume, volume, 1))[:, None, None]
    return torch.where(has_volume[:, None, None], torch.stack(planes, dim=1) * inverse, _equal_planes(u))


def _equal_planes(like: Tensor) -> Tensor:
    return torch.tensor([1 / 3, 0, 0], dtype=torch.float64, device=like.device)


def _depth_planes(faces: _Faces, size: tuple[int, int]) -> Tensor:
    """What orders faces: float32 ``[F, 5]`` value at the first pixel, growth a column, a row, nearest, farthest."""
    z, w = faces.corners[..., 2], torch.where(faces.cut[:, None], 1, faces.corners[..., 3])
    depth, planes, cut_planes = z / w, _whole_planes(faces, size), _cut_planes(faces, size)
    whole = (depth[:, 1] - depth[:, 0])[:, None] * planes[:, 1] + (depth[:, 2] - depth[:, 0])[:, None] * planes[:, 2]
    whole[:, 0] += depth[:, 0]
    cut = (cut_planes[:, 0] * z[:, :1] + cut_planes[:, 1] * z[:, 1:2]) + cut_planes[:, 2] * z[:, 2:]
    nearest = torch.where(faces.on, faces.outline[..., 2], torch.inf).amin(1)
    farthest = torch.where(faces.on, faces.outline[..., 2], -torch.inf).amax(1)
    plane = torch.where(faces.cut[:, None], cut, whole)
    most = torch.finfo(torch.float32).max
    return torch.cat([plane, nearest[:, None], farthest[:, None]], dim=1).clamp(-most, most).float()


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
        all_faces = _faces(image, faces, size, near)
        first = _first_pixel(all_faces, size)
        planes = _depth_planes(all_faces, size)
        nearest = torch.full((height, width), torch.inf, device=vertices.device)
        for f in all_faces.good.nonzero()[:, 0].tolist():
            inside = torch.zeros_like(ids, dtype=torch.bool)
            polygon = all_faces.outline[f, all_faces.on[f], :2].long()
            for n in range(1, len(polygon) - 1):
                x, y = polygon[[0, n, n + 1]].unbind(1)
                area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
                if area == 0 or (cull == "back" and area > 0) or (cull == "front" and area < 0):
                    continue
                piece = torch.ones_like(inside)
                for a, b in ((0, 1), (1, 2), (2, 0)):
                    dx, dy = area.sign() * (x[b] - x[a]), area.sign() * (y[b] - y[a])
                    edge = dx * (py - y[a]) - dy * (px - x[a])
                    top_or_left = (dy < 0) | ((dy == 0) & (dx > 0))
                    piece &= (edge > 0) | ((edge == 0) & top_or_left)
                inside |= piece
            value, per_column, per_row, least, most = planes[f]
            across = (px // 256 - first[f, 0]).float()
            down = (py // 256 - first[f, 1]).float()
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
        all_faces = _faces(image, faces, size, near)
        first = _first_pixel(all_faces, size)
        shown = (ids >= 0) & (ids < len(faces))
        face = torch.where(shown, ids, 0).long()
        shown = shown & all_faces.good[face]
        w = torch.where(all_faces.cut[:, None], 1, all_faces.corners[..., 3])
        planes = _whole_planes(all_faces, size) * (w.detach().amin(1)[:, None] / w)[:, :, None]
        planes = torch.where(all_faces.cut[:, None, None], _cut_planes(all_faces, size) * near, planes)
        value, per_column, per_row = planes.to(dtype)[face].unbind(-1)  # each [H, W, 3]
        across, down = (columns - first[face, 0]).to(dtype)[..., None], (rows - first[face, 1]).to(dtype)[..., None]
        weights = per_column * across + (per_row * down + value)
        weights = torch.where(weights > 0, weights, 0)
        total = (weights[..., :1] + weights[..., 1:2]) + weights[..., 2:]
        divides = (total > 0) & (1 / total.detach()).isfinite()
        weights = torch.where(divides, weights * (1 / torch.where(divides, total, 1)), 1 / 3)
        z, w = all_faces.corners.to(dtype)[face][..., 2:].unbind(-1)
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
    # Selected before they are multiplied, so that no NaN of what is not shown enters a gradient.
    corners = torch.where(shown[..., None], corners, 0).flatten(1)[..., None].expand(-1, -1, dims)
    values = attributes.gather(1, corners).view(*face_index.shape, 3, dims)
    values = torch.where(shown[..., None, None], values, 0)
    out = values * torch.where(shown[..., None], barycentric, 0)[..., None]  # [B, H, W, 3, D]
    return (out[..., 0, :] + out[..., 1, :]) + out[..., 2, :]
