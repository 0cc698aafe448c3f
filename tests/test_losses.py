"""Losses that systems share: each against its formula, and in half precision."""

import pytest
import torch

from warpkit.models.losses import bce, lsgan_discriminator, lsgan_generator, mask_loss, total_variation


def test_lsgan_targets_are_minus_one_one_and_nought():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 1.0])
    assert lsgan_discriminator(real, fake) == (0 + 4) / 2 + (0 + 4) / 2
    assert lsgan_generator(torch.tensor([0.0, 2.0, -2.0, 0.0])) == 2


def test_masks_are_compared_by_means_over_pixels():
    alpha, truth = torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
    assert mask_loss(alpha, truth) == 0.125
    torch.testing.assert_close(bce(alpha, truth), torch.tensor(2.0).log() / 2)


def test_total_variation_of_a_step():
    alpha = torch.zeros(1, 1, 4, 4)
    alpha[..., 2:] = 0.5
    assert total_variation(alpha) == 4 * 0.25 / 12
    assert total_variation(alpha, "absolute") == 4 * 0.5 / 12
    assert total_variation(torch.full((1, 1, 4, 4), 0.3)) == 0
    with pytest.raises(ValueError, match="kind: expected 'square'"):
        total_variation(alpha, "l1")


def test_masks_are_judged_in_float32_under_autocast():
    alpha = torch.rand(1, 1, 8, 8, requires_grad=True)
    truth = torch.rand(1, 1, 8, 8).round()
    expected = bce(alpha, truth)
    with torch.autocast("cpu", torch.bfloat16):
        made = bce(alpha, truth)
    assert made.dtype == torch.float32
    assert made == expected
    bce(torch.zeros(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2)).backward()
