"""Rows of rasterize, barycentrics and visible_faces, and the gradient of the first two."""

from collections.abc import Iterator

import torch

import warpkit
from benchmarks import peers
from benchmarks.harness import Case, Contender, size_of
from benchmarks.meshes import body
from benchmarks.options import Options, differentiated

TARGET = "rasterize 13776 faces, 8 x 1024²"


def cases(options: Options) -> Iterator[Case]:
    for num_faces, size, batch in ((13_776, 1024, 8), (13_776, 256, 16), (27_420, 512, 1), (27_420, 2048, 1)):
        if options.quick and size * batch > 1024:
            continue
        vertices, faces = (tensor.to(options.device) for tensor in body(num_faces))
        vertices = vertices.expand(batch, -1, -1).contiguous()
        name = f"{num_faces} faces, {batch} x {size}²"
        fragments = warpkit.rasterize(vertices, faces, (size, size))
        yield Case(
            f"rasterize {name}",
            {
                "warpkit": Contender("ours", lambda v=vertices, f=faces, s=size: warpkit.rasterize(v, f, (s, s))),
                **(peers.rasterize(vertices, faces, size) if f"rasterize {name}" == TARGET else {}),
            },
            size_of(vertices, faces, fragments),
            f"{(fragments.face_index >= 0).float().mean().item():.1%} covered",
        )
        if size == 512 or batch == 8:
            yield from companions(name, vertices, faces, fragments)


def companions(name: str, vertices: torch.Tensor, faces: torch.Tensor, fragments: warpkit.Fragments) -> Iterator[Case]:
    face_index, barycentric, depth = fragments
    yield Case(
        f"barycentrics {name}",
        {"warpkit": Contender("ours", lambda: warpkit.barycentrics(vertices, faces, face_index))},
        size_of(vertices, faces, face_index, barycentric, depth),
    )
    backward = differentiated(lambda v: warpkit.barycentrics(v, faces, face_index)[0], vertices)
    yield Case(
        f"barycentrics backward {name}",
        {"warpkit": Contender("ours", backward)},
        size_of(vertices, vertices, faces, face_index, barycentric),
    )
    yield Case(
        f"visible_faces {name}",
        {"warpkit": Contender("ours", lambda: warpkit.visible_faces(face_index, len(faces)))},
        size_of(face_index) + len(faces),
    )
