"""Every op in plain PyTorch, in any float dtype, slow and obvious: the definition that tests compare with.

Arguments are those of the ops and are not checked. Edge functions here are int64: coordinates up to 2^22 pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from warpkit.flow import Flow
from warpkit.rasterize import Fragments

# ---- rasterize, barycentrics, visible_faces, interpolate ------------------------------------------------------------


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


def mesh_flow(
    source_vertices: Tensor,
    target_vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    *,
    source_size: tuple[int, int] | None = None,
    visibility: str | None = "pixel",
    face_mask: Tensor | None = None,
) -> Flow:
    """Where the target's surface lies in each source, and whether the source shows it; see `warpkit.mesh_flow`."""
    source_size = source_size or size
    batch, sources = source_vertices.shape[:2]
    face_index, barycentric, _ = rasterize(target_vertices, faces, size)
    grid = source_vertices.new_full((batch, sources, *size, 2), -2)
    visible = torch.zeros(batch, sources, *size, dtype=torch.bool, device=grid.device)
    for b in range(batch):
        for s, vertices in enumerate(source_vertices[b]):
            if len(faces) == 0 or len(vertices) == 0:
                continue
            face = face_index[b].clamp(min=0).long()
            corners = _face_corners(vertices, faces)[face]  # [H, W, 3, D]
            weights = barycentric[b]
            point = corners[..., 0, :] * weights[..., :1] + corners[..., 1, :] * weights[..., 1:2]
            point = point + corners[..., 2, :] * weights[..., 2:]
            shown = face_index[b] >= 0
            if vertices.shape[-1] == 4:
                shown = shown & (point[..., 3] > 0)
                point = point[..., :3] / point[..., 3:]
            shown = shown & point[..., :2].isfinite().all(-1)
            if face_mask is not None:
                shown = shown & face_mask[b, s][face]
            if visibility == "face":
                seen = rasterize(vertices[None], faces, (max(source_size[0], 2048), max(source_size[1], 2048)))
                shown = shown & visible_faces(seen.face_index, len(faces))[0][face]
            if visibility == "pixel":
                shown = shown & _is_shown(vertices, faces, source_size, point, face)
            grid[b, s] = torch.where(shown[..., None], point[..., :2], -2)
            visible[b, s] = shown
    return Flow(grid, visible)


def _is_shown(vertices: Tensor, faces: Tensor, size: tuple[int, int], point: Tensor, face: Tensor) -> Tensor:
    """``[H, W]`` whether the source ``[V, 3 or 4]`` shows points ``[H, W, 3]`` (x, y, depth) of faces ``[H, W]``."""
    source = rasterize(vertices[None], faces, size)
    slopes = _depth_slopes(vertices, faces, size)
    own, depth = slopes[face], point[..., 2]
    column, row = (point[..., 0] + 1) / 2 * size[1], (point[..., 1] + 1) / 2 * size[0]
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    j, i = (torch.where(inside, at, 0).long() for at in (column, row))
    across = torch.where(column - j < 0.5, j - 1, j + 1)
    down = torch.where(row - i < 0.5, i - 1, i + 1)
    shows, passes = [], []  # at the four centres round the point, first that of the pixel where it lies
    for y, x in ((i, j), (i, across), (down, j), (down, across)):
        exists = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
        y, x = torch.where(exists, y, 0), torch.where(exists, x, 0)
        there = source.face_index[0][y, x]
        slope = slopes[there.clamp(min=0).long()]
        tolerance = torch.where((slope < 0) == (own < 0), slope.abs() + own.abs(), 0)
        reaches = depth <= source.depth[0][y, x] + tolerance + 1e-5 * depth.abs().clamp(min=1)
        shows.append(exists & (there >= 0))
        passes.append(shows[-1] & reaches)
    others = passes[1] | passes[2] | passes[3] | ~(shows[1] | shows[2] | shows[3])
    return ~inside | torch.where(shows[0], passes[0], others)


def _face_corners(vertices: Tensor, faces: Tensor) -> Tensor:
    """``[F, 3, D]``; faces out of range, which draw nothing, get some vertex."""
    return vertices[faces.long().clamp(0, len(vertices) - 1)]


def _depth_slopes(vertices: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """``[F]`` how far each face's depth goes in one pixel right and one down; negative: counter-clockwise."""
    corners = _face_corners(vertices, faces)
    if vertices.shape[-1] == 4:
        corners = corners[..., :3] / corners[..., 3:]
    (bx, by, bz), (cx, cy, cz) = ((corners[:, k] - corners[:, 0]).unbind(-1) for k in (1, 2))
    area = bx * cy - cx * by
    across = (bz * cy - cz * by) / area * (2 / size[1])
    down = (cz * bx - bz * cx) / area * (2 / size[0])
    slope = across.abs() + down.abs()
    slope = torch.where((slope > 1e-30) & (slope < 1e30), slope, 1e-30)
    return torch.where(area < 0, -slope, slope)


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


# ---- compose_flow, resize_flow, warp --------------------------------------------------------------------------------


def compose_flow(
    source_vertices: Tensor,
    faces: Tensor,
    target: Fragments,
    *,
    source_visible: Tensor | None = None,
    face_mask: Tensor | None = None,
) -> Flow:
    """Where the target's surface lies in each source; see `warpkit.compose_flow`."""
    sources = []
    for s in range(source_vertices.shape[1]):
        points = interpolate(source_vertices[:, s], faces, target)  # [B, H, W, 2 | 3 | 4]
        known = interpolate(torch.ones_like(source_vertices[:, s, :, :1]), faces, target)[..., 0] > 0
        if points.shape[-1] == 4:
            known = known & (points[..., 3] > 0)
            points = points[..., :2] / torch.where(known, points[..., 3], 1)[..., None]
        points = points[..., :2]
        for flags in (source_visible, face_mask):
            if flags is not None and len(faces) > 0:
                face = torch.where(known, target.face_index, 0).long()
                known = known & flags[:, s].gather(1, face.flatten(1)).view(face.shape)
        known = known & points.isfinite().all(-1)
        sources.append((torch.where(known[..., None], points, -2), known))
    if not sources:
        shape = (*source_vertices.shape[:2], *target.face_index.shape[1:])
        return Flow(source_vertices.new_zeros(*shape, 2), target.face_index.new_zeros(shape, dtype=torch.bool))
    return Flow(torch.stack([grid for grid, _ in sources], 1), torch.stack([known for _, known in sources], 1))


def _places(size: int, like: Tensor) -> Tensor:
    """NDC of the pixels' centres along one axis."""
    return (2 * torch.arange(size, dtype=like.dtype, device=like.device) + 1) / size - 1


def _footprints(size: int, out: int, mode: str, like: Tensor) -> Tensor:
    """How much each of ``out`` samples covers of each of ``size``: ``[out, size]``; rows sum to a positive number."""
    target = torch.arange(out, dtype=torch.float64, device=like.device)[:, None]
    source = torch.arange(size, dtype=torch.float64, device=like.device)
    if mode == "masked" and size > out:
        begin, end = target * size / out, (target + 1) * size / out
        return (torch.minimum(source + 1, end) - torch.maximum(source, begin)).clamp(min=0)
    at = (target + 0.5) * size / out - 0.5 if mode == "masked" else target * (size - 1) / max(out - 1, 1)
    return (1 - (at.clamp(0, size - 1) - source).abs()).clamp(min=0)


def resize_flow(flow: Flow, size: tuple[int, int], *, mode: str = "masked") -> Flow:
    """A flow at another size; see `warpkit.resize_flow`."""
    grid, visible = flow
    height, width = grid.shape[2:4]
    wide = grid.double()
    down, across = _footprints(height, size[0], mode, grid), _footprints(width, size[1], mode, grid)

    def cover(samples: Tensor) -> Tensor:  # [B, S, h, w, N] -> [B, S, H, W, N]
        return torch.einsum("ih,jw,bshwn->bsijn", down, across, samples)

    if mode == "bilinear":
        return Flow(cover(wide).to(grid.dtype))
    seen = torch.ones_like(grid[..., :1], dtype=torch.bool) if visible is None else visible[..., None]
    here = torch.stack(torch.meshgrid(_places(height, wide), _places(width, wide), indexing="ij")[::-1], -1)
    there = torch.stack(torch.meshgrid(_places(size[0], wide), _places(size[1], wide), indexing="ij")[::-1], -1)
    area, covered = cover(seen.double()), cover(torch.ones_like(wide[..., :1]))
    displacement = cover(torch.where(seen, wide - here, 0)) / torch.where(area > 0, area, 1)
    shown = area >= (0.5 - 1e-9) * covered
    out = torch.where(shown, displacement + there, -2).to(grid.dtype)
    return Flow(out, None if visible is None else shown[..., 0])


def warp(features: Tensor, flow: Flow) -> Tensor:
    """Sources read where the flow says; see `warpkit.warp`."""
    grid, visible = flow
    images = features if features.dim() == 5 else features[:, None]  # [B, S, C, h, w]
    height, width = images.shape[-2:]
    usable = (grid.abs() <= 1e6).all(-1)
    if visible is not None:
        usable = usable & visible
    point = torch.where(usable[..., None], grid, 0)
    x = point[..., 0] * (width / 2) + (width - 1) / 2
    y = point[..., 1] * (height / 2) + (height - 1) / 2
    out = torch.zeros((*images.shape[:3], *grid.shape[2:4]), dtype=torch.promote_types(images.dtype, grid.dtype))
    for down in (0, 1):
        for across in (0, 1):
            column, row = x.detach().floor() + across, y.detach().floor() + down
            weight = ((1 - (x - column).abs()) * (1 - (y - row).abs()))[:, :, None]
            inside = usable & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = torch.where(inside, row * width + column, 0).long().flatten(2)[:, :, None]
            value = images.flatten(3).gather(3, index.expand(-1, -1, images.shape[2], -1)).view(out.shape)
            unread = ~inside[:, :, None] | ((weight == 0) & ~value.isfinite())
            out = out + torch.where(unread, 0, value) * weight
    return (out if features.dim() == 5 else out[:, 0]).to(features.dtype)
