"""docs/migrate/drtk.md against DRTK where it is installed, and against its conventions written out."""

import pytest
import torch
from pages import DOCS, run_page
from parity_scene import same_but_at_edges, solids
from torch import Tensor

import warpkit

PAGE = run_page(DOCS / "migrate" / "drtk.md")
HEIGHT, WIDTH = 96, 128


def in_pixels(seed: int) -> tuple[Tensor, Tensor]:
    vertices, faces = solids(seed)
    x, y, z = vertices.unbind(-1)
    return torch.stack([(x + 1) * WIDTH / 2 - 0.5, (y + 1) * HEIGHT / 2 - 0.5, z], -1), faces


@pytest.mark.parametrize("seed", range(3))
def test_drtk(seed: int) -> None:
    drtk = pytest.importorskip("drtk", reason="DRTK is not installed")
    v, vi = in_pixels(seed)
    index, depth, bary = PAGE["rasterize_and_render"](v, vi, HEIGHT, WIDTH)
    their_index = drtk.rasterize(v, vi, HEIGHT, WIDTH)
    their_depth, their_bary = drtk.render(v, vi, their_index)
    same = same_but_at_edges(index, their_index)
    torch.testing.assert_close(depth[same], their_depth[same], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bary.movedim(1, -1)[same], their_bary.movedim(1, -1)[same], rtol=0, atol=2e-3)


def test_its_conventions() -> None:
    v, vi = in_pixels(0)
    index, depth, bary = PAGE["rasterize_and_render"](v, vi, HEIGHT, WIDTH)
    shown = (index[0] >= 0).nonzero()[::37]
    for i, j in shown.tolist():
        corner = v[0, vi[index[0, i, j]].long()].double()
        point = torch.tensor([j, i, 1.0], dtype=torch.float64)
        screen = torch.linalg.solve(torch.cat([corner[:, :2].T, torch.ones(1, 3, dtype=torch.float64)]), point)
        z = 1 / (screen / corner[:, 2]).sum()
        torch.testing.assert_close(depth[0, i, j].double(), z, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(bary[0, :, i, j].double(), screen / corner[:, 2] * z, rtol=0, atol=2e-2)
    assert (depth[index < 0] == 0).all()


def test_edge_gradient_points_the_same_way() -> None:
    drtk = pytest.importorskip("drtk", reason="DRTK is not installed")
    v, vi = in_pixels(0)

    def area(offset: Tensor, theirs: bool) -> Tensor:
        moved = v.clone()
        moved[..., 0] = moved[..., 0] + offset
        target = (torch.arange(WIDTH) < WIDTH // 2).float().expand(1, 1, HEIGHT, WIDTH)
        if theirs:
            index = drtk.rasterize(moved, vi, HEIGHT, WIDTH)
            _, bary = drtk.render(moved, vi, index)
            mask = (index >= 0).float()[:, None]
            mask = drtk.edge_grad_estimator(moved, vi, bary, mask, index)
        else:
            ndc = torch.stack(
                [(2 * moved[..., 0] + 1) / WIDTH - 1, (2 * moved[..., 1] + 1) / HEIGHT - 1, moved[..., 2]], -1
            )
            fragments = warpkit.rasterize(ndc.detach(), vi, (HEIGHT, WIDTH))
            mask = warpkit.antialias((fragments.face_index >= 0).float()[:, None], fragments, ndc, vi)
        return (mask * target).sum()

    slopes = []
    for theirs in (False, True):
        offset = torch.zeros((), requires_grad=True)
        slopes.append(torch.autograd.grad(area(offset, theirs), offset)[0].item())
    assert slopes[0] < 0
    assert slopes[1] < 0
    assert slopes[0] == pytest.approx(slopes[1], rel=0.35)
