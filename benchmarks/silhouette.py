"""Bodies fitted to masks: by gradient through rasterize and antialias against the outline term of the recovery.

`python -m benchmarks.silhouette [--size 256] [--bodies 12]` prints the table. Random bodies (pose, shape, camera) and
their exact masks; both ways begin at the same disturbed parameters, move all of them, and know how much they were
disturbed. The outline term matches points of both outlines along their normals, anew every few steps of Gauss-Newton,
as `warpkit.models.recovery` does; the gradient minimises squared differences of masks by L-BFGS.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import warpkit
from warpkit.models.bodies import Body, BodyModel, load_body
from warpkit.models.recovery.fit import JOINT, OFFSET, SCALE, SHAPE, TILT, YAW, Fitter, Targets
from warpkit.models.recovery.outline import Frame, mask_outline, match
from warpkit.models.recovery.solver import minimise

FINER = 4  # the exact mask is the mean of one so many times finer
# how much the start is off: radians, e-folds of the scale, parts of the body's height, units of shape
DISTURBED = {"yaw": 0.1, "tilt": 0.04, "joint": 0.08, "scale": 0.03, "offset": 0.01, "shape": 0.1}


@dataclass(frozen=True)
class Problem:
    """A body to find, of which the mask is known and parameters near the true ones."""

    size: tuple[int, int]
    targets: Targets  # says what the parameters' units are
    truth: Tensor  # [1, P]
    start: Tensor  # [1, P]
    spread: Tensor  # [P] of the difference
    mask: Tensor  # [H, W] float32: how much of each pixel is covered


def make_problem(fit: Fitter, seed: int, size: int) -> Problem:
    """A random body in a square picture."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    empty = torch.zeros(1, 21)
    height = torch.tensor([0.75 * size])
    middle = torch.tensor([[0.5 * size, 0.5 * size]])
    targets = Targets(
        empty[..., None].expand(-1, -1, 2), empty, empty, height, height, empty[:, 0], middle, middle, empty[:, 0]
    )
    truth, spread = torch.zeros(1, fit.size), torch.zeros(fit.size)
    truth[:, YAW] = (torch.rand(1, generator=generator) * 2 - 1) * math.pi
    truth[:, TILT] = 0.1 * normal(1, 3)
    truth[:, JOINT] = (fit.prior.mean + 0.5 * fit.prior.spread * normal(21, 3)).flatten()
    truth[:, SCALE], truth[:, OFFSET] = 0.05 * normal(1), 0.02 * normal(1, 2)
    truth[:, SHAPE:] = fit.model.mean_shape + 0.1 * normal(1, fit.model.num_shape)
    for name, part in (("yaw", YAW), ("tilt", TILT), ("joint", JOINT), ("scale", SCALE), ("offset", OFFSET)):
        spread[part] = DISTURBED[name]
    spread[SHAPE:] = DISTURBED["shape"]
    start = truth + spread * normal(fit.size)
    body = fit.body(truth, targets)
    finer = body.camera.project(fit.model(body.pose, body.shape), (size, size))
    covered = warpkit.rasterize(finer, fit.model.faces, (FINER * size, FINER * size)).face_index >= 0
    mask = torch.nn.functional.avg_pool2d(covered.float()[None], FINER)[0, 0]
    return Problem((size, size), targets, truth, start, spread, mask)


def fit_by_outline(
    fit: Fitter, problem: Problem, *, rounds: int = 24, steps: int = 2, sigma: float = 0.5, weight: float = 400.0
) -> Tensor:
    """Parameters [1, P] by the outline term. `sigma`: pixels; `weight`: measurements that the outline counts as."""
    height = float(problem.targets.height[0])
    inside = torch.nonzero(problem.mask > 0.5)
    (top, left), (bottom, right) = inside.amin(0).tolist(), (inside.amax(0) + 1).tolist()
    frame = Frame.around((left, top, right, bottom))
    outline = mask_outline(frame.cut(problem.mask), frame, problem.size)
    x, free = problem.start, torch.ones(fit.size, dtype=torch.bool)
    for _ in range(rounds):
        body = fit.body(x, problem.targets)
        seen = fit.silhouettes.outline(fit.model(body.pose, body.shape), body.camera, frame)
        matches = match(outline, seen, height, torch.zeros_like(fit.silhouettes.head))
        vertices, inverse = matches.vertices.unique(return_inverse=True)
        each = (matches.weights * weight).sqrt()

        def residuals(
            rows: Tensor,
            frames: Tensor,
            vertices: Tensor = vertices,
            inverse: Tensor = inverse,
            each: Tensor = each,
            matches: object = matches,
        ) -> Tensor:
            body = fit.body(rows, problem.targets, frames)
            pixels = body.camera.pixels(fit.model(body.pose, body.shape, vertices=vertices))[:, inverse]
            gap = ((pixels - matches.points) * matches.outward).sum(-1)
            return torch.cat([(rows - problem.start) / problem.spread, gap / sigma * each], 1)

        robust = torch.cat([torch.full((fit.size,), math.inf), (0.015 * height / sigma * each).clamp(min=1e-6)])
        x = minimise(residuals, x, free, robust, steps=steps, apart=SHAPE)
    return x


def render_mask(body: Body, model: BodyModel, size: tuple[int, int], neighbours: Tensor) -> Tensor:
    """How much of each pixel the body covers [1, 1, H, W], differentiable in its parameters."""
    vertices = body.camera.project(model(body.pose, body.shape), size)
    fragments = warpkit.rasterize(vertices.detach(), model.faces, size)
    covered = (fragments.face_index >= 0).to(vertices.dtype)[:, None]
    return warpkit.antialias(covered, fragments, vertices, model.faces, neighbours=neighbours)


def fit_by_gradient(fit: Fitter, problem: Problem, *, steps: int = 60, weight: float = 1.0) -> Tensor:
    """Parameters [1, P] by L-BFGS on squared differences of masks; `weight`: measurements a pixel counts as."""
    neighbours = warpkit.face_neighbours(fit.model.faces)
    target = problem.mask[None, None]
    moved = torch.zeros_like(problem.start).requires_grad_()
    optimizer = torch.optim.LBFGS([moved], max_iter=steps, max_eval=2 * steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        body = fit.body(problem.start + moved * problem.spread, problem.targets)
        mask = render_mask(body, fit.model, problem.size, neighbours)
        total = 0.5 * moved.square().sum() + 0.5 * weight * (mask - target).square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    return (problem.start + moved * problem.spread).detach()


@torch.no_grad()
def judge(fit: Fitter, problem: Problem, x: Tensor) -> tuple[float, float, float]:
    """Intersection over union, and the mean distance of vertices in mm: in the picture's plane, and in space."""
    finer = (2 * problem.size[0], 2 * problem.size[1])
    covered, vertices = [], []
    for parameters in (problem.truth, x):
        body = fit.body(parameters, problem.targets)
        points = fit.model(body.pose, body.shape)
        ids = warpkit.rasterize(body.camera.project(points, finer), fit.model.faces, finer).face_index
        covered.append(ids[0] >= 0)
        pixels = body.camera.pixels(points)[0]
        vertices.append(torch.cat([pixels, -points[0, :, 2:] * body.camera.scale], 1))
    scale = float(fit.body(problem.truth, problem.targets).camera.scale)
    away = (vertices[1] - vertices[0]) * 1000 / scale
    away[:, 2] -= away[:, 2].mean()  # a weak-perspective camera does not tell how far
    union = int((covered[0] | covered[1]).sum())
    iou = int((covered[0] & covered[1]).sum()) / max(union, 1)
    return iou, float(away[:, :2].norm(dim=1).mean()), float(away.norm(dim=1).mean())


WAYS: dict[str, Callable[[Fitter, Problem], Tensor]] = {
    "start": lambda fit, problem: problem.start,
    "outline": fit_by_outline,
    "gradient": fit_by_gradient,
}


def compare(fit: Fitter, seeds: range, size: int) -> dict[str, np.ndarray]:
    """For each way [bodies, 4]: intersection over union, mm in the plane, mm in space, seconds."""
    rows: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    for seed in seeds:
        problem = make_problem(fit, seed, size)
        for way, call in WAYS.items():
            begin = time.perf_counter()
            with torch.no_grad():
                x = call(fit, problem)
            seconds = time.perf_counter() - begin
            rows[way].append((*judge(fit, problem, x), seconds))
    return {way: np.array(found) for way, found in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    options = parser.parse_args()
    torch.set_num_threads(1)
    fit = Fitter(load_body("anny"))
    print("| size | way | mask IoU | worst | vertices in the plane, mm | in space, mm | better IoU than outline | s |")
    print("|---|---|---|---|---|---|---|---|")
    for size in options.sizes:
        found = compare(fit, range(options.bodies), size)
        for way, rows in found.items():
            iou, plane, space, seconds = rows.mean(0)
            better = int((rows[:, 0] > found["outline"][:, 0]).sum())
            print(
                f"| {size} | {way} | {iou:.4f} | {rows[:, 0].min():.4f} | {plane:.1f} | {space:.1f} "
                f"| {better} of {len(rows)} | {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
