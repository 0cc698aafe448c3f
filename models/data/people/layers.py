"""What a person wears, as meshes that follow the body: shells of parts of the body's surface, loosened and displaced.

A shell is a copy of some of the body's faces. Where it ends (hem, sleeve, neckline, hairline) is decided at each pixel
by `cut.py`, so that edges are curves and not teeth of triangles.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, KEYPOINTS, PARTS, BodyModel
from warpkit.models.geometric.mesh import Surface, t_pose, vertex_normals

LAYERS = ("body", "shoes", "bottom", "top", "coat", "hair")
"""From the skin outwards. A pixel shows the nearest one."""

_LIMBS = ("torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg")
_COVERS = {"shoes": ("foot", "lower_leg"), "bottom": ("torso", "upper_leg", "lower_leg"), "top": _LIMBS,
           "coat": _LIMBS, "hair": ("head", "torso")}  # fmt: skip
_LOOSENED = {"shoes": 24, "bottom": 6, "top": 10, "coat": 20, "hair": 14}
"""Steps of smoothing that take the body's hollows (navel, toes, the face) out of a shell."""

RELUCTANCE = 0.01
"""Square metres: what a unit of shape costs against clothes that stand off."""
LANDMARKS_COUNT = 500.0
"""Vertices that a keypoint counts as much as: a fit keeps landmarks where they are seen."""


@dataclass(frozen=True)
class Marks:
    """Where the neutral body's landmarks lie in the T-pose, metres: what garments are measured with."""

    hip: float
    knee: float
    ankle: float
    sole: float
    shoulder: float
    wrist: float
    armpit: float
    neck: float
    crown: float
    head_low: tuple[float, float, float]
    head_high: tuple[float, float, float]


def measure(model: BodyModel) -> Marks:
    """The marks of `model`."""
    joints = model.joints(torch.zeros(1, len(JOINTS), 3), model.mean_shape[None].cpu())[0]
    at = {name: joints[JOINTS.index(f"left_{name}" if f"left_{name}" in JOINTS else name)].tolist() for name in
          ("hip", "knee", "ankle", "shoulder", "wrist", "neck")}  # fmt: skip
    places = t_pose(model, model.mean_shape[None])[0]
    head = places[model.faces[model.parts == PARTS.index("head")].long().unique()]
    return Marks(
        hip=at["hip"][1],
        knee=at["knee"][1],
        ankle=at["ankle"][1],
        sole=float(places[:, 1].min()),
        shoulder=at["shoulder"][0],
        wrist=at["wrist"][0],
        armpit=at["shoulder"][1] - 0.09,
        neck=at["neck"][1],
        crown=float(places[:, 1].max()),
        head_low=(float(head[:, 0].min()), float(head[:, 1].min()), float(head[:, 2].min())),
        head_high=(float(head[:, 0].max()), float(head[:, 1].max()), float(head[:, 2].max())),
    )


@dataclass(frozen=True)
class Shell:
    """One layer: some of the body's vertices and faces, moved."""

    faces: Tensor
    """[f, 3] int32 into its own vertices."""
    vertices: Tensor
    """[v] int64: the body's vertex that each follows."""
    places: Tensor
    """[v, 3] metres in the neutral body's T-pose, which garments are cut and painted in."""
    local: Tensor
    """[v, 3] metres along tangent, bitangent and normal of the body's vertex: how it is loosened."""

    def to(self, device: torch.device) -> "Shell":
        """The same on another device."""
        return Shell(*(part.to(device) for part in (self.faces, self.vertices, self.places, self.local)))


def _frames(vertices: Tensor, normals: Tensor, neighbour: Tensor) -> Tensor:
    """`[P, N, 3, 3]` rows tangent, bitangent, normal; `neighbour` `[P, N, 3]` gives the tangent's direction."""
    edge = neighbour - vertices
    tangent = torch.nn.functional.normalize(edge - (edge * normals).sum(-1, keepdim=True) * normals, dim=-1)
    return torch.stack([tangent, torch.linalg.cross(normals, tangent), normals], -2)


class Figure:
    """A body model with everything that can be put on it, on one device."""

    def __init__(self, model: BodyModel, device: torch.device) -> None:
        self.marks = measure(model)
        rest = torch.zeros(1, len(JOINTS), 3)
        points = model.keypoints(rest, model.mean_shape[None])[0]
        self.eye, self.nose = (points[KEYPOINTS.index(name)].to(device) for name in ("left_eye", "nose"))
        places = t_pose(model, model.mean_shape[None])
        normals = vertex_normals(places, model.faces)
        index = model.faces.long()
        neighbour = torch.zeros(model.num_vertices, dtype=torch.int64)
        neighbour.scatter_reduce_(0, index.flatten(), index.roll(-1, 1).flatten(), "amax")  # any, but always the same
        frames = _frames(places[0], normals[0], places[0, neighbour])
        surface = Surface(model.faces, model.num_vertices)
        names = [name.removeprefix("left_").removeprefix("right_") for name in PARTS]
        self.shells: dict[str, Shell] = {}
        for layer in LAYERS[1:]:
            chosen = torch.tensor([name in _COVERS[layer] for name in names])[model.parts]
            used, faces = index[chosen].unique(return_inverse=True)
            moved = surface.smooth(places[0], _LOOSENED[layer])[used] - places[0, used]
            local = (frames[used] @ moved[..., None])[..., 0]
            local[:, 2].clamp_(min=0)  # hollows are filled; nothing sinks into the body
            self.shells[layer] = Shell(faces.int(), used, places[0, used], local).to(device)
        self.shells["body"] = Shell(
            model.faces, torch.arange(model.num_vertices), places[0], torch.zeros(model.num_vertices, 3)
        ).to(device)
        self.neighbour = neighbour.to(device)
        self.uv = None if model.uv is None or model.uv_faces is None else model.uv[model.uv_faces.long()].to(device)
        """[f, 3, 2] in [0, 1] of the body's faces, where it has any."""
        steps = 0.5 * torch.eye(model.num_shape)
        grown = t_pose(model, model.mean_shape[None] + steps) - t_pose(model, model.mean_shape[None] - steps)
        more, less = (model.keypoints(rest, model.mean_shape[None] + sign * steps).flatten(1) for sign in (1, -1))
        self.keypoint_growth = (more - less).T.contiguous()
        """[69, K] metres that it moves the keypoints."""
        self.growth = (grown * normals).sum(-1).T.contiguous()
        """[V, K] metres that a unit of each shape parameter moves the neutral body's surface outwards."""
        starts, self.first_face, self.first_vertex = [], {}, {}
        vertices = faces_before = 0
        for layer in LAYERS:
            shell = self.shells[layer]
            starts.append(shell.faces.long() + vertices)
            self.first_vertex[layer], self.first_face[layer] = vertices, faces_before
            vertices, faces_before = vertices + len(shell.vertices), faces_before + len(shell.faces)
        self.faces = torch.cat(starts).int()
        """[F, 3] of all layers, one after another."""
        self.places = torch.cat([self.shells[layer].places for layer in LAYERS])
        """[V, 3] of all layers."""
        layer_of = [torch.full((len(self.shells[layer].faces),), n) for n, layer in enumerate(LAYERS)]
        self.layer_of_face = torch.cat(layer_of).to(device)

    def filled(self, thickness: dict[str, Tensor]) -> Tensor:
        """`[B, K]` changes of the shape with which the naked body fills the clothes best, as a fit to outlines does.

        `thickness` as in `dress`, on the CPU.
        """
        batch = len(next(iter(thickness.values())))
        outer = torch.zeros(batch, len(self.growth))
        for layer, stands_off in thickness.items():
            if layer not in ("shoes", "hair"):
                index = self.shells[layer].vertices.cpu().expand(batch, -1)
                outer.scatter_reduce_(1, index, stands_off.nan_to_num(0.0), "amax")
        square = self.growth.T @ self.growth + RELUCTANCE * torch.eye(self.growth.shape[1])
        square = square + LANDMARKS_COUNT * self.keypoint_growth.T @ self.keypoint_growth
        return torch.linalg.solve(square, (outer @ self.growth).T).T

    def normals(self, vertices: Tensor, faces: Tensor) -> Tensor:
        """Unit normals `[P, N, 3]`; the same as `vertex_normals`, faster for small batches on one thread."""
        index = faces.long()
        rows = vertices.transpose(0, 1).contiguous()  # [N, P, 3]
        corners = rows[index.flatten()].view(-1, 3, *rows.shape[1:])
        normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = torch.zeros_like(rows).flatten(1)
        for corner in range(3):
            total.index_add_(0, index[:, corner], normal.flatten(1))
        return torch.nn.functional.normalize(total.view_as(rows).transpose(0, 1), dim=-1)

    def dress(self, body: Tensor, thickness: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Vertices and normals `[P, V, 3]` of all layers on bodies `[P, N, 3]`.

        Args:
            body: posed vertices of the model, body space.
            thickness: for each layer but the body `[P, v]` metres that it stands off.
        """
        skin = self.normals(body, self.shells["body"].faces)
        vertices, normals = [body], [skin]
        for layer in LAYERS[1:]:
            shell = self.shells[layer]
            at, normal = body[:, shell.vertices], skin[:, shell.vertices]
            frames = _frames(at, normal, body[:, self.neighbour[shell.vertices]])
            moved = at + (shell.local[..., None] * frames).sum(-2) + thickness[layer][..., None] * normal
            vertices.append(moved)
            normals.append(self.normals(moved, shell.faces))
        return torch.cat(vertices, 1), torch.cat(normals, 1)
