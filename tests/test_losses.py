"""Losses that systems share: each against its formula, and in half precision."""

from types import SimpleNamespace

import made_up_weights
import pytest
import torch

from warpkit.models.features.faces import SphereFace
from warpkit.models.features.vgg import Vgg, unit_distance
from warpkit.models.losses import (
    FaceLoss,
    PerceptualLoss,
    bce,
    lsgan_discriminator,
    lsgan_generator,
    mask_loss,
    total_variation,
)
from warpkit.models.losses.face import PUBLIC_WEIGHTS as FACE_LEVELS
from warpkit.models.losses.perceptual import PUBLIC_WEIGHTS
from warpkit.models.systems.liquid_warping import PRESETS, perceptual_loss


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


def small_vgg(blocks: int = 5) -> Vgg:
    state = {}
    before, generator = 3, torch.Generator().manual_seed(0)
    for block in range(1, blocks + 1):
        state[f"{block}_1.weight"] = torch.randn(4, before, 3, 3, generator=generator) * 0.3
        state[f"{block}_1.bias"] = torch.zeros(4)
        before = 4
    return Vgg(state)


def test_perceptual_loss_is_the_weighted_mean_difference_of_features():
    vgg = small_vgg()
    made, truth = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    made.requires_grad_()
    apart = [(a - b).abs().mean() for a, b in zip(*(vgg(x, vgg.first_of_blocks()) for x in (made, truth)), strict=True)]
    torch.testing.assert_close(PerceptualLoss(vgg)(made, truth), sum(apart))
    public = PerceptualLoss(vgg, PUBLIC_WEIGHTS)
    torch.testing.assert_close(
        public(made, truth), sum(a / w for a, w in zip(apart, (32, 16, 8, 4, 1), strict=True)), rtol=1e-5, atol=1e-7
    )
    assert public(truth, truth) == 0
    public(made, truth).backward()
    assert made.grad.abs().sum() > 0


def test_perceptual_loss_of_unit_vectors_is_the_vgg_distance_of_results():
    vgg = small_vgg()
    made, truth = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    layers = ("relu1_1", "relu3_1")
    loss = PerceptualLoss(vgg, (0.5, 2.0), layers=layers, distance="unit")
    first, second = (
        unit_distance([one], [other]).mean() for one, other in zip(vgg(made, layers), vgg(truth, layers), strict=True)
    )
    torch.testing.assert_close(loss(made, truth), 0.5 * first + 2 * second)
    assert loss(truth, truth) == 0


def test_presets_have_their_perceptual_losses():
    vgg = small_vgg()
    made, truth = torch.rand(2, 1, 3, 48, 48) * 2 - 1
    resized = [torch.nn.functional.interpolate(x, (224, 224), mode="bilinear") for x in (made, truth)]
    plain = [vgg(x, vgg.first_of_blocks(), prepare=False) for x in resized]
    public = sum(w * (a - b).abs().mean() for w, a, b in zip(PUBLIC_WEIGHTS, *plain, strict=True))
    torch.testing.assert_close(perceptual_loss(PRESETS["ipercore"], vgg)(made, truth), public)
    torch.testing.assert_close(perceptual_loss(PRESETS["paper"], vgg)(made, truth), PerceptualLoss(vgg)(made, truth))
    assert perceptual_loss(PRESETS["small"], vgg).distance == "unit"


def test_perceptual_loss_in_bfloat16_has_nearly_the_same_value_and_gradient():
    torch.manual_seed(0)
    made, truth = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    slopes = []
    for bf16 in (False, True):
        start = made.clone().requires_grad_()
        value = PerceptualLoss(small_vgg(), bf16=bf16)(start, truth)
        value.backward()
        slopes.append(start.grad.flatten())
        assert value.dtype == torch.float32
    assert torch.cosine_similarity(*slopes, dim=0) > 0.95
    assert not torch.equal(*slopes)


def test_perceptual_loss_at_224_is_that_of_the_resized_pictures():
    vgg = small_vgg()
    made, truth = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    resized = [torch.nn.functional.interpolate(x, (224, 224), mode="bilinear") for x in (made, truth)]
    torch.testing.assert_close(PerceptualLoss(vgg, size=224)(made, truth), PerceptualLoss(vgg)(*resized))
    assert PerceptualLoss(vgg, size="native")(made, truth) == PerceptualLoss(vgg)(made, truth)
    plain = PerceptualLoss(vgg, prepare=False)(made, truth)
    assert plain != PerceptualLoss(vgg)(made, truth)


def test_perceptual_loss_leaves_out_the_layers_that_a_network_lacks():
    made, truth = torch.rand(2, 1, 3, 32, 32)
    short = PerceptualLoss(small_vgg(4), PUBLIC_WEIGHTS)
    assert short.layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    assert short(made, truth) > 0
    with pytest.raises(ValueError, match="weights: expected 5"):
        PerceptualLoss(small_vgg(), (1.0, 1.0))


def test_face_loss_sees_the_head_and_nothing_else():
    face = FaceLoss(SphereFace(made_up_weights.sphereface(2).state))
    truth = torch.rand(1, 3, 64, 64) * 2 - 1
    box = torch.tensor([[-0.2, -0.8, 0.2, -0.2]])
    below, inside = truth.clone(), truth.clone()
    below[..., 40:, :] = 0
    inside[..., 10:20, 28:36] = 0
    assert face(below, truth, box) == 0
    inside.requires_grad_()
    loss = face(inside, truth, box)
    assert loss > 0
    loss.backward()
    assert inside.grad.abs().sum() > 0
    assert FaceLoss(face.embed, FACE_LEVELS)(inside, truth, box) > 0
    with pytest.raises(ValueError, match="levels: sphereface20a has 5"):
        FaceLoss(face.embed, (1.0,))(inside, truth, box)


@pytest.mark.parametrize(("preset", "levels"), [("paper", None), ("ipercore", FACE_LEVELS)])
def test_the_face_loss_weighs_depths_as_the_preset_does(monkeypatch, preset, levels):
    module = pytest.importorskip("warpkit.models.tasks.training")
    embed = SphereFace(made_up_weights.sphereface(2).state)
    found = SimpleNamespace(network=embed.network, about="made up")
    monkeypatch.setattr(module, "find", lambda part: found if part == "face" else None)
    monkeypatch.setattr(module, "features", lambda part, device: embed)
    critics, _ = module.find_critics(PRESETS[preset], torch.device("cpu"), lambda line: None)
    assert critics.face.levels == levels


def test_a_face_is_cut_in_its_own_aspect_from_a_picture_of_any():
    embed = SphereFace(made_up_weights.sphereface(2).state)
    head = torch.tensor([[-0.1, -0.9, 0.1, -0.5]])
    left, top, right, bottom = embed.box(head, aspect=0.5)[0].tolist()
    assert (right - left) * 0.5 / (bottom - top) == pytest.approx(96 / 112)
