"""One plain made-up person in any pose and camera, with exact truth: for tests, measurements and the docs' pictures.

What training draws, many people dressed in layers, is in `data/people`.

A made-up person is a body of random shape in garments that stand off it, painted by procedural patterns in rest
coordinates, lit from one side. The outline of the person is therefore not the body's, as in photographs.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit import interpolate, rasterize
from warpkit.models.bodies import PARTS, Body, BodyModel
from warpkit.models.geometric.mesh import Surface, t_pose, vertex_normals

SUPERSAMPLE = 3


@dataclass(frozen=True)
class Truth:
    """A rendered person: `image` `[3, H, W]` in [-1, 1] over `background`, `colour` without it, `alpha` `[H, W]`."""

    image: Tensor
    colour: Tensor
    alpha: Tensor


def waves(points: Tensor, frequency: float, generator: torch.Generator, octaves: int = 3) -> Tensor:
    """Smooth noise `[..., 1]` of about unit size at `points` `[..., 3]` metres; `frequency` in radians a metre."""
    total = torch.zeros_like(points[..., :1])
    for octave in range(octaves):
        direction = torch.randn(3, 12, generator=generator) * frequency * 2.0**octave
        phase = torch.rand(12, generator=generator) * 2 * math.pi
        total = total + 0.6**octave * torch.sin(points @ direction + phase).mean(-1, keepdim=True) * 2
    return total


def pattern(points: Tensor, kind: int, generator: torch.Generator) -> Tensor:
    """Share `[..., 1]` of a garment's second colour: 0 plain, 1 hoops, 2 stripes, 3 checks, 4 dots."""
    period = 0.03 + 0.05 * torch.rand(1, generator=generator).item()
    x, y, z = (points / period).unbind(-1)
    hoops, stripes = (torch.frac(y).abs() < 0.4).float(), (torch.frac(x + 100).abs() < 0.4).float()
    dots = ((torch.frac(x + 100) - 0.5).square() + (torch.frac(y + 100) - 0.5).square() < 0.06).float()
    choices = [torch.zeros_like(x), hoops, stripes, 0.5 * hoops + 0.5 * stripes, dots * (z.abs() >= 0)]
    return choices[kind][..., None]


class MadeUpPerson:
    """One made-up person, the same for the same seed."""

    def __init__(self, model: BodyModel, seed: int) -> None:
        self.model = model
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self.shape = model.mean_shape[None] + 0.5 * torch.randn(1, model.num_shape, generator=generator)
        rest = t_pose(model, self.shape)
        self.points = rest[0]
        surface = Surface(model.faces, model.num_vertices)
        self.offsets = self._garments(vertex_normals(rest, model.faces)[0], surface, generator)
        self.colours = torch.rand(8, 3, generator=generator) * 1.6 - 0.8
        self.skin = torch.tensor([0.7, 0.3, 0.05]) - 0.9 * torch.rand(1, generator=generator)
        self.kinds = torch.randint(0, 5, (2,), generator=generator).tolist()

    def _garments(self, normals: Tensor, surface: Surface, generator: torch.Generator) -> Tensor:
        thickness = torch.zeros(self.model.num_vertices, 1)
        covered = {"torso": 0.025, "upper_arm": 0.015, "upper_leg": 0.02, "lower_leg": 0.02, "foot": 0.01}
        index = self.model.faces.long()
        for number, part in enumerate(PARTS):
            vertices = index[self.model.parts == number].unique()
            thickness[vertices] = covered.get(part.removeprefix("left_").removeprefix("right_"), 0.0)
        thickness = surface.smooth(thickness, 6)
        return normals * thickness * (1 + 0.5 * waves(self.points, 12.0, generator))

    def _albedo(self, points: Tensor, part: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + 1)
        top = torch.lerp(self.colours[0], self.colours[1], pattern(points, self.kinds[0], generator))
        trousers = torch.lerp(self.colours[2], self.colours[3], pattern(points, self.kinds[1], generator))
        hair = self.colours[4].expand_as(points) * 0.3 - 0.5
        height = points[..., 1:2]
        crown = self.points[:, 1].amax()
        colour = self.skin.expand_as(points)
        names = [name.removeprefix("left_").removeprefix("right_") for name in PARTS]

        def is_in(*wanted: str) -> Tensor:
            return torch.tensor([name in wanted for name in names])[part][..., None]

        colour = torch.where(is_in("torso", "upper_arm"), top, colour)
        colour = torch.where(is_in("upper_leg", "lower_leg"), trousers, colour)
        colour = torch.where(is_in("foot"), self.colours[5].expand_as(points), colour)
        scalp = (height > crown - 0.09) | (points[..., 2:] < self.points[:, 2].mean() - 0.02)
        colour = torch.where(is_in("head") & scalp, hair, colour)
        return colour + 0.08 * waves(points, 60.0, generator)

    def render(self, body: Body, size: tuple[int, int], background: Tensor | None = None) -> Truth:
        """The person in the pose and camera of `body` (B = 1) over `background` `[3, H, W]` (grey if none)."""
        model = self.model
        vertices = model(body.pose, self.shape, offsets=self.offsets)
        inner = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        fragments = rasterize(body.camera.project(vertices, size), model.faces, inner)
        normals = vertex_normals(vertices, model.faces)
        attributes = torch.cat([self.points[None], normals], -1)
        covered = fragments.face_index[0] >= 0
        points, normal = interpolate(attributes, model.faces, fragments)[0][covered].split(3, -1)  # [N, 3] each
        part = model.parts[fragments.face_index[0][covered].long()]
        light = torch.nn.functional.normalize(torch.tensor([0.4, 0.6, 0.7]), dim=0)
        shade = 0.65 + 0.45 * (torch.nn.functional.normalize(normal, dim=-1) @ light).clamp(min=0)[..., None]
        layers = torch.zeros(*inner, 4)
        layers[covered, :3] = ((self._albedo(points, part) + 1) * shade - 1).clamp(-1, 1)
        layers[covered, 3] = 1.0
        layers = torch.nn.functional.avg_pool2d(layers.permute(2, 0, 1)[None], SUPERSAMPLE)[0]
        alpha = layers[3]
        background = torch.zeros(3, *size) if background is None else background
        return Truth(layers[:3] + (1 - alpha) * background, layers[:3] / alpha.clamp(min=1e-4), alpha)
