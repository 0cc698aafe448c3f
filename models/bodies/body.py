"""What every body model shares: the names of joints, parts and keypoints, the protocol, the camera, the parameters."""

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""SMPL's 22 body joints in SMPL's order: what a pose is written in, for every body model; see also `FULL_JOINTS`."""

FACE: tuple[str, ...] = ("jaw", "left_eye", "right_eye")
FINGERS: tuple[str, ...] = tuple(
    f"{side}_{finger}{number}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for number in (1, 2, 3)
)
FULL_JOINTS: tuple[str, ...] = JOINTS + FACE + FINGERS
"""SMPL-X's 55 joints in its order: what a pose with hands and face is written in."""

PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
"""The parent of each joint, -1 for the pelvis."""

PARTS: tuple[str, ...] = (
    "head", "torso",
    "left_upper_arm", "left_lower_arm", "left_hand", "left_upper_leg", "left_lower_leg", "left_foot",
    "right_upper_arm", "right_lower_arm", "right_hand", "right_upper_leg", "right_lower_leg", "right_foot",
)  # fmt: skip
"""Parts of the surface; each face belongs to one."""

KEYPOINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
"""The 17 keypoints of COCO, then its six of the feet."""


def mirrored_names(names: tuple[str, ...]) -> list[int]:
    """For each name the index of its left-right opposite: itself where it is neither left nor right."""
    swap = {"left": "right", "right": "left"}
    return [names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names]


def mirror_pose(pose: Tensor) -> Tensor:
    """The left-right mirrored pose: left limbs do what right limbs did.

    Args:
        pose: `[..., 22, 3]` axis-angle in `JOINTS` order, or `[..., 55, 3]` in that of `FULL_JOINTS`.

    Returns:
        Likewise. Mirroring twice gives the pose back.
    """
    names = JOINTS if pose.shape[-2] == len(JOINTS) else FULL_JOINTS
    return pose[..., mirrored_names(names), :] * pose.new_tensor([1.0, -1.0, -1.0])


@runtime_checkable
class BodyModel(Protocol):
    """A parametric body surface, posed by SMPL's 22 joints, whatever its own mesh and skeleton.

    Body space: metres, x to the body's left, y up, z to its front, the pelvis joint at the origin. Implementations are
    `nn.Module`s whose tensors are buffers. Everything is differentiable in pose, shape and offsets.
    """

    name: str
    faces: Tensor  # [F, 3] int32, counter-clockwise seen from outside
    parts: Tensor  # [F] int64 into PARTS
    uv: Tensor | None  # [U, 2] in [0, 1], v down: the row of the atlas
    uv_faces: Tensor | None  # [F, 3] int32 into uv
    mirror: Tensor  # [V] int64: the vertex that lies at the left-right mirrored place
    num_vertices: int
    num_shape: int
    mean_shape: Tensor  # [K] the neutral adult

    def __call__(
        self, pose: Tensor, shape: Tensor, *, offsets: Tensor | None = None, vertices: Tensor | None = None
    ) -> Tensor:
        """Vertices of the posed body.

        Args:
            pose: `[B, 22, 3]` axis-angle in `JOINTS` order, radians. Index 0 turns the whole body about the pelvis.
                The zero pose is the T-pose; every joint's frame is aligned with body space there (SMPL's convention).
                Hands are relaxed. Or `[B, 55, 3]` in `FULL_JOINTS` order, with fingers, which are straight at zero, jaw
                and eyes; of those a model moves what it has.
            shape: `[B, K]`; either batch may be 1.
            offsets: `[V, 3]` or `[B, V, 3]` metres in the T-pose, added before skinning (clothes, hair: "SMPL+D").
            vertices: `[N]` int64; only these vertices are computed. Offsets stay those of the whole mesh.

        Returns:
            `[B, V, 3]` or `[B, N, 3]` metres in body space.
        """
        ...

    def joints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of the 22 joints, `[B, 22, 3]` metres in body space."""
        ...

    def keypoints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of `KEYPOINTS`, `[B, 23, 3]` metres in body space; only the vertices they need are computed."""
        ...

    def shape_penalty(self, shape: Tensor) -> Tensor:
        """How unlikely shapes are, `[B]`: 0 at the mean, 1 at one standard deviation, steep outside the prior."""
        ...

    def height(self, shape: Tensor) -> Tensor:
        """Standing height without shoes, `[B]` metres."""
        ...


def part_of_vertices(model: BodyModel) -> Tensor:
    """`[V]` int64 into PARTS: where a vertex lies between two parts, that of the last of its faces."""
    face = torch.arange(len(model.faces), device=model.parts.device).repeat_interleave(3)
    # a plain assignment would leave it to the order of threads which face comes last
    last = face.new_zeros(model.num_vertices).scatter_reduce(0, model.faces.long().flatten(), face, "amax")
    return model.parts[last]


def body_digest(model: BodyModel) -> str:
    """SHA-256 of a body model: its name and the file it was read from, or, where it has none, all its numbers."""
    total = hashlib.sha256(model.name.encode())
    path = getattr(model, "path", None)
    if path is not None:
        total.update(Path(path).read_bytes())
        return total.hexdigest()
    for name, value in sorted(model.named_buffers()):  # type: ignore[attr-defined]
        total.update(f"\0{name}{value.dtype}{tuple(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def on_device(model: BodyModel, device: torch.device) -> BodyModel:
    """`model` where it lies on `device` already, else a copy of it there: the one that came stays where it is."""
    at = model.parts.device
    if not isinstance(model, nn.Module) or (at.type == device.type and device.index in (None, at.index)):
        return model
    return cast(BodyModel, deepcopy(model).to(device))


@dataclass(frozen=True)
class Camera:
    """A weak-perspective camera for each body, in pixels of one picture.

    Pixel coordinates: x right, y down, pixel (row i, column j) has its centre at (j + 0.5, i + 0.5). The camera looks
    along -z of body space, so a person with no root rotation faces it.
    """

    scale: Tensor  # [B] pixels per metre
    offset: Tensor  # [B, 2] pixel (x right, y down) where the pelvis lands

    def pixels(self, points: Tensor) -> Tensor:
        """Pixels `[B, N, 2]` of points `[B, N, 3]` in body space: u = scale · x + offset, v = -scale · y + offset."""
        scale = torch.stack((self.scale, -self.scale), -1)
        return points[..., :2] * scale[:, None] + self.offset[:, None]

    def project(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Normalised device coordinates for `warpkit.rasterize`.

        Args:
            points: `[B, N, 3]` metres in body space.
            size: (height, width) of the picture in pixels.

        Returns:
            `[B, N, 3]`: x right and y down in [-1, 1] at the picture's edges, and the depth, which grows away from the
            camera and has the unit of y: -z · scale · 2 / height.
        """
        height, width = size
        scale = torch.stack((self.scale * 2 / width, -self.scale * 2 / height, -self.scale * 2 / height), -1)
        x, y = self.offset.unbind(-1)  # a tensor made here of numbers would wait for a GPU
        offset = torch.stack((x * (2 / width) - 1, y * (2 / height) - 1, torch.zeros_like(x)), -1)
        return points * scale[:, None] + offset[:, None]

    def __getitem__(self, index: int | slice | Tensor) -> "Camera":
        """Some of the cameras; the batch stays (an integer gives a batch of one)."""
        rows = [index] if isinstance(index, int) else index
        return Camera(self.scale[rows], self.offset[rows])

    def to(self, device: torch.device) -> "Camera":
        """The same on another device."""
        return Camera(self.scale.to(device), self.offset.to(device))


@dataclass(frozen=True)
class Body:
    """Parameters of B bodies as seen by their cameras."""

    pose: Tensor  # [B, 22, 3] axis-angle in JOINTS order, or [B, 55, 3] in that of FULL_JOINTS
    shape: Tensor  # [B, K] of the body model that they belong to
    camera: Camera

    def __getitem__(self, index: int | slice | Tensor) -> "Body":
        """Some of the bodies; the batch stays (an integer gives a batch of one)."""
        rows = [index] if isinstance(index, int) else index
        return Body(self.pose[rows], self.shape[rows], self.camera[index])

    def to(self, device: torch.device) -> "Body":
        """The same on another device."""
        return Body(self.pose.to(device), self.shape.to(device), self.camera.to(device))
