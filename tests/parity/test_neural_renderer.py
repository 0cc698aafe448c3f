"""docs/migrate/neural_renderer.md against neural_renderer where it is installed, and against its conventions."""

import pytest
import torch
from pages import DOCS, run_page
from parity_scene import same_but_at_edges, solids
from torch import Tensor

PAGE = run_page(DOCS / "migrate" / "neural_renderer.md")
SIZE = 80


def corners(seed: int, device: str = "cpu") -> Tensor:
    vertices, faces = solids(seed)
    return vertices[:, faces.long()].to(device)  # [1, F, 3, 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="neural_renderer needs a GPU")
@pytest.mark.parametrize("seed", range(3))
def test_neural_renderer(seed: int) -> None:
    renderer = pytest.importorskip("neural_renderer", reason="neural_renderer is not installed")
    faces = corners(seed, "cuda")
    _, _, depth = PAGE["neural_renderer_maps"](faces, SIZE)
    theirs = renderer.rasterize_depth(faces, SIZE, anti_aliasing=False)
    same = same_but_at_edges(depth < 100, theirs < 100)
    close = (depth - theirs).abs() < 1e-2
    assert (close | ~same).float().mean() > 0.98


def test_its_conventions() -> None:
    """Affine weights of the pixel's centre, y up before the flip; depth 1 / sum(w / z); the side that is seen."""
    faces = corners(0)
    index, weights, depth = PAGE["neural_renderer_maps"](faces, SIZE)
    for i, j in (index[0] >= 0).nonzero()[::43].tolist():
        face, weight = faces[0, index[0, i, j]], weights[0, i, j]
        centre = torch.tensor([(2 * j + 1) / SIZE - 1, 1 - (2 * i + 1) / SIZE])
        torch.testing.assert_close(weight @ face[:, :2], centre, rtol=0, atol=2e-4)
        torch.testing.assert_close(depth[0, i, j], 1 / (weight / face[:, 2]).sum(), rtol=1e-4, atol=1e-4)
        (ax, ay, _), (bx, by, _), (cx, cy, _) = face.tolist()
        assert (cy - ay) * (bx - ax) >= (by - ay) * (cx - ax)
    assert (depth[index < 0] == 100).all()


def test_every_pixel_has_the_nearest_face_seen() -> None:
    """The definition: all faces at each pixel, inclusive edges, the nearest of those that turn the right way."""
    faces = corners(1).double()[0]
    index, _, _ = PAGE["neural_renderer_maps"](corners(1), SIZE)
    centres = (2 * torch.arange(SIZE, dtype=torch.float64) + 1) / SIZE - 1
    point = torch.stack(torch.meshgrid(-centres, centres, indexing="ij")[::-1], -1).reshape(1, -1, 2)
    a, b, c = (faces[:, k, None, :2] for k in range(3))

    def cross(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (r[..., 0] - p[..., 0]) * (q[..., 1] - p[..., 1])

    area = cross(a, b, c)
    weights = torch.stack([cross(b, c, point), cross(c, a, point), cross(a, b, point)], -1)
    inside = (weights >= 0).all(-1) & (area > 0)
    weights = weights / area[..., None]
    depth = torch.where(inside, 1 / (weights / faces[:, None, :, 2]).sum(-1), torch.inf)
    nearest, which = depth.min(0)
    brute = torch.where(nearest < torch.inf, which, -1).view(1, SIZE, SIZE)
    same_but_at_edges(index.long(), brute)
