"""Renders a gathered person in any pose: each source warped to the target by the mesh, blended, with soft edges."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit import Flow, Fragments, compose_flow, interpolate, rasterize, warp
from warpkit.models.bodies import Body, BodyModel
from warpkit.models.geometric.appearance import Appearance, believed_colours, is_arm
from warpkit.models.geometric.mesh import vertex_normals

TURNED = 0.1
"""Versed sine of the angle by which an arm must be turned for rims of it not to be believed at all: 26 degrees."""


@dataclass(frozen=True)
class Layer:
    """A person in a window of the frame; outside the window there is nobody."""

    colour: Tensor
    """[1, 3, h, w] in [-1, 1], as if the person filled the window (not yet multiplied by alpha)."""
    alpha: Tensor
    """[1, 1, h, w] in [0, 1]."""
    corner: tuple[int, int]
    """Row and column of the window's first pixel in the frame."""

    def over(self, background: Tensor) -> Tensor:
        """The person over `background` `[3, H, W]`; a new picture of the same shape."""
        frame = background.clone()
        top, left = self.corner
        height, width = self.alpha.shape[-2:]
        place = frame[:, top : top + height, left : left + width]
        place += self.alpha[0] * (self.colour[0] - place)
        return frame

    def alone(self, size: tuple[int, int]) -> Tensor:
        """`[4, H, W]` in a frame of `size`: the colours, black where nobody is, and the alpha."""
        frame = self.colour.new_full((4, *size), -1.0)
        frame[3] = 0
        top, left = self.corner
        height, width = self.alpha.shape[-2:]
        place = frame[:, top : top + height, left : left + width]
        place[:3] = torch.where(self.alpha[0] > 0, self.colour[0], -1.0)
        place[3:] = self.alpha[0]
        return frame


@dataclass(frozen=True)
class Rendered(Layer):
    """A person drawn from their sources by geometry alone."""

    filled: Tensor
    """[1, 1, h, w] share of the colour that comes from the atlas: no source sees the surface there well."""
    fragments: Fragments
    """At the supersampled resolution of the window."""
    flow: Flow
    """[1, S, ...] absolute sampling grid into each source, likewise."""
    vertices: Tensor
    """[1, V, 3] metres in body space: of the body with clothes and hair."""


class GeometricRenderer:
    """Draws one person; everything that does not change between frames is prepared once."""

    def __init__(self, model: BodyModel, appearance: Appearance, *, supersample: int = 2) -> None:
        """`supersample`: samples along each side of a pixel; edges and the folds between limbs are smoothed by it."""
        self.model = model
        self.appearance = appearance
        self.supersample = supersample
        self._arm = is_arm(model)
        of_arms = torch.zeros(model.num_vertices, dtype=torch.bool, device=self._arm.device)
        of_arms[model.faces[self._arm].long()] = True
        self._round_arms = model.faces[of_arms[model.faces.long()].any(1)]

    def window(self, vertices: Tensor, body: Body, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """top, left, height, width of the part of a frame of `size` in which the body lies (at least one pixel)."""
        height, width = size
        pixels = body.camera.pixels(vertices)[0]
        bounds = torch.cat(((pixels.amin(0) - 2).floor(), (pixels.amax(0) + 2).ceil())).long().tolist()
        left, right = max(0, min(bounds[0], width - 1)), max(1, min(bounds[2], width))
        top, bottom = max(0, min(bounds[1], height - 1)), max(1, min(bounds[3], height))
        return top, left, max(1, bottom - top), max(1, right - left)

    def __call__(self, body: Body, size: tuple[int, int]) -> Rendered:
        """The person as `body` (B = 1; its shape is used, its camera in pixels of the frame) in a frame of `size`."""
        model, appearance, factor = self.model, self.appearance, self.supersample
        vertices = model(body.pose, body.shape, offsets=appearance.offsets)
        top, left, height, width = self.window(vertices, body, size)
        x, y, z = body.camera.project(vertices, size).unbind(-1)
        x = x * (size[1] / width) + ((size[1] - 2.0 * left) / width - 1.0)
        y = y * (size[0] / height) + ((size[0] - 2.0 * top) / height - 1.0)
        target = torch.stack((x, y, z * (size[0] / height)), -1)
        fragments = rasterize(target, model.faces, (factor * height, factor * width))
        flow = compose_flow(appearance.vertices, model.faces, fragments, face_mask=appearance.faces)
        unfolded = self._unfolded(fragments)
        filled = warp(appearance.atlas, unfolded)[0]
        seen = self._given(vertices, fragments, flow, unfolded).sum(0)
        covered = (fragments.face_index >= 0).to(filled)
        share = covered - seen[3:]
        colour = seen[:3] + share * filled
        layers = torch.cat([colour, share, covered])[None]  # all zero where nobody is
        layers = torch.nn.functional.avg_pool2d(layers, factor)
        alpha = layers[:, 4:]
        colour = layers[:, :3] / alpha.clamp(min=1e-4)
        filled = layers[:, 3:4] / alpha.clamp(min=1e-4)
        return Rendered(colour, alpha, (top, left), filled, fragments, flow, vertices)

    def shares(self, drawn: Rendered) -> Tensor:
        """Which picture each pixel of the person comes from: `[1, S, h, w]` in [0, 1], in the window of `drawn`.

        With `drawn.filled`, the atlas' share, they sum to one where the person is; all are zero where nobody is.
        """
        given = self._given(drawn.vertices, drawn.fragments, drawn.flow, self._unfolded(drawn.fragments))[None, :, 3]
        return torch.nn.functional.avg_pool2d(given, self.supersample) / drawn.alpha.clamp(min=1e-4)

    def _unfolded(self, fragments: Fragments) -> Flow:
        """Where the atlas holds what `fragments` show."""
        appearance = self.appearance
        return Flow(interpolate(appearance.atlas_vertices, appearance.atlas_faces, fragments)[:, None])

    def _given(self, vertices: Tensor, fragments: Fragments, flow: Flow, unfolded: Flow) -> Tensor:
        """[S, 4, h, w] what each picture gives: colours times its share, and its share."""
        appearance = self.appearance
        x, y, z = vertex_normals(vertices, self._round_arms)[0].unbind(-1)  # right for arms
        normals = torch.stack((x, -y, z), -1)
        turned = ((1 - (normals[:, None] * appearance.normals).sum(-1)) / TURNED).clamp(0, 1)
        of_vertices = torch.cat([appearance.blend[:, :-1], turned], 1)  # the atlas' share is the rest
        shares, turned = interpolate(of_vertices, self.model.faces, fragments)[0].permute(2, 0, 1).chunk(2)
        arm = self._arm[fragments.face_index[0].clamp(min=0).long()]
        sampled = believed_colours(warp(appearance.images, flow)[0], arm, turned[:, None])
        if appearance.allowed is not None:
            shares = shares * warp(appearance.allowed, unfolded)[0]
        return shares[:, None] * sampled
