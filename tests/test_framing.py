"""Framing of clips and the path of the imitating person."""

import pytest
import torch

from warpkit.models.bodies import Body, Camera, load_body
from warpkit.models.data.motion import Motion
from warpkit.models.geometric.cut_out import cut_out, window_round
from warpkit.models.geometric.framing import Framing, frame_motion, frame_round
from warpkit.models.tasks.imitate import imitate_body


def test_camera_and_picture_move_together() -> None:
    picture = torch.zeros(1, 300, 200)
    picture[:, 120:124, 80:84] = 1.0  # centre at (82, 122)
    framing = Framing(left=20.0, top=60.0, side=128.0, size=64)
    camera = framing.camera(Camera(torch.tensor([10.0]), torch.tensor([[82.0, 122.0]])))
    shown = framing.cut(picture)[0]
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    centre = torch.stack([(columns * shown).sum(), (rows * shown).sum()]) / shown.sum()
    torch.testing.assert_close(centre, camera.offset[0], atol=0.05, rtol=0)
    assert camera.scale.item() == 5.0


def test_cut_of_the_whole_picture_is_the_picture() -> None:
    picture = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Framing(0, 0, 32, 32).cut(picture), picture)


def test_square_holds_the_motion_and_stays_in_the_picture_where_it_fits() -> None:
    joints = torch.tensor([[[0.0, 0.7, 0], [0.0, -0.9, 0]]]).expand(5, 2, 3)
    across = torch.stack([torch.linspace(300, 500, 5), torch.full((5,), 420.0)], -1)
    framing = frame_motion(joints, Camera(torch.full((5,), 200.0), across), (1000, 800), 256)
    assert framing.left >= 0
    assert framing.top >= 0
    assert framing.left + framing.side <= 800
    assert framing.top + framing.side <= 1000
    assert framing.left < 300 < 500 < framing.left + framing.side


@pytest.mark.parametrize("size", [(1000, 800), (300, 250)])
def test_square_holds_a_motion_that_leaves_the_picture(size: tuple[int, int]) -> None:
    joints = torch.tensor([[[0.0, 0.7, 0], [0.0, -0.9, 0]]]).expand(5, 2, 3)
    for way in ((-150.0, 400.0), (400.0, 1150.0)):
        across = torch.stack([torch.linspace(*way, 5), torch.linspace(160, 1100, 5)], -1)
        framing = frame_motion(joints, Camera(torch.full((5,), 200.0), across), size, 256)
        assert framing.left <= way[0]
        assert framing.left + framing.side >= way[1]
        assert framing.top <= 160 - 0.7 * 200
        assert framing.top + framing.side >= 1100 + 0.9 * 200


def test_framing_round_a_box_is_square_and_centred() -> None:
    framing = frame_round((10, 20, 50, 120), 0.1, 64)
    assert framing.side == 120
    assert (framing.left, framing.top) == (-30, 10)


def test_path_and_size_follow_the_motion() -> None:
    model = load_body("anny")
    shape = model.mean_shape[None]
    source = Body(torch.zeros(1, 22, 3), shape, Camera(torch.tensor([300.0]), torch.tensor([[200.0, 400.0]])))
    motion = Motion(
        fps=25.0,
        rotations=torch.zeros(2, 22, 3),
        path=torch.tensor([[0.0, 0.0], [0.5, -0.1]]),
        scale=torch.tensor([1.0, 1.2]),
        height=2 * model.height(shape).item(),
    )
    moved = imitate_body(source, motion, model)
    torch.testing.assert_close(moved.camera.scale, torch.tensor([300.0, 360.0]))
    expected = torch.tensor([[200.0, 400.0], [200.0 + 0.25 * 300, 400.0 - 0.05 * 300]])
    torch.testing.assert_close(moved.camera.offset, expected)


def test_lowest_point_stands_where_the_sources_did() -> None:
    model = load_body("anny")
    shape = model.mean_shape[None]
    source = Body(torch.zeros(1, 22, 3), shape, Camera(torch.tensor([300.0]), torch.tensor([[200.0, 400.0]])))
    crouch = torch.zeros(1, 22, 3)
    crouch[0, [1, 2], 0] = -1.2
    crouch[0, [4, 5], 0] = 1.2
    motion = Motion(fps=25.0, rotations=crouch, path=torch.zeros(1, 2), scale=torch.ones(1), height=1.7)
    moved = imitate_body(source, motion, model)

    def ground(body: Body) -> float:
        return body.camera.pixels(model(body.pose, body.shape))[0, :, 1].max().item()

    assert abs(ground(moved) - ground(source)) < 0.5


def test_a_person_is_cut_out_with_their_own_colours_and_nobody_is_beyond_the_picture() -> None:
    picture = torch.full((3, 60, 40), -0.8)
    picture[0, :50, 10:30] = 0.9  # to the upper border
    mask = (picture[0] > 0).float()
    body = Body(torch.zeros(1, 22, 3), torch.zeros(1, 11), Camera(torch.ones(1), torch.tensor([[20.0, 25.0]])))
    framing = window_round((10.0, 0.0, 30.0, 50.0), 130)
    view = cut_out(picture, mask, body, framing)
    assert view.image.shape == (3, 130, 130)
    assert view.detail == pytest.approx(0.5)  # 65 pixels of the photo for 130
    assert view.alpha[70, 65] > 0.95
    assert view.alpha[70, 20] < 0.05
    above = int(-framing.top * framing.zoom)
    assert above > 10
    assert view.alpha[: above - 4].max() < 0.05
    assert view.image[0, view.alpha > 0.5].min() > 0.8
    torch.testing.assert_close(view.body.camera.scale, torch.tensor([2.0]))
