"""Anny's bones in groups that move as one, each turned by a share of a joint of the pose."""

import torch
from torch import Tensor, nn

from warpkit.models.bodies.body import FULL_JOINTS
from warpkit.models.bodies.kinematics import chain_turns, tree_levels
from warpkit.models.bodies.rotations import axis_angle_to_matrix

Turns = tuple[tuple[str, str, float], ...]
"""Which bone takes which share of which joint's turn; `*` stands for L and left, R and right."""

TURNS: Turns = (
    ("spine04", "spine1", 0.5), ("spine03", "spine1", 0.5), ("spine02", "spine2", 1.0), ("spine01", "spine3", 1.0),
    ("neck01", "neck", 0.6), ("neck02", "neck", 0.4), ("neck03", "head", 0.4), ("head", "head", 0.6),
    ("clavicle.*", "*_collar", 1.0), ("upperarm01.*", "*_shoulder", 1.0), ("lowerarm01.*", "*_elbow", 1.0),
    ("wrist.*", "*_wrist", 1.0), ("upperleg01.*", "*_hip", 1.0), ("lowerleg01.*", "*_knee", 1.0),
    ("foot.*", "*_ankle", 1.0), ("toe1-1.*", "*_foot", 1.0), ("toe2-1.*", "*_foot", 1.0), ("toe3-1.*", "*_foot", 1.0),
    ("toe4-1.*", "*_foot", 1.0), ("toe5-1.*", "*_foot", 1.0),
)  # fmt: skip
"""Of the body."""

FINE_TURNS: Turns = (
    *(
        (f"finger{number}-{phalanx}.*", f"*_{finger}{phalanx}", 1.0)
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1)
        for phalanx in (1, 2, 3)
    ),
    ("eye.*", "*_eye", 1.0),
)
"""Of fingers and eyes; Anny has no jaw."""


class Nodes(nn.Module):
    """The groups, and how much each of them moves each vertex."""

    joint: Tensor
    share: Tensor
    of_bone: Tensor
    weights: Tensor

    def __init__(self, turns: Turns, bones: list[str], parents: list[int], weights: Tensor):
        """`parents`: of the bones. `weights`: `[bones, V]` of skinning."""
        super().__init__()
        nodes, of_bone = _nodes(turns, bones, parents)
        self.register_buffer("joint", torch.tensor([FULL_JOINTS.index(name) for name, _, _ in nodes]), persistent=False)
        self.register_buffer("share", torch.tensor([share for _, share, _ in nodes]), persistent=False)
        self.register_buffer("of_bone", torch.tensor(of_bone), persistent=False)
        summed = torch.zeros(len(nodes), weights.shape[1]).index_add_(0, self.of_bone, weights)
        self.register_buffer("weights", summed, persistent=False)
        self._levels = tree_levels([parent for _, _, parent in nodes])

    def forward(self, pose: Tensor) -> Tensor:
        """Turns `[B, nodes, 3, 3]` away from the T-pose, of a pose `[B, J, 3]` that has all of the joints."""
        return chain_turns(axis_angle_to_matrix(pose[:, self.joint] * self.share[:, None]), self._levels)


def _nodes(turns: Turns, bones: list[str], parents: list[int]) -> tuple[list[tuple[str, float, int]], list[int]]:
    """Groups of bones that move as one: (joint, share of its turn, parent group), and the group of each bone."""
    sides = {"L": "left", "R": "right"}
    turned = {
        bone.replace("*", letter): (joint.replace("*", side), share)
        for bone, joint, share in turns
        for letter, side in sides.items()
    }
    nodes: list[tuple[str, float, int]] = [("pelvis", 1.0, -1)]
    groups: list[int] = []
    for bone, parent in zip(bones, parents, strict=True):
        group = groups[parent] if parent >= 0 else 0
        if bone in turned:
            node = (*turned[bone], group)
            if node not in nodes:  # the toes share one
                nodes.append(node)
            group = nodes.index(node)
        groups.append(group)
    return nodes, groups
