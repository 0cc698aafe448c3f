"""Liquid Warping GAN with Attention: sizes of its parts, and what goes in and comes out."""

from dataclasses import replace

import pytest
import torch
from liquid_warping_scene import scene
from torch.utils.flop_counter import FlopCounterMode

from warpkit.models.systems.liquid_warping import PRESETS, build


def millions(*modules):
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


def tiny(fusion="attention", **changes):
    """The paper's preset with few channels."""
    return build(replace(PRESETS["paper"], fusion=fusion, width=8, discriminator_width=4, **changes))


@pytest.mark.parametrize("preset", ["paper", "ipercore"])
def test_parts_have_the_public_codes_sizes(preset):
    system = build(preset)
    generator, blocks = system.generator, system.generator.transfer.fusions
    assert len(blocks) == 9
    assert millions(generator.background) == pytest.approx(8.54, abs=0.01)
    assert millions(generator.source) == pytest.approx(9.16, abs=0.01)
    assert millions(generator.transfer) - millions(blocks) == pytest.approx(10.27, abs=0.01)
    assert millions(blocks) == pytest.approx(8.31, abs=0.01)
    for name in ("global", "body", "head"):
        assert millions(system.discriminators[name]) == pytest.approx(6.96, abs=0.01)


def test_small_keeps_within_its_parameters_and_multiplications():
    system = build("small").eval()
    assert millions(system.generator) <= 12
    batch = scene(system, sources=4, size=(128, 128))
    with torch.no_grad():
        sources = system.encode_sources(batch)
        with FlopCounterMode(display=False) as counter:
            system.render(sources, batch)
    giga = counter.get_total_flops() / 2e9 * (512 / 128) ** 2
    # what the attention op multiplies, which the counter does not know: a score and a sum a source and channel
    giga += sum(2 * 4 * level.shape[2] * level.shape[-1] * level.shape[-2] for level in sources.features) * 16e-9
    assert 20 < giga <= 26


@pytest.mark.parametrize("size", [(64, 48), (40, 72), (256, 192)])
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_any_size_of_multiples_of_eight(preset, size):
    system = (build("small") if preset == "small" else tiny()).eval()
    batch = scene(system, size=size)
    with torch.no_grad():
        rendered = system.render(system.encode_sources(batch), batch)
    assert rendered.image.shape == (1, 3, *size)
    assert rendered.alpha.shape == (1, 1, *size)
    assert rendered.image.isfinite().all()
    assert rendered.image.abs().amax() <= 1 + 1e-5


@pytest.mark.parametrize("fusion", ["attention", "add", "gate_mean", "texture", "concat"])
def test_fresh_networks_let_what_they_are_shown_through(fusion):
    """By PyTorch's own start hundredths of it are left in all strategies but the one that normalises."""
    torch.manual_seed(0)
    system = build(replace(PRESETS["paper"], fusion=fusion, width=16))
    stream, sizes = system.generator.transfer, []
    for layer in (*stream.encoder, *stream.blocks, *stream.decoder):
        layer.register_forward_hook(lambda module, given, made: sizes.append(float(made.std())))
    batch = scene(system, sources=2, size=(64, 64))
    with torch.no_grad():
        system.render(system.encode_sources(batch), batch)
    assert min(sizes) > 0.15


@pytest.mark.parametrize(
    ("field", "value"),
    [("mask_loss", "sqare"), ("mask", "people"), ("layers", "tiny"), ("visibility", "all"), ("width", "wide")],
)
def test_a_misspelt_setting_is_refused_from_python_too(field, value):
    with pytest.raises(ValueError, match=f"{field}: expected"):
        replace(PRESETS["paper"], **{field: value})
