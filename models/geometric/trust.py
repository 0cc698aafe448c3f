"""Which pixels of a view to believe where one limb lies close to another.

A fitted arm or hand is a centimetre or more off, so a hip beside it may show the hand, and the hand the trousers.
There, and only there, a pixel must look more like its own part than like the other one.
"""

from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from warpkit import interpolate
from warpkit.models.bodies import PARTS, BodyModel
from warpkit.models.geometric.mesh import Surface
from warpkit.models.geometric.view import Sight, View, sample

REACH = 0.06
"""Metres round a part within which others are doubted."""
SURE = 0.15
"""Difference (see `unlike`) from what the surface around suggests, below which a pixel is believed anyway."""
MARGIN = 0.15
"""How much more like its own part than like the other a pixel must be to be wholly believed."""
SHADE = (0.4, 1.4)
"""How much darker or brighter a part may be than its typical colour."""
LEAST_SEEN = 30
"""Pixels of a part that make its colour known."""
COARSE = 4
"""Pixels a side of the blocks in which other parts are looked for."""

NEIGHBOURS = 5
"""Colours of a palette with which a texel is compared."""
PALETTE = 400
"""Colours kept of each."""

_CHAINS = (("upper_arm", "lower_arm", "hand"), ("upper_leg", "lower_leg", "foot"))


def strangers() -> Tensor:
    """[P, P] bool: pairs of parts that the surface does not join and that do not lie too close to tell apart."""
    near = torch.eye(len(PARTS), dtype=torch.bool)

    def join(first: str, second: str) -> None:
        near[PARTS.index(first), PARTS.index(second)] = near[PARTS.index(second), PARTS.index(first)] = True

    join("head", "torso")
    join("left_upper_leg", "right_upper_leg")
    for side in ("left_", "right_"):
        for chain in _CHAINS:
            links = ("torso", *(side + part for part in chain))
            for first, second in pairwise(links):
                join(first, second)
    return ~near


def parts_seen(sight: Sight, model: BodyModel) -> Tensor:
    """[R, R] int64 index into PARTS of each pixel, -1 where nobody is."""
    return torch.where(sight.covered, model.parts[sight.fragments.face_index[0].clamp(min=0).long()], -1)


def near_parts(part: Tensor, reach: float) -> Tensor:
    """[P, R, R] bool: pixels within `reach` pixels (a square, to a block) of each part in `part` `[R, R]`."""
    blocks = max(1, round(reach / COARSE))
    masks = torch.stack([part == number for number in range(len(PARTS))]).float()[None]
    masks = torch.nn.functional.max_pool2d(masks, COARSE, ceil_mode=True)
    masks = torch.nn.functional.max_pool2d(masks, 2 * blocks + 1, stride=1, padding=blocks)
    return torch.nn.functional.interpolate(masks, scale_factor=COARSE)[0, :, : part.shape[0], : part.shape[1]] > 0.5


def unlike(image: Tensor, colour: Tensor, dim: int) -> Tensor:
    """How far `image` is from any shade of `colour`, both in [-1, 1] with their three channels in `dim`.

    The distance to the nearest multiple of the colour within SHADE: folds and shadows scale what they fall on.
    """
    image, colour = image + 1, colour + 1
    shade = (image * colour).sum(dim, keepdim=True) / colour.square().sum(dim, keepdim=True).clamp(min=1e-3)
    return (image - shade.clamp(*SHADE) * colour).square().sum(dim).sqrt()  # norm walks a short dimension slowly


def nearest(colours: Tensor, palette: Tensor) -> Tensor:
    """[N] how far each of `colours` `[N, 3]` is from the few nearest ones of `palette` `[M, 3]`."""
    some = palette[:: max(1, len(palette) // PALETTE)].cpu().numpy()
    found, _ = cKDTree(some).query(colours.cpu().numpy(), k=min(NEIGHBOURS, len(some)))
    return torch.from_numpy(np.asarray(found).reshape(len(colours), -1).mean(1)).to(colours)


def nearer(colours: Tensor, one: Tensor, *others: Tensor) -> Tensor:
    """[N] bool: whether each of `colours` `[N, 3]` is nearer to the palette `one` `[M, 3]` than to any of `others`."""
    least = torch.stack([nearest(colours, palette) for palette in others]).amin(0)
    return nearest(colours, one) < least


def typical_colours(view: View, sight: Sight, model: BodyModel) -> Tensor:
    """[P, 3] the median colour of each part as the view shows it; NaN where it shows hardly any of it."""
    part = parts_seen(sight, model)
    colours = torch.full((len(PARTS), 3), torch.nan, device=part.device)
    for number in range(len(PARTS)):
        mine = part == number
        if mine.sum() > LEAST_SEEN:
            colours[number] = view.image[:, mine].median(1).values
    return colours


def doubtful(view: View, sight: Sight, model: BodyModel) -> Tensor:
    """[P, R, R] bool: pixels of the body that lie close to each part which is neither theirs nor joined to theirs."""
    part = parts_seen(sight, model)
    strange = strangers().to(part.device)[:, part.clamp(min=0)] & sight.covered
    return near_parts(part, REACH * float(view.body.camera.scale[0])) & strange


def colour_trust(
    views: list[View], sights: list[Sight], quality: Tensor, colours: Tensor, model: BodyModel, surface: Surface
) -> Tensor:
    """[S, R, R] in [0, 1] how far to believe each pixel of the views.

    `colours` `[S, V, 3]` are what the views show at the vertices, seen with `quality` `[S, V]`.
    """
    doubts = [doubtful(view, sight, model) for view, sight in zip(views, sights, strict=True)]
    doubted = torch.stack(
        [
            sample(doubt.any(0).float()[None], sight.pixels)[:, 0] > 0.1
            for doubt, sight in zip(doubts, sights, strict=True)
        ]
    )
    sure = torch.where(doubted, 0.0, quality)
    total = sure.sum(0)
    mean = (sure[..., None] * colours).sum(0) / total[:, None].clamp(min=1e-6)
    suggested = surface.spread(mean, torch.where(total > 0.05, 10.0 * total, 0.0))
    trust = torch.ones(len(views), *views[0].alpha.shape, device=colours.device)
    for number, (view, sight, doubt) in enumerate(zip(views, sights, doubts, strict=True)):
        part = parts_seen(sight, model)
        typical = typical_colours(view, sight, model).nan_to_num(nan=9.0)  # unlike anything
        to_parts = unlike(view.image[None], typical[:, :, None, None], 1)  # [P, R, R]
        to_other = torch.where(doubt, to_parts, torch.inf).amin(0)
        here = interpolate(suggested, model.faces, sight.fragments)[0].permute(2, 0, 1)
        to_suggested = unlike(view.image, here, 0)
        to_own = torch.minimum(to_suggested, to_parts.gather(0, part.clamp(min=0)[None])[0])
        believed = ((to_other - to_own) / MARGIN).clamp(0, 1)
        believed = torch.where((to_suggested < SURE) | ~doubt.any(0), 1.0, believed)
        # The rim of what differs is a mixture: it goes too.
        trust[number] = -torch.nn.functional.max_pool2d(-believed[None], 3, stride=1, padding=1)[0]
    return trust
