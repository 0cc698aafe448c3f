"""What a triangle mesh knows about itself: normals, edges, smoothing and harmonic filling over its vertices."""

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
import torch
from torch import Tensor

from warpkit.models.bodies import JOINTS, PARTS, BodyModel


def t_pose(model: BodyModel, shape: Tensor) -> Tensor:
    """Vertices `[B, V, 3]` of bodies of `shape` `[B, K]` in the T-pose: the rest space in which offsets are given."""
    return model(shape.new_zeros(len(shape), len(JOINTS), 3), shape)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals `[B, V, 3]` of `vertices` `[B, V, 3]`: the mean of the adjacent faces, weighted by area.

    Faces are counter-clockwise seen from outside, so normals point outwards in a right-handed space.
    """
    index = faces.long()
    corners = vertices[:, index]  # [B, F, 3, 3]
    face_normals = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals.index_add_(1, index[:, corner], face_normals)
    return torch.nn.functional.normalize(normals, dim=-1)


def limb_axes() -> Tensor:
    """`[P, 3]` the direction in the T-pose that each of PARTS runs along; zero for heads and feet."""
    axes = torch.zeros(len(PARTS), 3)
    for number, name in enumerate(PARTS):
        if name.endswith(("_arm", "hand")):
            axes[number, 0] = 1
        elif name.endswith("_leg") or name == "torso":
            axes[number, 1] = 1
    return axes


def around_limbs(model: BodyModel, across: float) -> Tensor:
    """`[F, 3]` weights of faces' edges for a `Surface` on which values pass round a limb rather than along it.

    Edges that run along an arm, a leg or the trunk weigh `across` times less than those round it; on heads and feet
    all weigh 1.
    """
    index = model.faces.long()
    rest = t_pose(model, model.mean_shape[None])[0]
    edges = torch.nn.functional.normalize(rest[index.roll(-1, 1)] - rest[index], dim=-1)
    along = (edges * limb_axes().to(edges)[model.parts][:, None]).sum(-1).square()
    return 1 / (1 + (across - 1) * along)


class Surface:
    """The graph of a mesh's vertices, on which values are smoothed and spread.

    Edges all weigh the same unless it is said how: on triangles that are nearly equilateral the Dirichlet energy does
    not depend on their size, so dense hands and coarse backs are treated alike.
    """

    def __init__(
        self, faces: Tensor, num_vertices: int, same_place: Tensor | None = None, edge_weights: Tensor | None = None
    ) -> None:
        """Joins what faces join.

        Args:
            faces: `[F, 3]`.
            num_vertices: V.
            same_place: `[P, 2]`: pairs of vertices to join though no face does.
            edge_weights: `[F, 3]` of each face's edges from its first corner to its second, and on; None: 1. An edge
                that faces share has the mean.
        """
        index = faces.long().cpu().numpy()
        pairs = np.concatenate([index[:, [0, 1]], index[:, [1, 2]], index[:, [2, 0]]])
        weights = np.ones(len(pairs)) if edge_weights is None else edge_weights.double().T.flatten().cpu().numpy()
        if same_place is not None:
            pairs = np.concatenate([pairs, same_place.cpu().numpy()])
            weights = np.concatenate([weights, np.ones(len(same_place))])
        rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
        both, shape = np.concatenate([weights, weights]), (num_vertices, num_vertices)
        graph = sparse.coo_matrix((both, (rows, columns)), shape).tocsr()
        graph.data /= sparse.coo_matrix((np.ones(len(both)), (rows, columns)), shape).tocsr().data
        self.num_vertices = num_vertices
        self.adjacency = graph
        degree = np.asarray(graph.sum(1)).ravel()
        self.degree = np.where(degree > 0, degree, 1.0)
        self.laplacian = sparse.diags(degree) - graph

    def smooth(self, values: Tensor, iterations: int) -> Tensor:
        """`values` `[V, C]` after so many steps of averaging each vertex with the mean of its neighbours."""
        data = values.cpu().numpy().astype(np.float64)
        for _ in range(iterations):
            data = 0.5 * data + 0.5 * (self.adjacency @ data) / self.degree[:, None]
        return torch.from_numpy(data).to(values)

    def spread(self, values: Tensor, confidence: Tensor, stiffness: float = 1.0, decay: float = 0.0) -> Tensor:
        """The smoothest field that agrees with `values` `[V, C]` as far as `confidence` `[V]` (>= 0) asks.

        Minimises sum confidence |x - value|^2 + stiffness x' L x + decay |x|^2: harmonic where nothing is known.
        Vertices of islands without any confidence get the mean of what is known.
        """
        weight = confidence.double().cpu().numpy()
        known = values.double().cpu().numpy()
        mean = (weight[:, None] * known).sum(0) / max(weight.sum(), 1e-12)
        system = stiffness * self.laplacian + sparse.diags(weight + decay + 1e-9)
        right = weight[:, None] * known + (1e-9 * mean if decay == 0 else 0.0)
        return torch.from_numpy(linalg.splu(system.tocsc()).solve(right)).to(values)
