"""The person's edge: claims on pictures whose alpha and layers are known exactly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit.models.geometric.matte import estimate_foreground, refine_alpha

SIZE = 200


def _blur(x: Tensor, radius: int) -> Tensor:
    for _ in range(2):
        x = F.avg_pool2d(F.pad(x[None], (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)[0]
    return x


def _person() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A soft-edged figure with thin arms: alpha, its colours, a background, and a coarse network's mask."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    body = ((x - 100).abs() < 25) & ((y - 105).abs() < 70)
    head = (x - 100) ** 2 + (y - 30) ** 2 < 18**2
    arms = ((y - 80).abs() < 6) & ((x - 100).abs() < 60)
    alpha = _blur((body | head | arms).float()[None], 1)[0]
    random = torch.Generator().manual_seed(0)
    texture = _blur(torch.randn(3, SIZE, SIZE, generator=random), 2) * 0.15
    front = torch.tensor([0.5, -0.2, -0.4])[:, None, None] + texture
    back = torch.tensor([-0.5, 0.4, -0.3])[:, None, None] + texture.flip(2)
    mask = F.interpolate(alpha[None, None], scale_factor=1 / 8, mode="area")
    mask = F.interpolate(mask, size=alpha.shape, mode="bilinear", align_corners=False)[0, 0]
    return alpha, front.clamp(-1, 1), back.clamp(-1, 1), mask


@pytest.fixture(scope="module")
def person() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _person()


def _compose(alpha: Tensor, front: Tensor, back: Tensor) -> Tensor:
    return alpha * front + (1 - alpha) * back


def test_alpha_is_recovered_far_better_than_the_mask_says(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, mask = person
    refined = refine_alpha(_compose(alpha, front, back), mask, band=0.04)
    edge = (mask > 0.02) & (mask < 0.98)
    assert (refined - alpha)[edge].abs().mean() < 0.25 * (mask - alpha)[edge].abs().mean()
    assert (refined - alpha)[~edge].abs().max() < 0.02


def test_a_working_size_below_the_pictures_keeps_the_edge(
    person: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, front, back, mask = person
    monkeypatch.setattr("warpkit.models.geometric.matte.WORKING_HEIGHT", 90)
    refined = refine_alpha(_compose(alpha, front, back), mask, band=0.04)
    edge = (mask > 0.02) & (mask < 0.98)
    assert (refined - alpha)[edge].abs().mean() < 0.4 * (mask - alpha)[edge].abs().mean()


def test_alpha_stays_between_nothing_and_all(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, mask = person
    refined = refine_alpha(_compose(alpha, front, back), mask)
    assert refined.shape == alpha.shape
    assert refined.min() >= 0
    assert refined.max() <= 1


def test_no_person_has_no_alpha(person: tuple[Tensor, ...]) -> None:
    _, front, _, mask = person
    assert torch.equal(refine_alpha(front, mask * 0.1), torch.zeros_like(mask))


def test_a_person_who_fills_the_picture_stays_whole(person: tuple[Tensor, ...]) -> None:
    _, front, _, mask = person
    assert torch.equal(refine_alpha(front, torch.ones_like(mask)), torch.ones_like(mask))


def test_a_person_cut_by_the_border_is_refined_there_too(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, mask = (x[..., 60:120] for x in person)
    refined = refine_alpha(_compose(alpha, front, back), mask, band=0.04)
    edge = (mask > 0.02) & (mask < 0.98)
    assert (refined - alpha)[edge].abs().mean() < 0.5 * (mask - alpha)[edge].abs().mean()


def test_foreground_colours_are_free_of_background_in_the_band(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, _ = person
    image = _compose(alpha, front, back)
    found = estimate_foreground(image, alpha)
    band = (alpha > 0.05) & (alpha < 0.95)
    assert (found - front)[:, band].abs().mean() < 0.1
    assert (found - front)[:, band].abs().mean() < 0.4 * (image - front)[:, band].abs().mean()


def test_foreground_colours_continue_beyond_the_edge(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, _ = person
    found = estimate_foreground(_compose(alpha, front, back), alpha)
    around = (F.max_pool2d(alpha[None], 17, stride=1, padding=8)[0] > 0.5) & (alpha == 0)
    difference = (found - front)[:, around].abs().mean()
    assert difference < 0.2 * (back - front)[:, around].abs().mean()


def test_foreground_inside_is_the_picture(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, _ = person
    image = _compose(alpha, front, back)
    inside = alpha == 1
    assert (estimate_foreground(image, alpha) - image)[:, inside].abs().max() < 1e-4


def test_a_known_background_helps(person: tuple[Tensor, ...]) -> None:
    alpha, front, back, _ = person
    image = _compose(alpha, front, back)
    band = (alpha > 0.05) & (alpha < 0.95)
    guessed = (estimate_foreground(image, alpha) - front)[:, band].abs().mean()
    assert (estimate_foreground(image, alpha, back) - front)[:, band].abs().mean() < guessed


def test_without_a_person_the_foreground_is_the_picture(person: tuple[Tensor, ...]) -> None:
    alpha, front, _, _ = person
    assert torch.equal(estimate_foreground(front, torch.zeros_like(alpha)), front)


@pytest.mark.parametrize("function", [refine_alpha, estimate_foreground])
def test_shapes_that_do_not_fit_are_named(function: object) -> None:
    with pytest.raises(ValueError, match=r"image must be \[3, H, W\]"):
        function(torch.zeros(1, 3, 8, 8), torch.zeros(8, 8))  # type: ignore[operator]
    with pytest.raises(ValueError, match="like the image"):
        function(torch.zeros(3, 8, 8), torch.zeros(8, 9))  # type: ignore[operator]
