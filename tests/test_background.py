"""Filled backgrounds: claims on pictures whose hidden part is known."""

import math

import pytest
import torch
from torch import Tensor

from warpkit.models.geometric import background
from warpkit.models.geometric.background import extend_frame, fill_background, person_hole


@pytest.fixture(params=[background.SPARSE, 0], ids=["every patch", "every second row and column"])
def sparse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SPARSE", request.param)


def _stripes(height: int = 96, width: int = 96, period: int = 8) -> Tensor:
    """A sharp texture of the given period both ways."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    one = torch.sign(torch.sin((x + 0.5) * 2 * math.pi / period)) * 0.6
    two = torch.sign(torch.sin((y + 0.5) * 2 * math.pi / period)) * 0.3
    return torch.stack([one, two, (one + two) / 2])


def _hole(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[rows, columns] = True
    return hole


@pytest.mark.usefixtures("sparse")
def test_a_periodic_texture_is_continued() -> None:
    picture = _stripes()
    hole = _hole(96, 96, slice(30, 66), slice(40, 60))
    filled = fill_background(picture.masked_fill(hole, 1.0), hole)
    assert (filled - picture)[:, hole].abs().mean() < 0.05


def test_a_constant_picture_stays_constant() -> None:
    picture = torch.tensor([0.3, -0.5, 0.1])[:, None, None].expand(3, 64, 80).contiguous()
    hole = _hole(64, 80, slice(10, 50), slice(30, 50))
    assert (fill_background(picture.masked_fill(hole, -1.0), hole) - picture).abs().max() < 1e-4


@pytest.mark.usefixtures("sparse")
def test_a_gradient_is_continued_without_a_seam() -> None:
    x = torch.linspace(-0.8, 0.8, 96)
    picture = (x[None] + 0.3 * x[:, None]).expand(3, 96, 96).contiguous().clamp(-1, 1)
    hole = _hole(96, 96, slice(20, 90), slice(36, 60))
    difference = (fill_background(picture.masked_fill(hole, 1.0), hole) - picture)[:, hole].abs()
    assert difference.mean() < 0.04
    assert difference.max() < 0.2


def test_what_is_known_is_not_touched() -> None:
    picture = _stripes()
    hole = _hole(96, 96, slice(20, 60), slice(0, 40))
    assert torch.equal(fill_background(picture, hole)[:, ~hole], picture[:, ~hole])


def test_what_is_in_the_hole_is_not_looked_at() -> None:
    picture = _stripes()
    hole = _hole(96, 96, slice(20, 70), slice(30, 60))
    assert torch.equal(
        fill_background(picture.masked_fill(hole, 1.0), hole), fill_background(picture.masked_fill(hole, -1.0), hole)
    )


@pytest.mark.usefixtures("sparse")
def test_a_hole_may_touch_the_border() -> None:
    picture = _stripes()
    hole = _hole(96, 96, slice(50, 96), slice(40, 62))
    filled = fill_background(picture.masked_fill(hole, 1.0), hole)
    assert (filled - picture)[:, hole].abs().mean() < 0.1


@pytest.mark.usefixtures("sparse")
def test_a_hole_is_filled_to_its_depth() -> None:
    picture = _stripes(40, 640) * 0.2 + 0.7
    hole = _hole(40, 640, slice(0, 40), slice(20, 600))
    filled = fill_background(picture.masked_fill(hole, -1.0), hole)
    assert filled[:, hole].min() > 0.4


def test_layers_stay_in_their_rows() -> None:
    picture = torch.full((3, 96, 128), -0.5)
    picture[:, :48] = 0.5
    hole = _hole(96, 128, slice(10, 90), slice(50, 80))
    assert (fill_background(picture.masked_fill(hole, 0.0), hole) - picture)[:, hole].abs().mean() < 0.02


def test_without_a_hole_nothing_changes() -> None:
    picture = _stripes()
    assert torch.equal(fill_background(picture, torch.zeros(96, 96)), picture)


def test_everything_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="hole covers the whole picture"):
        fill_background(_stripes(), torch.ones(96, 96))


def test_slivers_of_known_picture_are_refused() -> None:
    hole = torch.ones(96, 96)
    hole[:, 3:6] = 0
    with pytest.raises(ValueError, match="patch of the picture is known"):
        fill_background(_stripes(), hole)


def test_the_seed_decides() -> None:
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    hole = _hole(64, 64, slice(10, 50), slice(20, 45))
    first = fill_background(picture, hole, seed=3)
    assert torch.equal(first, fill_background(picture, hole, seed=3))
    assert not torch.equal(first, fill_background(picture, hole, seed=4))


def test_a_frame_is_extended_all_round() -> None:
    picture = _stripes(128, 128)
    window = (-16, -16, 144, 144)
    extended = extend_frame(picture, window)
    truth = _stripes(160, 160)  # 16 is two periods
    assert extended.shape == (3, 160, 160)
    assert torch.equal(extended[:, 16:144, 16:144], picture)
    assert (extended - truth).abs().mean() < 0.1


def test_a_window_inside_is_a_crop() -> None:
    picture = _stripes()
    assert torch.equal(extend_frame(picture, (10, 20, 50, 90)), picture[:, 20:90, 10:50])


@pytest.mark.usefixtures("sparse")
def test_a_window_and_a_hole_are_filled_together() -> None:
    picture = _stripes(128, 128)
    hole = _hole(128, 128, slice(40, 128), slice(50, 70))
    extended = extend_frame(picture.masked_fill(hole, 1.0), (0, 0, 128, 144), hole=hole)
    assert (extended - _stripes(144, 128)).abs().mean() < 0.05


@pytest.mark.usefixtures("sparse")
@pytest.mark.parametrize("size", [(20, 33), (31, 9), (64, 65)])
def test_odd_sizes_are_filled(size: tuple[int, int]) -> None:
    height, width = size
    hole = _hole(height, width, slice(height - 5, height), slice(0, 3))
    filled = fill_background(torch.zeros(3, height, width), hole)
    assert filled.shape == (3, height, width)
    assert filled.abs().max() < 1e-5


def test_the_hole_of_a_person_is_wider_and_without_narrow_gaps() -> None:
    alpha = torch.zeros(200, 100)
    alpha[10:120, 30:60] = 1
    alpha[120:190, 30:42] = alpha[120:190, 48:60] = 1  # two legs
    hole = person_hole(alpha)
    assert hole[alpha > 0.5].all()
    assert hole[150, 45]
    assert hole[50, 28]
    assert not hole[50, 20]
    assert not hole[:, :20].any()


def test_a_person_at_the_border_leaves_a_hole_to_the_border() -> None:
    alpha = torch.zeros(100, 60)
    alpha[20:, 20:40] = 1
    assert person_hole(alpha)[99, 25:35].all()


def test_nobody_leaves_no_hole() -> None:
    assert not person_hole(torch.zeros(30, 30)).any()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"image must be \[3, H, W\]"):
        fill_background(torch.zeros(1, 3, 20, 20), torch.zeros(20, 20))
    with pytest.raises(ValueError, match="hole must be"):
        fill_background(torch.zeros(3, 20, 20), torch.zeros(20, 21))
    with pytest.raises(ValueError, match="window must be"):
        extend_frame(torch.zeros(3, 20, 20), (5, 5, 5, 9))
    with pytest.raises(ValueError, match=r"alpha must be \[H, W\]"):
        person_hole(torch.zeros(1, 20, 20))
