"""What a person looks like, gathered once from their pictures: shell, colours, and who saw each vertex how well.

Every picture is used twice: as it is, and as its mirror image on the other side of the body, which stands in where no
picture saw. What neither saw is filled over the surface from its neighbours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.mesh import Surface
from warpkit.models.geometric.shell import fit_shell
from warpkit.models.geometric.view import Sight, View, sample, see

MIRRORED = 0.15
"""Worth of a mirrored sight against a true one that is as square and as fine."""
SHARPNESS = 4.0
"""Exponent of the blend: high, so that the better sight wins and two that do not align are not seen at once."""
OCCLUSION_REACH = (1, 3, 6)
"""Pixels of a view within which the edge of a nearer surface makes a vertex doubtful."""
UNSEEN = 0.05
"""The sight that weighs as much as the filled colour: anything much worse is not used."""


@dataclass(frozen=True)
class Appearance:
    """A person ready to be rendered; S pictures, each also mirrored: 2 S sources."""

    shape: Tensor
    """[1, K] of the body model."""
    offsets: Tensor
    """[V, 3] metres in rest space: clothes and hair."""
    images: Tensor
    """[1, 2 S, 3, R, R] the person's colours in [-1, 1]."""
    vertices: Tensor
    """[1, 2 S, V, 3] where each vertex falls in each source, NDC."""
    blend: Tensor
    """[V, 2 S + 1] share of each source, then of the filled colour; sums to one."""
    fill: Tensor
    """[V, 3] colour of each vertex, seen or spread from its neighbours."""

    @property
    def num_views(self) -> int:
        """S."""
        return self.images.shape[1] // 2


def visibility(view: View, sight: Sight) -> Tensor:
    """[V] in [0, 1]: whether the view sees each vertex; less within some pixels of the edge of something in front of it.

    Fits are a few pixels off, so a vertex close behind an arm's edge may really show the arm.
    """
    pixel = 2.0 / view.resolution  # in NDC depth, which has the unit of y
    slack = 0.03 * view.body.camera.scale[0] * pixel
    depth = torch.where(sight.covered, sight.fragments.depth[0], 1e3)[None]
    facing = sight.normals[:, 2].clamp(min=0.05)
    slope = (1 - facing.square()).sqrt() / facing
    seen = torch.zeros_like(facing)
    for reach in OCCLUSION_REACH:
        nearest = -torch.nn.functional.max_pool2d(-depth, 2 * reach + 1, stride=1, padding=reach)
        nearest = sample(nearest, sight.pixels, mode="nearest")[:, 0]
        seen += (sight.projected[:, 2] < nearest + slack + slope * (reach + 1) * pixel).float()
    theirs = ((sample(view.alpha[None], sight.pixels)[:, 0] - 0.5) / 0.4).clamp(0, 1)
    return seen / len(OCCLUSION_REACH) * theirs * (sight.normals[:, 2] > 0.05)


def sight_quality(view: View, sight: Sight) -> Tensor:
    """[V] how squarely and finely the view sees each vertex: 0 unseen, 1 full on."""
    return visibility(view, sight) * sight.normals[:, 2].clamp(min=0).square() * view.detail


def match_exposure(colours: Tensor, quality: Tensor) -> Tensor:
    """Gains `[S, 3]` that make the views' colours `[S, V, 3]` (in [0, 1]) agree where two see the same vertex."""
    count = len(colours)
    logs = colours.clamp(min=0.02).log()
    system = torch.eye(count, dtype=torch.float64) * 10.0  # holds views that nothing ties to the others
    system[0, 0] += 1e4  # the first view keeps its exposure
    right = torch.zeros(count, 3, dtype=torch.float64)
    for first in range(count):
        for second in range(first + 1, count):
            both = torch.minimum(quality[first], quality[second])
            both = torch.where(both > 0.05, both, 0.0)
            total = both.sum()
            if total < 1.0:
                continue
            difference = ((logs[first] - logs[second]) * both[:, None]).sum(0).double().cpu()
            total = total.double().cpu()
            system[first, first] += total
            system[second, second] += total
            system[first, second] -= total
            system[second, first] -= total
            right[first] -= difference
            right[second] += difference
    gains = torch.linalg.solve(system, right).clamp(-0.4, 0.4).exp()
    return gains.to(colours)


def gather_appearance(views: list[View], model: BodyModel, surface: Surface | None = None) -> Appearance:
    """Builds a person's appearance from `views` (the first gives the exposure), all of one resolution."""
    surface = surface or Surface(model.faces, model.num_vertices)
    shape = torch.cat([view.body.shape for view in views]).mean(0, keepdim=True)
    offsets = fit_shell(views, model, surface)
    sights = [see(view, model, offsets) for view in views]
    quality = torch.stack([sight_quality(view, sight) for view, sight in zip(views, sights, strict=True)])
    colours = torch.stack([sample(view.image, sight.pixels) for view, sight in zip(views, sights, strict=True)])
    gains = match_exposure((colours + 1) / 2, quality)
    images = torch.stack([view.image for view in views])
    images = ((images + 1) * gains[:, :, None, None] - 1).clamp(-1, 1)
    colours = ((colours + 1) * gains[:, None] - 1).clamp(-1, 1)

    mirror = model.mirror
    quality = torch.cat([quality, MIRRORED * quality[:, mirror]])
    colours = torch.cat([colours, colours[:, mirror]])
    vertices = torch.stack([sight.projected for sight in sights])
    vertices = torch.cat([vertices, vertices[:, mirror]])

    worth = torch.cat([quality, torch.full_like(quality[:1], UNSEEN)]).pow(SHARPNESS)
    blend = worth / worth.sum(0)
    seen = blend[:-1].sum(0)
    mean = (blend[:-1, :, None] * colours).sum(0) / seen[:, None].clamp(min=1e-6)
    fill = surface.spread(mean, torch.where(seen > 0.5, 100.0 * seen, 0.0))
    return Appearance(
        shape=shape,
        offsets=offsets,
        images=images.repeat(2, 1, 1, 1)[None],
        vertices=vertices[None],
        blend=blend.T.contiguous(),
        fill=fill.clamp(-1, 1),
    )
