"""A sheet of photo-like people, turned and walking, made from one picture outdoors and from four views.

`python -m benchmarks.people [--out FILE]`: the picture of docs/quality.md. The pictures of openpeople are made by a
model and their views are not one geometry: judge by eye.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from warpkit.models.bodies import Body, Camera, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.photo_like import four_views, outdoor
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.media.draw import contact_sheet
from warpkit.models.media.images import write_image
from warpkit.models.media.tensors import to_image
from warpkit.models.tasks.sources import gather, read_sources

HEIGHT, WIDTH = 420, 300
TURNS = (0, 45, 90, 180, 270)
STEPS = (0.05, 0.3, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/people.jpg"))
    parser.add_argument("--people", nargs="*", default=["P008", "P009", "P010"])
    arguments = parser.parse_args()
    model, walk = load_body("anny"), make_motion("walk")
    rows: list[tuple[str, list[np.ndarray]]] = []
    for person in arguments.people:
        for title, photos in (("one picture outdoors", outdoor(person)), ("four views", four_views(person))):
            with torch.no_grad():
                sources = read_sources(photos, model)
                appearance = gather(sources, model, resolution=round(1.6 * HEIGHT))
                renderer = GeometricRenderer(model, appearance)
                camera = Camera(
                    0.86 * HEIGHT / model.height(appearance.shape), torch.tensor([[WIDTH / 2, HEIGHT * 0.47]])
                )
                stance = make_motion("turn").rotations[:1]
                poses = []
                for degrees in TURNS:
                    yaw = axis_angle_to_matrix(torch.tensor([0.0, math.radians(degrees), 0.0]))
                    pose = stance.clone()
                    pose[0, 0] = matrix_to_axis_angle(yaw @ axis_angle_to_matrix(stance[0, 0]))
                    poses.append(pose)
                poses += [walk.rotations[[int(moment * len(walk.rotations))]] for moment in STEPS]
                grey = torch.full((3, HEIGHT, WIDTH), 0.35)
                pictures = [
                    to_image(renderer(Body(pose, appearance.shape, camera), (HEIGHT, WIDTH)).over(grey))
                    for pose in poses
                ]
            rows.append(
                (
                    f"{person}, {title}: the first source, turned by {', '.join(map(str, TURNS))} degrees, walking",
                    [photos[0], *pictures],
                )
            )
    write_image(arguments.out, contact_sheet(rows, height=HEIGHT // 2 + 60), overwrite=True)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
