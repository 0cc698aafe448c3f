"""One person in what others wear: appearances put together cell by cell on one person's shape (the papers' T_1, T_2).

What a cell shows, its colours and its shell, comes from one person alone: the flow from each picture reaches their
cells only, and nobody else's picture has a say there. At borders one turns into the other over some centimetres.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.cells import CELLS, cell_fields, cell_shares
from warpkit.models.geometric.matte import spread

SLEEK = 3.0
"""How much wider than its colours' the border of two shells is: an edge of cloth lies on what is below it."""


@dataclass(frozen=True)
class Giver:
    """Someone of whom some cells are shown."""

    appearance: Appearance
    cells: tuple[str, ...]
    """Of `CELLS`."""


def put_together(givers: Sequence[Giver], shape: Tensor, model: BodyModel) -> Appearance:
    """The appearance of a person of `shape` `[1, K]` whose cells are those of `givers`, which share out `CELLS`.

    All appearances have pictures and atlases of one size. Raises ValueError where a cell has no giver or two.
    """
    given = [cell for giver in givers for cell in giver.cells]
    if sorted(given) != sorted(CELLS):
        raise ValueError(f"cells: each of {', '.join(CELLS)} must have one giver, got {', '.join(given)}")
    several = [giver.appearance for giver in givers]
    fields = cell_fields(model)
    owners = torch.tensor([[float(cell in giver.cells) for giver in givers] for cell in CELLS]).to(fields)  # [C, P]
    of_vertices, of_shells = cell_shares(fields) @ owners, cell_shares(fields / SLEEK) @ owners

    size = several[0].atlas.shape[-1]
    atlas_vertices, atlas_faces, texels = unfold(model, size)
    covered = (texels.face_index[0] >= 0).float()
    of_texels = (cell_shares(interpolate(fields, model.faces, texels)[0]) @ owners).permute(2, 0, 1)
    atlases = torch.cat([one.atlas for one in several])  # [P, 3, T, T]
    atlas = spread((of_texels[:, None] * atlases).sum(0), covered)
    of_texels = spread(of_texels, covered).clamp(0, 1)

    counts = torch.tensor([one.images.shape[1] for one in several])
    used = torch.zeros(len(givers), len(model.faces), dtype=torch.bool, device=covered.device)
    for number, share in enumerate(of_texels):
        used[number, texels.face_index[0][(share > 0) & (covered > 0)].long()] = True
        used[number] |= (of_vertices[model.faces.long(), number] > 0).any(1)  # faces may be smaller than texels
    rest = torch.stack([one.blend[:, -1] for one in several], -1)
    return Appearance(
        shape=shape,
        offsets=torch.einsum("vp,pvc->vc", of_shells, torch.stack([one.offsets for one in several])),
        images=torch.cat([one.images for one in several], 1),
        vertices=torch.cat([one.vertices for one in several], 1),
        blend=torch.cat([*(one.blend[:, :-1] for one in several), (of_vertices * rest).sum(1, keepdim=True)], 1),
        atlas=atlas[None].clamp(-1, 1).contiguous(memory_format=torch.channels_last),
        atlas_vertices=atlas_vertices[:, :2],
        atlas_faces=atlas_faces,
        seen=(of_vertices * torch.stack([one.seen for one in several], -1)).sum(1),
        allowed=of_texels.repeat_interleave(counts.to(covered.device), 0)[None].contiguous(
            memory_format=torch.channels_last
        ),
        faces=used.repeat_interleave(counts.to(covered.device), 0)[None],
    )
