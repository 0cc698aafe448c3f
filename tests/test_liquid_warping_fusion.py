"""The ways to carry the sources over: each against its formula, and what hidden or missing sources may do."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from liquid_warping_scene import body, scene

from warpkit import Flow
from warpkit.models.batch import make_batch
from warpkit.models.systems.liquid_warping import PRESETS, STRATEGIES, build
from warpkit.models.systems.liquid_warping.inputs import LevelFlows

FEATURES = [name for name, strategy in STRATEGIES.items() if strategy.block]


def case(sources=3, channels=6, size=(10, 8)):
    torch.manual_seed(0)
    target = torch.randn(2, channels, *size, dtype=torch.float64)
    features = torch.randn(2, sources, channels, 7, 9, dtype=torch.float64)
    grid = torch.rand(2, sources, *size, 2, dtype=torch.float64) * 2.2 - 1.1
    valid = torch.ones(2, sources, dtype=torch.bool)
    return target, features, Flow(grid), valid


def block(name, channels=6):
    torch.manual_seed(1)
    return STRATEGIES[name].block(channels).double()


def sampled(features, flow):
    """BS(X_s, T_s) for every source, by torch alone."""
    flat = F.grid_sample(features.flatten(0, 1), flow.grid.flatten(0, 1), align_corners=False)
    return flat.unflatten(0, features.shape[:2])


def conv(layer, x):
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.padding)


def test_attention_is_algorithm_2_written_out():
    target, features, flow, valid = case()
    fuse = block("attention")
    warped = sampled(features, flow)  # 1
    query = conv(fuse.attention.query, target)  # 2
    keys = torch.stack([conv(fuse.attention.key, warped[:, s]) for s in range(3)], 1)  # 3
    values = torch.stack([conv(fuse.attention.value, warped[:, s]) for s in range(3)], 1)  # 4
    scores = (query[:, None] * keys).sum(2, keepdim=True) / math.sqrt(keys.shape[2])
    mixed = (scores.softmax(1) * values).sum(1)  # 5
    hidden = conv(fuse.spade.shared, mixed).relu()
    spread, mean = torch.var_mean(target, (2, 3), unbiased=False, keepdim=True)
    normal = (target - mean) / (spread + 1e-5).sqrt()
    expected = normal * (1 + conv(fuse.spade.gamma, hidden)) + conv(fuse.spade.beta, hidden)  # 6
    torch.testing.assert_close(fuse(target, features, flow, valid), expected, atol=1e-10, rtol=1e-10)


def test_adain_variant_is_its_formulas_written_out():
    target, features, flow, valid = case()
    fuse = block("attention_adain")
    warped = sampled(features, flow)
    query = conv(fuse.query, target).mean((2, 3))
    keys = torch.stack([conv(fuse.key, warped[:, s]).mean((2, 3)) for s in range(3)], 1)
    values = torch.stack([conv(fuse.value, warped[:, s]) for s in range(3)], 1)
    scores = (query[:, None] * keys).sum(2) / math.sqrt(target[0].numel())
    style = (scores.softmax(1)[:, :, None, None, None] * values).sum(1)
    normal = (target - target.mean(1, keepdim=True)) / target.std(1, keepdim=True)
    expected = normal * style.std(1, keepdim=True) + style.mean(1, keepdim=True)
    # the constants that keep both roots from zero
    torch.testing.assert_close(fuse(target, features, flow, valid), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("name", "mean"), [("add", False), ("mean", True), ("gate_add", False), ("gate_mean", True)])
def test_sums_and_means_are_their_equations(name, mean):
    target, features, flow, valid = case()
    fuse = block(name)
    warped = sampled(features, flow)
    carried = warped.mean(1) if mean else warped.sum(1)
    if name.startswith("gate"):
        inner, outer = fuse.gate[0], fuse.gate[2]
        carried = torch.sigmoid(conv(outer, conv(inner, target).relu())) * carried
    torch.testing.assert_close(fuse(target, features, flow, valid), target + carried, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", FEATURES)
def test_blocks_have_gradients_for_target_and_sources(name):
    target, features, flow, valid = case()
    target.requires_grad_()
    features.requires_grad_()
    hidden = Flow(flow.grid, torch.zeros(flow.grid.shape[:-1], dtype=torch.bool))
    for each in (flow, hidden):
        block(name)(target, features, each, valid).square().sum().backward()
        assert target.grad.isfinite().all()
        assert features.grad.isfinite().all()
    assert features.grad.abs().sum() > 0


def places(height, width):
    """Each pixel's own place, [1, 1, height, width, 2]."""
    theta = torch.eye(2, 3)[None]
    return F.affine_grid(theta, [1, 1, height, width], align_corners=False)[None]


def test_what_is_hidden_never_bleeds_into_a_coarser_level():
    own = places(32, 32)
    visible = own.norm(dim=-1) < 0.7
    grid = torch.where(visible[..., None], own, -2.0)
    valid = torch.ones(1, 1, dtype=torch.bool)
    for flow, everything in ((Flow(grid, visible), False), (Flow(grid), True), (Flow(grid, visible | True), True)):
        for size in ((16, 16), (8, 8), (11, 7)):
            level = LevelFlows(flow, valid, "masked", everything)(size).grid
            beside = (level == -2).all(-1)
            assert 0 < beside.sum() < beside.numel()
            torch.testing.assert_close(level[~beside], places(*size)[~beside], atol=1e-5, rtol=0)
    public = LevelFlows(Flow(grid), valid, "bilinear", True)((11, 7)).grid
    wrong = ((public - places(11, 7)).abs().amax(-1) > 0.3) & (public > -1.9).any(-1)
    assert wrong.any()  # where it averages the -2 with places


@pytest.mark.parametrize("mode", ["masked", "bilinear"])
def test_what_a_source_may_not_give_is_left_out_of_every_level(mode):
    own = places(32, 32)
    upper, body = own[..., 1] < 0, own.norm(dim=-1) < 0.9
    visible = torch.cat([body & upper, body & ~upper], 1)  # two sources, each of a half
    grid = torch.where(visible[..., None], own, -2.0)
    valid = torch.ones(1, 2, dtype=torch.bool)
    for everything in (False, True):
        level = LevelFlows(Flow(grid, visible), valid, mode, everything)((8, 8)).visible[0]
        assert level[:, 1, 4].tolist() == [True, False]
        assert level[:, 6, 4].tolist() == [False, True]
        assert level[:, 0, 0].tolist() == [everything, everything]  # beside the body


def tiny(name, **changes):
    return build(replace(PRESETS["paper"], fusion=name, width=8, **{"concat_sources": 8, **changes})).eval()


WAYS = [{}, {"visibility": None}, {"visibility": None, "flow_resize": "bilinear"}]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("way", WAYS, ids=["visible", "everything", "public"])
def test_a_filler_source_changes_nothing(name, way):
    torch.manual_seed(0)
    system = tiny(name, **way)
    batch = scene(system, sources=2)
    sources = batch.sources
    lost = torch.full_like(sources.image, math.nan)
    valid = torch.tensor([[True, False]])
    partly = replace(sources, image=torch.where(valid[..., None, None, None], sources.image, lost), valid=valid)
    with_filler, alone = (
        make_batch(each, batch.target_vertices, body(), system.condition(body()), visibility=system.visibility)
        for each in (partly, sources[:1])
    )
    with torch.no_grad():
        made, expected = (system.render(system.encode_sources(b), b).image for b in (with_filler, alone))
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_sources_are_carried_over_and_may_be_one_or_many(name):
    torch.manual_seed(0)
    system = tiny(name)
    for count in (1, 3, 8):
        batch = scene(system, sources=count)
        darker = replace(batch, sources=replace(batch.sources, image=batch.sources.image - 1))
        with torch.no_grad():
            background = torch.zeros(1, 3, 64, 64)
            made, other = (system.render(system.encode_sources(b, background=background), b) for b in (batch, darker))
        assert made.image.shape == (1, 3, 64, 64)
        assert not torch.allclose(made.colour, other.colour)


def test_more_sources_than_concatenation_has_room_for_are_refused():
    system = tiny("concat", concat_sources=4)
    batch = scene(system, sources=5)
    with pytest.raises(ValueError, match="concat_sources has room for 4, got 5"):
        system.render(system.encode_sources(batch), batch)


@pytest.mark.parametrize("name", ["attention", "add"])
def test_sources_encoded_once_serve_every_frame(name):
    torch.manual_seed(0)
    system = tiny(name)
    first = scene(system)
    moved = replace(
        first,
        target_condition=first.target_condition.flip(-1),
        flow=Flow(first.flow.grid.flip(-2), first.flow.visible.flip(-1)),
    )
    with torch.no_grad():
        cached = system.encode_sources(first)
        still, made = (system.render(cached, batch).image for batch in (first, moved))
        expected = system.render(system.encode_sources(moved), moved).image
    torch.testing.assert_close(made, expected)
    assert not torch.allclose(made, still)
