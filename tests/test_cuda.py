"""CUDA against the CPU, and what CUDA promises besides: streams, devices, graphs, no waiting, repeatable gradients.

The ops, and how they are called, are the rows of op_table.py. All of it skips where there is no GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from needs_gpu import NEEDS_GPU
from op_table import CASES, LAYOUTS, Case, Draw, Sizes, check_same, dtypes, run
from random_meshes import KINDS, random_meshes
from torch import Tensor

import warpkit
from warpkit import Flow

pytestmark = NEEDS_GPU

ROWS = [pytest.param(case, *kinds, id=f"{case}-{kinds[0]}-{kinds[1]}") for case in CASES for kinds in dtypes(case)]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
SIZES = Sizes()


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def assert_identical(mine: list[Tensor], other: list[Tensor]) -> None:
    for one, two in zip(mine, other, strict=True):
        assert torch.equal(one.nan_to_num(7e7), two.nan_to_num(7e7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_face_index_of_a_thousand_meshes_is_the_cpus(kind: str, dtype: torch.dtype) -> None:
    for seed, size in enumerate([(64, 64), (37, 101), (1, 1), (200, 3), (128, 128)]):
        vertices, faces = random_meshes(kind, 200, dtype, seed)
        expected = warpkit.rasterize(vertices, faces, size)
        found = warpkit.rasterize(vertices.cuda(), faces.cuda(), size)
        assert torch.equal(found.face_index.cpu(), expected.face_index)
        torch.testing.assert_close(found.barycentric.cpu(), expected.barycentric, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.depth.cpu(), expected.depth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cull", [None, "back", "front"])
@pytest.mark.parametrize("components", [3, 4])
@pytest.mark.parametrize("spread", [0.02, 1.0, 30.0, 1e9], ids=["small faces", "image", "large faces", "128 bits"])
def test_every_size_of_face_is_drawn_as_on_the_cpu(spread: float, components: int, cull: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(3, 500, components, generator=generator) * spread
    if components == 4:
        vertices[..., 3] = vertices[..., 3].abs() + 0.05
    faces = torch.randint(-1, 500, (2000, 3), generator=generator)
    expected = warpkit.rasterize(vertices, faces, (700, 1024), cull=cull)  # type: ignore[arg-type]
    found = warpkit.rasterize(vertices.cuda(), faces.cuda(), (700, 1024), cull=cull)  # type: ignore[arg-type]
    assert torch.equal(found.face_index.cpu(), expected.face_index)
    again = warpkit.barycentrics(vertices.cuda(), faces.cuda(), found.face_index)
    assert torch.equal(again[0], found.barycentric)
    assert torch.equal(again[1], found.depth)


def test_many_images_go_in_waves() -> None:
    vertices, faces = random_meshes("affine", 11, torch.float32)
    expected = warpkit.rasterize(vertices, faces, (900, 1100)).face_index
    assert torch.equal(warpkit.rasterize(vertices.cuda(), faces.cuda(), (900, 1100)).face_index.cpu(), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("case", "geometry", "features"), ROWS)
def test_same_as_the_cpu(case: Case, geometry: torch.dtype, features: torch.dtype, layout: str) -> None:
    draw = Draw(SIZES, geometry, features)
    expected = run(case, SIZES, case.inputs(draw, layout=layout))
    draw = Draw(SIZES, geometry, features)
    check_same(case, run(case, SIZES, case.inputs(draw, "cuda", layout)), expected)


@pytest.mark.parametrize("channels", [1, 2, 8, 33, 64, 256, 320, 1000])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("features", [torch.float32, torch.bfloat16])
def test_any_number_of_channels(channels: int, layout: str, features: torch.dtype) -> None:
    sizes = Sizes(channels=channels)
    for case in (case for case in CASES if case.features):
        expected = run(case, sizes, case.inputs(Draw(sizes, features=features), layout=layout))
        check_same(case, run(case, sizes, case.inputs(Draw(sizes, features=features), "cuda", layout)), expected)


@pytest.mark.parametrize(
    "sizes",
    [Sizes(batch=0), Sizes(sources=0), Sizes(vertices=0), Sizes(faces=0), Sizes(1, 1, 3, 1, 1, 1, 1, 1, 1)],
    ids=["no image", "no source", "no vertex", "no face", "ones"],
)
@each_case
def test_empty_and_least_sizes(case: Case, sizes: Sizes) -> None:
    expected = run(case, sizes, case.inputs(Draw(sizes)))
    check_same(case, run(case, sizes, case.inputs(Draw(sizes), "cuda")), expected)


@each_case
def test_forward_repeats_bit_for_bit(case: Case) -> None:
    inputs = case.inputs(Draw(SIZES), "cuda")
    with torch.no_grad():
        forward = Case(case.name, case.make, case.call)
        first = run(forward, SIZES, inputs)
        for _ in range(5):
            assert_identical(run(forward, SIZES, inputs), first)


@pytest.mark.parametrize(("case", "geometry", "features"), ROWS)
def test_backward_repeats_bit_for_bit_when_asked_to(case: Case, geometry: torch.dtype, features: torch.dtype) -> None:
    inputs = case.inputs(Draw(SIZES, geometry, features), "cuda")
    with deterministic():
        first = run(case, SIZES, inputs)
        for _ in range(5):
            assert_identical(run(case, SIZES, inputs), first)
    check_same(case, run(case, SIZES, inputs), first)


@each_case
def test_nothing_waits_for_the_device(case: Case) -> None:
    inputs = case.inputs(Draw(SIZES), "cuda")
    run(case, SIZES, inputs)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(case, SIZES, inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@each_case
def test_captured_in_a_cuda_graph_and_replayed_on_new_inputs(case: Case) -> None:
    inputs = case.inputs(Draw(SIZES), "cuda")
    others = case.inputs(Draw(SIZES, seed=1), "cuda")
    with deterministic():
        expected = run(case, SIZES, others)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            run(case, SIZES, inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = run(case, SIZES, inputs)
    for name, tensor in others.items():
        inputs[name].copy_(tensor)
    for _ in range(2):
        graph.replay()
        torch.cuda.synchronize()
        assert_identical(captured, expected)


@each_case
def test_two_streams_do_not_disturb_each_other(case: Case) -> None:
    inputs = [case.inputs(Draw(SIZES, seed=seed), "cuda") for seed in range(2)]
    with deterministic():
        expected = [run(case, SIZES, one) for one in inputs]
        streams = [torch.cuda.Stream() for _ in inputs]
        torch.cuda.synchronize()
        results: list[list[list[Tensor]]] = [[], []]
        for _ in range(10):
            for stream, one, result in zip(streams, inputs, results, strict=True):
                with torch.cuda.stream(stream):
                    result.append(run(case, SIZES, one))
        torch.cuda.synchronize()
    for result, wanted in zip(results, expected, strict=True):
        for found in result:
            assert_identical(found, wanted)


@each_case
def test_work_goes_to_the_current_stream(case: Case) -> None:
    """Inputs that are still on their way, on the same stream, are waited for; the default stream is not used."""
    inputs, late = (case.inputs(Draw(SIZES, seed=seed), "cuda") for seed in (0, 1))
    with deterministic():
        expected = run(case, SIZES, late)
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)  # about 10 ms
            for name, tensor in late.items():
                inputs[name].copy_(tensor)
            found = run(case, SIZES, inputs)
        torch.cuda.synchronize()
    assert_identical(found, expected)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs a second GPU")
@each_case
def test_tensors_of_a_gpu_that_is_not_the_current_one(case: Case) -> None:
    expected = run(case, SIZES, case.inputs(Draw(SIZES), "cuda:0"))
    found = run(case, SIZES, case.inputs(Draw(SIZES), "cuda:1"))
    assert torch.cuda.current_device() == 0
    assert all(tensor.device.index == 1 for tensor in found)
    check_same(case, found, expected)


def needs_memory(gigabytes: int) -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < gigabytes << 30:
        pytest.skip(f"needs {gigabytes} GB of free GPU memory, there are {free >> 30}")


def test_more_than_two_billion_features() -> None:
    needs_memory(24)
    channels, height, width = 520, 2048, 2050
    features = torch.empty(1, 1, channels, height, width, device="cuda", dtype=torch.bfloat16)
    features[0, 0] = torch.arange(channels, device="cuda").bfloat16()[:, None, None]
    features[0, 0, -1] = torch.linspace(0, 1, width, device="cuda").bfloat16()
    grid = torch.rand(1, 1, height, width, 2, device="cuda") * 2.2 - 1.1
    for layout in (torch.contiguous_format, torch.channels_last):
        out = warpkit.warp(features[0].contiguous(memory_format=layout)[None], Flow(grid))
        for part in (slice(0, 2), slice(-2, None)):
            torch.testing.assert_close(out[:, :, part], warpkit.warp(features[:, :, part], Flow(grid)))
        del out


def test_more_than_two_billion_pixels() -> None:
    needs_memory(48)
    vertices, faces = random_meshes("affine", 1, torch.float32)
    batch = 2100
    many = vertices.cuda().expand(batch, -1, -1)
    found = warpkit.rasterize(many, faces.cuda(), (1024, 1024))
    expected = warpkit.rasterize(vertices.cuda(), faces.cuda(), (1024, 1024))
    for image in (0, batch // 2, batch - 1):
        assert all(torch.equal(one[image], two[0]) for one, two in zip(found, expected, strict=True))


def test_a_function_played_from_graphs_gives_what_it_gives() -> None:
    from warpkit.models.tasks.graphs import Graphs

    conv = torch.nn.Conv2d(8, 8, 3, padding=1).cuda()

    def function(features: Tensor, grid: Tensor, visible: Tensor | None) -> tuple[Tensor, ...]:
        warped = warpkit.warp(features, Flow(grid, visible))
        return conv(warped[:, 0]), warped.mean(1)

    played = Graphs(function)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for size in (32, 48, 32, 48):
            features = torch.randn(1, 2, 8, 64, 64, generator=generator).cuda()
            grid = (torch.rand(1, 2, size, size, 2, generator=generator) * 2 - 1).cuda()
            visible = (torch.rand(1, 2, size, size, generator=generator) > 0.3).cuda()
            for shown in (visible, None):
                for mine, expected in zip(played(features, grid, shown), function(features, grid, shown), strict=True):
                    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)
