"""One person in what others wear: appearances put together cell by cell on one person's shape (the papers' T_1, T_2).

What a cell shows, its colours and its shell, comes from one person alone: the flow from each picture reaches their
cells only, and nobody else's picture has a say there. At borders one turns into the other over some centimetres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from warpkit import Fragments, interpolate
from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.cells import CELLS, WEARABLE, Planes, cell_fields, cell_shares
from warpkit.models.geometric.matte import spread
from warpkit.models.geometric.mesh import t_pose

SLEEK = 3.0
"""How much wider than its colours' the border of two shells is: an edge of cloth lies on what is below it."""
UNEVEN = 0.02
"""Metres that a hem may stray from the plane that was found for it."""
ALONG = 0.15
"""How near what lies straight above or below a point is, against what lies beside it."""
NEAREST = 4
"""Points of a garment, at most, whose mean colour continues it."""
SURE = 0.04
"""Metres inside its borders from which on a garment's colours are its own."""
GROUPS = (WEARABLE["upper"], WEARABLE["lower"], WEARABLE["feet"])
"""What can be seen where another of them is wanted: an old shirt below the hem of a new one."""


@dataclass(frozen=True)
class Giver:
    """Someone of whom some cells are shown."""

    appearance: Appearance
    cells: tuple[str, ...]
    """Of `CELLS`."""
    planes: Planes = field(default_factory=Planes)
    """Where what they wear ends."""


def common_planes(givers: Sequence[Giver]) -> Planes:
    """The borders of what `givers` give together.

    A shirt that hangs lower than the other's trousers begin keeps its hem, and shoes that reach higher than the other's
    trousers keep theirs: nothing is missing. Where there is a gap both are continued, to meet in its middle.
    """

    def of(cell: str) -> Planes:
        return next(giver.planes for giver in givers if cell in giver.cells)

    def meeting(upper: float | None, lower: float | None, overlapped: float | None) -> float | None:
        if upper is None or lower is None:
            return lower if upper is None else upper
        return overlapped if upper <= lower else (upper + lower) / 2

    top, bottom = of("torso").waist, of("hips").waist
    leg, foot = of("left_lower_leg").cuff, of("left_foot").cuff
    return Planes(meeting(top, bottom, top), meeting(leg, foot, foot))


def put_together(givers: Sequence[Giver], shape: Tensor, model: BodyModel) -> Appearance:
    """The appearance of a person of `shape` `[1, K]` whose cells are those of `givers`, which share out `CELLS`.

    All appearances have pictures and atlases of one size. Raises ValueError where a cell has no giver or two.
    """
    given = [cell for giver in givers for cell in giver.cells]
    if sorted(given) != sorted(CELLS):
        raise ValueError(f"cells: each of {', '.join(CELLS)} must have one giver, got {', '.join(given)}")
    several = [giver.appearance for giver in givers]
    planes = common_planes(givers)
    fields = cell_fields(model, planes)
    owners = torch.tensor([[float(cell in giver.cells) for giver in givers] for cell in CELLS]).to(fields)  # [C, P]
    of_vertices, of_shells = cell_shares(fields) @ owners, cell_shares(fields / SLEEK) @ owners

    size = several[0].atlas.shape[-1]
    atlas_vertices, atlas_faces, texels = unfold(model, size)
    covered = (texels.face_index[0] >= 0).float()
    cells = cell_shares(interpolate(fields, model.faces, texels)[0])  # [T, T, C]
    of_texels = (cells @ owners).permute(2, 0, 1)
    used = torch.zeros(len(givers), len(model.faces), dtype=torch.bool, device=covered.device)
    atlas = torch.zeros_like(several[0].atlas[0])
    allowed = torch.zeros_like(of_texels)
    for number, giver in enumerate(givers):
        share = of_texels[number]
        out_of_place, continued = _continued(giver, share, cells, planes, texels, model)
        colours = torch.lerp(giver.appearance.atlas[0], continued, out_of_place)
        atlas += share * colours
        allowed[number] = share * (1 - out_of_place)
        used[number, texels.face_index[0][(share > 0) & (covered > 0)].long()] = True
        used[number] |= (of_vertices[model.faces.long(), number] > 0).any(1)  # faces may be smaller than texels

    counts = torch.tensor([one.images.shape[1] for one in several], device=covered.device)
    rest = torch.stack([one.blend[:, -1] for one in several], -1)
    allowed = spread(allowed, covered).clamp(0, 1).repeat_interleave(counts, 0)
    return Appearance(
        shape=shape,
        offsets=torch.einsum("vp,pvc->vc", of_shells, torch.stack([one.offsets for one in several])),
        images=torch.cat([one.images for one in several], 1),
        vertices=torch.cat([one.vertices for one in several], 1),
        blend=torch.cat([*(one.blend[:, :-1] for one in several), (of_vertices * rest).sum(1, keepdim=True)], 1),
        atlas=spread(atlas, covered)[None].clamp(-1, 1).contiguous(memory_format=torch.channels_last),
        atlas_vertices=atlas_vertices[:, :2],
        atlas_faces=atlas_faces,
        seen=(of_vertices * torch.stack([one.seen for one in several], -1)).sum(1),
        normals=torch.cat([one.normals for one in several], 1),
        allowed=allowed[None].contiguous(memory_format=torch.channels_last),
        faces=used.repeat_interleave(counts, 0)[None],
    )


def _continued(
    giver: Giver, share: Tensor, cells: Tensor, planes: Planes, texels: Fragments, model: BodyModel
) -> tuple[Tensor, Tensor]:
    """Where the giver shows something else than what is wanted, `[T, T]`, and what is wanted continued there.

    `share` `[T, T]` is the giver's, `cells` `[T, T, C]` are the wanted shares of `texels`, with borders at `planes`.
    What is continued `[3, T, T]` are the colours of the same garment straight above or below.
    """
    size = len(cells)
    off, colours = torch.zeros(size, size, device=cells.device), giver.appearance.atlas[0].clone()
    theirs = giver.planes

    def uneven(own: float | None, common: float | None) -> float:
        return UNEVEN if own is not None and common is not None and abs(own - common) > UNEVEN else 0.0

    waist, cuff = uneven(theirs.waist, planes.waist), uneven(theirs.cuff, planes.cuff)
    if not waist and not cuff:
        return off, colours
    own_waist, own_cuff = (
        mine if mine is not None else common
        for mine, common in ((theirs.waist, planes.waist), (theirs.cuff, planes.cuff))
    )
    inner = tuple(  # of the garments of GROUPS, without what may be beyond an uneven hem
        Planes(
            None if own_waist is None else own_waist + up * waist,
            None if own_cuff is None else own_cuff + down * cuff,
        )
        for up, down in ((1, 0), (-1, 1), (0, -1))
    )
    members = torch.tensor([[float(cell in group) for group in GROUPS] for cell in CELLS]).to(cells)  # [C, G]
    wanted = cells @ members  # [T, T, G]
    rest = interpolate(t_pose(model, model.mean_shape[None])[0], model.faces, texels)[0].cpu()
    covered = (texels.face_index[0] >= 0).cpu()
    for number, own in enumerate(inner):
        fields = interpolate(cell_fields(model, own), model.faces, texels)[0]
        shown = cell_shares(fields) @ members
        missing = wanted[..., number] * (shown.sum(-1) - shown[..., number])
        off += missing
        needed = ((missing > 0.1) & (share > 0)).cpu() & covered
        of_group = members[:, number] > 0
        depth = (fields[..., of_group].amax(-1) - fields[..., ~of_group].amax(-1)) / 2
        sure = (depth > SURE).cpu() & covered
        if needed.any() and sure.any():
            straight = torch.tensor([1.0, ALONG, 1.0])  # what is above or below is near
            tree = cKDTree((rest[sure] * straight).numpy()[::3])
            ranks = range(1, min(NEAREST, tree.n) + 1)  # [N, K] of them, also where there is one
            _, nearest = tree.query((rest[needed] * straight).numpy(), k=ranks)
            found = colours[:, sure.to(colours.device)][:, ::3][:, torch.from_numpy(nearest).to(colours.device)]
            colours[:, needed.to(colours.device)] = found.mean(-1)
    return ((off - 0.3) / 0.4).clamp(0, 1), colours  # half and half is a border
