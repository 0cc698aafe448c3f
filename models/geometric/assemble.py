"""One appearance of several: the head of one person's, the clothes of another's."""

from collections.abc import Sequence

import torch

from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.shell import part_of_vertices


def assemble(appearances: Sequence[Appearance], parts: Sequence[tuple[str, ...]], model: BodyModel) -> Appearance:
    """Takes from each appearance its parts of the body: shell, colours and who saw them.

    Args:
        appearances: of pictures of one resolution and atlases of one size, on the model's device; the first gives the
            shape.
        parts: for each of them names out of `PARTS`. A part that several name is the first one's; one that nobody
            names too.
        model: of their bodies.
    """
    owner = torch.zeros(len(PARTS), dtype=torch.int64, device=model.parts.device)
    for number in reversed(range(len(appearances))):
        for part in parts[number]:
            owner[PARTS.index(part)] = number
    of_vertex = owner[part_of_vertices(model)]
    first = appearances[0]
    *_, texels = unfold(model, first.atlas.shape[-1])
    of_texel = owner[model.parts[texels.face_index[0].clamp(min=0).long()]]
    offsets, seen, atlas = first.offsets, first.seen, first.atlas
    blends, own_atlas = [], torch.zeros_like(first.seen)
    for number, one in enumerate(appearances):
        mine = of_vertex == number
        offsets = torch.where(mine[:, None], one.offsets, offsets)
        seen = torch.where(mine, one.seen, seen)
        atlas = torch.where(of_texel == number, one.atlas, atlas)
        blends.append(one.blend[:, :-1] * mine[:, None])
        own_atlas = torch.where(mine, one.blend[:, -1], own_atlas)
    return Appearance(
        shape=first.shape,
        offsets=offsets,
        images=torch.cat([one.images for one in appearances], 1),
        vertices=torch.cat([one.vertices for one in appearances], 1),
        blend=torch.cat([*blends, own_atlas[:, None]], 1),
        atlas=atlas.contiguous(memory_format=torch.channels_last),
        atlas_vertices=first.atlas_vertices,
        atlas_faces=first.atlas_faces,
        seen=seen,
    )
