"""What the renderer of `warpkit imitate` makes of a case's sources, whatever data they are from."""

from dataclasses import replace

import torch

from warpkit.models.batch import Geometric
from warpkit.models.bodies import Body, BodyModel
from warpkit.models.data.cases import Case, Gathered
from warpkit.models.geometric.appearance import ATLAS, gather_appearance
from warpkit.models.geometric.cells import WEARABLE
from warpkit.models.geometric.matte import estimate_foreground
from warpkit.models.geometric.renderer import GeometricRenderer
from warpkit.models.geometric.view import View
from warpkit.models.geometric.wear import Giver, put_together
from warpkit.models.geometric.whole_frame import whole_frame


def atlas_for(size: int) -> int:
    """Texels along a side of an atlas that are enough for pictures of `size` pixels."""
    return min(ATLAS, 2 * size)


def with_gathered(
    case: Case,
    sources: Body,
    targets: Body,
    model: BodyModel,
    *,
    placed: BodyModel | None = None,
    atlas_size: int | None = None,
) -> Case:
    """The case with what is gathered from its sources, which are cut as photos are.

    Args:
        case: of one person (B = 1 of its sources); where it has parts, the last source gives the head alone, the others
            the rest.
        sources: S bodies, in the pixels of the sources; on the CPU.
        targets: B bodies that are to be drawn, likewise.
        model: their body model, on the CPU.
        placed: the same on the case's device; None: that is the CPU.
        atlas_size: texels along a side; None: enough for the pictures.
    """
    given = case.sources
    device, size = given.image.device, (given.image.shape[-2], given.image.shape[-1])
    texels = atlas_for(size[0]) if atlas_size is None else atlas_size
    views = []
    for number, (image, alpha) in enumerate(zip(given.image[0].cpu(), given.alpha[0, :, 0].cpu(), strict=True)):
        views.append(View(estimate_foreground(image, alpha), alpha, sources[number]))
    if case.parts is None:
        valid = given.valid[0].tolist()
        of = [view for view, counts in zip(views, valid, strict=True) if counts] or views[:1]
        appearance = gather_appearance(of, model, atlas_size=texels)
    else:  # one person in two outfits
        givers = ((views[:-1], WEARABLE["body"]), (views[-1:], WEARABLE["head"]))
        worn = [Giver(gather_appearance(of, model, atlas_size=texels), cells) for of, cells in givers]
        appearance = put_together(worn, sources.shape[:1], model)
    appearance = appearance.to(device)
    own = torch.stack([view.image for view in views]).to(device)
    image = torch.where(given.alpha > 0.05, own[None], given.image)
    render = GeometricRenderer(model if placed is None else placed, appearance)
    drawn = [whole_frame(render(targets[number].to(device), size), size) for number in range(len(targets.pose))]
    parts = ("colour", "seen", "confidence", "alpha")
    geometric = Geometric(*(torch.cat([getattr(one, part) for one in drawn]) for part in parts))
    return replace(case, sources=replace(given, image=image), gathered=Gathered(geometric, appearance, sources))
