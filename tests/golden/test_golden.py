"""Scenes whose answers are kept: every SIMD level and device gives them, and exact rational arithmetic agrees."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import warpkit

STORED = np.load(Path(__file__).with_name("scenes.npz"))
SCENES = sorted({key.split("/")[0] for key in STORED.files})


def stored(scene: str, key: str) -> torch.Tensor:
    array = STORED[f"{scene}/{key}"]
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.int16 else array)


def check(scene: str, device: str = "cpu") -> None:
    vertices, faces, expected = stored(scene, "vertices"), stored(scene, "faces"), stored(scene, "face_index")
    height, width = expected.shape
    face_index, barycentric, depth = warpkit.rasterize(vertices[None].to(device), faces.to(device), (height, width))
    assert torch.equal(face_index[0].cpu(), expected)
    places = stored(scene, "places").long()
    torch.testing.assert_close(barycentric.cpu().view(-1, 3)[places], stored(scene, "barycentric"), rtol=0, atol=2e-6)
    torch.testing.assert_close(depth.cpu().view(-1)[places], stored(scene, "depth"), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("scene", SCENES)
def test_the_scene_is_as_it_was(scene: str) -> None:
    check(scene)


@pytest.mark.parametrize("level", warpkit.build_info()["simd_levels"])
def test_every_simd_level_gives_the_scenes(level: str) -> None:
    code = f"import runpy; g = runpy.run_path({__file__!r}); [g['check'](scene) for scene in g['SCENES']]"
    environment = {**os.environ, "WARPKIT_SIMD": level}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("scene", SCENES)
def test_cuda_gives_the_scenes(scene: str) -> None:
    check(scene, "cuda")


# ---- the same by another way: whole numbers and fractions, nothing rounded but the snapping -------------------------

Point = tuple[Fraction, Fraction]


def cross(a: Point, b: Point, c: Point) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def covers(corners: list[Point], centre: Point) -> bool:
    """Whether a triangle holds a centre: strictly inside, or on a top or a left edge."""
    area = cross(*corners)
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        side = cross(a, b, centre) * (1 if area > 0 else -1)
        dx, dy = ((b[k] - a[k]) * (1 if area > 0 else -1) for k in (0, 1))
        if side < 0 or (side == 0 and not (dy < 0 or (dy == 0 and dx > 0))):
            return False
    return area != 0


@pytest.mark.parametrize("scene", ["overlapping quads", "tiny triangles"])
def test_exact_arithmetic_agrees(scene: str) -> None:
    vertices, faces, expected = stored(scene, "vertices"), stored(scene, "faces"), stored(scene, "face_index")
    height, width = expected.shape
    exact = [[Fraction(value) for value in vertex] for vertex in vertices.tolist()]
    pixels = [((x + 1) * width / 2, (y + 1) * height / 2) for x, y, _ in exact]
    snapped = [(Fraction(round(x * 256), 256), Fraction(round(y * 256), 256)) for x, y in pixels]
    seen: list[list[list[tuple[Fraction, int]]]] = [[[] for _ in range(width)] for _ in range(height)]
    for index, face in enumerate(faces.tolist()):
        corners, plain = [snapped[k] for k in face], [pixels[k] for k in face]
        columns = range(max(0, int(min(x for x, _ in corners)) - 1), min(width, int(max(x for x, _ in corners)) + 2))
        rows = range(max(0, int(min(y for _, y in corners)) - 1), min(height, int(max(y for _, y in corners)) + 2))
        for i in rows:
            for j in columns:
                centre = (Fraction(2 * j + 1, 2), Fraction(2 * i + 1, 2))
                if not covers(corners, centre):
                    continue
                area = cross(*plain)
                weights = [cross(plain[1], plain[2], centre), cross(plain[2], plain[0], centre)]
                weights = [weights[0] / area, weights[1] / area]
                weights.append(1 - weights[0] - weights[1])
                z = [exact[k][2] for k in face]
                depth = sum(weight * value for weight, value in zip(weights, z, strict=True))
                seen[i][j].append((min(max(depth, min(z)), max(z)), index))
    close = 0
    for i in range(height):
        for j in range(width):
            (depth, index), (next_depth, _) = [*sorted(seen[i][j]), (Fraction(10**6), -1), (Fraction(10**7), -1)][:2]
            if next_depth - depth < Fraction(1, 10**6):
                close += 1  # what float32 cannot order
            else:
                assert index == expected[i, j], (i, j)
    assert close < 0.01 * height * width
