"""Pictures about pictures: bodies over photos, sheets."""

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs the extra [person]")

from warpkit.models.bodies import JOINTS, PARTS, Body, Camera, load_body
from warpkit.models.media.draw import contact_sheet, draw_body, fit_into, part_colours


def test_a_body_is_drawn_where_its_camera_puts_it() -> None:
    model = load_body()
    body = Body(
        torch.zeros(1, len(JOINTS), 3),
        model.mean_shape[None],
        Camera(torch.tensor([50.0]), torch.tensor([[60.0, 55.0]])),
    )
    photo = np.full((120, 160, 3), 200, np.uint8)
    changed = (draw_body(photo, body, model) != photo).any(-1)
    assert changed[55, 60]
    assert not changed[:, 120:].any()
    assert 100 * 160 * 0.02 < changed.sum() < 120 * 160 * 0.4


def test_every_part_has_a_colour_of_its_own_but_for_head_and_torso() -> None:
    colours = {tuple(colour) for colour in part_colours().tolist()}
    assert len(colours) == len(PARTS) - 1


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (400, 300), (1, 1)])
def test_a_picture_made_to_fit_keeps_its_shape(size: tuple[int, int]) -> None:
    fitted = fit_into(np.full((*size, 3), 255, np.uint8), 100, 120)
    assert fitted.shape == (100, 120, 3)
    rows, columns = (fitted == 255).all(-1).nonzero()
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == 100 or width == 120
    assert height / width == pytest.approx(size[0] / size[1], rel=0.05)


def test_a_sheet_holds_every_row() -> None:
    white = np.full((50, 80, 3), 255, np.uint8)
    sheet = contact_sheet([("one", [white]), ("two", [white, white, white])], height=100)
    assert sheet.shape[1] >= 3 * 160
    assert (sheet == 255).all(-1).sum() >= 4 * 100 * 160


def test_a_label_that_is_wider_than_the_sheet_has_more_lines() -> None:
    white = np.full((100, 300, 3), 255, np.uint8)
    one = contact_sheet([("few words", [white])], height=100)
    more = contact_sheet([("many more words than go into one line above a narrow picture " * 2, [white])], height=100)
    assert more.shape[1] == one.shape[1]
    assert more.shape[0] > one.shape[0] + 40
    ink = [(sheet[: len(sheet) - 106].max(-1) > 128).any(0) for sheet in (one, more)]
    assert ink[1].sum() > ink[0].sum()
    assert not ink[1][-4:].any()
