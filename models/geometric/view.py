"""One source picture of the person, cut out round them and brought to the resolution at which it will be used."""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit import Fragments, rasterize
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.geometric.mesh import vertex_normals


@dataclass(frozen=True)
class View:
    """A square picture of the person, with what is theirs told apart from the background."""

    image: Tensor
    """[3, R, R] the person's own colours in [-1, 1]; beyond their edge, extrapolated rather than the background's."""
    alpha: Tensor
    """[R, R] share of the person in each pixel."""
    body: Body
    """B = 1, in the pixels of this square."""
    detail: float = 1.0
    """Pixels that the photo had for each pixel of this square, at most 1: an enlarged picture is worth less."""

    @property
    def resolution(self) -> int:
        """R, pixels."""
        return self.image.shape[-1]


@dataclass(frozen=True)
class Sight:
    """A body as one view sees it."""

    pixels: Tensor
    """[V, 2] where the vertices fall (x right, y down)."""
    projected: Tensor
    """[V, 3] the same in NDC, with depth."""
    normals: Tensor
    """[V, 3] x right, y down, z towards the camera."""
    fragments: Fragments
    """[1, R, R] what the view's pixels see."""

    @property
    def covered(self) -> Tensor:
        """[R, R] bool: pixels that see the body."""
        return self.fragments.face_index[0] >= 0


def see(view: View, model: BodyModel, offsets: Tensor | None = None) -> Sight:
    """Projects and rasterizes the body of `view`, displaced by `offsets` `[V, 3]` (metres, rest space)."""
    size = (view.resolution, view.resolution)
    vertices = model(view.body.pose, view.body.shape, offsets=offsets)
    camera: Camera = view.body.camera
    projected = camera.project(vertices, size)
    normals = vertex_normals(vertices, model.faces)[0] * torch.tensor([1.0, -1.0, 1.0], device=vertices.device)
    return Sight(camera.pixels(vertices)[0], projected[0], normals, rasterize(projected, model.faces, size))


def sample(values: Tensor, pixels: Tensor, mode: str = "bilinear") -> Tensor:
    """Values of a map `[C, H, W]` at positions `pixels` `[..., 2]` -> `[..., C]`; the border's value beyond it."""
    height, width = values.shape[-2:]
    grid = pixels * torch.tensor([2.0 / width, 2.0 / height], device=pixels.device) - 1.0
    flat = torch.nn.functional.grid_sample(
        values[None], grid.reshape(1, 1, -1, 2), mode=mode, padding_mode="border", align_corners=False
    )
    return flat[0, :, 0].T.reshape(*pixels.shape[:-1], -1)
