"""docs/migrate/pytorch3d.md against PyTorch3D where it is installed, and against its conventions written out."""

import pytest
import torch
from pages import DOCS, run_page
from parity_scene import same_but_at_edges, solids
from torch import Tensor

PAGE = run_page(DOCS / "migrate" / "pytorch3d.md")
SIZE = (48, 80)


def in_its_axes(seed: int) -> tuple[Tensor, Tensor]:
    vertices, faces = solids(seed)
    return torch.cat([vertices, vertices * torch.tensor([-1.0, 1.0, 1.5])]), faces


@pytest.mark.parametrize("perspective", [False, True])
def test_pytorch3d(perspective: bool) -> None:
    rasterizer = pytest.importorskip(
        "pytorch3d.renderer.mesh.rasterize_meshes", reason="PyTorch3D is not installed", exc_type=ImportError
    )
    structures = pytest.importorskip("pytorch3d.structures", reason="PyTorch3D is not installed")
    vertices, faces = in_its_axes(0)
    meshes = structures.Meshes(verts=list(vertices), faces=[faces.long()] * len(vertices))
    their_index, their_z, their_bary, _ = rasterizer.rasterize_meshes(
        meshes, SIZE, blur_radius=0.0, faces_per_pixel=1, perspective_correct=perspective
    )
    index, zbuf, bary = PAGE["rasterize_meshes"](vertices, faces, SIZE, perspective)
    same = same_but_at_edges(index[..., 0], their_index[..., 0])
    torch.testing.assert_close(zbuf[..., 0][same], their_z[..., 0][same], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bary[..., 0, :][same], their_bary[..., 0, :][same], rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", [(48, 80), (80, 48), (50, 50)])
def test_its_conventions(size: tuple[int, int]) -> None:
    """A pixel's centre in PyTorch3D's NDC: x left, y up, the shorter side from -1 to 1."""
    vertices, faces = in_its_axes(0)
    index, zbuf, bary = PAGE["rasterize_meshes"](vertices, faces, size)
    height, width = size
    shorter = min(size)
    for b, i, j in (index[..., 0] >= 0).nonzero()[::41].tolist():
        centre = torch.tensor([(width - 2 * j - 1) / shorter, (height - 2 * i - 1) / shorter])
        corners = vertices[b, faces[index[b, i, j, 0] - b * len(faces)].long()]
        found = bary[b, i, j, 0] @ corners
        torch.testing.assert_close(found[:2], centre, rtol=0, atol=2e-4)
        torch.testing.assert_close(found[2], zbuf[b, i, j, 0], rtol=1e-5, atol=1e-5)
    none = index[..., 0] < 0
    assert (zbuf[none] == -1).all()
    assert (bary[none] == -1).all()
