"""Twins of compose_flow, mesh_flow and resize_flow."""

import torch
from torch import Tensor

from warpkit.flow import Flow
from warpkit.rasterize import Fragments
from warpkit.reference.rasterize import interpolate, rasterize, visible_faces


def compose_flow(
    source_vertices: Tensor,
    faces: Tensor,
    target: Fragments,
    *,
    source_visible: Tensor | None = None,
    face_mask: Tensor | None = None,
) -> Flow:
    """Where the target's surface lies in each source; see `warpkit.compose_flow`."""
    visible = [
        _is_known(
            source_vertices[:, s],
            faces,
            target,
            [flags[:, s] for flags in (source_visible, face_mask) if flags is not None and len(faces) > 0],
        )
        for s in range(source_vertices.shape[1])
    ]
    return _compose(source_vertices, faces, target, visible)


@torch.no_grad()
def _is_known(vertices: Tensor, faces: Tensor, target: Fragments, flags: list[Tensor]) -> Tensor:
    """``[B, H, W]`` whether a source ``[B, V, 2 | 3 | 4]`` has the target's points; flags: ``[B, F]``."""
    points = interpolate(vertices, faces, target)  # [B, H, W, 2 | 3 | 4]
    known = interpolate(torch.ones_like(vertices[..., :1]), faces, target)[..., 0] > 0
    if points.shape[-1] == 4:
        known = known & (points[..., 3] > 0)
        points = points[..., :2] / points[..., 3:]
    for flag in flags:
        face = torch.where(known, target.face_index, 0).long()
        known = known & flag.gather(1, face.flatten(1)).view(face.shape)
    return known & points[..., :2].isfinite().all(-1)


def _compose(source_vertices: Tensor, faces: Tensor, target: Fragments, visible: list[Tensor]) -> Flow:
    """The flow where each source is visible, ``[B, H, W]``; what is not is not touched: no NaN enters a gradient."""
    if not visible:
        shape = (*source_vertices.shape[:2], *target.face_index.shape[1:])
        return Flow(source_vertices.new_zeros(*shape, 2), target.face_index.new_zeros(shape, dtype=torch.bool))
    grids, perspective = [], source_vertices.shape[-1] == 4
    used = source_vertices[..., [0, 1, 3] if perspective else [0, 1]]  # a NaN in z must not reach the barycentrics
    for s, shown in enumerate(visible):
        fragments = target._replace(face_index=torch.where(shown, target.face_index, -1))
        points = interpolate(used[:, s], faces, fragments)
        if perspective:
            points = points[..., :2] / torch.where(shown, points[..., 2], 1)[..., None]
        grids.append(torch.where(shown[..., None], points, -2))
    return Flow(torch.stack(grids, 1), torch.stack(visible, 1))


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
    target = rasterize(target_vertices, faces, size)
    if len(faces) == 0 or source_vertices.shape[2] == 0:
        return compose_flow(source_vertices, faces, target)
    seen = []
    for s in range(source_vertices.shape[1]):
        images = []
        for b, vertices in enumerate(source_vertices[:, s].detach()):
            face = target.face_index[b].clamp(min=0).long()
            shown = torch.ones_like(face, dtype=torch.bool)
            if visibility == "face":
                source = rasterize(vertices[None], faces, (max(source_size[0], 2048), max(source_size[1], 2048)))
                shown = visible_faces(source.face_index, len(faces))[0][face]
            if visibility == "pixel":
                corners, weights = _face_corners(vertices, faces)[face], target.barycentric[b].detach()
                point = corners[..., 0, :] * weights[..., :1] + corners[..., 1, :] * weights[..., 1:2]
                point = point + corners[..., 2, :] * weights[..., 2:]
                if vertices.shape[-1] == 4:
                    point = point[..., :3] / point[..., 3:]
                shown = _is_shown(vertices, faces, source_size, point, face)
            images.append(shown)
        flags = [] if face_mask is None else [face_mask[:, s]]
        known = _is_known(source_vertices[:, s], faces, target, flags)
        seen.append(known & torch.stack(images) if images else known)
    return _compose(source_vertices, faces, target, seen)


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
    turned_over = torch.zeros(len(faces), dtype=torch.bool, device=corners.device)
    if vertices.shape[-1] == 4:
        turned_over = (corners[..., 3] < 0).sum(1) % 2 == 1  # by corners behind the camera
        corners = corners[..., :3] / corners[..., 3:]
    (bx, by, bz), (cx, cy, cz) = ((corners[:, k] - corners[:, 0]).unbind(-1) for k in (1, 2))
    area = bx * cy - cx * by
    across = (bz * cy - cz * by) / area * (2 / size[1])
    down = (cz * bx - bz * cx) / area * (2 / size[0])
    slope = across.abs() + down.abs()
    slope = torch.where((slope > 1e-30) & (slope < 1e30), slope, 1e-30)
    return torch.where((area < 0) != turned_over, -slope, slope)
