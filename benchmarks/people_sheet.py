"""A sheet of rendered people as training sees them: `python -m benchmarks.people_sheet [--out FILE]`.

A row shows three samples; each: two sources as given, the mask given with the first, the given body, the target.
The last line says what drawing cost on this machine.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from warpkit import rasterize
from warpkit.models.app.console import Bars
from warpkit.models.bodies import load_body
from warpkit.models.data.people import Drawn, RenderedPeople
from warpkit.models.geometric.mesh import vertex_normals
from warpkit.models.media.images import write_image
from warpkit.models.media.tensors import to_image


def shaded(drawn: Drawn, person: int, data: RenderedPeople) -> Tensor:
    """The body given with a person's first source over that source, `[3, H, W]`."""
    image, vertices = drawn.sources.image[person, 0], drawn.sources.vertices[person, :1]
    seen = rasterize(vertices, data.model.faces, (data.size, data.size))
    corners = data.model.faces.long()[seen.face_index[0].clamp(min=0).long()]
    normal = vertex_normals(vertices, data.model.faces)[0][corners].mean(-2)
    light = (normal[..., 2].abs() * 1.4 - 0.6)[None] * torch.tensor([0.5, 0.7, 1.0])[:, None, None]
    return torch.where(seen.face_index >= 0, light, image * 0.5)


def cells(drawn: Drawn, person: int, data: RenderedPeople) -> Tensor:
    """One sample, `[3, H, 5 W]`."""
    mask = drawn.sources.alpha[person, 0].expand(3, -1, -1) * 2 - 1
    sources = list(drawn.sources.image[person])
    parts = [*sources, mask, shaded(drawn, person, data), drawn.target.image[person, 0]]
    return torch.nn.functional.pad(torch.cat(parts, -1), (0, 8, 0, 0), value=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/people_sheet.jpg"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--scale", type=int, help="pixels for the whole person; more than --size gives crops")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--head-share", type=float, default=0.2)
    parser.add_argument("--pose-gap", type=float, default=1.0)
    parser.add_argument("--baked", type=Path, help="folder that keeps photographic people (made there the first time)")
    parser.add_argument("--baked-share", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with Bars() as bars:
        data = RenderedPeople(
            load_body("anny"),
            arguments.size,
            arguments.split,
            arguments.seed,
            scale=arguments.scale,
            head_share=arguments.head_share,
            pose_gap=arguments.pose_gap,
            baked=arguments.baked,
            baked_share=arguments.baked_share,
            progress=bars,
        )
    rows, costs = [], []
    for step in range(arguments.rows):
        start = time.process_time()
        drawn = data.draw_with_truth(step, 3, 2)
        costs.append((time.process_time() - start) / 3)
        rows.append(torch.cat([cells(drawn, person, data) for person in range(3)], -1))
    write_image(arguments.out, to_image(torch.cat(rows, 1)), overwrite=True)
    print(f"wrote {arguments.out}; {sorted(costs)[len(costs) // 2]:.2f} s of one CPU thread a sample, median")


if __name__ == "__main__":
    main()
