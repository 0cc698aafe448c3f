"""Flow as colour, shares as mixtures, and pictures with their captions."""

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs the extra [person]")

from warpkit.models.media.diagrams import SOURCES, UNKNOWN, draw_depth, draw_mask, draw_overlap, draw_shares
from warpkit.models.media.draw import PAPER
from warpkit.models.media.figures import Figure, _wrapped, figure_sheet, labelled
from warpkit.models.media.flow_wheel import draw_flow, draw_wheel, flow_colours, reach_of, wheel


def test_directions_have_the_colours_of_the_wheel_of_baker_et_al() -> None:
    moves = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1], [0, 0], [0.5, 0], [2, 0]])
    right, down, left, up, stays, half, beyond = flow_colours(moves, reach=1.0)
    torch.testing.assert_close(right, torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(down, torch.tensor([1, 13.5 / 15, 0]))  # of 15 steps from red to yellow
    torch.testing.assert_close(left, torch.tensor([0, 1 - 2 / 11, 1]))  # the second of 11 from cyan to blue
    torch.testing.assert_close(up, torch.tensor([4.5 / 13, 0, 1]))  # of 13 from blue to magenta
    torch.testing.assert_close(stays, torch.ones(3))
    torch.testing.assert_close(half, torch.tensor([1.0, 0.5, 0.5]))
    torch.testing.assert_close(beyond, 0.75 * right)
    assert len(wheel()) == 55


def test_a_turn_of_the_direction_changes_the_colour_little() -> None:
    angles = torch.linspace(0, 2 * torch.pi, 721)
    colours = flow_colours(torch.stack([angles.cos(), angles.sin()], -1), reach=1.0)
    assert (colours[1:] - colours[:-1]).abs().max() < 0.18  # a step of the wheel at most, also where it begins again


def test_the_wheel_that_explains_colours_has_them() -> None:
    picture = draw_wheel(5, side=101)
    assert abs(picture[50, 99].astype(int) - [255, 5, 5]).max() < 8
    assert (picture[0, 0] == np.array(PAPER)).all()


def test_a_wheel_reaches_a_round_number_beyond_nearly_all_moves() -> None:
    lengths = torch.linspace(0, 73, 1000)
    moves = torch.stack([lengths, torch.zeros(1000)], -1)
    everywhere = torch.ones(1000, dtype=torch.bool)
    assert reach_of(moves, everywhere) == 80
    moves[0] = 1e6  # one of a thousand
    assert reach_of(moves, everywhere) == 80
    assert reach_of(0 * moves, everywhere) == reach_of(moves, ~everywhere) == 1


def test_flow_that_is_not_visible_is_dark_and_what_stays_is_white() -> None:
    picture = draw_flow(torch.zeros(1, 2, 2), torch.tensor([[True, False]]), reach=1.0)
    assert picture.tolist() == [[[255, 255, 255], list(PAPER)]]


def test_shares_mix_the_colours_of_their_sources() -> None:
    shares = torch.tensor([[[1.0, 0.0, 0.5, 0.0, 0.0]], [[0.0, 1.0, 0.5, 0.0, 0.0]]])
    rest = torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0]])
    one, other = np.array(SOURCES[0]), np.array(SOURCES[1])
    expected = [one, other, (one + other) / 2, np.array(UNKNOWN), np.array(PAPER)]
    np.testing.assert_allclose(draw_shares(shares, rest)[0], expected, atol=0.51)


def test_masks_agree_or_say_whose_a_pixel_is() -> None:
    one, other = torch.tensor([[True, True, False, False]]), torch.tensor([[True, False, True, False]])
    assert len({tuple(pixel) for pixel in draw_overlap(one, other)[0].tolist()}) == 4
    assert draw_mask(torch.tensor([[0.0, 0.5, 1.0]]))[0, :, 0].tolist() == [0, 128, 255]


def test_the_nearest_is_white() -> None:
    from warpkit import Fragments

    index = torch.tensor([[[0, 0, -1]]], dtype=torch.int32)
    depth = torch.tensor([[[0.5, 0.1, torch.inf]]])
    drawn = draw_depth(Fragments(index, torch.zeros(1, 1, 3, 3), depth))
    assert drawn[0, :, 0].tolist() == [60, 255, PAPER[0]]


def picture(height: int = 40, width: int = 30, grey: int = 200) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def test_a_labelled_figure_holds_its_picture_as_it_is() -> None:
    key = picture(20, 20, 90)
    figure = Figure("a", "A title", "A caption that says something.", picture(), (("one", (1, 200, 3)),), key)
    made = labelled(figure, "Heading")
    assert made.shape[1] >= 360
    for part in (figure.image, key):
        grey = part[0, 0, 0]
        windows = np.lib.stride_tricks.sliding_window_view((made == grey).all(-1), part.shape[:2])
        assert windows.all((2, 3)).sum() == 1
    assert (made == np.array([1, 200, 3])).all(-1).sum() > 50


def test_a_sheet_shows_every_figure_and_only_what_is_in_focus() -> None:
    greys = range(100, 160, 5)
    figures = []
    for grey in greys:
        image = picture(60, 60, grey)
        image[:, 40:] = (250, 0, 250)
        figures.append(Figure(str(grey), "A figure", "Words " * 12, image, focus=(0, 0, 60, 40)))
    made = figure_sheet("Sheet", [("Some", figures[:5]), ("More", figures[5:])], height=60, columns=4)
    for grey in greys:
        assert (made == grey).all(-1).sum() == 60 * 40
    assert not (made == np.array([250, 0, 250])).all(-1).any()


def test_lines_are_no_longer_than_their_room() -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(12)
    lines = _wrapped("What the landmark network found, hollow where it is unsure.", font, 150)
    assert len(lines) > 1
    assert all(font.getlength(line) <= 150 for line in lines)
    assert " ".join(lines) == "What the landmark network found, hollow where it is unsure."


def test_a_picture_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        Figure("a", "A", "", np.zeros((4, 4, 3)))
