"""Skin in pictures of a person, told by the colour of their own face, and brought to another person's colour."""

from dataclasses import replace

import torch
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.cells import CELLS, cell_fields, cell_shares
from warpkit.models.geometric.matte import spread
from warpkit.models.geometric.trust import unlike
from warpkit.models.geometric.view import Sight, View

NEAR = {"hand": 0.35, "lower_arm": 0.24, "upper_arm": 0.2, "upper_leg": 0.2, "lower_leg": 0.24, "foot": 0.16,
        "torso": 0.14, "hips": 0.1, "face": -1.0, "hair": -1.0}  # fmt: skip
"""How far (see `trust.unlike`) from the face's colour skin may be on each cell: less where cloth is likely."""
SOFT = 0.06
"""Over which a pixel turns from skin into something else."""
SHADING = 0.85
"""Exponent of the shading that recoloured skin keeps: what is enlarged from dark skin is noise too."""
LEAST = 60
"""Pixels of a face that make its colour known."""


def cells_seen(sight: Sight, model: BodyModel) -> Tensor:
    """[C, R, R] in [0, 1] the share of each cell in each pixel, continued to where nobody is."""
    shares = cell_shares(interpolate(cell_fields(model), model.faces, sight.fragments)[0]).permute(2, 0, 1)
    covered = sight.covered.float()
    return spread(shares * covered, covered).clamp(0, 1)


def skin_colour(view: View, sight: Sight, model: BodyModel) -> Tensor | None:
    """[3] in [-1, 1] the colour of the skin of the face; None where the view does not show it.

    The median of what looks towards the camera, then of what is like that: eyes, beards and glasses drop out.
    """
    front = interpolate(sight.normals, model.faces, sight.fragments)[0, ..., 2] > 0.5
    face = (cells_seen(sight, model)[CELLS.index("face")] > 0.9) & front & sight.covered & (view.alpha > 0.9)
    pixels = view.image[:, face]
    if pixels.shape[1] < LEAST:
        return None
    colour = pixels.median(1).values
    for _ in range(3):
        like = unlike(pixels, colour[:, None], 0) < 0.15
        light = (pixels.mean(0) - colour.mean()).abs() < 0.5
        if (like & light).sum() < LEAST // 2:
            break
        colour = pixels[:, like & light].median(1).values
    return colour


def skin_mask(view: View, sight: Sight, colour: Tensor, model: BodyModel) -> Tensor:
    """[R, R] in [0, 1] which pixels show bare skin of `colour` `[3]`, face and hair apart."""
    near = torch.tensor([NEAR[cell.removeprefix("left_").removeprefix("right_")] for cell in CELLS]).to(colour)
    limit = (near[:, None, None] * cells_seen(sight, model)).sum(0)
    mask = ((limit - unlike(view.image, colour[:, None, None], 0)) / SOFT).clamp(0, 1)
    opened = -torch.nn.functional.max_pool2d(-mask[None], 3, stride=1, padding=1)
    opened = torch.nn.functional.max_pool2d(opened, 5, stride=1, padding=2)[0]
    return torch.minimum(mask, opened)  # single pixels are noise


def recoloured(view: View, mask: Tensor, own: Tensor, wanted: Tensor) -> View:
    """`view` with the skin in `mask` `[R, R]` brought from the colour `own` `[3]` to `wanted` `[3]`, shading kept."""
    light = ((view.image + 1) / (own + 1).clamp(min=0.04)[:, None, None]).clamp(min=1e-3).pow(SHADING)
    skin = ((wanted + 1)[:, None, None] * light - 1).clamp(-1, 1)
    return replace(view, image=torch.lerp(view.image, skin, mask))
