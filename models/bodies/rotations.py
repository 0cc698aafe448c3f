"""Rotations as axis-angle vectors and as matrices, batched, with finite gradients everywhere (also at zero)."""

import torch
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: the rotation by |axis_angle| radians about axis_angle.

    Args:
        axis_angle: `[..., 3]` radians times unit axis; floating point.

    Returns:
        `[..., 3, 3]` matrices R with R @ column = turned column. Differentiable of any order, exact at zero.
    """
    x, y, z = axis_angle.unbind(-1)
    square = x * x + y * y + z * z
    small = square < 1e-6
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    # sin(a)/a, (1 - cos(a))/a² and cos(a); below 1e-3 radians their series, which float64 cannot tell from them
    sine = torch.where(small, 1 - square / 6 + square * square / 120, angle.sin() / angle)
    half = (angle / 2).sin()
    versine = torch.where(small, 0.5 - square / 24 + square * square / 720, 2 * half * half / safe)
    cosine = 1 - versine * square
    xs, ys, zs = x * sine, y * sine, z * sine
    xv, yv, zv = x * versine, y * versine, z * versine
    rows = (
        cosine + x * xv, x * yv - zs, x * zv + ys,
        x * yv + zs, cosine + y * yv, y * zv - xs,
        x * zv - ys, y * zv + xs, cosine + z * zv,
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternions (w, x, y, z), w ≥ 0, of rotation matrices.

    Args:
        matrix: `[..., 3, 3]` rotation matrices.

    Returns:
        `[..., 4]`; of the four equal formulas the best conditioned one is used. Differentiable.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    # row k is 4 q_k times the quaternion: its entry k is 4 q_k², and the largest of these is at least 1
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, a, b, c), -1),
            torch.stack((a, 1 + xx - yy - zz, d, e), -1),
            torch.stack((b, d, 1 - xx + yy - zz, f), -1),
            torch.stack((c, e, f, 1 - xx - yy + zz), -1),
        ),
        -2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    row = torch.where(row[..., :1] < 0, -row, row)
    return torch.nn.functional.normalize(row, dim=-1)


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """Axis-angle vectors of unit quaternions.

    Args:
        quaternion: `[..., 4]` (w, x, y, z), unit length, either sign.

    Returns:
        `[..., 3]` radians, of length at most π. Differentiable, also at the identity.
    """
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = quaternion[..., 0], quaternion[..., 1:]
    square = vector.square().sum(-1)
    small = square < 1e-8
    length = torch.where(small, torch.ones_like(square), square).sqrt()
    # angle / sin(angle / 2); near the identity the series of 2 asin(s) / s
    factor = torch.where(small, 2 + square / 3, 2 * torch.atan2(length, w) / length)
    return vector * factor[..., None]


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Axis-angle vectors of rotation matrices.

    Args:
        matrix: `[..., 3, 3]` rotation matrices.

    Returns:
        `[..., 3]` radians, of length at most π (at exactly π the axis' sign is arbitrary). Differentiable.
    """
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def slerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """The rotation a share of the way from one to another, along the shortest arc at constant speed.

    Args:
        start, end: `[..., 3]` axis-angle.
        weight: broadcasts against `[...]`; 0 gives start, 1 gives end.

    Returns:
        `[..., 3]` axis-angle.
    """
    first = axis_angle_to_matrix(start)
    step = matrix_to_axis_angle(first.transpose(-1, -2) @ axis_angle_to_matrix(end))
    return matrix_to_axis_angle(first @ axis_angle_to_matrix(step * weight[..., None]))


class _NearestRotation(torch.autograd.Function):
    """Special orthogonal Procrustes with its closed-form derivative, which stays finite for equal singular values."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        u, s, vh = torch.linalg.svd(matrix)
        sign = torch.linalg.det(u @ vh).sign()
        u = torch.cat((u[..., :2], u[..., 2:] * sign[..., None, None]), -1)
        s = torch.cat((s[..., :2], s[..., 2:] * sign[..., None]), -1)
        ctx.save_for_backward(u, s, vh)
        return u @ vh

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        u, s, vh = ctx.saved_tensors
        inner = u.mT @ gradient @ vh.mT
        gaps = (s[..., :, None] + s[..., None, :]).clamp_min(1e-6)
        return u @ ((inner - inner.mT) / gaps) @ vh


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotation nearest to each matrix in the Frobenius norm.

    Args:
        matrix: `[..., 3, 3]`.

    Returns:
        `[..., 3, 3]` with determinant 1. Differentiable once.
    """
    return _NearestRotation.apply(matrix)
