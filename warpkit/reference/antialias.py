"""Twins of antialias and face_neighbours. The silhouettes are found pair by pair in plain Python."""

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor

from warpkit.rasterize import Fragments

TURN = 2.0**-24


def face_neighbours(faces: Tensor) -> Tensor:
    """The face across the edge opposite to each corner; see `warpkit.face_neighbours`."""
    sides = defaultdict(list)
    for face, corners in enumerate(faces.tolist()):
        for k in range(3):
            ends = corners[(k + 1) % 3], corners[(k + 2) % 3]
            if min(ends) >= 0 and ends[0] != ends[1] and max(ends) < 2**31:
                sides[frozenset(ends)].append((face, k))
    neighbours = torch.full(faces.shape, -1, dtype=torch.int32, device=faces.device)
    for pair in sides.values():
        if len(pair) == 2:
            (face, k), (other, m) = pair
            neighbours[face, k], neighbours[other, m] = other, face
    return neighbours


class _Line(NamedTuple):
    """A look from a pixel's centre at its neighbour: where each vertex lies along and across, in pixels."""

    along: list[float]
    across: list[float]

    def crossing(self, low: int, high: int) -> float:
        slope = (self.along[high] - self.along[low]) / (self.across[high] - self.across[low])
        return self.along[low] - self.across[low] * slope


def _follow(
    line: _Line, good: list[bool], faces: list[list[int]], neighbours: list[list[int]], face: int, other: int
) -> tuple[str, int, int]:
    """From the face under a pixel's centre to the silhouette's edge: what was found, and its ends, below and above."""

    def usable(vertex: int) -> bool:
        return 0 <= vertex < len(good) and good[vertex]

    if not all(map(usable, faces[face])):
        return "goes on", -1, -1
    exits = []
    for k in range(3):
        a, b = faces[face][(k + 1) % 3], faces[face][(k + 2) % 3]
        if (line.across[a] < 0) != (line.across[b] < 0):
            low, high = (a, b) if line.across[a] < 0 else (b, a)
            exits.append((line.crossing(low, high), -k, low, high))
    if not exits:
        return "goes on", -1, -1
    at, negative, low, high = max(exits)
    side = -negative
    for _ in range(1024):
        if not at <= 1:
            return "goes on", -1, -1
        following = neighbours[face][side]
        if following < 0:
            return "found", low, high
        (apex,) = (corner for corner in faces[following] if corner not in (low, high))
        if not usable(apex):
            return "goes on", -1, -1
        below = line.across[apex] < 0
        next_low, next_high = (apex, high) if below else (low, apex)
        next_at = line.crossing(next_low, next_high)
        if next_at < at - TURN:
            return "found", low, high
        if following == other:
            return "one surface", -1, -1
        side = faces[following].index(low if below else high)
        face, at, low, high = following, next_at, next_low, next_high
    return "goes on", -1, -1


def _find_shifts(
    points: Tensor,
    good: list[bool],
    faces: list[list[int]],
    neighbours: list[list[int]],
    ids: Tensor,
    depth: Tensor,
    *,
    diagonals: bool,
) -> Tensor:
    """Shifts ``[H, W]`` of the pairs in rows, NaN where there is no silhouette; points ``[V, 2]`` in pixels.

    Edges steeper than 45 degrees count, and those of 45 degrees where `diagonals`.
    """
    height, width = ids.shape
    places = points.detach().tolist()
    shown = [[face if 0 <= face < len(faces) else -1 for face in row] for row in ids.tolist()]
    far = depth.tolist()
    pairs: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    forward: list[tuple[float, int]] = []
    for i in range(height):
        for j in range(width - 1):
            pair = shown[i][j], shown[i][j + 1]
            if pair[0] == pair[1]:
                continue
            second_nearer = pair[0] < 0 or (pair[1] >= 0 and far[i][j + 1] < far[i][j])
            for start in (1, 0) if second_nearer else (0, 1):
                if pair[start] < 0:
                    break
                sign = 1 - 2 * start
                along = [(u - (j + start + 0.5)) * sign for u, _ in places]
                line = _Line(along, [v - (i + 0.5) for _, v in places])
                what, low, high = _follow(line, good, faces, neighbours, pair[start], pair[1 - start])
                if what == "found":
                    pairs.append((i, j))
                    ends.append((low, high))
                    forward.append((j + start + 0.5, sign))
                if what != "goes on":
                    break
    shifts = torch.full((height, width), torch.nan, dtype=torch.float64)
    if not pairs:
        return shifts
    rows, columns = torch.tensor(pairs).unbind(1)
    low_u, low_v, high_u, high_v = points[torch.tensor(ends)].flatten(1).unbind(1)
    centre, way = torch.tensor(forward, dtype=torch.float64).unbind(1)
    slope = (high_u - low_u) / (high_v - low_v)
    distance = ((low_u - centre) - (low_v - (rows + 0.5)) * slope) * way
    within = torch.where(way > 0, distance, 1 - distance).clamp(0, 1)
    steep = (slope.abs() < 1) | ((slope.abs() == 1) & diagonals)
    return shifts.index_put((rows, columns), torch.where(steep, within - 0.5, torch.nan))


def _takes(shifts: Tensor) -> tuple[Tensor, Tensor]:
    """What each pixel takes from the one before and from the one after it in its row; shifts ``[H, W]``."""
    before = torch.where(shifts >= 0, shifts, 0).roll(1, -1)  # the last pair of a row is none
    return before, torch.where(shifts < 0, -shifts, 0)


def antialias(
    image: Tensor, fragments: Fragments, vertices: Tensor, faces: Tensor, *, neighbours: Tensor | None = None
) -> Tensor:
    """Colours blended across silhouettes by coverage; see `warpkit.antialias`. On the CPU, in float64 throughout."""
    batch, _, height, width = image.shape
    neighbours = face_neighbours(faces) if neighbours is None else neighbours
    corners, beside = faces.tolist(), neighbours.tolist()
    out = []
    for b in range(batch):
        known = vertices[b].double()
        if vertices.shape[2] == 3:
            known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
        in_front = (known[:, 3] > 0) & known[:, [0, 1, 3]].isfinite().all(1)
        x, y, _, w = torch.where(in_front[:, None], known, 1).unbind(1)  # before dividing: no NaN in gradients
        points = torch.stack([(x / w + 1) * width / 2, (y / w + 1) * height / 2], 1)
        good = (in_front & points.isfinite().all(1)).tolist()
        ids, depth = fragments.face_index[b], fragments.depth[b]
        rows = _find_shifts(points, good, corners, beside, ids, depth, diagonals=True)
        columns = _find_shifts(points.flip(1), good, corners, beside, ids.T, depth.T, diagonals=False)
        left, right = _takes(rows)
        up, down = (part.T for part in _takes(columns))
        beyond = image[b].double()
        row, column = left + right, up + down
        blended = (1 - row) * (1 - column) * beyond
        sides = ((left, 1, 2, column), (right, -1, 2, column), (up, 1, 1, row), (down, -1, 1, row))
        for part, step, dim, across in sides:
            weight = part * (1 - across / 2)
            blended = blended + weight * torch.where(weight > 0, beyond.roll(step, dim), 0)
        out.append(blended.to(image.dtype))
    return torch.stack(out) if out else image.clone()
