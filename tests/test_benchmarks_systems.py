"""What systems cost, as it is counted: that the counting is right, and what it must not exceed."""

import torch
from torch.utils._pytree import tree_leaves

from benchmarks.systems import LiveBytes, blank, cost, rendering, training
from warpkit.models.systems.liquid_warping import build
from warpkit.models.training.memory import recompute


def test_live_bytes_are_those_of_tensors_that_are_still_held():
    with LiveBytes() as live:
        first = torch.zeros(1000)
        view = first[:10]
        second = first + 1
        del second
        third = view * 2
    assert live.peak == 8000
    assert live.now == 4000 + third.nbytes


def test_live_bytes_are_also_those_that_a_gradient_will_need():
    with LiveBytes() as live:
        x = torch.zeros(1000, requires_grad=True)
        hidden = (x * 2).exp()
        loss = hidden.sum()
        del hidden
        assert live.now == 4000 + 4000 + 4
        del loss
        assert live.now == 4000


def test_cost_counts_a_convolution():
    conv, x = torch.nn.Conv2d(8, 16, 3, padding=1), torch.zeros(1, 8, 10, 10)
    with torch.no_grad():
        counted = cost(lambda: conv(x))
    assert counted.macs == 16 * 8 * 9 * 100
    assert counted.peak == 4 * 16 * 100


def test_a_frame_of_small_at_512_takes_no_more_than_26_gmac():
    for sources in (1, 4, 8):
        _, frame = rendering("small", 512, sources)
        assert 20e9 < frame.macs <= 26e9


def test_ipercore_runs_at_1024_with_two_sources_in_2_gb():
    once, frame = rendering("ipercore", 1024, 2)
    system = build("ipercore")
    held = sum(p.nbytes for p in system.generator.parameters())
    batch = blank(system, 64, 2)
    pictures = sum(t.nbytes for t in tree_leaves([vars(batch), vars(batch.sources)]) if isinstance(t, torch.Tensor))
    held += pictures * (1024 // 64) ** 2
    with torch.no_grad():
        encoded = system.encode_sources(batch, reconstruct=False)
    held += sum(level.nbytes for level in encoded.features) * (1024 // 64) ** 2
    assert held + max(once.peak, frame.peak) < 2e9


def test_ipercore_trains_at_1024_with_two_sources_in_10_gb():
    """In bfloat16 with activations computed again; VGG-19 on two pictures of 224 x 224 takes less than what is left."""
    plain = training("ipercore", 1024, 2, bf16=True, recompute=None)
    frugal = training("ipercore", 1024, 2, bf16=True, recompute=recompute)
    assert 1e9 < frugal < plain < 8e9
