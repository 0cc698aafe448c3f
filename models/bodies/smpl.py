"""SMPL, SMPL-H and SMPL-X as body models, from files that the user has; the `smplx` package checks and reads them.

M. Loper et al., "SMPL: A Skinned Multi-Person Linear Model", 2015; J. Romero et al., 2017 (SMPL-H); G. Pavlakos et al.,
2019 (SMPL-X). Neither the files nor `smplx` are free for commercial use, so nothing of them travels with this package.
"""

import contextlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from warpkit.models.bodies.body import FINGERS, JOINTS, KEYPOINTS, PARTS
from warpkit.models.bodies.kinematics import ancestry, chain_turns, skin, tree_levels
from warpkit.models.bodies.rotations import axis_angle_to_matrix
from warpkit.models.errors import InputError, install_hint

NUM_SHAPE = 10
JOINT_COUNTS = {"smpl": 24, "smplh": 52, "smplx": 55}
HEAD_JOINTS = {"smpl": (12, 15), "smplh": (12, 15), "smplx": (12, 15, 22, 23, 24)}
FIRST_FINGER = {"smpl": 22, "smplh": 22, "smplx": 25}
"""SMPL has one joint for each hand after the body's 22; the others have fifteen, SMPL-X after jaw and eyes."""

SURFACE_KEYPOINTS = {
    "nose": "nose", "left_eye": "leye", "right_eye": "reye", "left_ear": "lear", "right_ear": "rear",
    "left_big_toe": "LBigToe", "left_small_toe": "LSmallToe", "left_heel": "LHeel",
    "right_big_toe": "RBigToe", "right_small_toe": "RSmallToe", "right_heel": "RHeel",
}  # fmt: skip
"""Keypoints that are vertices, by the names of `smplx.vertex_ids`; the others are joints."""

FIELDS = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
OPTIONAL_FIELDS = ("hands_meanl", "hands_meanr", "vt", "ft")


class Smpl(nn.Module):
    """A body of SMPL's family. `shape` holds the first ten betas; fingers keep their mean pose unless
    the pose has them. See `BodyModel`."""

    faces: Tensor
    uv: Tensor | None
    uv_faces: Tensor | None
    parts: Tensor
    mirror: Tensor
    mean_shape: Tensor
    template: Tensor
    shapes: Tensor
    pose_shapes: Tensor
    weights: Tensor
    heads: Tensor
    head_shapes: Tensor
    parents: Tensor
    ancestry: Tensor
    hands: Tensor
    keypoint_vertices: Tensor
    keypoint_order: Tensor
    keypoint_joints: Tensor

    def __init__(self, name: str, path: Path):
        super().__init__()
        smplx = _smplx()
        arrays = _read(path)
        self.name = name
        self.path = path
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints a warning about files with ten betas
                file = smplx.SMPL(
                    str(path),
                    data_struct=smplx.utils.Struct(**arrays),
                    num_betas=NUM_SHAPE,
                    create_betas=False,
                    create_global_orient=False,
                    create_body_pose=False,
                    create_transl=False,
                )
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise InputError(f"{path} has not the layout of a {name} model: {error}") from error
        count = JOINT_COUNTS[name]
        if tuple(file.J_regressor.shape) != (count, len(file.v_template)):
            shape = tuple(file.J_regressor.shape)
            raise InputError(f"{path} is no {name} model: expected {count} joints, its regressor is {shape}")
        self.num_vertices = len(file.v_template)
        self.num_shape = file.shapedirs.shape[2]
        parents: list[int] = file.parents.tolist()
        ids = smplx.vertex_ids.vertex_ids["smplx" if name == "smplx" else "smplh"]

        def buffer(name: str, tensor: Tensor | None) -> None:
            self.register_buffer(name, None if tensor is None else tensor.contiguous(), persistent=False)

        buffer("faces", file.faces_tensor.to(torch.int32))
        uv = torch.from_numpy(np.asarray(arrays["vt"], np.float32)) if "vt" in arrays and "ft" in arrays else None
        buffer("uv", None if uv is None else torch.stack((uv[:, 0], 1 - uv[:, 1]), 1))
        buffer("uv_faces", None if uv is None else torch.from_numpy(np.asarray(arrays["ft"]).astype(np.int32)))
        buffer("parts", _face_parts(name, file.lbs_weights, parents, file.faces_tensor))
        buffer("mirror", _mirror(file.v_template))
        buffer("mean_shape", torch.zeros(self.num_shape))
        buffer("template", file.v_template.T)
        buffer("shapes", file.shapedirs.permute(2, 1, 0))
        buffer("pose_shapes", file.posedirs.unflatten(1, (-1, 3)).transpose(1, 2))
        buffer("weights", file.lbs_weights.T)
        buffer("heads", file.J_regressor @ file.v_template)
        buffer("head_shapes", torch.einsum("jv,vdk->kjd", file.J_regressor, file.shapedirs).flatten(1))
        buffer("parents", file.parents.clamp_min(0))
        buffer("ancestry", ancestry(parents))
        self._levels = tree_levels(parents)
        hands = torch.zeros(count - len(JOINTS), 3)
        if "hands_meanl" in arrays and "hands_meanr" in arrays and name != "smpl":
            mean = np.concatenate((arrays["hands_meanl"], arrays["hands_meanr"])).reshape(-1, 3)
            hands[FIRST_FINGER[name] - len(JOINTS) :] = torch.from_numpy(mean.astype(np.float32))
        buffer("hands", hands)
        surface = [SURFACE_KEYPOINTS[keypoint] for keypoint in KEYPOINTS if keypoint in SURFACE_KEYPOINTS]
        buffer("keypoint_vertices", torch.tensor([ids[vertex] for vertex in surface]))
        skeletal = [keypoint for keypoint in KEYPOINTS if keypoint not in SURFACE_KEYPOINTS]
        buffer("keypoint_joints", torch.tensor([JOINTS.index(keypoint) for keypoint in skeletal]))
        together = [keypoint for keypoint in KEYPOINTS if keypoint in SURFACE_KEYPOINTS] + skeletal
        buffer("keypoint_order", torch.tensor([together.index(keypoint) for keypoint in KEYPOINTS]))

    def _own(self, pose: Tensor) -> Tensor:
        """The pose of all joints that the file has: SMPL has neither fingers nor a face, SMPL-H no face."""
        if self.name == "smpl":
            pose = pose[:, : len(JOINTS)]
        if pose.shape[1] == len(JOINTS):
            return torch.cat((pose, self.hands.expand(len(pose), -1, -1)), 1)
        return pose if self.name == "smplx" else torch.cat((pose[:, : len(JOINTS)], pose[:, -len(FINGERS) :]), 1)

    def _pose(self, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Local turns, turns, places and rest heads of all joints."""
        local = axis_angle_to_matrix(self._own(pose))
        turns = chain_turns(local, self._levels)
        heads = self.heads + (shape @ self.head_shapes).unflatten(1, (-1, 3))
        step = (turns[:, self.parents] @ (heads - heads[:, self.parents])[..., None]).squeeze(-1)
        return local, turns, self.ancestry @ step, heads

    def forward(
        self, pose: Tensor, shape: Tensor, *, offsets: Tensor | None = None, vertices: Tensor | None = None
    ) -> Tensor:
        """Vertices; see `BodyModel`."""
        return self._vertices(self._pose(pose, shape), shape, offsets, vertices)

    def _vertices(
        self,
        posed: tuple[Tensor, Tensor, Tensor, Tensor],
        shape: Tensor,
        offsets: Tensor | None,
        vertices: Tensor | None,
    ) -> Tensor:
        local, turns, places, heads = posed
        chosen = slice(None) if vertices is None else vertices
        template = self.template[:, chosen]
        feature = (local[:, 1:] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(1)
        rest = template + (shape @ self.shapes[:, :, chosen].flatten(1)).unflatten(1, template.shape)
        rest = rest + (feature @ self.pose_shapes[:, :, chosen].flatten(1)).unflatten(1, template.shape)
        if offsets is not None:
            rest = rest + offsets[..., chosen, :].mT
        return skin(turns, places, heads, self.weights[:, chosen], rest).mT.contiguous()

    def joints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of the joints; see `BodyModel`."""
        return self._pose(pose, shape)[2][:, : len(JOINTS)]

    def keypoints(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Places of the keypoints: face and feet by vertices, the rest by joints; see `BodyModel`."""
        posed = self._pose(pose, shape)
        surface = self._vertices(posed, shape, None, self.keypoint_vertices)
        skeletal = posed[2][:, self.keypoint_joints].expand(len(surface), -1, -1)
        return torch.cat((surface, skeletal), 1)[:, self.keypoint_order]

    def shape_penalty(self, shape: Tensor) -> Tensor:
        """How unlikely shapes are; see `BodyModel`. Betas are standard deviations."""
        return (shape.square() + (shape.abs() - 2).clamp_min(0) ** 4).sum(1)

    def height(self, shape: Tensor) -> Tensor:
        """Standing height in the T-pose; see `BodyModel`."""
        tall = self.template[1] + shape @ self.shapes[:, 1]
        return tall.amax(1) - tall.amin(1)


def find_file(name: str, folder: Path) -> Path:
    """The model's file in a folder laid out for `smplx`: neutral first, `.npz` first.

    Raises:
        InputError: there is none; the message lists what was looked for.
    """
    if folder.is_file():
        return folder
    for gender in ("NEUTRAL", "FEMALE", "MALE"):
        for ending in ("npz", "pkl"):
            for place in (folder / name, folder):
                path = place / f"{name.upper()}_{gender}.{ending}"
                if path.is_file():
                    return path
    expected = f"{name}/{name.upper()}_NEUTRAL.npz (or FEMALE, MALE, .pkl)"
    raise InputError(f"no {name} model in {folder}: expected {expected}")


def _smplx() -> Any:
    try:
        import smplx
    except ImportError as error:
        message = f"bodies of SMPL's family need the extra [smpl] (non-commercial licence): {install_hint('smpl')}"
        raise InputError(message) from error
    return smplx


def _read(path: Path) -> dict[str, Any]:
    """The arrays of a model file that a body needs; nothing in the file is ever executed."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in FIELDS + OPTIONAL_FIELDS if name in archive.files}
        else:
            with path.open("rb") as file:
                content = _ArraysOnly(file, encoding="latin1").load()
            found = {name: _plain(content[name]) for name in FIELDS + OPTIONAL_FIELDS if name in content}
    except (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"cannot read the body model {path}: {error}") from error
    missing = [name for name in FIELDS if name not in found]
    if missing:
        raise InputError(f"{path} is no model of SMPL's family: it has no {', '.join(missing)}")
    return found


class _Chumpy:
    """Stands for an array of the retired package chumpy, which SMPL's official files still hold."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy and scipy arrays (and chumpy's, as plain data) and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name, where it is an array's."""
        package = module.split(".")[0]
        if package == "chumpy":
            return _Chumpy
        allowed = {
            "numpy": {"_reconstruct", "ndarray", "dtype", "scalar"},
            "_codecs": {"encode"},
            "copy_reg": {"_reconstructor"},
            "copyreg": {"_reconstructor"},
            "__builtin__": {"object"},
            "builtins": {"object"},
        }
        if name in allowed.get(package, ()) or (package == "scipy" and name.endswith("_matrix")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")


def _plain(value: Any) -> Any:
    """An array out of what a pickled model may hold in its place."""
    if isinstance(value, _Chumpy):
        state = value.state
        if "a" in state and "idxs" in state:  # chumpy's Select: some entries of another array
            return _plain(state["a"]).ravel()[state["idxs"]].reshape(state["preferred_shape"])
        if "x" not in state:
            raise ValueError("it holds a chumpy expression that is no plain array; convert it to .npz")
        return np.asarray(_plain(state["x"]))
    return value


def _face_parts(name: str, weights: Tensor, parents: list[int], faces: Tensor) -> Tensor:
    """The part of each face, by the joints that move it most."""
    limbs = {"hip": "upper_leg", "knee": "lower_leg", "ankle": "foot", "foot": "foot",
             "shoulder": "upper_arm", "elbow": "lower_arm", "wrist": "hand"}  # fmt: skip
    parts: list[int] = []
    for joint, parent in enumerate(parents):
        side, _, word = JOINTS[joint].partition("_") if joint < len(JOINTS) else ("", "", "")
        if joint in HEAD_JOINTS[name]:
            parts.append(PARTS.index("head"))
        elif joint >= len(JOINTS):
            parts.append(parts[parent])  # fingers: the hand's
        else:
            parts.append(PARTS.index(f"{side}_{limbs[word]}" if word in limbs else "torso"))
    onehot = torch.nn.functional.one_hot(torch.tensor(parts), len(PARTS)).to(weights.dtype)
    return (weights @ onehot)[faces].sum(1).argmax(1)


def _mirror(vertices: Tensor) -> Tensor:
    """For each of `[V, 3]` the vertex nearest to its left-right mirrored place."""
    flipped = vertices * vertices.new_tensor([-1.0, 1.0, 1.0])
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cat([torch.cdist(block, vertices, compute_mode=exact).argmin(1) for block in flipped.split(1024)])
