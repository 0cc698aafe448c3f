"""What is built on the ops, on a GPU: frames of a clip, inspecting, made-up people, adapting
to a person, evaluating.

What a GPU makes is compared with what the CPU makes of the same; all of it skips where there is no GPU.
"""

from typing import Literal

import numpy as np
import pytest
import torch

pytest.importorskip("scipy", reason="needs the extra [person]")

from clip_scene import SIZE, moved_and_turned, tiny
from needs_gpu import NEEDS_GPU

from warpkit.models.bodies import BodyModel, on_device
from warpkit.models.data.people import GatheredPeople, RenderedPeople
from warpkit.models.systems.liquid_warping import Critics, build
from warpkit.models.tasks import Clip, inspect
from warpkit.models.tasks.evaluate import GeometricPictures, PersonalizedPictures, SystemPictures
from warpkit.models.tasks.learned import LearnedRenderer
from warpkit.models.tasks.personalize import person_samples, person_trainer

pytestmark = NEEDS_GPU

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LEVELS = 1.0
"""Of 255, that frames may differ by in the mean; edges and bfloat16 cost some."""


def clips(model: BodyModel, drawn: str) -> tuple[Clip, Clip]:
    """One clip on the CPU and on the GPU, drawn by geometry or by a system that was never trained."""
    made = [moved_and_turned(model, device) for device in (CPU, GPU)]
    if drawn != "geometric":
        made = [clip.drawn_by(tiny(drawn)) for clip in made]
    return made[0], made[1]


@pytest.mark.parametrize("steady", [0.0, 0.2])
@pytest.mark.parametrize("drawn", ["geometric", "small", "public"])
def test_frames_are_the_cpus(model: BodyModel, drawn: str, steady: float) -> None:
    here, there = clips(model, drawn)
    here.steady = there.steady = steady
    expected, found = (np.stack(list(clip)).astype(float) for clip in (here, there))
    assert found.shape == expected.shape == (3, SIZE, SIZE, 3)
    assert np.abs(found - expected).mean() < LEVELS
    alone = np.stack([there.frame(index) for index in range(3)]).astype(float)
    assert steady > 0 or np.abs(found - alone).mean() < LEVELS


def test_frames_from_graphs_are_those_without(model: BodyModel) -> None:
    clip = moved_and_turned(model, GPU)
    clip = clip.drawn_by(tiny("small"))
    played = clip.renderer
    assert isinstance(played, LearnedRenderer)
    bodies, size = clip._framed, clip.framing.shape
    for _ in range(2):  # recorded, then played
        for graph, called in zip(
            played.draw_all(bodies, size), (played.draw(bodies[n], size, eager=True) for n in range(3)), strict=True
        ):
            height, width = called.window.size
            mine, other = graph.rendered.alpha[..., :height, :width].float(), called.rendered.alpha.float()
            assert (mine - other).abs().mean() < 0.01


@pytest.mark.parametrize("drawn", ["geometric", "small", "public"])
def test_inspecting_sees_what_the_cpu_sees(model: BodyModel, drawn: str) -> None:
    here, there = clips(model, drawn)
    expected = inspect(here, 1)
    for _ in range(2):
        found = inspect(there, 1)
        assert found.trust.shape == expected.trust.shape
        assert (found.network is None) == (expected.network is None) == (drawn == "geometric")
        if found.network is not None and expected.network is not None:
            sizes = [[one.size for one in network.attention] for network in (found.network, expected.network)]
            assert sizes[0] == sizes[1]
            assert sizes[0]


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize("drawn", ["small", "public"])
def test_a_system_is_adapted_to_a_person(model: BodyModel, drawn: Literal["small", "public"], low_memory: bool) -> None:
    pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
    system = tiny(drawn)
    sources = moved_and_turned(model, CPU).sources
    samples = person_samples(sources, model, SIZE, GPU, correcting=system.preset.layers == "small")
    trainer = person_trainer(
        system, samples, on_device(model, GPU), Critics(), steps=2, sources=2, low_memory=low_memory, device=GPU
    )
    outcome = trainer.fit()
    assert (outcome.reason, outcome.step) == ("finished", 2)
    assert all(value.isfinite().all() for value in trainer.ema.weights.values())


def test_the_same_people_are_made_up(model: BodyModel) -> None:
    here, _ = RenderedPeople(model, 64).draw(0, 2, 1)
    there, _ = RenderedPeople(model, 64, device=GPU).draw(0, 2, 1)
    assert ((here.image - there.image.cpu()).abs().mean(2) < 0.05).float().mean() > 0.98


def test_cases_are_drawn_and_adapted_to(model: BodyModel) -> None:
    pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
    there = on_device(model, GPU)
    people = RenderedPeople(there, 48, "test", supersample=1, device=GPU)
    case = GatheredPeople(people, pool=1, reuse=1, atlas_size=128).case(0, 2)
    system = build("small").to(GPU).eval()
    for draw in (
        GeometricPictures(),
        SystemPictures(system, there),
        PersonalizedPictures(system, there, Critics(), steps=1),
    ):
        picture = draw(case)
        assert picture.device.type == "cuda"
        assert picture.shape == (1, 3, 48, 48)
        assert picture.isfinite().all()
