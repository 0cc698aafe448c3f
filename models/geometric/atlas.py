"""A body's surface laid flat: charts on which the colours that no picture shows directly are worked out once."""

import torch
from torch import Tensor

from warpkit import Fragments, rasterize
from warpkit.models.bodies import BodyModel
from warpkit.models.geometric.mesh import t_pose, vertex_normals
from warpkit.models.geometric.once import once


def charts(model: BodyModel) -> tuple[Tensor, Tensor]:
    """Where the surface lies in its atlas: vertices `[U, 3]` in NDC (depth 0) and faces `[F, 3]` in the body's order.

    The model's own uv where it has one; else two charts side by side, the front and the back of the T-pose.
    """
    if model.uv is not None and model.uv_faces is not None:
        return torch.nn.functional.pad(model.uv * 2 - 1, (0, 1)), model.uv_faces
    rest = t_pose(model, model.mean_shape[None])
    normals = vertex_normals(rest, model.faces)[0]
    low, high = rest[0].amin(0), rest[0].amax(0)
    unit = (rest[0, :, :2] - low[:2]) / (high - low)[:2].amax()
    width = unit[:, 0] * 0.48 + 0.01
    front = torch.stack([width, 0.99 - 0.98 * unit[:, 1]], -1)
    back = torch.stack([1 - width, 0.99 - 0.98 * unit[:, 1]], -1)
    behind = normals[model.faces.long(), 2].sum(1) < 0
    faces = model.faces + behind[:, None].int() * model.num_vertices
    return torch.nn.functional.pad(torch.cat([front, back]) * 2 - 1, (0, 1)), faces


def unfold(model: BodyModel, size: int) -> tuple[Tensor, Tensor, Fragments]:
    """The charts of `model` and what each texel of a `size` x `size` atlas holds (face indices are the body's).

    Worked out once for each model and size.
    """

    def made() -> tuple[Tensor, Tensor, Fragments]:
        vertices, faces = charts(model)
        return vertices, faces, rasterize(vertices[None], faces, (size, size))

    return once(model, ("atlas", size), made)
