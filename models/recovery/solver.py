"""Robust damped Gauss-Newton for a few dozen parameters a frame, with frames held together by a smoothness term."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Residuals = Callable[[Tensor, Tensor], Tensor]
"""(parameters [N, P], frame of each row [N] int64) -> residuals [N, R], in units of their standard deviation."""

MAX_ROWS = 2048  # rows evaluated at once: bounds the memory, whatever the clip's length


def _weights(residuals: Tensor, robust: Tensor) -> Tensor:
    """Geman and McClure's weights: 1 near zero, falling off where a residual is larger than `robust` (inf: never)."""
    return (1 + (residuals / robust).square()).square().reciprocal()


def _evaluate(residuals: Residuals, rows: Tensor, frames: Tensor) -> Tensor:
    parts = zip(rows.split(MAX_ROWS), frames.split(MAX_ROWS), strict=True)
    return torch.cat([residuals(part, part_frames) for part, part_frames in parts])


def _jacobian(residuals: Residuals, x: Tensor, base: Tensor, free: Tensor, step: float, apart: int) -> Tensor:
    """[T, R, F]: by forward differences. One batch of body evaluations is much cheaper than as many backward passes."""
    count, number = x.shape[0], int(free.sum())
    moved = x[:, None].repeat(1, number, 1)
    columns = torch.nonzero(free)[:, 0]
    moved[:, torch.arange(number), columns] += step
    frames = torch.arange(count).repeat_interleave(number).unflatten(0, (count, number))
    values = torch.cat(
        [
            _evaluate(residuals, moved[:, part].flatten(0, 1), frames[:, part].flatten()).unflatten(0, (count, -1))
            for part in (columns < apart, columns >= apart)
            if part.any()
        ],
        1,
    )
    return ((values - base[:, None]) / step).transpose(1, 2)


def _roughness(smooth: Tensor, count: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The matrix D of second differences [count - 2, count] and the cost ½ Σ smooth |D x|²."""
    rows = torch.arange(count - 2)
    difference = torch.zeros(count - 2, count, dtype=smooth.dtype)
    difference[rows, rows], difference[rows, rows + 1], difference[rows, rows + 2] = 1.0, -2.0, 1.0
    return difference, lambda x: 0.5 * (smooth * (difference @ x).square()).sum()


def minimise(
    residuals: Residuals,
    start: Tensor,
    free: Tensor,
    robust: Tensor,
    *,
    steps: int,
    smooth: Tensor | None = None,
    fresh: int = 1,
    apart: int,
    difference: float = 1e-3,
    tolerance: float = 1e-4,
) -> Tensor:
    """The parameters that make the residuals small: ½ Σ ρ(r) + ½ Σ smooth (xₜ₋₁ - 2 xₜ + xₜ₊₁)² is minimised.

    Args:
        residuals: see `Residuals`; need not be differentiable by torch.
        start: [T, P] float32, a row a frame.
        free: [P] bool; the others stay as they are.
        robust: [R], where a residual starts to count as an outlier (inf: never).
        steps: at most this many steps are tried.
        smooth: [P] weights of the second differences over the frames; None leaves the frames independent.
        fresh: the Jacobian is computed anew every so many steps.
        apart: parameters from this number on are moved in a batch of their own (so that a batch has one shape).
        difference: the step of the numerical derivative.
        tolerance: the relative fall of the cost at which to stop.

    Returns:
        [T, P] float32.
    """
    x, count = start.clone(), start.shape[0]
    every = torch.arange(count)
    coupled = smooth is not None and count > 2
    smooth = torch.zeros(x.shape[1]) if smooth is None else smooth
    matrix, rough = _roughness(smooth, count if coupled else 2)
    base = _evaluate(residuals, x, every)
    damping, jacobian, age = 1e-2, None, 0
    for _ in range(steps):
        if jacobian is None or age >= fresh:
            jacobian, age = _jacobian(residuals, x, base, free, difference, apart), 0
        age += 1
        weight = _weights(base, robust)
        normal = torch.einsum("trf,tr,trg->tfg", jacobian, weight, jacobian).double()
        gradient = torch.einsum("trf,tr->tf", jacobian, weight * base).double()
        cost = 0.5 * (weight * base.square()).sum(1).double()
        if coupled:
            gradient += (smooth * (matrix.T @ (matrix @ x)))[:, free].double()
        scale = normal.diagonal(dim1=1, dim2=2).clamp(min=1e-6)
        better = False
        for _ in range(4):
            damped = normal + torch.diag_embed(damping * scale)
            if coupled:
                delta = _solve_clip(damped, gradient, (matrix.T @ matrix).double(), smooth[free].double())
            else:
                delta = torch.linalg.solve(damped, gradient[..., None])[..., 0]
            trial = x.clone()
            trial[:, free] -= delta.float()
            values = _evaluate(residuals, trial, every)
            trial_cost = 0.5 * (weight * values.square()).sum(1).double()
            before, after = cost.sum(), trial_cost.sum()
            if coupled:
                before, after = before + rough(x), after + rough(trial)
                accepted = torch.full((count,), bool(after < before))
            else:
                accepted = trial_cost < cost
            if accepted.any():
                x = torch.where(accepted[:, None], trial, x)
                base = torch.where(accepted[:, None], values, base)
                better = True
                break
            damping *= 10
        if not better:
            if age == 1:
                break
            jacobian = None
            continue
        damping = max(damping / 5, 1e-6)
        if age == 1 and before - after < tolerance * before:
            break
    return x


def _solve_clip(blocks: Tensor, gradient: Tensor, coupling: Tensor, smooth: Tensor) -> Tensor:
    """The step [T, F] of a clip: blocks [T, F, F] on the diagonal, coupling [T, T] ⊗ diag(smooth) between frames.

    Frames are coupled with the next two, so pairs of frames are coupled with the next pair alone: block Cholesky.
    """
    count, number = gradient.shape
    pairs = (count + 1) // 2
    spare = 2 * pairs - count
    blocks = torch.cat([blocks, torch.eye(number, dtype=blocks.dtype).expand(spare, -1, -1)])
    right = torch.cat([gradient, gradient.new_zeros(spare, number)]).reshape(pairs, 2 * number, 1)
    links = torch.nn.functional.pad(coupling, (0, spare, 0, spare))
    between = torch.diag(smooth)

    factors: list[Tensor] = []
    across: list[Tensor] = []
    solved: list[Tensor] = []
    for pair in range(pairs):
        here = slice(2 * pair, 2 * pair + 2)
        diagonal = torch.block_diag(*blocks[here]) + torch.kron(links[here, here], between)
        value = right[pair]
        if pair:
            diagonal = diagonal - across[-1].mT @ across[-1]
            value = value - across[-1].mT @ solved[-1]
        factor, trouble = torch.linalg.cholesky_ex(diagonal)
        if trouble:
            return torch.zeros_like(gradient)
        factors.append(factor)
        solved.append(torch.linalg.solve_triangular(factor, value, upper=False))
        following = slice(2 * pair + 2, 2 * pair + 4)
        if pair + 1 < pairs:
            below = torch.kron(links[following, here], between)
            across.append(torch.linalg.solve_triangular(factor, below.mT, upper=False))
    steps = [torch.linalg.solve_triangular(factors[-1].mT, solved[-1], upper=True)]
    for pair in reversed(range(pairs - 1)):
        value = solved[pair] - across[pair] @ steps[-1]
        steps.append(torch.linalg.solve_triangular(factors[pair].mT, value, upper=True))
    return torch.cat(steps[::-1]).reshape(2 * pairs, number)[:count]
