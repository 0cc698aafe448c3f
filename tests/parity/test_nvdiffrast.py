"""docs/migrate/nvdiffrast.md against nvdiffrast where it is installed, and against its documented conventions."""

import pytest
import torch
from pages import DOCS, run_page
from parity_scene import same_but_at_edges, solids
from torch import Tensor

import warpkit

PAGE = run_page(DOCS / "migrate" / "nvdiffrast.md")
SIZE = (96, 128)


def clip_space(seed: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Seen by an OpenGL camera: w is the distance, z/w from -1 at 1 to 1 at 10."""
    vertices, faces = solids(seed)
    x, y, z = vertices.unbind(-1)
    return torch.stack([x * z, y * z, (11 * z - 20) / 9, z], -1).to(device), faces.to(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="nvdiffrast needs a GPU")
@pytest.mark.parametrize("seed", range(3))
def test_nvdiffrast(seed: int) -> None:
    dr = pytest.importorskip("nvdiffrast.torch", reason="nvdiffrast is not installed")
    pos, tri = clip_space(seed, "cuda")
    theirs, _ = dr.rasterize(dr.RasterizeCudaContext(), pos, tri, SIZE)
    mine = PAGE["nvdiffrast_rast"](pos, tri, SIZE)
    same = same_but_at_edges(mine[..., 3], theirs[..., 3])
    torch.testing.assert_close(mine[same], theirs[same], rtol=0, atol=2e-3)
    attributes = torch.rand(pos.shape[1], 3, device="cuda")
    colours, _ = dr.interpolate(attributes, theirs, tri)
    own = warpkit.interpolate(attributes, tri, warpkit.rasterize(pos, tri, SIZE))
    torch.testing.assert_close(own[same], colours[same], rtol=0, atol=2e-3)


def test_its_conventions() -> None:
    """u and v weigh the first two corners, perspective-correct; z/w; index + 1; row 0 is y = -1."""
    pos, tri = clip_space(0)
    rast = PAGE["nvdiffrast_rast"](pos, tri, SIZE)
    height, width = SIZE
    for i, j in (rast[0, ..., 3] > 0).nonzero()[::53].tolist():
        u, v, depth, number = rast[0, i, j]
        corners = pos[0, tri[int(number) - 1].long()]
        x, y, z, w = u * corners[0] + v * corners[1] + (1 - u - v) * corners[2]
        torch.testing.assert_close(
            torch.stack([x / w, y / w, z / w]),
            torch.stack([torch.tensor((2 * j + 1) / width - 1), torch.tensor((2 * i + 1) / height - 1), depth]),
            rtol=0,
            atol=2e-4,
        )
    assert (rast[rast[..., 3] == 0] == 0).all()


def test_textures_are_read_alike() -> None:
    """Texel (0, 0) has its centre at uv = (0.5 / w, 0.5 / h), as nvdiffrast documents."""
    texture = torch.rand(1, 4, 6, 8)
    i, j = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    uv = torch.stack([(j + 0.5) / 8, (i + 0.5) / 6], -1)[None]
    torch.testing.assert_close(warpkit.warp(texture, warpkit.Flow((2 * uv - 1)[:, None])), texture)
