"""What users of other libraries had to complain about, as claims about this one.

More have their tests where they belong: watertight edges and non-square images in test_rasterize.py, determinism in
test_warp.py and test_cuda.py, half-precision grids and mixed devices in test_bad_input.py, whole-graph compilation in
test_rasterize_registration.py, a build without CUDA in .ci/run.
"""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import warpkit
from warpkit import Flow


def needs_memory(gigabytes: int) -> pytest.MarkDecorator:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return pytest.mark.skipif(total < gigabytes * 2**30, reason=f"needs a machine with {gigabytes} GB of memory")


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 17])
def test_an_image_is_the_same_in_every_batch(batch: int) -> None:  # neural_renderer#29, nvdiffrast#210
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(batch, 30, 4, generator=generator)
    vertices[..., 3] = vertices[..., 3].abs() + 0.1
    faces = torch.randint(0, 30, (40, 3), generator=generator)
    sources = torch.randn(batch, 2, 30, 3, generator=generator)
    features = torch.randn(batch, 2, 5, 12, 9, generator=generator)

    def render(n: slice) -> list[torch.Tensor]:
        fragments = warpkit.rasterize(vertices[n], faces, (21, 34))
        flow = warpkit.compose_flow(sources[n], faces, fragments)
        assert flow.visible is not None
        return [*fragments, *flow, warpkit.warp(features[n], flow), warpkit.warp_reduce(features[n], flow)]

    together = render(slice(None))
    assert (together[0] >= 0).any()
    for n in range(batch):
        for whole, alone in zip(together, render(slice(n, n + 1)), strict=True):
            assert torch.equal(whole[n : n + 1], alone)


def test_no_number_of_faces_on_one_pixel_is_too_many() -> None:  # pytorch3d#348, #1064
    count = 150_000
    triangle = torch.tensor([[-0.02, -0.02], [-0.02, 0.05], [0.05, -0.02]])
    depth = 1 + torch.randperm(count, generator=torch.Generator().manual_seed(0)) / count
    vertices = torch.cat([triangle.repeat(count, 1), depth.repeat_interleave(3)[:, None]], 1)[None]
    fragments = warpkit.rasterize(vertices, torch.arange(3 * count).view(-1, 3), (63, 63))
    assert fragments.face_index[0, 31, 31] == depth.argmin()
    behind = warpkit.rasterize(-vertices, torch.arange(3 * count).view(-1, 3), (63, 63))
    assert behind.face_index[0, 31, 31] == depth.argmax()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([3, 4]), st.sampled_from([torch.float32, torch.float64]))
def test_barycentrics_never_leave_their_face(seed: int, components: int, dtype: torch.dtype) -> None:  # nvdiffrast#229
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randn(1, 20, components, generator=generator, dtype=dtype)
    faces = torch.randint(0, 20, (25, 3), generator=generator)
    face_index, barycentric, _ = warpkit.rasterize(vertices, faces, (30, 40))
    shown = barycentric[face_index >= 0]
    assert (shown >= 0).all()
    assert (shown.sum(-1) - 1).abs().max() <= 1e-6 if len(shown) else True


@pytest.mark.parametrize("size", [(4096, 4096), (4095, 333), (1, 5000), (2049, 1)])
def test_sizes_have_no_limit_nor_multiple(size: tuple[int, int]) -> None:  # nvdiffrast#128, #132, #156, #232
    height, width = size
    square = torch.tensor([[[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]])
    fragments = warpkit.rasterize(square, torch.tensor([[0, 1, 2], [0, 2, 3]]), size)
    assert (fragments.face_index >= 0).all()
    assert fragments.barycentric.shape == (1, height, width, 3)


@needs_memory(12)
def test_face_indices_beyond_2_to_24_are_exact() -> None:  # nvdiffrast#136
    last = 2**24 + 5
    faces = torch.full((last + 1, 3), -1, dtype=torch.int32)
    faces[last - 1], faces[last] = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 3])
    square = torch.tensor([[[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]])
    fragments = warpkit.rasterize(square, faces, (8, 8))
    assert set(fragments.face_index.unique().tolist()) == {last - 1, last}
    x = warpkit.interpolate(square[..., :1], faces, fragments)
    torch.testing.assert_close(x[0, 0, :, 0], (2 * torch.arange(8) + 1) / 8 - 1)


@needs_memory(12)
def test_features_beyond_2_to_31_elements() -> None:  # pytorch#41656, #41923
    height, width = 40_000, 60_000
    features = torch.empty(1, 1, height, width, dtype=torch.bfloat16)  # only the pages that are touched exist
    features[..., -2:, -2:] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    x, y = ((2 * (side - torch.tensor([1.5, 0.5]).double())) / side - 1 for side in (width, height))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None, None]
    assert features.numel() > 2**31
    assert warpkit.warp(features, Flow(grid)).flatten().tolist() == [1, 2, 3, 4]


@needs_memory(16)
def test_outputs_beyond_2_to_31_elements() -> None:
    side = 46_400
    grid = torch.zeros(1, 1, 1, 1, 2).expand(1, 1, side, side, 2)
    out = warpkit.warp(torch.full((1, 1, 3, 3), 7.0, dtype=torch.bfloat16), Flow(grid))
    assert out.numel() > 2**31
    assert (out[..., -1, -1000:] == 7).all()
    assert (out[..., 0, :1000] == 7).all()
