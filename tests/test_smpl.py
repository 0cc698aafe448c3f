"""SMPL's family, on files of its layout and size that hold no body."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from warpkit.models.bodies import FULL_JOINTS, JOINTS, KEYPOINTS, PARTS, BodyModel, load_body
from warpkit.models.errors import InputError


def some_pose(batch: int = 2, size: float = 0.4, seed: int = 0) -> Tensor:
    return torch.randn(batch, 22, 3, generator=torch.Generator().manual_seed(seed)) * size


def some_shape(batch: int = 2, count: int = 10, seed: int = 1) -> Tensor:
    return torch.randn(batch, count, generator=torch.Generator().manual_seed(seed))


SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
LAYOUTS = {"smpl": (6890, 13776, 24), "smplh": (6890, 13776, 52), "smplx": (10475, 20908, 55)}


def made_up_file(name: str) -> dict[str, np.ndarray]:
    """Arrays of a file of SMPL's family: its sizes and joint tree, with points strewn round the joints for a body."""
    random = np.random.default_rng(0)
    num_vertices, num_faces, num_joints = LAYOUTS[name]
    parents = list(SMPL_PARENTS)
    if name == "smpl":
        parents += [20, 21]
    else:
        first = 25 if name == "smplx" else 22
        parents += [15] * (first - 22)
        for wrist in (20, 21):
            for _ in range(5):
                parents += [wrist, len(parents), len(parents) + 1]
    joints = np.array(
        [
            (0, 0, 0), (0.06, -0.09, 0), (-0.06, -0.09, 0), (0, 0.11, 0), (0.1, -0.47, 0), (-0.1, -0.47, 0),
            (0, 0.25, 0), (0.09, -0.87, 0), (-0.09, -0.87, 0), (0, 0.3, 0), (0.12, -0.93, 0.12),
            (-0.12, -0.93, 0.12), (0, 0.5, 0),
            (0.08, 0.42, 0), (-0.08, 0.42, 0), (0, 0.58, 0), (0.17, 0.45, 0), (-0.17, 0.45, 0), (0.43, 0.43, 0),
            (-0.43, 0.43, 0), (0.68, 0.43, 0), (-0.68, 0.43, 0),
        ]
    )  # fmt: skip
    for joint in range(22, num_joints):
        side = 0.03 if joints[parents[joint]][0] > 0 else -0.03
        joints = np.vstack((joints, joints[parents[joint]] + (side, 0, 0)))
    joints[:, 1] += 0.2  # the origin of SMPL's template is not its pelvis
    owner = np.arange(num_vertices) % num_joints
    weights = random.random((num_vertices, num_joints)) ** 30
    weights[np.arange(num_vertices), owner] += 50
    regressor = np.zeros((num_joints, num_vertices))
    regressor[owner, np.arange(num_vertices)] = 1
    arrays = {
        "v_template": joints[owner] + random.normal(size=(num_vertices, 3)) * 0.02,
        "shapedirs": random.normal(size=(num_vertices, 3, 10)) * 0.005,
        "posedirs": random.normal(size=(num_vertices, 3, 9 * (num_joints - 1))) * 0.001,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *parents[1:]], range(num_joints)], np.int64),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": random.integers(0, num_vertices, (num_faces, 3)).astype(np.uint32),
    }
    if name != "smpl":
        arrays |= {f"hands_mean{side}": random.normal(size=45) * 0.1 for side in "lr"}
    return arrays


@pytest.fixture(scope="module", params=list(LAYOUTS))
def smpl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[BodyModel, dict]:
    pytest.importorskip("smplx", reason="smplx is not installed: it is licensed for non-commercial research")
    folder = tmp_path_factory.mktemp("bodies")
    (folder / request.param).mkdir()
    arrays = made_up_file(request.param)
    np.savez(folder / request.param / f"{request.param.upper()}_NEUTRAL.npz", **arrays)
    return load_body(request.param, folder), arrays


def test_smpl_has_its_size(smpl: tuple[BodyModel, dict]):
    model, _ = smpl
    assert isinstance(model, BodyModel)
    num_vertices, num_faces, _ = LAYOUTS[model.name]
    assert (model.num_vertices, len(model.faces), model.num_shape) == (num_vertices, num_faces, 10)
    assert model.uv is None
    assert set(model.parts.tolist()) <= set(range(len(PARTS)))


def test_smpl_equals_smplx(smpl: tuple[BodyModel, dict]):
    import smplx

    model, arrays = smpl
    pose, shape = some_pose(), some_shape()
    hands = np.concatenate([arrays.get("hands_meanl", np.zeros(0)), arrays.get("hands_meanr", np.zeros(0))])
    rest = np.zeros(3 * (LAYOUTS[model.name][2] - 22))
    rest[len(rest) - len(hands) :] = hands
    full = torch.cat((pose.flatten(1), torch.from_numpy(rest).float().expand(2, -1)), 1)
    tensors = {name: torch.from_numpy(array).float() for name, array in arrays.items() if name != "f"}
    vertices, joints = smplx.lbs.lbs(
        shape,
        full,
        tensors["v_template"],
        tensors["shapedirs"],
        tensors["posedirs"].flatten(0, 1).T,
        tensors["J_regressor"],
        torch.tensor([-1, *arrays["kintree_table"][0, 1:].tolist()]),
        tensors["weights"],
    )
    torch.testing.assert_close(model(pose, shape), vertices - joints[:, :1], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.joints(pose, shape), joints[:, :22] - joints[:, :1], atol=1e-5, rtol=0)


def test_smpl_moves_the_fingers_and_the_jaw_that_it_has(smpl: tuple[BodyModel, dict]):
    model, arrays = smpl
    pose, shape = some_pose(), some_shape()
    full = torch.cat((pose, torch.zeros(2, len(FULL_JOINTS) - 22, 3)), 1)
    if model.name != "smpl":
        mean = np.concatenate((arrays["hands_meanl"], arrays["hands_meanr"]))
        full[:, -30:] = torch.from_numpy(mean).float().reshape(30, 3)
    plain = model(pose, shape)
    torch.testing.assert_close(model(full, shape), plain)

    def moved(joint: str) -> bool:
        other = full.clone()
        other[:, FULL_JOINTS.index(joint), 2] += 0.5
        return bool((model(other, shape) - plain).norm(dim=-1).max() > 0.01)

    assert moved("right_wrist")
    assert moved("left_thumb2") == (model.name != "smpl")
    assert moved("jaw") == (model.name == "smplx")
    owner = torch.arange(model.num_vertices) % LAYOUTS[model.name][2]
    if model.name == "smplh":  # the last of its 52 joints is the right thumb's tip
        other = full.clone()
        other[:, FULL_JOINTS.index("right_thumb3"), 2] += 0.5
        away = (model(other, shape) - plain).norm(dim=-1).mean(0)
        assert away[owner == 51].mean() > 3 * away[owner == 37].mean()


def test_smpl_keypoints_are_vertices_and_joints(smpl: tuple[BodyModel, dict]):
    import smplx

    model, _ = smpl
    pose, shape = some_pose(), some_shape()
    ids = smplx.vertex_ids.vertex_ids["smplx" if model.name == "smplx" else "smplh"]
    points, vertices, joints = model.keypoints(pose, shape), model(pose, shape), model.joints(pose, shape)
    torch.testing.assert_close(points[:, KEYPOINTS.index("nose")], vertices[:, ids["nose"]])
    torch.testing.assert_close(points[:, KEYPOINTS.index("right_heel")], vertices[:, ids["RHeel"]])
    torch.testing.assert_close(points[:, KEYPOINTS.index("left_knee")], joints[:, JOINTS.index("left_knee")])


def test_smpl_parts_follow_the_joints(smpl: tuple[BodyModel, dict]):
    model, arrays = smpl
    same = (arrays["f"] % LAYOUTS[model.name][2]) == JOINTS.index("left_knee")
    faces = torch.from_numpy(same.sum(1) >= 2)
    assert (model.parts[faces] == PARTS.index("left_lower_leg")).all()


def test_smpl_subsets_offsets_height_and_gradients(smpl: tuple[BodyModel, dict]):
    model, _ = smpl
    pose, shape = some_pose().requires_grad_(), some_shape(1).requires_grad_()
    offsets = torch.randn(model.num_vertices, 3) * 0.01
    chosen = torch.tensor([3, 4000, 12])
    posed = model(pose, shape, offsets=offsets, vertices=chosen)
    torch.testing.assert_close(posed, model(pose, shape, offsets=offsets)[:, chosen], atol=1e-6, rtol=0)
    (posed.sum() + model.keypoints(pose, shape).sum() + model.height(shape).sum()).backward()
    assert torch.isfinite(pose.grad).all()
    assert torch.isfinite(shape.grad).all()
    assert 1.4 < model.height(shape).item() < 1.8
    assert len(model.mirror) == model.num_vertices


needs_smplx = pytest.mark.skipif(
    importlib.util.find_spec("smplx") is None,
    reason="smplx is not installed: it is licensed for non-commercial research",
)


class ch:
    """Pickles as chumpy's arrays do."""

    def __init__(self, x: np.ndarray):
        self.x = x


@needs_smplx
def test_official_pickles_load_without_chumpy_and_without_running_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arrays = made_up_file("smpl")
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    content = arrays | {"shapedirs": ch(arrays["shapedirs"]), "bs_style": "lbs"}
    text = pickle.dumps(content, protocol=0).replace(f"c{ch.__module__}\nch\n".encode(), b"cchumpy.ch\nCh\n")
    path.write_bytes(text)
    model = load_body("smpl", tmp_path)
    torch.testing.assert_close(model.shapes[3, :, 7].numpy(), arrays["shapedirs"][7, :, 3].astype(np.float32))

    path.write_bytes(pickle.dumps({**arrays, "v_template": Path("never")}))
    with pytest.raises(InputError, match="which is no array"):
        load_body("smpl", tmp_path)


@needs_smplx
def test_wrong_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"expected smpl/SMPL_NEUTRAL\.npz"):
        load_body("smpl", tmp_path)
    path = tmp_path / "SMPL_NEUTRAL.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"cannot read .*SMPL_NEUTRAL\.npz"):
        load_body("smpl", tmp_path)
    np.savez(path, v_template=np.zeros((3, 3)))
    with pytest.raises(InputError, match="has no shapedirs"):
        load_body("smpl", tmp_path)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **made_up_file("smpl"))
    with pytest.raises(InputError, match="expected 55 joints"):
        load_body("smplx", tmp_path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "smplx", None)
    (tmp_path / "SMPL_NEUTRAL.npz").touch()
    with pytest.raises(InputError, match=r"extra \[smpl\]"):
        load_body("smpl", tmp_path)
