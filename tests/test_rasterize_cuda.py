"""CPU against CUDA, where a GPU and the CUDA kernels are there: the same face_index, bit for bit."""

import pytest
import torch

import warpkit

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and warpkit.build_info()["cuda_kernels"]), reason="needs a GPU and the CUDA kernels"
)


def scene(spread: float, components: int, dtype: torch.dtype, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(batch, 500, components, generator=generator) * spread
    if components == 4:
        vertices[..., 3] = vertices[..., 3].abs() + 0.05
    vertices[0, 7, 0] = float("nan")
    return vertices.to(dtype), torch.randint(-1, 500, (2000, 3), generator=generator)


@pytest.mark.parametrize("cull", [None, "back", "front"])
@pytest.mark.parametrize("size", [(1, 1), (77, 301), (1024, 1024)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("spread", [0.02, 1.0, 30.0, 1e9], ids=["small", "image", "large", "128 bits"])
def test_cuda_equals_cpu(spread, components, dtype, size, cull) -> None:  # type: ignore[no-untyped-def]
    vertices, faces = scene(spread, components, dtype)
    cpu = warpkit.rasterize(vertices, faces, size, cull=cull)
    cuda = warpkit.rasterize(vertices.cuda(), faces.cuda(), size, cull=cull)
    assert torch.equal(cuda.face_index.cpu(), cpu.face_index)
    torch.testing.assert_close(cuda.barycentric.cpu(), cpu.barycentric, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(cuda.depth.cpu(), cpu.depth, rtol=1e-6, atol=1e-6)
    again = warpkit.barycentrics(vertices.cuda(), faces.cuda(), cuda.face_index)
    assert torch.equal(again[0], cuda.barycentric)
    assert torch.equal(again[1], cuda.depth)


@pytest.mark.parametrize("cull", [None, "back"])
@pytest.mark.parametrize("size", [(77, 301), (1024, 1024)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("near", [1e-9, 1e-4, 0.3])
def test_cuda_equals_cpu_where_the_near_plane_cuts(near, dtype, size, cull) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(3, 500, 4, generator=generator).to(dtype)
    faces = torch.randint(-1, 500, (2000, 3), generator=generator)
    cpu = warpkit.rasterize(vertices, faces, size, cull=cull, near=near)
    cuda = warpkit.rasterize(vertices.cuda(), faces.cuda(), size, cull=cull, near=near)
    assert torch.equal(cuda.face_index.cpu(), cpu.face_index)
    torch.testing.assert_close(cuda.barycentric.cpu(), cpu.barycentric, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(cuda.depth.cpu(), cpu.depth, rtol=1e-5, atol=1e-5)
    again = warpkit.barycentrics(vertices.cuda(), faces.cuda(), cuda.face_index, near=near)
    assert torch.equal(again[0], cuda.barycentric)
    assert torch.equal(again[1], cuda.depth)


def test_companions_equal_the_cpu() -> None:
    vertices, faces = scene(1.0, 3, torch.float32)
    cpu = warpkit.rasterize(vertices, faces, (130, 170))
    cuda = warpkit.Fragments(*(tensor.cuda() for tensor in cpu))
    assert torch.equal(warpkit.visible_faces(cuda.face_index, 2000).cpu(), warpkit.visible_faces(cpu.face_index, 2000))
    for attributes in (torch.rand(500, 5), torch.rand(3, 500, 2)):
        ours = warpkit.interpolate(attributes.cuda(), faces.cuda(), cuda).cpu()
        torch.testing.assert_close(ours, warpkit.interpolate(attributes, faces, cpu))


@pytest.mark.parametrize(("batch", "num_vertices", "num_faces"), [(0, 20, 5), (2, 0, 5), (2, 20, 0)])
def test_empty_meshes_give_background(batch: int, num_vertices: int, num_faces: int) -> None:
    vertices = torch.zeros(batch, num_vertices, 3, device="cuda")
    fragments = warpkit.rasterize(vertices, torch.zeros(num_faces, 3, dtype=torch.int64, device="cuda"), (5, 6))
    assert (fragments.face_index == -1).all()
    assert (fragments.barycentric == 0).all()
    assert (fragments.depth == torch.inf).all()


def test_many_images_go_in_waves() -> None:
    vertices, faces = scene(0.5, 3, torch.float32, batch=11)
    cpu = warpkit.rasterize(vertices, faces, (900, 1100))
    assert torch.equal(warpkit.rasterize(vertices.cuda(), faces.cuda(), (900, 1100)).face_index.cpu(), cpu.face_index)


def test_captured_in_a_cuda_graph() -> None:
    vertices, faces = (tensor.cuda() for tensor in scene(1.0, 3, torch.float32))
    expected = warpkit.rasterize(vertices, faces, (64, 96))
    warm_up = torch.cuda.Stream()
    with torch.cuda.stream(warm_up):
        warpkit.rasterize(vertices, faces, (64, 96))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fragments = warpkit.rasterize(vertices, faces, (64, 96))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(fragments.face_index, expected.face_index)
