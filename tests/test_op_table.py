"""What holds for every op alike, on the CPU: runs repeat; layout, threads and SIMD level do not change an answer."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from op_table import CASES, LAYOUTS, Case, Draw, Sizes, check_same, dtypes, run
from random_meshes import KINDS, random_meshes

import warpkit
from warpkit import Flow, Fragments, reference

ROWS = [pytest.param(case, *kinds, id=f"{case}-{kinds[0]}-{kinds[1]}") for case in CASES for kinds in dtypes(case)]


def assert_identical(mine: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    for one, two in zip(mine, other, strict=True):
        assert torch.equal(one.nan_to_num(7e7), two.nan_to_num(7e7))


@pytest.mark.parametrize(("case", "geometry", "features"), ROWS)
def test_runs_repeat_on_any_number_of_threads(case: Case, geometry: torch.dtype, features: torch.dtype) -> None:
    torch.set_num_threads(2)
    sizes = Sizes()
    inputs = case.inputs(Draw(sizes, geometry, features))
    first = run(case, sizes, inputs)
    assert len(first) > 0
    assert_identical(run(case, sizes, inputs), first)
    torch.set_num_threads(1)
    assert_identical(run(case, sizes, inputs), first)


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize(("case", "geometry", "features"), ROWS)
def test_layouts_do_not_change_the_answer(
    case: Case, geometry: torch.dtype, features: torch.dtype, layout: str
) -> None:
    sizes = Sizes()
    inputs = case.inputs(Draw(sizes, geometry, features), layout=layout)
    plain = {name: tensor.contiguous() for name, tensor in inputs.items()}
    check_same(case, run(case, sizes, inputs), run(case, sizes, plain))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_differentiable_input_gets_a_gradient(case: Case) -> None:
    sizes = Sizes()
    inputs = case.inputs(Draw(sizes, torch.float64, torch.float64))
    if not case.differentiable:
        return
    gradients = run(case, sizes, inputs)[-len(case.differentiable) :]
    for name, gradient in zip(case.differentiable, gradients, strict=True):
        assert gradient.shape == inputs[name].shape
        assert gradient.isfinite().all(), name
        assert gradient.count_nonzero() > 0, name


def run_all() -> dict[str, list[torch.Tensor]]:
    sizes = Sizes()
    return {str(case): run(case, sizes, case.inputs(Draw(sizes))) for case in CASES}


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_simd_levels_agree(level: str, tmp_path: Path) -> None:
    script = "import sys, torch, test_op_table; torch.save(test_op_table.run_all(), sys.argv[1])"
    here, file = Path(__file__).parent, tmp_path / "results.pt"
    environment = os.environ | {
        "WARPKIT_SIMD": level,
        "PYTHONPATH": os.pathsep.join([str(here), *sys.path]),
    }
    subprocess.run([sys.executable, "-c", script, str(file)], check=True, env=environment)
    results, expected = torch.load(file), run_all()
    for case in CASES:
        check_same(case, results[str(case)], expected[str(case)])


TWINS: dict[str, Callable[..., Any]] = {
    "barycentrics": reference.barycentrics,
    "interpolate": lambda attributes, faces, face_index, barycentric: reference.interpolate(
        attributes, faces, Fragments(face_index, barycentric, barycentric[..., 0])
    ),
    "compose_flow 3 masked": lambda source_vertices, faces, face_index, barycentric, **masks: reference.compose_flow(
        source_vertices, faces, Fragments(face_index, barycentric, barycentric[..., 0]), **masks
    ),
    "resize_flow masked, smaller": lambda grid, visible: reference.resize_flow(Flow(grid, visible), (5, 9)),
    "warp": lambda features, grid, visible: reference.warp(features, Flow(grid, visible)),
    "warp_reduce mean, weighted": lambda features, grid, visible, weights: reference.warp_reduce(
        features, Flow(grid, visible), "mean", weights
    ),
    "warp_attention": lambda features, grid, visible, query: reference.warp_attention(
        query, features, Flow(grid, visible)
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_stay_on_the_device_of_their_tensors(name: str) -> None:
    """Those whose work does not hang on numbers; "meta" refuses tensors of the CPU, as a GPU does."""
    (case,) = (case for case in CASES if case.name == name)
    inputs = case.inputs(Draw(), "meta")
    for output in run(Case(name, case.make, lambda sizes, **inputs: TWINS[name](**inputs)), Sizes(), inputs):
        assert output.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_random_meshes_of_each_kind_show_something(kind: str, dtype: torch.dtype) -> None:
    vertices, faces = random_meshes(kind, 50, dtype)
    shown = warpkit.rasterize(vertices, faces, (64, 64)).face_index
    assert (shown >= 0).float().mean() > 0.02
    assert not torch.isin(shown, torch.tensor([0, 1, 2])).any()
