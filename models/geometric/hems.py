"""Where one person's clothes end, read off their own surface: the hem or the waistband, and the tops of shoes.

Anatomy does not say it: a shirt hangs over the hips or is tucked in, shoes reach above the ankle or do not. Found by
colour, so clothes of one colour keep the anatomical borders.
"""

import torch
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.cells import CELLS, Planes, anatomical, cell_fields, cell_shares, rest_joints
from warpkit.models.geometric.mesh import t_pose
from warpkit.models.geometric.trust import nearer

TELLS = 0.8
"""Share of texels round a border that it must put on the right side, to be believed."""
STEP = 0.01
"""Metres between borders tried."""
FEW = 200
"""Texels that say nothing."""


class Colours:
    """The surface of a person as points with a place and a colour, those that a picture saw."""

    def __init__(self, appearance: Appearance, model: BodyModel) -> None:
        rest = t_pose(model, model.mean_shape[None])[0]
        size = appearance.atlas.shape[-1]
        *_, self.texels = unfold(model, size)
        self.covered = self.texels.face_index[0] >= 0
        of_vertices = torch.cat([rest, appearance.seen[:, None], cell_shares(cell_fields(model))], -1)
        values = interpolate(of_vertices, model.faces, self.texels)[0]
        known = self.covered & (values[..., 3] > 0.5)
        self.known = known
        self.place = values[known][:, :3]
        self.cells = values[known][:, 4:]
        self.colour = appearance.atlas[0].permute(1, 2, 0)[known]

    def of(self, *cells: str) -> Tensor:
        """[N] bool: the points that lie in these cells."""
        return self.cells[:, [CELLS.index(cell) for cell in cells]].sum(-1) > 0.5


def best_split(height: Tensor, above: Tensor, low: float, high: float) -> float | None:
    """The height in [low, high] that best parts points that are `above` `[N]` by their colour; None if none does."""
    near = (height > low - 0.03) & (height < high + 0.03)
    height, above = height[near], above[near]
    if len(height) < FEW or not 0.05 < above.float().mean() < 0.95:
        return None
    tried = torch.arange(low, high + STEP / 2, STEP, device=height.device)
    right = torch.stack([((height > at) == above).float().mean() for at in tried])
    if right.max() < TELLS:
        return None
    return float(tried[right > right.max() - 0.005].mean())


def read_planes(appearance: Appearance, model: BodyModel) -> Planes:
    """The borders of what somebody wears whose pictures were gathered, as far as colours tell them."""
    joints, (navel, _) = rest_joints(model), anatomical(model)
    points = Colours(appearance, model)
    height, trunk = points.place[:, 1], points.of("torso", "hips", "left_upper_leg", "right_upper_leg")

    chest = points.of("torso") & (height > navel + 0.1) & (height < navel + 0.25)
    hip = float(joints["left_hip"][1])
    seat = trunk & (height > hip - 0.16) & (height < hip - 0.09)
    waist = None
    if chest.sum() > FEW and seat.sum() > FEW:
        is_top = nearer(points.colour[trunk], points.colour[chest], points.colour[seat])
        waist = best_split(height[trunk], is_top, hip - 0.09, navel + 0.1)

    ankle = float(joints["left_ankle"][1])
    limb = points.of(*(f"{side}_{part}" for side in ("left", "right") for part in ("lower_leg", "foot")))
    shin = limb & (height > ankle + 0.14) & (height < ankle + 0.24)
    shoe = limb & (points.place[:, 2] > float(joints["left_ankle"][2]) + 0.06) & (height < ankle)
    cuff = None
    if shin.sum() > FEW and shoe.sum() > FEW:
        is_leg = nearer(points.colour[limb], points.colour[shin], points.colour[shoe])
        cuff = best_split(height[limb], is_leg, ankle - 0.02, ankle + 0.12)

    return Planes(waist, cuff)
