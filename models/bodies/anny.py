"""Anny as a body model: one compact file, blend shapes, a skeleton of 104 bones and linear blend skinning.

R. Brégier et al., "Human Mesh Modeling for Anny Body", 2025 (code Apache-2.0, data CC0; see `data/README.md`). What is
Anny's own is in `posed`; what is added is the pose: SMPL's 22 joints, zero at a T-pose, spread over Anny's bones; or
SMPL-X's 55, of which the fingers and the eyes turn too.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from warpkit.models.bodies.body import JOINTS, KEYPOINTS
from warpkit.models.bodies.kinematics import ancestry, skin
from warpkit.models.bodies.nodes import FINE_TURNS, TURNS, Nodes
from warpkit.models.bodies.rotations import axis_angle_to_matrix, nearest_rotation

EXPORT = Path(__file__).parent / "data" / "anny.npz"
PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")

SHAPE_PRIOR = {"gender": (0.5, 1.3), "age": (0.68, 0.2), "muscle": (0.48, 0.9), "weight": (0.45, 0.8),
               "height": (0.37, 0.32), "proportions": (0.5, 1.0)}  # fmt: skip
"""Phenotype at the mean, and the step of its logit that is one standard deviation, for adults: height after Anny's
calibration (1.70 m ± 8 cm), age such that children lie far outside. None lies on an anchor, where gradients vanish."""

JOINT_BONES = {"pelvis": "root", "spine1": "spine04", "spine2": "spine02", "spine3": "spine01", "neck": "neck01",
               "head": "neck03", "collar": "clavicle", "shoulder": "upperarm01", "elbow": "lowerarm01",
               "wrist": "wrist", "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot",
               "foot": "toe2-1"}  # fmt: skip
"""The bone whose head is the place of a joint."""


RELAXED_FINGERS = {"finger1": (0.35, (0.0, 0.1, 0.2)), "finger2": (0.8, (0.2, 0.25, 0.15)),
                   "finger3": (0.8, (0.25, 0.3, 0.15)), "finger4": (0.8, (0.3, 0.35, 0.15)),
                   "finger5": (0.8, (0.35, 0.35, 0.2))}  # fmt: skip
"""The hand of a person who stands for a photograph: the share of its splay that each finger of the reference pose gives
up, and the radians by which its three phalanges curl."""


class Skeleton(nn.Module):
    """Some of Anny's bones, ancestors included: from shape coefficients and turns to one rigid motion per bone."""

    parents: Tensor
    ancestry: Tensor
    heads: Tensor
    head_shapes: Tensor
    orientations: Tensor
    orientation_shapes: Tensor
    reference: Tensor

    def __init__(self, data: dict[str, Tensor], bones: list[int], parents: list[int]):
        super().__init__()
        self.bones = bones
        place = {bone: i for i, bone in enumerate(bones)}
        local = [place.get(parents[bone], 0) for bone in bones]
        self.register_buffer("parents", torch.tensor(local), persistent=False)
        self.register_buffer("ancestry", ancestry([-1, *local[1:]]), persistent=False)
        self.register_buffer("heads", data["heads"][bones], persistent=False)
        self.register_buffer("head_shapes", data["head_shapes"][:, bones].flatten(1), persistent=False)
        self.register_buffer("orientations", data["orientations"][bones], persistent=False)
        self.register_buffer("orientation_shapes", data["orientation_shapes"][:, bones].flatten(1), persistent=False)
        self.register_buffer("reference", data["reference"][bones], persistent=False)

    def rest(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Bone heads `[B, J, 3]` and the turns `[B, J, 3, 3]` from the rest to the reference orientation."""
        heads = self.heads + (coefficients @ self.head_shapes).unflatten(1, (-1, 3))
        raw = self.orientations + (coefficients @ self.orientation_shapes).unflatten(1, (-1, 3, 3))
        return heads, self.reference @ nearest_rotation(raw).mT

    def forward(self, turns: Tensor, heads: Tensor, upright: Tensor) -> tuple[Tensor, Tensor]:
        """Rigid motions of the bones.

        Args:
            turns: `[B, J, 3, 3]` of each bone from its reference orientation, in body axes.
            heads, upright: what `rest` returned.

        Returns:
            `[B, J, 3, 3]` turns from rest, and `[B, J, 3]` where the heads go; the root's goes to the origin.
        """
        motion = turns @ upright
        step = heads - heads[:, self.parents]
        step = (motion[:, self.parents] @ step[..., None]).squeeze(-1)
        return motion, self.ancestry @ step


class Anny(nn.Module):
    """The default body: 13,718 vertices, 27,420 faces, six shape parameters. See `BodyModel` for the interface.

    `shape` is unbounded, zero at the neutral adult, one unit a standard deviation of `PHENOTYPES` in their order; it is
    squashed into Anny's range (`phenotypes`). Offsets are in the T-pose's frame and turn with the bones.
    """

    name = "anny"
    faces: Tensor
    uv: Tensor | None
    uv_faces: Tensor | None
    parts: Tensor
    mirror: Tensor
    mean_shape: Tensor
    prior: Tensor
    corner_coefficients: Tensor
    vertices: Tensor
    shapes: Tensor
    weights: Tensor
    straighten: Tensor
    flatten_hands: Tensor
    joint_bones: Tensor
    extremes: Tensor
    keypoint_nodes: Tensor
    keypoint_straighten: Tensor
    pair_bone: Tensor
    pair_weight: Tensor
    pair_vertices: Tensor
    pair_shapes: Tensor
    pair_sum: Tensor

    def __init__(self, path: Path = EXPORT):
        super().__init__()
        self.path = path
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        bones = [str(bone) for bone in arrays.pop("bones")]
        data = {key: torch.from_numpy(value.astype(np.int64) if value.dtype.kind in "iu" and key != "shapes" else value)
                for key, value in arrays.items()}  # fmt: skip
        parents: list[int] = data["parents"].tolist()
        self.bones = tuple(bones)
        self.num_vertices = len(data["vertices"])
        self.num_shape = len(PHENOTYPES)

        def buffer(name: str, tensor: Tensor) -> None:
            self.register_buffer(name, tensor.contiguous(), persistent=False)

        buffer("faces", data["faces"].to(torch.int32))
        buffer("uv", data["uv"])
        buffer("uv_faces", data["uv_faces"].to(torch.int32))
        buffer("parts", data["parts"])
        buffer("mirror", data["mirror"])
        buffer("mean_shape", torch.zeros(self.num_shape))
        prior = torch.tensor([SHAPE_PRIOR[name] for name in PHENOTYPES])
        buffer("prior", torch.stack((prior[:, 0].logit(), prior[:, 1])))
        for name in PHENOTYPES:
            buffer(f"anchors_{name}", data[f"anchors_{name}"].float())
        buffer("corner_coefficients", data["corner_coefficients"])
        buffer("vertices", data["vertices"].T)  # [3, V]: long contiguous rows keep the arithmetic vectorised
        buffer("shapes", (data["shapes"].float() * data["shape_steps"][:, None, None]).transpose(1, 2))
        weights = torch.zeros(self.num_vertices, len(bones)).scatter_add_(1, data["skin_bones"], data["skin_weights"])
        buffer("weights", weights.T)  # [J, V]

        self.skeleton = Skeleton(data, list(range(len(bones))), parents)
        self.nodes = Nodes(TURNS, bones, parents, self.weights)
        self.fine_nodes = Nodes(TURNS + FINE_TURNS, bones, parents, self.weights)
        heads, upright = self.skeleton.rest(self.coefficients(torch.zeros(1, self.num_shape)))
        identity = torch.eye(3).expand(1, len(bones), 3, 3)
        reference = self.skeleton(identity, heads, upright)[1][0]
        buffer("straighten", _t_pose(bones, reference))
        buffer("flatten_hands", _t_pose(bones, reference, relaxed=False))
        buffer("joint_bones", torch.tensor([bones.index(_bone_of(joint)) for joint in JOINTS]))
        self._prepare_keypoints(data, parents)
        buffer("keypoint_nodes", self.nodes.of_bone[self.keypoint_skeleton.bones])
        buffer("keypoint_straighten", self.straighten[self.keypoint_skeleton.bones])
        buffer("extremes", data["extremes"])

    def _prepare_keypoints(self, data: dict[str, Tensor], parents: list[int]) -> None:
        """Folds regressor, skin weights and blend shapes: a keypoint is a sum over few (keypoint, bone) pairs."""
        keypoint, vertex, share = data["keypoint"], data["keypoint_vertex"], data["keypoint_weight"]
        regressor = torch.zeros(len(KEYPOINTS), self.num_vertices).index_put((keypoint, vertex), share)
        used = vertex.unique()
        weights, regressor = self.weights[:, used], regressor[:, used]
        pairs = (regressor[:, None] * weights).reshape(-1, len(used))  # [23 * J, N]
        kept = pairs.sum(1).nonzero().squeeze(1)
        bone, pairs = kept % len(self.bones), pairs[kept]
        closed = set(bone.tolist())
        for index in reversed(range(len(parents))):
            if index in closed and parents[index] >= 0:
                closed.add(parents[index])
        subset = sorted(closed)
        self.keypoint_skeleton = Skeleton(data, subset, parents)
        place = {index: i for i, index in enumerate(subset)}
        gather = torch.zeros(len(KEYPOINTS), len(kept))
        gather[kept // len(self.bones), torch.arange(len(kept))] = 1
        self.register_buffer("pair_bone", torch.tensor([place[int(b)] for b in bone]), persistent=False)
        self.register_buffer("pair_weight", pairs.sum(1), persistent=False)
        self.register_buffer("pair_vertices", pairs @ self.vertices[:, used].T, persistent=False)
        shapes = torch.einsum("pn,kdn->kpd", pairs, self.shapes[:, :, used])
        self.register_buffer("pair_shapes", shapes.flatten(1), persistent=False)
        self.register_buffer("pair_sum", gather, persistent=False)

    def phenotypes(self, shape: Tensor) -> Tensor:
        """Anny's phenotypes `[B, 6]` in (0, 1), in the order of `PHENOTYPES`, of shapes `[B, 6]`."""
        return torch.sigmoid(self.prior[0] + self.prior[1] * shape)

    def coefficients_of(self, phenotypes: Tensor) -> Tensor:
        """Blend shape coefficients `[B, K]` of phenotypes `[B, 6]`: multilinear between Anny's anchors."""
        product = phenotypes.new_ones(len(phenotypes), 1)
        for value, name in zip(phenotypes.unbind(1), PHENOTYPES, strict=True):
            anchors = getattr(self, f"anchors_{name}")
            weights = (1 - (value[:, None] - anchors).abs() / (anchors[1] - anchors[0])).clamp_min(0)
            product = (product[:, :, None] * weights[:, None]).flatten(1)
        return product @ self.corner_coefficients

    def coefficients(self, shape: Tensor) -> Tensor:
        """Blend shape coefficients `[B, K]` of shapes `[B, 6]`."""
        return self.coefficients_of(self.phenotypes(shape))

    def _turns(self, pose: Tensor) -> tuple[Nodes, Tensor, Tensor]:
        """The groups of bones that a pose moves, how they are turned away from the T-pose, and how all bones are."""
        nodes, zero = self.nodes, self.straighten
        if pose.shape[1] > len(JOINTS):
            nodes, zero = self.fine_nodes, self.flatten_hands
        turned = nodes(pose)
        return nodes, turned, turned[:, nodes.of_bone] @ zero

    def forward(
        self, pose: Tensor, shape: Tensor, *, offsets: Tensor | None = None, vertices: Tensor | None = None
    ) -> Tensor:
        """Vertices; see `BodyModel`."""
        coefficients = self.coefficients(shape)
        nodes, turned, turns = self._turns(pose)
        posed = self._skin(turns, coefficients, vertices)
        if offsets is not None:
            if vertices is not None:
                offsets = offsets[..., vertices, :]
            weights = nodes.weights if vertices is None else nodes.weights[:, vertices]
            blend = (turned.flatten(2).mT @ weights).unflatten(1, (3, 3))
            posed = posed + (blend * offsets.mT.unsqueeze(-3)).sum(2)
        return posed.mT.contiguous()

    def posed(self, rotations: Tensor, phenotypes: Tensor) -> Tensor:
        """Anny's own interface: one turn per bone on top of its reference pose (`local-ref` of the package).

        Args:
            rotations: `[B, 104, 3]` axis-angle in body axes, each relative to the bone's parent; in `bones` order.
            phenotypes: `[B, 6]`.

        Returns:
            `[B, V, 3]` with the root at the origin.
        """
        local = axis_angle_to_matrix(rotations)
        turns = [local[:, 0]]
        for bone, parent in enumerate(self.skeleton.parents.tolist()[1:], start=1):
            turns.append(turns[parent] @ local[:, bone])
        return self._skin(torch.stack(turns, 1), self.coefficients_of(phenotypes), None).mT

    def _skin(self, turns: Tensor, coefficients: Tensor, vertices: Tensor | None) -> Tensor:
        """Linear blend skinning: `[B, 3, N]` for bone turns `[B, J, 3, 3]` from the reference pose."""
        heads, upright = self.skeleton.rest(coefficients)
        motion, places = self.skeleton(turns, heads, upright)
        template, shapes, weights = self.vertices, self.shapes, self.weights
        if vertices is not None:
            template, shapes, weights = template[:, vertices], shapes[:, :, vertices], weights[:, vertices]
        rest = template + (coefficients @ shapes.flatten(1)).unflatten(1, template.shape)
        return skin(motion, places, heads, weights, rest)

    def joints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of the joints; see `BodyModel`."""
        turns = self._turns(pose)[2]
        _, places = self.skeleton(turns, *self.skeleton.rest(self.coefficients(shape)))
        return places[:, self.joint_bones]

    def keypoints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of the keypoints; see `BodyModel`. The same as regressed from all vertices."""
        coefficients = self.coefficients(shape)
        turns = self.nodes(pose)[:, self.keypoint_nodes] @ self.keypoint_straighten
        heads, upright = self.keypoint_skeleton.rest(coefficients)
        motion, places = self.keypoint_skeleton(turns, heads, upright)
        shift = places - (motion @ heads[..., None]).squeeze(-1)
        rest = self.pair_vertices + (coefficients @ self.pair_shapes).unflatten(1, (-1, 3))
        moved = (motion[:, self.pair_bone] @ rest[..., None]).squeeze(-1)
        moved = moved + shift[:, self.pair_bone] * self.pair_weight[:, None]
        return self.pair_sum @ moved

    def shape_penalty(self, shape: Tensor) -> Tensor:
        """How unlikely shapes are; see `BodyModel`."""
        return (shape.square() + (shape.abs() - 2).clamp_min(0) ** 4).sum(1)

    def height(self, shape: Tensor) -> Tensor:
        """Standing height; see `BodyModel`."""
        pose = shape.new_zeros(1, len(JOINTS), 3)
        tall = self(pose, shape, vertices=self.extremes)[..., 1]
        return tall.amax(1) - tall.amin(1)


def _bone_of(joint: str) -> str:
    """The name of the bone whose head is a joint's place."""
    side, _, rest = joint.partition("_")
    return f"{JOINT_BONES[rest]}.{side[0].upper()}" if rest else JOINT_BONES[joint]


def _t_pose(bones: list[str], heads: Tensor, *, relaxed: bool = True) -> Tensor:
    """Turns `[J, 3, 3]` of the bones from the reference pose to SMPL's T-pose: arms along x, palms down, feet ahead.

    Args:
        bones: their names.
        heads: `[J, 3]` bone heads of the mean body in its reference pose.
        relaxed: whether fingers are as in `RELAXED_FINGERS`; else they are straight, as zero is where a pose has them.
    """
    axes = torch.eye(3)
    result = torch.eye(3).repeat(len(bones), 1, 1)

    def direction(start: str, end: str, side: str) -> Tensor:
        vector = heads[bones.index(f"{end}.{side}")] - heads[bones.index(f"{start}.{side}")]
        return vector / vector.norm()

    def frame(first: Tensor, second: Tensor) -> Tensor:
        second = second - first * (first @ second)
        second = second / second.norm()
        return torch.stack((first, second, torch.linalg.cross(first, second)), 1)

    def turn(start: tuple[Tensor, Tensor], end: tuple[Tensor, Tensor]) -> Tensor:
        return frame(*end) @ frame(*start).T

    for side, sign in (("L", 1.0), ("R", -1.0)):
        out, down, ahead = sign * axes[0], -axes[1], axes[2]
        thigh, shin = direction("upperleg01", "lowerleg01", side), direction("lowerleg01", "foot", side)
        toes = direction("foot", "toe3-1", side) * (1 - axes[1])
        upper, lower = direction("upperarm01", "lowerarm01", side), direction("lowerarm01", "wrist", side)
        hinge = torch.linalg.cross(upper, lower)
        hinge = hinge / hinge.norm()
        fingers, across = direction("wrist", "finger3-1", side), direction("finger5-1", "finger2-1", side)
        hand = turn((fingers, across), (out, ahead))
        forearm = turn((lower, hinge), (out, sign * down))
        turns = {
            "upperleg": turn((thigh, ahead), (down, ahead)),
            "lowerleg": turn((shin, ahead), (down, ahead)),
            "foot": turn((toes / toes.norm(), axes[1]), (ahead, axes[1])),
            "upperarm": turn((upper, hinge), (out, sign * down)),
            "lowerarm": forearm,
            "wrist": hand,
        }
        turns |= {"toe": turns["foot"], "finger": hand, "metacarpal": hand}
        for i, bone in enumerate(bones):
            for prefix, matrix in turns.items():
                if bone.startswith(prefix) and bone.endswith(side):
                    result[i] = matrix
        for finger, (gather, curls) in RELAXED_FINGERS.items() if relaxed else ():
            straight = hand @ direction(f"{finger}-1", f"{finger}-2", side)
            splay = float(torch.atan2(straight[2], sign * straight[0]))
            aside = axis_angle_to_matrix(sign * gather * splay * axes[1])
            for phalanx in range(3):
                curl = axis_angle_to_matrix(-sign * sum(curls[: phalanx + 1]) * axes[2])
                result[bones.index(f"{finger}-{phalanx + 1}.{side}")] = curl @ aside @ hand
    return result
