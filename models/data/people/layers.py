"""What a person wears, as meshes that follow the body: shells of parts of the body's surface, loosened and displaced.

A shell is a copy of some of the body's faces. Where it ends (hem, sleeve, neckline, hairline) is decided at each pixel
by `cut.py`, so that edges are curves and not teeth of triangles.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, KEYPOINTS, PARTS, BodyModel
from warpkit.models.geometric.mesh import Surface, t_pose, vertex_normals

LAYERS = ("body", "shoes", "bottom", "skirt", "top", "coat", "hair", "locks")
"""From the skin outwards. A pixel shows the nearest one."""

DATA = Path(__file__).parent / "data" / "helpers.npz"
ANNY_HEIGHT = 1.7009
"""Metres, of the body that the helper meshes were written for."""

_LIMBS = ("torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg")
_COVERS = {"shoes": ("foot", "lower_leg"), "bottom": ("torso", "upper_leg", "lower_leg"), "top": _LIMBS,
           "coat": _LIMBS, "hair": ("head", "torso")}  # fmt: skip
_LOOSENED = {"shoes": 24, "bottom": 6, "top": 10, "coat": 20, "hair": 14}
"""Steps of smoothing that take the body's hollows (navel, toes, the face) out of a shell."""

RELUCTANCE = 0.01
"""Square metres: what a unit of shape costs against clothes that stand off."""
LANDMARKS_COUNT = 500.0
"""Vertices that a keypoint counts as much as: a fit keeps landmarks where they are seen."""

HELPERS = {"skirt": "skirt", "locks": "hair"}
"""Layers with meshes of their own, and their names in `data/helpers.npz`."""
_HELD_BY = {"skirt": ("torso", "upper_leg", "lower_leg"), "locks": ("head", "torso")}
_REACH = {"skirt": 0.10, "locks": 0.05}
"""Metres: the width of the Gaussian with which the body's vertices near by hold theirs."""
HOLDERS = 12
"""The body's vertices that hold one of theirs,"""
SPARSE = 9
"""of every so many."""


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
    """One layer: vertices that are each held by K of the body's (one, where they are copies of the body's)."""

    faces: Tensor
    """[f, 3] int32 into its own vertices."""
    holders: Tensor
    """[v, K] int64: the body's vertices that each follows,"""
    shares: Tensor
    """[v, K] and how much; sums to one."""
    local: Tensor
    """[v, K, 3] metres along tangent, bitangent and normal of the holder: where it lies as the holder sees it."""
    places: Tensor
    """[v, 3] metres in the neutral body's T-pose, which garments are cut and painted in."""

    def to(self, device: torch.device) -> "Shell":
        """The same on another device."""
        return Shell(*(getattr(self, field.name).to(device) for field in fields(self)))


def _frames(vertices: Tensor, normals: Tensor, neighbour: Tensor) -> Tensor:
    """`[P, N, 3, 3]` rows tangent, bitangent, normal; `neighbour` `[P, N, 3]` gives the tangent's direction."""
    edge = neighbour - vertices
    tangent = torch.nn.functional.normalize(edge - (edge * normals).sum(-1, keepdim=True) * normals, dim=-1)
    return torch.stack([tangent, torch.linalg.cross(normals, tangent), normals], -2)


def neighbours(faces: Tensor, count: int) -> Tensor:
    """`[count]` int64: a neighbour of each vertex; always the same one."""
    index = faces.long()
    found = torch.zeros(count, dtype=torch.int64, device=faces.device)
    return found.scatter_reduce_(0, index.flatten(), index.roll(-1, 1).flatten(), "amax")


def body_frames(vertices: Tensor, faces: Tensor) -> Tensor:
    """`[P, N, 3, 3]` rows tangent, bitangent, normal at the vertices `[P, N, 3]` of a body."""
    return _frames(vertices, vertex_normals(vertices, faces), vertices[:, neighbours(faces, vertices.shape[1])])


def bind(
    places: Tensor, body: Tensor, frames: Tensor, candidates: Tensor, reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What holds vertices at `places` `[v, 3]` to a body `[N, 3]` with `frames` `[N, 3, 3]`: holders, shares, local.

    `candidates` `[n]`: the body's vertices that may; `reach` in metres.
    """
    distance, nearest = torch.cdist(places, body[candidates]).topk(HOLDERS, 1, largest=False)
    # beyond reach of everything the nearest still hold
    shares = torch.softmax(-(distance / (reach + distance[:, :1] / 2)).square(), 1)
    holders = candidates[nearest]
    local = (frames[holders] @ (places[:, None] - body[holders])[..., None])[..., 0]
    return holders, shares, local


def carried(holders: Tensor, shares: Tensor, local: Tensor, body: Tensor, frames: Tensor) -> Tensor:
    """Where what `bind` bound lies on bodies `[P, N, 3]` with `frames` `[P, N, 3, 3]`: `[P, v, 3]`."""
    lies = body[:, holders] + (local[..., None] * frames[:, holders]).sum(-2)
    return (shares[..., None] * lies).sum(2)


def holding(model: BodyModel, layer: str) -> Tensor:
    """`[n]` the vertices of `model` that may hold a helper layer."""
    names = [name.removeprefix("left_").removeprefix("right_") for name in PARTS]
    chosen = torch.tensor([name in _HELD_BY[layer] for name in names])[model.parts]
    return model.faces.long()[chosen].unique()[::SPARSE]


def helper_reach(layer: str) -> float:
    """Metres, for `bind`."""
    return _REACH[layer]


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
        neighbour = neighbours(model.faces, model.num_vertices)
        frames = _frames(places[0], normals[0], places[0, neighbour])
        surface = Surface(model.faces, model.num_vertices)
        names = [name.removeprefix("left_").removeprefix("right_") for name in PARTS]
        self.shells: dict[str, Shell] = {}
        for layer in _COVERS:
            chosen = torch.tensor([name in _COVERS[layer] for name in names])[model.parts]
            used, faces = index[chosen].unique(return_inverse=True)
            moved = surface.smooth(places[0], _LOOSENED[layer])[used] - places[0, used]
            local = (frames[used] @ moved[..., None])[..., 0]
            local[:, 2].clamp_(min=0)  # hollows are filled; nothing sinks into the body
            one = torch.ones(len(used), 1)
            self.shells[layer] = Shell(faces.int(), used[:, None], one, local[:, None], places[0, used]).to(device)
        with np.load(DATA, allow_pickle=False) as archive:
            helpers = {name: torch.from_numpy(archive[name]) for name in archive.files}
        tall = self.marks.crown - self.marks.sole
        for layer, name in HELPERS.items():
            # made for Anny's neutral body; others are taller or lower
            own = helpers[f"{name}_places"] * (tall / ANNY_HEIGHT)
            bound = bind(own, places[0], frames, holding(model, layer), _REACH[layer])
            self.shells[layer] = Shell(helpers[f"{name}_faces"].int(), *bound, own).to(device)
        every = torch.arange(model.num_vertices)[:, None]
        one, none = torch.ones(model.num_vertices, 1), torch.zeros(model.num_vertices, 1, 3)
        self.shells["body"] = Shell(model.faces, every, one, none, places[0]).to(device)
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
            vertices, faces_before = vertices + len(shell.places), faces_before + len(shell.faces)
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
            if layer in ("bottom", "top", "coat"):
                index = self.shells[layer].holders[:, 0].cpu().expand(batch, -1)
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
        frames = _frames(body, skin, body[:, self.neighbour])
        vertices, normals = [body], [skin]
        for layer in LAYERS[1:]:
            shell = self.shells[layer]
            lies = carried(shell.holders, shell.shares, shell.local, body, frames)
            # a mesh of its own has normals of its own: the body's below it may look elsewhere
            normal = self.normals(lies, shell.faces) if layer in HELPERS else skin[:, shell.holders[:, 0]]
            moved = lies + thickness[layer][..., None] * normal
            vertices.append(moved)
            normals.append(self.normals(moved, shell.faces))
        return torch.cat(vertices, 1), torch.cat(normals, 1)
