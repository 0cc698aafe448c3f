"""What a person looks like, gathered once from their pictures: shell, colours, and who saw each vertex how well.

What no picture saw is worked out on the surface: first from its mirror image on the other side of the body, then, where
clothes and limbs look alike from both sides, from its opposite (front for back), and last from its neighbours, or,
under hair, from more of it.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from warpkit import compose_flow, interpolate, rasterize, warp
from warpkit.models.bodies import JOINTS, PARTS, BodyModel, part_of_vertices
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.hair import grow_hair, hair_share, scalp
from warpkit.models.geometric.matte import spread
from warpkit.models.geometric.mesh import Surface, around_limbs, limb_axes, t_pose, vertex_normals
from warpkit.models.geometric.once import once
from warpkit.models.geometric.shell import fit_shell
from warpkit.models.geometric.trust import colour_trust, parts_seen, strangers
from warpkit.models.geometric.view import Sight, View, sample, see

MIRRORED = 0.3
"""Worth of a mirrored sight against a true one that is as square and as fine."""
OPPOSITE = 0.15
"""Likewise for the opposite side's sight."""
SHARPNESS = 4.0
"""Exponent of the blend: high, so that the better sight wins and two that do not align are not seen at once."""
OCCLUSION_REACH = (1, 3, 6)
"""Pixels of a view within which the edge of a nearer surface makes a vertex doubtful."""
RIM = 0.012
"""Of the person's height: how close to its outline an arm is a rim. Fits are a few pixels off, so a rim may show
something else; and it lies in shadow. Seen as it was that is well, but it would streak an arm that is turned."""
BEHIND = 0.03
"""Metres by which a surface must lie behind another to be something else."""
UNSEEN = 0.06
"""The sight that weighs as much as the worked-out colour; anything much worse is not used."""
UNKNOWN = 0.02
"""The sight that weighs as much as what the neighbours suggest, when colours are worked out."""
ATLAS = 1024
"""Texels along a side of the atlas; a quarter of that is enough for pictures of 128 pixels, and much faster."""
SOFT = 10
"""Steps of smoothing of the border between the scalp and the rest of a head."""
ROUND = 500.0
"""How many times easier colours pass round a limb than along it to where nothing was seen."""
HELD = 0.15
"""How firmly the best sight of a limb holds what is carried round it: loosely, so that the unseen side gets the colour
of the limb as a whole and not that of its rims, which lie in shadow and show a little of what is behind them."""
SHOULDERS_HELD = 10.0
"""Likewise of the shoulders: firmly, for they are rims throughout, and as high on the trunk as they are is the neck."""
ARMPIT = 0.08
"""Metres below the joint of the arm down to which the trunk counts as shoulders."""
ALIKE = ("torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg", "foot")
"""Parts whose front and back look alike; a face is not put on the back of a head."""


@dataclass(frozen=True)
class Appearance:
    """A person ready to be rendered, from S pictures."""

    shape: Tensor
    """[1, K] of the body model."""
    offsets: Tensor
    """[V, 3] metres in rest space: clothes and hair."""
    images: Tensor
    """[1, S, 6, R, R] the person's colours in [-1, 1] times how far each pixel is believed, how far, how far as an
    arm's, and how far on the rim of one: see `believed_colours`."""
    vertices: Tensor
    """[1, S, V, 3] where each vertex falls in each picture, NDC."""
    blend: Tensor
    """[V, S + 1] share of each picture, then of the atlas; sums to one."""
    atlas: Tensor
    """[1, 3, T, T] colours of the whole surface, seen or worked out."""
    atlas_vertices: Tensor
    """[U, 2] NDC of the atlas."""
    atlas_faces: Tensor
    """[F, 3] into atlas_vertices."""
    seen: Tensor
    """[V] in [0, 1]: whether any picture saw the vertex."""
    normals: Tensor
    """[V, S, 3] of the body's surface in each picture: x right, y down, z towards the camera."""
    allowed: Tensor | None = None
    """[1, S, T, T] in [0, 1], laid out as the atlas: how far each picture gives the surface there its colours, where
    they are of several people; None: all of them, everywhere."""
    faces: Tensor | None = None
    """[1, S, F] bool: the faces of which any texel is allowed to each picture; None: all."""

    def to(self, device: torch.device) -> "Appearance":
        """The same on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: None if value is None else value.to(device) for name, value in values.items()}
        return Appearance(**moved)


def visibility(view: View, sight: Sight) -> Tensor:
    """[V] in [0, 1]: whether the view sees each vertex; less close to the edge of something in front of it.

    Fits are a few pixels off, so a vertex close behind an arm's edge may really show the arm.
    """
    pixel = 2.0 / view.resolution  # in NDC depth, which has the unit of y
    slack = BEHIND * view.body.camera.scale[0] * pixel
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


def arm_rims(view: View, sight: Sight, model: BodyModel, reach: float) -> Tensor:
    """[R, R] bool: pixels of arms within `reach` metres of what is farther, of parts that are not theirs, or of none.

    Hands are left out: they are little else than rim.
    """
    scale = view.body.camera.scale[0]
    pixels = max(1, round(reach * float(scale)))

    def nearby(values: Tensor) -> Tensor:
        """The largest in a square round each pixel."""
        rows = torch.nn.functional.max_pool2d(values[None], (2 * pixels + 1, 1), stride=1, padding=(pixels, 0))
        return torch.nn.functional.max_pool2d(rows, (1, 2 * pixels + 1), stride=1, padding=(0, pixels))[0]

    depth = torch.where(sight.covered & (view.alpha > 0.5), sight.fragments.depth[0], 1e3)
    edge = nearby(depth) > depth + BEHIND * scale * (2.0 / view.resolution)
    part, strange, rims = parts_seen(sight, model), strangers().to(depth.device), torch.zeros_like(edge)
    for arm in (number for number, name in enumerate(PARTS) if name.endswith("_arm")):
        other = strange[arm][part.clamp(min=0)] & sight.covered
        rims |= (part == arm) & (edge | (nearby(other.float()) > 0))
    return rims


@dataclass(frozen=True)
class Counterpart:
    """For each vertex a point of the surface that stands in for it."""

    corners: Tensor
    """[V, 3] int64 vertices of the triangle that holds the point."""
    weights: Tensor
    """[V, 3] its barycentric coordinates there."""
    worth: Tensor
    """[V] in [0, 1]; 0 where there is no such point."""

    def carry(self, values: Tensor) -> Tensor:
        """What `values` `[..., V, C]` are at the counterparts."""
        return (values[..., self.corners, :] * self.weights[..., None]).sum(-2)


def mirrored_side(model: BodyModel) -> Counterpart:
    """Each vertex's place on the other half of the body, left for right."""
    corners = model.mirror[:, None].expand(-1, 3)
    weights = torch.tensor([1.0, 0.0, 0.0], device=corners.device).expand(len(corners), 3)
    return Counterpart(corners, weights, torch.full((len(corners),), MIRRORED, device=corners.device))


def opposite_side(model: BodyModel, size: int = 2048) -> Counterpart:
    """Each vertex's place on the other side of its limb in the T-pose, front for back; looked up at `size` pixels."""
    rest = t_pose(model, model.mean_shape[None])
    normal = vertex_normals(rest, model.faces)[0, :, 2]
    unit = 1.9 / (rest[..., :2].amax() - rest[..., :2].amin())
    corners = torch.zeros(model.num_vertices, 3, dtype=torch.int64, device=rest.device)
    weights = torch.zeros(model.num_vertices, 3, device=rest.device)
    alike = torch.tensor([name.removeprefix("left_").removeprefix("right_") in ALIKE for name in PARTS])
    alike = alike.to(rest.device)
    worth = torch.zeros(model.num_vertices, device=rest.device)
    centre = (rest[0].amax(0) + rest[0].amin(0)) / 2
    flat = (rest[0] - centre) * unit
    for towards, wanted in ((-1.0, normal < 0), (1.0, normal >= 0)):  # the camera in front of the body, then behind
        seen = rasterize((flat * flat.new_tensor([1, 1, towards]))[None], model.faces, (size, size))
        pixel = ((flat[:, :2] + 1) * (size / 2)).long().clamp(0, size - 1)
        face = seen.face_index[0][pixel[:, 1], pixel[:, 0]].long()
        chosen = wanted & (face >= 0) & alike[part_of_vertices(model)] & alike[model.parts[face.clamp(min=0)]]
        corners[chosen] = model.faces.long()[face[chosen]]
        weights[chosen] = seen.barycentric[0][pixel[:, 1], pixel[:, 0]][chosen]
        worth[chosen] = OPPOSITE
    return Counterpart(corners, weights, worth)


def shoulders(model: BodyModel) -> Tensor:
    """[V] bool: the trunk above the armpits."""
    shape = model.mean_shape[None]
    joint = model.joints(shape.new_zeros(1, len(JOINTS), 3), shape)[0, JOINTS.index("left_shoulder")]
    high = t_pose(model, shape)[0, :, 1] > joint[1] - ARMPIT
    return high & (part_of_vertices(model) == PARTS.index("torso"))


def is_arm(model: BodyModel) -> Tensor:
    """[F] bool: faces of arms and hands, which come to lie in front of everything else."""
    arms = [name.endswith(("upper_arm", "lower_arm", "hand")) for name in PARTS]
    return torch.tensor(arms, device=model.parts.device)[model.parts]


def believed_colours(sampled: Tensor, arm: Tensor, turned: Tensor | float = 1.0) -> Tensor:
    """What samples `[S, 6, h, w]` of `Appearance.images` say of pixels that show an arm or not, `arm` `[h, w]` bool.

    A hand that rests on a hip is hardly nearer than the hip, so depth alone would let it be printed there: arms take
    colours from arms only, and the rest from the rest. Arms that are `turned` (`[S, 1, h, w]` in [0, 1]) take none
    from rims.

    Returns `[S, 4, h, w]`: colours times belief, and belief.
    """
    belief, as_arm, at_rim = sampled[:, 3:].split(1, 1)
    right = torch.where(arm, as_arm - turned * at_rim, belief - as_arm).clamp(min=0)
    return torch.cat([sampled[:, :3] * (right / belief.clamp(min=1e-4)), right], 1)


def match_exposure(colours: Tensor, quality: Tensor) -> Tensor:
    """Gains `[S, 3]` that make the views' colours `[S, V, 3]` (in [0, 1]) agree where two see the same vertex."""
    count = len(colours)
    logs = colours.clamp(min=0.02).log()
    system = torch.eye(count, dtype=torch.float64) * 10.0  # holds views that little ties to the others
    system[0, 0] += 1e4  # the first view keeps its exposure
    right = torch.zeros(count, 3, dtype=torch.float64)
    for first in range(count):
        for second in range(first + 1, count):
            both = torch.minimum(quality[first], quality[second]) > 0.1
            total = both.sum().double().cpu() / 10
            if total < 2.0:
                continue
            # The median: what two views see at their rims is often not the same thing.
            difference = (logs[first] - logs[second])[both].median(0).values.double().cpu() * total
            system[first, first] += total
            system[second, second] += total
            system[first, second] -= total
            system[second, first] -= total
            right[first] -= difference
            right[second] += difference
    gains = torch.linalg.solve(system, right).clamp(-0.25, 0.25).exp()
    return gains.to(colours)


def _round_limbs(model: BodyModel) -> Surface:
    """The surface on which colours pass round limbs: sleeves end where they end on the side that was seen."""
    return Surface(model.faces, model.num_vertices, edge_weights=around_limbs(model, ROUND))


def work_out_atlas(
    images: Tensor,
    vertices: Tensor,
    quality: Tensor,
    colours: Tensor,
    model: BodyModel,
    surface: Surface,
    size: int = ATLAS,
) -> tuple[Tensor, Tensor, Tensor]:
    """The atlas `[1, 3, T, T]`, T = `size`, with its vertices `[U, 2]` and faces `[F, 3]`.

    `images` `[S, 6, R, R]`, `vertices` `[S, V, 3]`, `quality` `[S, V]` and `colours` `[S, V, 3]` of the views.
    """
    mirrored = once(model, "mirrored side", lambda: mirrored_side(model))
    opposite = once(model, "opposite side", lambda: opposite_side(model))
    variants = [(vertices, colours, quality)]
    for counterpart in (mirrored, opposite):
        for place, colour, worth in variants.copy():
            worth = counterpart.worth * counterpart.carry(worth[..., None])[..., 0]
            variants.append((counterpart.carry(place), counterpart.carry(colour), worth))
    quality = torch.cat([worth for _, _, worth in variants])
    colours = torch.cat([colour for _, colour, _ in variants])
    weight = torch.cat([quality, torch.full_like(quality[:1], UNKNOWN)]).pow(SHARPNESS)
    share = weight / weight.sum(0)
    known = share[:-1].sum(0)
    mean = (share[:-1, :, None] * colours).sum(0) / known[:, None].clamp(min=1e-6)
    best = quality.amax(0)
    confidence = torch.where(known > 0.5, 10.0 * best, 0.0)
    round_limbs = once(model, "round limbs", lambda: _round_limbs(model))
    limb = limb_axes().to(mean).any(1)[part_of_vertices(model)]
    held = torch.where(known > 0.5, best.square(), 0.0) * torch.where(shoulders(model), SHOULDERS_HELD, HELD)
    suggested = round_limbs.spread(mean, torch.where(limb, held, confidence))
    back, crown = scalp(model)
    if (confidence[crown] > 0).any():
        light = mean.sum(1)
        shaded = crown & (confidence > 0)
        shaded &= light <= light[shaded].quantile(0.7)  # the sky shines on a crown, not on the back of a head
        crowning = surface.spread(mean, torch.where(shaded, confidence, 0.0))
        suggested = torch.lerp(suggested, crowning, surface.smooth(back[:, None].to(mean), SOFT))

    atlas_vertices, atlas_faces, texels = unfold(model, size)
    arm = is_arm(model)[texels.face_index[0].clamp(min=0).long()]
    atlas = torch.zeros(4, size, size, device=images.device)
    count = len(images)
    for number, (place, _, _) in enumerate(variants):  # a few sources at a time: eight photos have thirty-two
        flow = compose_flow(place[None], model.faces, texels)
        sampled = believed_colours(warp(images[None], flow)[0], arm)
        shares = interpolate(share[number * count : (number + 1) * count].T, model.faces, texels)[0]
        atlas = atlas + (shares.permute(2, 0, 1)[:, None] * sampled).sum(0)
    rest = interpolate(suggested, model.faces, texels)[0].permute(2, 0, 1)
    hair = hair_share(model, surface, mean, best)
    atlas = grow_hair(model, atlas[:3] + (1 - atlas[3:]) * rest, atlas[3].clamp(0, 1), best, hair)
    covered = (texels.face_index[0] >= 0).float()
    return spread(atlas, covered)[None].clamp(-1, 1), atlas_vertices[:, :2], atlas_faces


def gather_appearance(views: list[View], model: BodyModel, *, atlas_size: int = ATLAS) -> Appearance:
    """Builds a person's appearance from `views` (the first gives the exposure), all of one resolution."""
    surface = Surface(model.faces, model.num_vertices)
    shape = torch.cat([view.body.shape for view in views]).mean(0, keepdim=True)
    offsets = fit_shell(views, model, surface)
    sights = [see(view, model, offsets) for view in views]
    quality = torch.stack([sight_quality(view, sight) for view, sight in zip(views, sights, strict=True)])
    colours = torch.stack([sample(view.image, sight.pixels) for view, sight in zip(views, sights, strict=True)])
    trust = colour_trust(views, sights, quality, colours, model, surface)
    gains = match_exposure((colours + 1) / 2, quality)
    images = torch.stack([view.image for view in views])
    images = ((images + 1) * gains[:, :, None, None] - 1).clamp(-1, 1) * trust[:, None]
    faces = torch.cat([sight.fragments.face_index for sight in sights])
    as_arm = trust * (is_arm(model)[faces.clamp(min=0).long()] & (faces >= 0))
    reach = RIM * float(model.height(shape)[0])
    at_rim = as_arm * torch.stack(
        [arm_rims(view, sight, model, reach) for view, sight in zip(views, sights, strict=True)]
    )
    images = torch.cat([images, torch.stack([trust, as_arm, at_rim], 1)], 1).contiguous(
        memory_format=torch.channels_last
    )
    colours = ((colours + 1) * gains[:, None] - 1).clamp(-1, 1)
    vertices = torch.stack([sight.projected for sight in sights])
    arm = torch.zeros(model.num_vertices, dtype=torch.bool, device=trust.device)
    arm[model.faces[is_arm(model)].long()] = True
    believed = torch.stack(
        [
            believed_colours(sample(view, sight.pixels).T[None, :, None], arm[None])[0, 3, 0]
            for view, sight in zip(images, sights, strict=True)
        ]
    )
    atlas, atlas_vertices, atlas_faces = work_out_atlas(
        images, vertices, quality * (believed > 0.8), colours, model, surface, atlas_size
    )

    worth = torch.cat([quality, torch.full_like(quality[:1], UNSEEN)]).pow(SHARPNESS)
    blend = worth / worth.sum(0)
    return Appearance(
        shape=shape,
        offsets=offsets,
        images=images[None],
        vertices=vertices[None],
        blend=blend.T.contiguous(),
        atlas=atlas.contiguous(memory_format=torch.channels_last),
        atlas_vertices=atlas_vertices,
        atlas_faces=atlas_faces,
        seen=blend[:-1].sum(0),
        normals=torch.stack([sight.normals for sight in sights], 1),
    )
