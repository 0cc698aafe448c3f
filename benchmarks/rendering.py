"""How close the geometric picture comes to the truth: made-up people, held-out poses and views.

`python -m benchmarks.rendering [--people N] [--out FOLDER]` prints the table of docs/quality.md and writes sheets.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, Body, BodyModel, Camera, load_body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.geometric.appearance import gather_appearance
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.view import View
from warpkit.models.media.images import write_image
from warpkit.models.media.tensors import to_image
from warpkit.models.metrics import psnr, ssim

SIZE = 512
VIEWS = {1: (0,), 2: (0, 180), 4: (0, 180, 90, 270)}
TARGETS = (
    ("walk", 0.3, 0),
    ("walk", 0.6, 40),
    ("wave", 0.5, 330),
    ("squat", 0.5, 90),
    ("dance", 0.4, 0),
    ("dance", 0.7, 180),
)


def standing(degrees: float) -> Tensor:
    """[1, 22, 3] a relaxed stance, arms a little off the body, turned about the vertical."""
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, 0, 1] = math.radians(degrees)
    pose[0, JOINTS.index("left_shoulder"), 2] = -1.15
    pose[0, JOINTS.index("right_shoulder"), 2] = 1.15
    return pose


def turned(pose: Tensor, degrees: float) -> Tensor:
    """`pose` `[1, 22, 3]` seen from another side."""
    yaw = axis_angle_to_matrix(torch.tensor([0.0, math.radians(degrees), 0.0]))
    pose = pose.clone()
    pose[0, 0] = matrix_to_axis_angle(yaw @ axis_angle_to_matrix(pose[0, 0]))
    return pose


def camera(model: BodyModel, shape: Tensor, size: int) -> Camera:
    """The person fills 80 % of the height, the pelvis in the middle."""
    return Camera(0.8 * size / model.height(shape), torch.tensor([[size / 2, size * 0.48]]))


def measure(model: BodyModel, people: int, out: Path) -> list[str]:
    """One line a number of sources: PSNR and SSIM in the true mask, mask IoU, share of pixels filled, not seen."""
    lines = []
    for count, angles in VIEWS.items():
        scores = []
        for seed in range(people):
            person = MadeUpPerson(model, seed)
            resolution = round(1.5 * SIZE)
            views = []
            for degrees in angles:
                body = Body(standing(degrees), person.shape, camera(model, person.shape, resolution))
                truth = person.render(body, (resolution, resolution))
                views.append(View(truth.colour, truth.alpha, body))
            renderer = GeometricRenderer(model, gather_appearance(views, model))
            row = [views[0].image]
            for name, moment, degrees in TARGETS:
                motion = make_motion(name)
                pose = turned(motion.rotations[[int(moment * len(motion.rotations))]], degrees)
                body = Body(pose, person.shape, camera(model, person.shape, SIZE))
                truth = person.render(body, (SIZE, SIZE))
                drawn = renderer(body, (SIZE, SIZE))
                made = drawn.over(torch.zeros(3, SIZE, SIZE))
                mask = (truth.alpha > 0.5)[None, None]
                top, left = drawn.corner
                height, width = drawn.alpha.shape[2:]
                full = torch.zeros(SIZE, SIZE)
                full[top : top + height, left : left + width] = drawn.alpha[0, 0]
                both = ((full > 0.5) & mask[0, 0]).sum() / ((full > 0.5) | mask[0, 0]).sum()
                filled = (drawn.filled * drawn.alpha).sum() / drawn.alpha.sum()
                pictures = truth.image[None], made[None]
                scores.append([psnr(*pictures, mask)[0], ssim(*pictures, mask)[0], both, filled])
                row += [truth.image, made]
            if seed < 4:
                picture = torch.nn.functional.interpolate(torch.cat(row[1:], -1)[None], scale_factor=0.5, mode="area")[
                    0
                ]
                write_image(out / f"rendering_{count}_views_person_{seed}.png", to_image(picture), overwrite=True)
        mean = torch.tensor(scores).mean(0)
        lines.append(f"| {count} | {mean[0]:.2f} | {mean[1]:.3f} | {mean[2]:.3f} | {100 * mean[3]:.1f} % |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("out/quality"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| sources | PSNR in the mask, dB | SSIM in the mask | mask IoU | filled |\n|---|---|---|---|---|")
    with torch.no_grad():
        for line in measure(load_body("anny"), arguments.people, arguments.out):
            print(line, flush=True)


if __name__ == "__main__":
    main()
