"""Photographic textures at work: head, top and legs of different people on one body, dyed with their folds kept."""

import torch
from torch import Tensor

from warpkit.models.bodies import BodyModel, part_of_vertices
from warpkit.models.data.people.baked import Baked
from warpkit.models.data.people.cut import arm_of, in_head
from warpkit.models.data.people.layers import Figure, Marks
from warpkit.models.data.people.paint import Paint, woven
from warpkit.models.data.people.wardrobe import Outfits
from warpkit.models.geometric.atlas import unfold
from warpkit.models.geometric.mesh import Surface

REGIONS = ("head", "top", "legs")
WAIST = 0.05
"""Metres above the hip joint where legs begin."""
FLAT = 0.65
"""How much of the light is left out on photographs: light and shade are in their colours already."""


def region_of(places: Tensor, marks: Marks) -> Tensor:
    """`[...]` int64 into REGIONS of places of the T-pose."""
    legs = (places[..., 1] < marks.hip + WAIST) & (arm_of(places, marks) < 0)
    head = places[..., 1] > marks.neck - 0.02
    return torch.where(head, 0, torch.where(legs, 2, 1))


class Photos:
    """The textures of one split, on one device."""

    def __init__(self, outfits: list[Baked], model: BodyModel, figure: Figure, device: torch.device) -> None:
        size = outfits[0].atlas.shape[-1]
        _, _, texels = unfold(model, size)
        covered = texels.face_index[0] >= 0
        corners = model.faces.long()[texels.face_index[0].clamp(min=0).long()]
        places = (figure.places.cpu()[corners] * texels.barycentric[0][..., None]).sum(-2)
        region = torch.where(covered, region_of(places, figure.marks), -1)
        head = in_head(places, figure.marks)
        cheeks = covered & (region == 0) & (head[..., 2] > 0.7) & (head[..., 1] > 0.45) & (head[..., 1] < 0.62)
        pictures, skins, lightness = [], [], []
        for outfit in outfits:
            colours = outfit.atlas.permute(1, 2, 0).float() / 255
            skin = colours[cheeks].median(0).values
            chroma = colours / colours.sum(-1, keepdim=True).clamp(min=0.05) - skin / skin.sum()
            light = colours.mean(-1)
            # dark skin shines, and its colour is noisier
            spread = (0.5 * skin.mean()).clamp(min=0.22)
            alike = (chroma.norm(dim=-1) < 0.045 + 0.01 / skin.mean()) & ((light - skin.mean()).abs() < spread)
            pictures.append(torch.cat([outfit.atlas.permute(1, 2, 0), alike[..., None].to(torch.uint8) * 255], -1))
            skins.append(skin)
            # of the cloth alone; 0.5 where a region shows none
            cloth = [light[(region == number) & ~alike] for number in range(3)]
            lightness.append(torch.stack([part.median() if len(part) else torch.tensor(0.5) for part in cloth]))
        self.size = size
        self.texels = torch.stack(pictures).view(-1, 4).to(device)  # [n * T * T, 4]: colour and skin
        self.skins = torch.stack(skins).to(device)
        self.lightness = torch.stack(lightness).clamp(min=0.08).to(device)
        vertex_region = region_of(figure.shells["body"].places.cpu(), figure.marks)
        vertex_region[part_of_vertices(model) == 0] = 0
        weights = torch.nn.functional.one_hot(vertex_region, 3).float()
        self.shares = Surface(model.faces, model.num_vertices).smooth(weights, 6)  # [V, 3]
        self.offsets = torch.stack([outfit.offsets for outfit in outfits])
        self.shapes = torch.stack([outfit.shape for outfit in outfits])

    def __len__(self) -> int:
        return len(self.skins)

    def offsets_of(self, textures: Tensor) -> Tensor:
        """`[B, V, 3]` clothes and hair of people whose regions have `textures` `[B, 3]`; zero for painted people."""
        chosen = self.offsets[textures.clamp(min=0)]  # [B, 3, V, 3]
        mixed = (chosen * self.shares.T[None, :, :, None]).sum(1)
        return mixed * (textures[:, :1, None] >= 0)

    def _looked_up(self, texture: Tensor, uv: Tensor) -> Tensor:
        """`[N, 4]` in [0, 1], bilinear; `uv` `[N, 2]` in [0, 1]."""
        place = uv * self.size - 0.5
        corner = place.floor()
        share = place - corner
        total = torch.zeros(len(uv), 4, device=uv.device)
        for dx in (0, 1):
            for dy in (0, 1):
                x, y = (corner[:, 0] + dx).long(), (corner[:, 1] + dy).long()
                x, y = x.clamp(0, self.size - 1), y.clamp(0, self.size - 1)
                weight = (share[:, 0] if dx else 1 - share[:, 0]) * (share[:, 1] if dy else 1 - share[:, 1])
                total += weight[:, None] * self.texels[(texture * self.size + y) * self.size + x]
        return total / 255

    def over(self, paint: Paint, outfit: Outfits, places: Tensor, uv: Tensor, marks: Marks) -> Paint:
        """`paint` with photographs in its place where people have them; all arguments have N rows."""
        chosen = (outfit.baked[:, 0] >= 0).nonzero()[:, 0]
        if not len(chosen):
            return paint
        wearer, where = outfit[chosen], places[chosen]
        region = region_of(where, marks)
        texture = wearer.baked.gather(1, region[:, None])[:, 0]
        found = self._looked_up(texture, uv[chosen])
        colours, alike = found[:, :3], found[:, 3:]
        head_skin = self.skins[wearer.baked[:, 0]]
        as_head = (colours * head_skin / self.skins[texture]).clamp(0, 1)
        dye = torch.where(
            (region == 2)[:, None],
            woven(wearer.bottom, where, marks).albedo,
            woven(wearer.top, where, marks).albedo,
        )
        folds = colours.mean(-1) / self.lightness[texture, region]
        dyed = (dye * folds.clamp(0.25, 1.8)[:, None]).clamp(0, 1)
        wanted = wearer.dyed.gather(1, (region - 1).clamp(min=0)[:, None])
        cloth = torch.where(wanted, dyed, colours)
        colours = torch.where((region == 0)[:, None], colours, torch.lerp(cloth, as_head, alike))
        albedo, bump, shine = paint.albedo.clone(), paint.bump.clone(), paint.shine.clone()
        albedo[chosen], bump[chosen], shine[chosen] = colours, 0.0, 0.0
        return Paint(albedo, bump, shine)
