"""Dressed people drawn: which layer each sub-pixel shows, its colour under a light, the person's share of a pixel."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Fragments, rasterize
from warpkit.models.bodies import Camera
from warpkit.models.data.people import paint as painting
from warpkit.models.data.people.cut import keep
from warpkit.models.data.people.layers import HELPERS, LAYERS, Figure
from warpkit.models.data.people.photos import FLAT, Photos
from warpkit.models.data.people.wardrobe import Outfits


@dataclass(frozen=True)
class Light:
    """One lamp and the sky, for each of P pictures; body space's axes."""

    direction: Tensor  # [P, 3] unit, towards the lamp
    lamp: Tensor  # [P, 3]
    sky: Tensor  # [P, 3] from above
    ground: Tensor  # [P, 3] from below

    def __getitem__(self, index: Tensor) -> "Light":
        return Light(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def flat(cls, count: int, device: torch.device) -> "Light":
        """The same from everywhere: pictures show colours as they are."""
        none, one = torch.zeros(count, 3, device=device), torch.ones(count, 3, device=device)
        return cls(none + none.new_tensor([0.0, 0.0, 1.0]), none, one, one)


@dataclass(frozen=True)
class Rendered:
    """P pictures of people, without background."""

    colour: Tensor
    """[P, 3, H, W] in [-1, 1] times alpha (black, 0, beside the person)."""
    alpha: Tensor
    """[P, 1, H, W] in [0, 1]."""
    fragments: Fragments
    """[P, h, w] what each sub-pixel shows: faces of `Figure.faces`."""
    vertices: Tensor
    """[P, V, 3] NDC of all layers."""


def nearest_layer(figure: Figure, outfit: Outfits, vertices: Tensor, size: tuple[int, int]) -> Fragments:
    """Rasterizes all layers `[P, V, 3]` (NDC), each cut to its edges; `outfit` has one entry for each picture."""
    pictures, (height, width) = len(vertices), size
    pixels = pictures * height * width
    depth = vertices.new_full((pixels,), torch.inf)
    face = torch.full((pixels,), -1, dtype=torch.int32, device=vertices.device)
    weights = vertices.new_zeros(pixels, 3)
    for layer in LAYERS:
        shell, first = figure.shells[layer], figure.first_vertex[layer]
        own = vertices[:, first : first + len(shell.places)].contiguous()
        drawn = rasterize(own, shell.faces, size, cull=None if layer in HELPERS else "back")
        flat = drawn.depth.flatten()
        near = (flat < depth).nonzero()[:, 0]
        found = drawn.face_index.flatten()[near]
        bary = drawn.barycentric.view(-1, 3)[near]
        if layer != "body":
            corners = shell.places[shell.faces.long()[found.long()]]
            places = (corners * bary[..., None]).sum(1)
            kept = keep(layer, places, outfit.rows(near // (height * width)), figure.marks)
            near, found, bary = near[kept], found[kept], bary[kept]
        depth[near] = flat[near]
        face[near] = found + figure.first_face[layer]
        weights[near] = bary
    shape = (pictures, height, width)
    return Fragments(face.view(shape), weights.view(*shape, 3), depth.view(shape))


def colours(
    figure: Figure, outfit: Outfits, fragments: Fragments, normals: Tensor, light: Light, photos: Photos | None
) -> tuple[Tensor, Tensor]:
    """Colours `[N, 3]` in [0, 1] of the N covered sub-pixels, and which they are `[N]`."""
    per_picture = fragments.face_index[0].numel()
    face = fragments.face_index.flatten()
    covered = (face >= 0).nonzero()[:, 0]
    face, picture = face[covered].long(), covered // per_picture
    corner = figure.faces.long()[face]
    weight = fragments.barycentric.view(-1, 3)[covered][..., None]
    places = (figure.places[corner] * weight).sum(1)
    count = normals.shape[1]
    normal = (normals.flatten(0, 1)[corner + (picture * count)[:, None]] * weight).sum(1)
    albedo, bump = torch.zeros_like(places), torch.zeros_like(places)
    shine = torch.zeros_like(places[:, 0])
    layer_of = figure.layer_of_face[face]
    for number, layer in enumerate(LAYERS):
        chosen = (layer_of == number).nonzero()[:, 0]
        if not len(chosen):
            continue
        wearer, where = outfit.rows(picture[chosen]), places[chosen]
        if layer == "body":
            paint = painting.skin(wearer, where, figure.marks, figure.eye, figure.nose)
            if photos is not None and figure.uv is not None:
                uv = (figure.uv[face[chosen]] * weight[chosen]).sum(1)
                paint = photos.over(paint, wearer, where, uv, figure.marks)
        else:
            paint = getattr(painting, layer)(wearer, where, figure.marks)
        albedo[chosen], bump[chosen], shine[chosen] = paint.albedo, paint.bump, paint.shine
    normal = F.normalize(F.normalize(normal, dim=-1) + bump, dim=-1)
    open_below = torch.isin(layer_of, layer_of.new_tensor([LAYERS.index(layer) for layer in HELPERS]))
    inside = open_below & (normal[:, 2] < 0)  # seen from within
    normal = torch.where(inside[:, None], -normal, normal)
    lit = light[picture]
    facing = (normal * lit.direction).sum(-1)
    half = F.normalize(lit.direction + lit.direction.new_tensor([0.0, 0.0, 1.0]), dim=-1)
    glance = (normal * half).sum(-1).clamp(min=0) ** 24 * shine
    sky = 0.5 + 0.5 * normal[:, 1:2]
    wrapped = ((facing + 0.15) / 1.15).clamp(min=0)[:, None]
    shade = lit.lamp * wrapped + torch.lerp(lit.ground, lit.sky, sky)
    photographed = (outfit.baked[picture, 0] >= 0) & (layer_of == 0)
    shade = torch.where(photographed[:, None], torch.lerp(shade, torch.ones_like(shade), FLAT), shade)
    return (albedo * shade + lit.lamp * glance[:, None]).clamp(0, 1), covered


def draw(
    figure: Figure,
    outfit: Outfits,
    worn: dict[str, Tensor],
    body: Tensor,
    camera: Camera,
    light: Light,
    size: tuple[int, int],
    supersample: int,
    photos: Photos | None = None,
) -> Rendered:
    """Pictures of `size` of P people; all arguments have one entry for each picture.

    Args:
        figure: of the body model.
        outfit: what they look like.
        worn: for each layer but the body `[P, v]` metres that it stands off: `cut.thickness`.
        body: `[P, N, 3]` posed vertices of the naked body, metres.
        camera: P, in pixels of `size`.
        light: P.
        size: height and width.
        supersample: sub-pixels along a side of each pixel.
        photos: the textures that outfits name.
    """
    vertices, normals = figure.dress(body, worn)
    projected = camera.project(vertices, size)
    inner = (size[0] * supersample, size[1] * supersample)
    fragments = nearest_layer(figure, outfit, projected, inner)
    colour, covered = colours(figure, outfit, fragments, normals, light, photos)
    canvas = colour.new_zeros(len(body) * inner[0] * inner[1], 4)
    canvas[covered] = F.pad(colour * 2 - 1, (0, 1), value=1.0)
    canvas = canvas.view(len(body), *inner, 4).permute(0, 3, 1, 2)
    canvas = F.avg_pool2d(canvas, supersample)
    return Rendered(canvas[:, :3], canvas[:, 3:], fragments, projected)
