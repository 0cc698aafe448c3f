"""rasterize and its companions as PyTorch sees them: errors, fake kernels, compile, SIMD levels."""

import hashlib
import io
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import warpkit

VERTICES = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
FACES = torch.randint(0, 20, (30, 3), generator=torch.Generator().manual_seed(1))
FACE_INDEX = warpkit.rasterize(VERTICES, FACES, (12, 13)).face_index
FRAGMENTS = warpkit.rasterize(VERTICES, FACES, (12, 13))
OPS = torch.ops.warpkit

CALLS = {
    "rasterize": (OPS.rasterize.default, (VERTICES, FACES, 12, 13, 0, 1e-4)),
    "rasterize float64 clip space": (
        OPS.rasterize.default,
        (torch.rand(1, 20, 4).double(), FACES.int(), 7, 5, 1, 1e-4),
    ),
    "barycentrics": (OPS.barycentrics.default, (VERTICES, FACES, FACE_INDEX, 1e-4)),
    "visible_faces": (OPS.visible_faces.default, (FACE_INDEX, 30)),
    "interpolate": (OPS.interpolate.default, (torch.rand(20, 4), FACES, FACE_INDEX, FRAGMENTS.barycentric)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_opcheck(call: Any) -> None:
    torch.library.opcheck(*call)


def render(vertices: torch.Tensor, faces: torch.Tensor) -> tuple[torch.Tensor, ...]:
    fragments = warpkit.rasterize(vertices, faces, (12, 13), cull="back")
    again, _ = warpkit.barycentrics(vertices, faces, fragments.face_index)
    visible = warpkit.visible_faces(fragments.face_index, faces.shape[0])
    return warpkit.interpolate(vertices, faces, fragments), again, visible, fragments.depth


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_whole(dynamic: bool) -> None:
    compiled = torch.compile(render, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for mine, eager in zip(compiled(VERTICES, FACES), render(VERTICES, FACES), strict=True):
        assert torch.equal(mine, eager)


def test_exports_and_loads() -> None:
    class Render(torch.nn.Module):
        def forward(self, vertices: torch.Tensor) -> tuple[warpkit.Fragments, torch.Tensor]:
            return warpkit.rasterize(vertices, FACES, (12, 13)), render(vertices, FACES)[0]

    saved = io.BytesIO()
    torch.export.save(torch.export.export(Render(), (VERTICES,)), saved)
    saved.seek(0)
    fragments, colours = torch.export.load(saved).module()(VERTICES)
    assert isinstance(fragments, warpkit.Fragments)
    assert torch.equal(fragments.face_index, FACE_INDEX)
    assert torch.equal(colours, render(VERTICES, FACES)[0])


def digest() -> str:
    """A fingerprint of many answers: equal for equal bits."""
    generator = torch.Generator().manual_seed(7)
    total = hashlib.sha256()
    for spread, components, dtype in (
        (0.1, 3, torch.float32),
        (1.0, 4, torch.float32),
        (40.0, 3, torch.float64),
        (1e9, 3, torch.float32),
    ):
        vertices = torch.randn(2, 300, components, generator=generator) * spread
        if components == 4:
            vertices[..., 3] = vertices[..., 3].abs() + 0.1
        faces = torch.randint(0, 300, (900, 3), generator=generator)
        fragments = warpkit.rasterize(vertices.to(dtype), faces, (157, 211))
        colours = warpkit.interpolate(vertices.to(dtype), faces, fragments)
        for tensor in (*fragments, colours):
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()


INFO = warpkit.build_info()


@pytest.mark.parametrize("level", INFO["simd_levels"][: INFO["simd_levels"].index(INFO["simd_level"])])
def test_each_simd_level_gives_the_same_bits(level: str) -> None:
    code = f"import runpy; print(runpy.run_path({__file__!r})['digest']())"
    environment = {**os.environ, "WARPKIT_SIMD": level}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest()


BAD_CALLS = {
    "vertices: expected a tensor": lambda: warpkit.rasterize(VERTICES.half(), FACES, (8, 8)),
    "vertices: expected shape": lambda: warpkit.rasterize(VERTICES[0], FACES, (8, 8)),
    "vertices: expected shape ": lambda: warpkit.rasterize(VERTICES[..., :2], FACES, (8, 8)),
    "vertices: expected a tensor ": lambda: warpkit.rasterize([1, 2, 3], FACES, (8, 8)),  # type: ignore[arg-type]
    "faces: expected a tensor": lambda: warpkit.rasterize(VERTICES, FACES.float(), (8, 8)),
    "faces: expected shape": lambda: warpkit.rasterize(VERTICES, FACES[:, :2], (8, 8)),
    "faces: expected on": lambda: warpkit.rasterize(VERTICES, FACES.to("meta"), (8, 8)),
    "size: expected": lambda: warpkit.rasterize(VERTICES, FACES, (0, 8)),
    "size: expected ": lambda: warpkit.rasterize(VERTICES, FACES, 8),  # type: ignore[arg-type]
    "size: expected two": lambda: warpkit.rasterize(VERTICES, FACES, (8, 8.0)),  # type: ignore[arg-type]
    "size: expected height": lambda: warpkit.rasterize(VERTICES, FACES, (8, 2**22 + 1)),
    "cull: expected": lambda: warpkit.rasterize(VERTICES, FACES, (8, 8), cull="both"),  # type: ignore[arg-type]
    "near: expected": lambda: warpkit.rasterize(VERTICES, FACES, (8, 8), near=0.0),
    "near: expected a number": lambda: warpkit.rasterize(VERTICES, FACES, (8, 8), near="1"),  # type: ignore[arg-type]
    "face_index: expected a tensor": lambda: warpkit.barycentrics(VERTICES, FACES, FACE_INDEX.long()),
    "face_index: expected batch": lambda: warpkit.barycentrics(VERTICES[:1], FACES, FACE_INDEX),
    "face_index: expected shape": lambda: warpkit.visible_faces(FACE_INDEX[0], 3),
    "num_faces: expected at least": lambda: warpkit.visible_faces(FACE_INDEX, -1),
    "num_faces: expected an integer": lambda: warpkit.visible_faces(FACE_INDEX, 2.0),  # type: ignore[arg-type]
    "attributes: expected a tensor": lambda: warpkit.interpolate(VERTICES.int(), FACES, FRAGMENTS),
    "attributes: expected shape": lambda: warpkit.interpolate(VERTICES[None], FACES, FRAGMENTS),
    "attributes: expected batch": lambda: warpkit.interpolate(VERTICES[:1], FACES, FRAGMENTS),
    "fragments: expected": lambda: warpkit.interpolate(VERTICES, FACES, FACE_INDEX),  # type: ignore[arg-type]
    "fragments.barycentric: expected a tensor": lambda: warpkit.interpolate(VERTICES.double(), FACES, FRAGMENTS),
}


@pytest.mark.parametrize(("message", "call"), BAD_CALLS.items(), ids=BAD_CALLS.keys())
def test_bad_argument_is_named(message: str, call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message.strip()}"):
        call()


def test_build_info_is_plain() -> None:
    info = warpkit.build_info()
    assert info["simd_level"] in info["simd_levels"]
    assert info["cuda_kernels"] or "nvcc" in info["note"]


@pytest.mark.skipif(warpkit.build_info()["cuda_kernels"], reason="this build has CUDA kernels")
def test_cuda_tensor_without_cuda_kernels_says_how_to_get_them() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        vertices, faces = torch.empty(1, 3, 3, device="cuda"), torch.empty(1, 3, dtype=torch.int64, device="cuda")
        with pytest.raises(RuntimeError, match="nvcc"):
            warpkit.rasterize(vertices, faces, (8, 8))
