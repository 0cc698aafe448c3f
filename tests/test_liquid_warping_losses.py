"""Losses and discriminators of Liquid Warping GAN with Attention."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from liquid_warping_scene import scene

from warpkit.models.layers import PatchDiscriminator, crop
from warpkit.models.systems.liquid_warping import PRESETS, STRATEGIES, Critics, absent, build, total
from warpkit.models.systems.liquid_warping.losses import looked_at

CRITICS = Critics(
    perceptual=lambda made, truth: (made - truth).square().mean(),
    face=lambda made, truth, box: (crop(made, box, (16, 16)) - crop(truth, box, (16, 16))).abs().mean(),
)


def tiny(preset="paper", **changes):
    torch.manual_seed(0)
    narrow = {} if preset == "small" else {"width": 8}
    return build(replace(PRESETS[preset], discriminator_width=4, **narrow, **changes))


def rendered_by(system, **options):
    batch = scene(system, **options)
    return system.render(system.encode_sources(batch), batch), batch


@pytest.mark.parametrize("preset", PRESETS)
def test_terms_are_those_the_preset_weighs(preset):
    system = tiny(preset)
    rendered, batch = rendered_by(system)
    terms = system.losses(rendered, batch, "generator", CRITICS, adversarial=True)
    expected = {name for name, weight in vars(PRESETS[preset].weights).items() if weight}
    assert set(terms) == expected
    assert all(term.isfinite() and term >= 0 for term in terms.values())
    torch.testing.assert_close(total(terms), torch.stack(list(terms.values())).sum())
    assert set(system.losses(rendered, batch, "discriminator", adversarial=True)) == set(system.discriminators)


def test_weights_of_the_paper_are_those_of_equation_7():
    weights = PRESETS["paper"].weights
    assert (weights.perceptual, weights.source, weights.face, weights.mask, weights.smooth) == (10, 10, 5, 2.5, 2.5)
    assert weights.adversarial == 1


def test_terms_do_not_depend_on_what_is_known_of_the_background():
    system = tiny("small")
    rendered, batch = rendered_by(system)
    known = system.losses(rendered, batch, "generator", CRITICS)
    unknown = system.losses(rendered, replace(batch, plate=None), "generator", CRITICS)
    assert unknown.keys() == known.keys()  # several processes add them up
    assert unknown["background"] == 0 < known["background"]


def test_every_term_is_its_formula():
    system = tiny()
    rendered, batch = rendered_by(system, people=2)
    terms = system.losses(rendered, batch, "generator", CRITICS)
    square = F.mse_loss(rendered.alpha, batch.target_silhouette)
    square = square + F.mse_loss(rendered.source_alphas, batch.source_silhouette)
    torch.testing.assert_close(terms["mask"], 2.5 * square)
    steps = [a.diff(dim=axis).square().mean() for a in (rendered.alpha, rendered.source_alphas) for axis in (-1, -2)]
    torch.testing.assert_close(terms["smooth"], 2.5 * sum(steps))
    torch.testing.assert_close(terms["source"], 10 * F.l1_loss(rendered.source_images, batch.sources.image))
    seen = looked_at(system.discriminators, rendered.image, batch)
    torch.testing.assert_close(terms["adversarial"], sum(judge(picture).square().mean() for judge, picture in seen))


def test_target_mask_of_ipercore_is_drawn_to_alpha_by_cross_entropy():
    system = tiny("ipercore")
    rendered, batch = rendered_by(system)
    terms = system.losses(rendered, batch, "generator")
    expected = F.binary_cross_entropy(rendered.alpha, batch.target_alpha)
    expected = expected + F.binary_cross_entropy(rendered.source_alphas, batch.sources.alpha)
    torch.testing.assert_close(terms["mask"], 5 * expected)


def test_masks_of_ipercore_mean_background():
    """The same weights: what the one preset calls the person the other calls the background."""
    paper, public = tiny(condition="uv_flat"), tiny("ipercore", visibility="pixel", flow_resize="masked")
    public.load_state_dict(paper.state_dict())
    rendered, batch = rendered_by(paper.eval())
    other = public.eval().render(public.encode_sources(batch), batch)
    torch.testing.assert_close(rendered.alpha, 1 - other.alpha)
    torch.testing.assert_close(other.image, other.alpha * other.colour + (1 - other.alpha) * other.background)


@pytest.mark.parametrize("fusion", STRATEGIES)
@pytest.mark.parametrize("stage", ["generator", "discriminator"])
def test_a_stage_trains_its_own_networks_alone_and_all_of_them(fusion, stage):
    system = tiny(fusion=fusion)
    rendered, batch = rendered_by(system)
    total(system.losses(rendered, batch, stage, CRITICS)).backward()
    own, other = system.generator, system.discriminators
    if stage == "discriminator":
        own, other = other, own
    assert all(p.grad is None for p in other.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in own.parameters())


def test_small_trains_all_of_its_generator():
    system = tiny("small")
    rendered, batch = rendered_by(system)
    with torch.no_grad():  # past its start, where the last convolutions are zero and let nothing back
        system.generator.transfer.heads.weight.normal_(std=0.1)
        system.generator.background.colour.weight.normal_(std=0.1)
    rendered, batch = rendered_by(system)
    total(system.losses(rendered, batch, "generator", CRITICS)).backward()
    missing = [name for name, p in system.generator.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize("preset", PRESETS)
def test_training_runs_in_bfloat16(preset):
    system = tiny(preset)
    batch = scene(system)  # bodies and conditions are geometry: outside
    with torch.autocast("cpu", torch.bfloat16):
        rendered = system.render(system.encode_sources(batch), batch)
        terms = system.losses(rendered, batch, "generator", CRITICS, adversarial=True)
    assert rendered.image.dtype == torch.float32
    total(terms).backward()
    assert all(p.grad.isfinite().all() for p in system.generator.parameters() if p.grad is not None)


def test_reconstructed_sources_that_only_fill_up_the_batch_do_not_count():
    system = tiny()
    rendered, batch = rendered_by(system)
    valid = torch.tensor([[True, False]])
    partly = replace(batch, sources=replace(batch.sources, valid=valid))
    expected = 10 * F.l1_loss(rendered.source_images[:, 0], batch.sources.image[:, 0])
    torch.testing.assert_close(system.losses(rendered, partly, "generator")["source"], expected)


def test_absent_critics_are_named_and_their_terms_left_out():
    system = tiny()
    rendered, batch = rendered_by(system)
    assert absent(system.preset, None) == ["perceptual", "face"]
    assert absent(system.preset, CRITICS) == []
    assert not {"perceptual", "face"} & set(system.losses(rendered, batch, "generator"))


def test_small_leaves_its_discriminators_out_until_told():
    system = tiny("small")
    rendered, batch = rendered_by(system)
    assert "adversarial" not in system.losses(rendered, batch, "generator")
    assert system.losses(rendered, batch, "discriminator") == {}


def test_a_batch_without_its_truth_is_refused():
    system = tiny("ipercore")
    rendered, batch = rendered_by(system)
    with pytest.raises(ValueError, match="no target_image"):
        system.losses(rendered, replace(batch, target_image=None), "generator")
    with pytest.raises(ValueError, match="no target_alpha"):
        system.losses(rendered, replace(batch, target_alpha=None), "generator")
    with pytest.raises(ValueError, match="stage: expected"):
        system.losses(rendered, batch, "both")


def test_crop_reads_its_box():
    image = torch.arange(2 * 3 * 8 * 12, dtype=torch.float32).view(2, 3, 8, 12)
    box = torch.tensor([[-0.5, 0.0, 0.5, 1.0], [-1.0, -1.0, 1.0, 1.0]])
    torch.testing.assert_close(crop(image[:1], box[:1], (4, 6)), image[:1, :, 4:, 3:9])
    torch.testing.assert_close(crop(image[1:], box[1:], (8, 12)), image[1:])


def test_discriminators_see_picture_and_condition_in_the_boxes():
    system = tiny()
    _, batch = rendered_by(system, size=(256, 256))
    seen = looked_at(system.discriminators, batch.target_image, batch)
    assert [picture.shape for _, picture in seen] == [(1, 6, 256, 256), (1, 6, 128, 128), (1, 6, 64, 64)]
    torch.testing.assert_close(seen[0][1], torch.cat([batch.target_image, batch.target_condition], 1))
    on_body = [(picture[:, 5] < 0.5).float().mean() for _, picture in seen]
    assert on_body[0] < on_body[1] < on_body[2]  # the closer the box, the more of the body
    edge = seen[1][1][:, 5]
    assert (torch.cat([edge[:, 0], edge[:, -1], edge[:, :, 0], edge[:, :, -1]], 1) > 0.5).all()  # none of it cut off


def test_a_patch_is_as_wide_as_the_public_codes():
    judge = PatchDiscriminator(3, 4).double()
    with torch.no_grad():
        for p in judge.parameters():  # so that no path cancels another, nor normalisation or slope hides one
            p.fill_(0.1)
    x = torch.zeros(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    reach, strides = 1, (2, 2, 2, 2, 1, 1)
    for stride in strides[::-1]:
        reach = (reach - 1) * stride + 4
    assert reach == 142
    score = x
    for layer in (*judge.convs, judge.score):
        score = layer(score)
    score[0, 0, 7, 7].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == reach
