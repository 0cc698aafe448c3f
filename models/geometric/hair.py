"""The back of a head that no picture shows, covered with more of the hair that they do show.

The head is laid out round its centre, the crown at the upper edge, so that hair falls along columns; there the hole is
filled with patches of the hair that was seen, most of all from the same height.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import PARTS, BodyModel, part_of_vertices
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.background import PATCH, complete
from warpkit.models.geometric.mesh import Surface, t_pose
from warpkit.models.geometric.once import once
from warpkit.models.geometric.trust import nearest, unlike

LOWEST = -50.0
"""Degrees below the head's centre down to which it is laid out."""
ACROSS = 4
"""Texels of the atlas along a side for each column of the layout."""
FACE_SEEN = 20
"""Vertices of a face that make its colour known."""
CROWN_SEEN = 8
"""Vertices of a crown that make the colours of hair known."""
SKIN = 0.15
"""Difference (see `unlike`) from the face's usual colour up to which something is skin,"""
DARK = 0.7
"""if it is not darker than so much of it: hair can be of the colour of a face in shadow."""
CLEAR = 0.2
"""How much nearer a colour must be to those of the crown's hair than to the face's to be told from it for sure;"""
LEANING = 0.15
"""one that is as near to both is taken for hair by so much: beside a face and above it there is little else."""
SQUARE = 0.12
"""Sight from which on hair is copied: what is seen at a glancing angle is smeared and mixed with what is behind."""
LIKELY = 0.02
"""How firmly an unseen scalp is held to have hair, against 1 for a vertex that was seen."""
FEW = 40
"""Patches that are too few to be copied from."""


def scalp(model: BodyModel) -> tuple[Tensor, Tensor]:
    """The head without face, ears and neck `[V]` bool, and its crown `[V]` bool.

    From the front the crown alone shows what the back of a head looks like: hair, or none.
    """
    place, head = _place(model)
    above_the_brow, behind_the_ears, above_the_nape = place[:, 1] > 0.78, place[:, 2] < 0.45, place[:, 1] > 0.4
    between_the_ears = (place[:, 0] - 0.5).abs() < 0.38
    back = head & (above_the_brow | (behind_the_ears & above_the_nape & between_the_ears))
    return back, back & (place[:, 1] > 0.85)


def hair_share(model: BodyModel, surface: Surface, colours: Tensor, sight: Tensor) -> Tensor:
    """[V] in [0, 1] how far each vertex is covered with hair, as far as pictures tell it and hair is likely.

    Told by the colours of the face and of the crown; none where one of them was not seen, or the crown is bare.

    Args:
        model: of the body.
        surface: its graph.
        colours: `[V, 3]` in [-1, 1] of what was seen.
        sight: `[V]` how squarely it was seen; 0: not at all.
    """
    place, head = _place(model)
    across, up, forward = (place[:, 0] - 0.5).abs(), place[:, 1], place[:, 2]
    inner = head & (across < 0.2) & (forward > 0.7) & (up > 0.3) & (up < 0.7)
    back, crown = scalp(model)
    skin, hair = colours[inner & (sight > SQUARE)], colours[crown & (sight > SQUARE)]
    if len(skin) < FACE_SEEN or len(hair) < CROWN_SEEN:
        return torch.zeros_like(sight)
    usual = skin.median(0).values
    skin = skin[unlike(skin, usual, -1) < SKIN]  # eyes, lips and beards drop out
    crowning = hair.median(0).values
    if unlike(crowning, usual, -1) < SKIN and (crowning + 1).mean() > DARK * (usual + 1).mean():
        return torch.zeros_like(sight)  # bald
    oval = head & (across < 0.32) & (forward > 0.55) & (up < 0.85)  # with a forehead or a fringe
    streaks = head & ~oval & (up > 0.4) & (sight > SQUARE) & (unlike(colours, usual, -1) > 2 * SKIN)
    to_skin, to_hair = nearest(colours, skin), nearest(colours, torch.cat([hair, colours[streaks]]))
    looks = (0.5 + LEANING + (to_skin - to_hair) / CLEAR).clamp(0, 1)
    told = head & (sight > SQUARE) & (inner | ~oval)
    share = torch.where(told, torch.where(inner, 0.0, looks), back.to(looks))
    held = torch.where(told, 1.0, torch.where(back & ~oval, LIKELY, 0.0))
    return torch.where(head, surface.spread(share[:, None], held)[:, 0].clamp(0, 1), 0.0)


def grow_hair(model: BodyModel, atlas: Tensor, seen: Tensor, square: Tensor, hair: Tensor) -> Tensor:
    """Covers what no picture shows of the hair with what they do show; the rest stays as it is.

    Args:
        model: of the body.
        atlas: `[3, T, T]` in [-1, 1]: the colours of the surface, worked out somehow where they were not seen.
        seen: `[T, T]` in [0, 1]: how far they were.
        square: `[V]`: how squarely pictures show each vertex.
        hair: `[V]`: see `hair_share`.

    Returns:
        `[3, T, T]` in [-1, 1].
    """
    size = atlas.shape[-1]
    if not hair.any():
        return atlas
    head = once(model, ("head", size), lambda: _lay_out(model, size))
    *_, texels = unfold(model, size)
    fields = interpolate(torch.stack([hair, square], -1), model.faces, texels)[0]
    covered, squarely = fields[head.rows, head.columns].unbind(-1)
    own, known = atlas[:, head.rows, head.columns], seen[head.rows, head.columns]
    laid_out = head.spread_out(torch.cat([own, torch.stack([known, covered, squarely])])).cpu()
    picture, (here, shares, squarely) = laid_out[:3], laid_out[3:]
    wanted = (here < 0.5) & (shares > 0.5)
    usable = (here > 0.9) & (shares > 0.8) & (squarely > SQUARE)
    if min(wanted.shape) < PATCH or not wanted.any():
        return atlas
    patches = -F.max_pool2d(-usable[None].float(), PATCH, stride=1)
    if patches.sum() < FEW:
        return atlas
    filled = complete(picture, wanted, usable, even=False)
    grown = head.read(torch.cat([filled, wanted[None].to(filled)]).to(own))
    result = atlas.clone()
    result[:, head.rows, head.columns] = torch.lerp(own, grown[:3], grown[3] * (1 - known))
    return result


def _place(model: BodyModel) -> tuple[Tensor, Tensor]:
    """Vertices' places in the box round the head, `[V, 3]` (x across, y up, z to the face, 0 to 1 inside), and whether
    they are the head's, `[V]` bool."""
    rest = t_pose(model, model.mean_shape[None])[0]
    head = part_of_vertices(model) == PARTS.index("head")
    low, high = rest[head].amin(0), rest[head].amax(0)
    return (rest - low) / (high - low), head


@dataclass(frozen=True)
class _Layout:
    """A head round its centre, the middle of its back in the middle: N texels of the atlas, and where they lie."""

    rows: Tensor
    """[N] of the atlas."""
    columns: Tensor
    """[N] of the atlas."""
    grid: Tensor
    """[1, 1, N, 2] in [-1, 1]: their places in the layout."""
    shown: Tensor
    """[H, W]: which of them each pixel of the layout shows."""

    def spread_out(self, values: Tensor) -> Tensor:
        """[C, H, W] from the texels' `[C, N]`."""
        return values[:, self.shown]

    def read(self, layout: Tensor) -> Tensor:
        """[C, N] of the texels from `[C, H, W]`."""
        return F.grid_sample(layout[None], self.grid, padding_mode="border", align_corners=False)[0, :, 0]


def _lay_out(model: BodyModel, size: int) -> _Layout:
    rest = t_pose(model, model.mean_shape[None])[0]
    head = rest[part_of_vertices(model) == PARTS.index("head")]
    low, high = head.amin(0), head.amax(0)
    centre = low + (high - low) * low.new_tensor([0.5, 0.6, 0.5])
    *_, texels = unfold(model, size)
    index = texels.face_index[0]
    of_head = (index >= 0) & (model.parts[index.clamp(min=0).long()] == PARTS.index("head"))
    points = interpolate(rest - centre, model.faces, texels)[0][of_head]
    rows, columns = of_head.nonzero().unbind(1)
    directions = F.normalize(points, dim=-1)
    turn = torch.atan2(directions[:, 0], -directions[:, 2])  # 0: straight back
    lift = directions[:, 1].clamp(-1, 1).asin()
    width = size // ACROSS
    height = round(width * (90 - LOWEST) / 360)
    spare = math.radians(90 - LOWEST)
    grid = torch.stack([turn / math.pi, (math.pi / 2 - lift) / spare * 2 - 1], -1)
    across = ((torch.arange(width) + 0.5) / width * 2 - 1) * math.pi
    down = math.pi / 2 - (torch.arange(height) + 0.5) / height * spare
    lying = down[:, None].cos()
    pixels = torch.stack(
        [lying * across.sin(), down[:, None].sin().expand(height, width), -lying * across.cos()], -1
    ).reshape(-1, 3)
    _, found = cKDTree(directions.cpu().numpy()).query(pixels.numpy(), 4)
    near = torch.from_numpy(found).to(rows.device)
    outermost = points.norm(dim=-1)[near].argmax(1, keepdim=True)  # eyes lie before their sockets, lips before teeth
    shown = near.gather(1, outermost).reshape(height, width)
    return _Layout(rows, columns, grid[None, None], shown)
