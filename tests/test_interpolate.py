"""interpolate: values, bad ids, shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import warpkit
from warpkit import reference


def some_fragments(batch: int = 2, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, warpkit.Fragments]:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(batch, 20, 3, generator=generator, dtype=torch.float64).to(dtype)
    faces = torch.randint(0, 20, (30, 3), generator=generator)
    return faces, warpkit.rasterize(vertices, faces, (33, 45))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(dims=st.integers(0, 20), shared=st.booleans(), narrow=st.booleans())
@settings(max_examples=30, deadline=None)
def test_interpolate_equals_its_twin(dtype: torch.dtype, dims: int, shared: bool, narrow: bool) -> None:
    faces, fragments = some_fragments(dtype=dtype)
    attributes = torch.randn(*(() if shared else (2,)), 20, dims, dtype=dtype)
    mine = warpkit.interpolate(attributes, faces.int() if narrow else faces, fragments)
    torch.testing.assert_close(mine, reference.interpolate(attributes, faces, fragments), rtol=1e-6, atol=1e-6)
    assert (mine[fragments.face_index < 0] == 0).all()


def test_interpolating_ones_gives_the_silhouette() -> None:
    faces, fragments = some_fragments()
    ones = warpkit.interpolate(torch.ones(20, 1, dtype=torch.float64), faces, fragments)
    torch.testing.assert_close(ones[..., 0], (fragments.face_index >= 0).double())


def test_attributes_may_have_a_topology_of_their_own() -> None:
    _, fragments = some_fragments()
    uv = torch.rand(90, 2, dtype=torch.float64)
    uv_faces = torch.arange(90).reshape(30, 3)
    expected = reference.interpolate(uv, uv_faces, fragments)
    torch.testing.assert_close(warpkit.interpolate(uv, uv_faces, fragments), expected)


@pytest.mark.parametrize("bad", [-1, 20, 2**32])
def test_bad_indices_give_zeros_and_touch_nothing_else(bad: int) -> None:
    faces, fragments = some_fragments()
    attributes = torch.rand(2, 20, 3, dtype=torch.float64)
    expected = warpkit.interpolate(attributes, faces, fragments)
    face = int(fragments.face_index.max())
    faces = faces.clone()
    faces[face, 1] = bad
    out = warpkit.interpolate(attributes, faces, fragments)
    hit = fragments.face_index == face
    assert (out[hit] == 0).all()
    assert torch.equal(out[~hit], expected[~hit])


def test_nan_stays_in_its_faces() -> None:
    faces, fragments = some_fragments()
    attributes = torch.rand(20, 3, dtype=torch.float64)
    attributes[3] = float("nan")
    touched = (faces == 3).any(1)[fragments.face_index.clamp(0).long()] & (fragments.face_index >= 0)
    assert torch.equal(warpkit.interpolate(attributes, faces, fragments).isnan().any(-1), touched)


@pytest.mark.parametrize(("batch", "num_vertices", "num_faces"), [(0, 5, 4), (2, 0, 4), (2, 5, 0)])
def test_empty_inputs_give_zeros(batch: int, num_vertices: int, num_faces: int) -> None:
    fragments = warpkit.Fragments(
        torch.zeros(batch, 3, 4, dtype=torch.int32), torch.rand(batch, 3, 4, 3), torch.rand(batch, 3, 4)
    )
    out = warpkit.interpolate(torch.rand(num_vertices, 2), torch.full((num_faces, 3), num_vertices), fragments)
    assert out.shape == (batch, 3, 4, 2)
    assert (out == 0).all()
