"""Makes scenes.npz: `python tests/golden/make.py`. It holds the vertices too, so that no platform's sines enter."""

from pathlib import Path

import numpy as np
import torch

import warpkit
from benchmarks.meshes import body

PATH = Path(__file__).with_name("scenes.npz")
SAMPLES = 40


def scenes() -> dict[str, tuple[np.ndarray, np.ndarray, tuple[int, int]]]:
    """Name -> vertices ``[V, 3 or 4]`` float32, faces ``[F, 3]``, (height, width)."""
    random = np.random.default_rng(7)
    vertices, faces = (tensor.numpy() for tensor in body(3000))
    person = np.round(vertices * 2**12) / 2**12  # exact in float32 and small in the file

    quads = []
    for _ in range(12):  # leaning, crossing each other
        centre, across, down = random.integers(-40, 41, (3, 3)) / 64
        quads.append([centre - across - down, centre + across - down, centre + across + down, centre - across + down])
    overlapping = np.concatenate(quads) + np.array([0, 0, 2])
    quad_faces = np.concatenate([[[4 * n, 4 * n + 1, 4 * n + 2], [4 * n, 4 * n + 2, 4 * n + 3]] for n in range(12)])

    # A floor that runs from far ahead to behind the camera, and a wall on it: clip space, w is the distance.
    floor = np.array([[-8, 4, 0, -4], [8, 4, 0, -4], [12, 4, 9, 16], [-12, 4, 9, 16]], float)
    wall = np.array([[-2, -2, 3, 6], [2, -2, 3, 6], [2, 4, 3, 6], [-2, 4, 3, 6]], float)
    near = np.concatenate([floor, wall])
    near_faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])

    tiny = np.stack(np.meshgrid(np.arange(50), np.arange(40), indexing="ij"), -1).reshape(-1, 2) / 64 - 0.4
    tiny = tiny + random.integers(-3, 4, tiny.shape) / 1024
    i, j = np.meshgrid(np.arange(49), np.arange(39), indexing="ij")
    a = (40 * i + j).reshape(-1)
    tiny_faces = np.concatenate([np.stack([a, a + 1, a + 40], 1), np.stack([a + 1, a + 41, a + 40], 1)])
    depth = random.integers(0, 64, (len(tiny), 1)) / 64
    return {
        "person": (person, faces, (160, 120)),
        "overlapping quads": (overlapping, quad_faces, (48, 64)),
        "across the near plane": (near, near_faces, (72, 128)),
        "tiny triangles": (np.concatenate([tiny, depth], 1), tiny_faces, (48, 64)),
        "tiny triangles, tall": (np.concatenate([tiny, depth], 1), tiny_faces, (301, 33)),
    }


def main() -> None:
    stored: dict[str, np.ndarray] = {}
    random = np.random.default_rng(1)
    for name, (vertices, faces, size) in scenes().items():
        vertices, faces = vertices.astype(np.float32), faces.astype(np.int32)
        fragments = warpkit.rasterize(torch.from_numpy(vertices)[None], torch.from_numpy(faces), size)
        face_index, barycentric, depth = (tensor[0].numpy() for tensor in fragments)
        places = np.flatnonzero(face_index.reshape(-1) >= 0)
        places = np.sort(random.choice(places, SAMPLES, replace=False)).astype(np.int32)
        stored |= {
            f"{name}/vertices": vertices,
            f"{name}/faces": faces.astype(np.int16),
            f"{name}/face_index": face_index.astype(np.int16),
            f"{name}/places": places,
            f"{name}/barycentric": barycentric.reshape(-1, 3)[places],
            f"{name}/depth": depth.reshape(-1)[places],
        }
    np.savez_compressed(PATH, **stored)  # type: ignore[arg-type]
    print(f"{PATH.name}: {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
