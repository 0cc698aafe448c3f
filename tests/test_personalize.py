"""Personalization: what is drawn of a person's photos, and the file that comes of it."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="needs the extra [train]")
pytest.importorskip("scipy", reason="needs the extra [person]")

import warpkit.models.tasks.personalize as module
from warpkit.models.app import INTERRUPTED, REFUSED
from warpkit.models.bodies import JOINTS, Body, Camera, load_body
from warpkit.models.cache import Cache
from warpkit.models.data.motion_library import make_motion
from warpkit.models.data.person import PersonSamples
from warpkit.models.data.rendered import MadeUpPerson
from warpkit.models.errors import InputError
from warpkit.models.recovery import Person
from warpkit.models.systems.liquid_warping import Critics, build, embedded_model
from warpkit.models.systems.liquid_warping.checkpoints import load
from warpkit.models.tasks import Adaptation, Look, Pipeline, Turn, studio, training
from warpkit.models.tasks.sources import Source
from warpkit.models.training import Outcome, load_checkpoint

SIZE = 64


@functools.cache
def source() -> Source:
    """A made-up person seen from the front, as recovery would have found them."""
    model, size = load_body("anny"), (96, 80)
    person = MadeUpPerson(model, 3)
    pose = torch.zeros(1, len(JOINTS), 3)
    pose[0, JOINTS.index("left_shoulder"), 2], pose[0, JOINTS.index("right_shoulder"), 2] = -1.0, 1.0
    body = Body(pose, person.shape, Camera(torch.tensor([44.0]), torch.tensor([[40.0, 46.0]])))
    truth = person.render(body, size, torch.rand(3, *size) - 0.5)
    image = ((truth.image.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).permute(1, 2, 0).numpy()
    rows, columns = (truth.alpha > 0.5).nonzero().T
    box = (float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max()))
    none = torch.zeros(33, 3)
    found = Person(size, body, truth.alpha, box, none[:, :2], none, none[:, 0], 0.0, 0.9)
    return Source("made-up", np.ascontiguousarray(image), found)


@functools.cache
def samples() -> PersonSamples:
    return module.person_samples([source()], load_body("anny"), SIZE, torch.device("cpu"))


def test_one_photo_gives_more_than_the_identity_flow() -> None:
    moved = 0
    for step in range(8):
        given, target, known = samples().draw(step, 1, 1)
        assert given.image.shape == target.image.shape == (1, 1, 3, SIZE, SIZE)
        assert known.shape == (1, 1, SIZE, SIZE)
        assert known.min() >= 0
        assert known.max() <= 1
        moved += not torch.equal(given.vertices, target.vertices)
    assert moved >= 4


def test_the_same_step_draws_the_same() -> None:
    one, other = samples().draw(5, 2, 2), samples().draw(5, 2, 2)
    assert torch.equal(one[0].image, other[0].image)
    assert torch.equal(one[2], other[2])
    assert not torch.equal(samples().draw(6, 2, 2)[0].image, one[0].image)


def test_what_no_photo_saw_is_not_taught() -> None:
    photo = samples().photos[0]
    away = Body(photo.body.pose.clone(), photo.body.shape, photo.body.camera)
    away.pose[:, 0, 1] = torch.pi
    shots = PersonSamples(samples().photos, samples().renderer.appearance, samples().model, away.pose)
    shots._moved = lambda body, dice, size: away  # type: ignore[method-assign]
    behind = shots._posed(photo, torch.Generator())
    inside = behind.alpha > 0.99
    assert behind.known[inside].mean() < 0.3  # a front photo shows little of the back
    ahead = shots._photo(0)
    hidden = shots._shown([behind], ahead)
    body = ahead.alpha > 0.99
    assert hidden[body].mean() < 0.3
    same = shots._shown([ahead], ahead)
    assert same[body].mean() > 0.9


def test_the_made_up_background_is_not_taught() -> None:
    photo = samples().photos[0]
    shots = PersonSamples([photo], samples().renderer.appearance, samples().model, samples().poses)
    for seed in range(3):
        posed = shots._posed(photo, torch.Generator().manual_seed(seed))
        bare = (posed.alpha[0] == 0) & photo.hole
        assert not posed.known[0][bare].any()


@functools.cache
def correcting() -> PersonSamples:
    """Of two photos of one person, for a system that corrects a geometric picture."""
    made, photo = samples(), samples().photos[0]
    darker = replace(photo, image=(photo.image + 1) * 0.75 - 1, plate=(photo.plate + 1) * 0.75 - 1)
    appearance, shares = made.renderer.appearance, (0.5, 0.0, 0.5)
    return PersonSamples([photo, darker], appearance, made.model, made.poses, correcting=True, shares=shares)


def test_geometric_pictures_do_not_know_their_target() -> None:
    samples = correcting()
    asked: list[int] = []
    gathered = samples._gathered_without
    samples._gathered_without = lambda photo: asked.append(photo) or gathered(photo)  # type: ignore[method-assign]
    kinds = set()
    for step in range(6):
        given, target, known = samples.draw(step, 1, 2)
        assert target.geometric is not None
        assert target.geometric.colour.shape == (1, 1, 3, SIZE, SIZE)
        assert known.shape == (1, 1, SIZE, SIZE)
        kinds.add(len(asked))
        asked.clear()
        body = known[0, 0] * target.alpha[0, 0, 0] > 0.5
        seen = body & (target.geometric.seen[0, 0, 0] > 0.9)
        difference = (target.geometric.colour - target.image)[0, 0][:, seen]
        assert difference.median().abs() < 0.03  # in one exposure
        assert difference.abs().mean() < 0.25  # the same person
        bare = (target.alpha[0, 0, 0] == 0) & (given.alpha[0, 0, 0] == 0) & (known[0, 0] == 1)
        assert bare.sum() > 100
        assert torch.equal(target.image[0, 0][:, bare], given.image[0, 0][:, bare])  # before one background
    assert kinds == {0, 1}
    assert len(gathered(0).appearance.images[0]) == 1  # one of the two


def test_one_photo_is_drawn_from_the_person_in_other_poses() -> None:
    made = samples()
    alone = PersonSamples(made.photos, made.renderer.appearance, made.model, made.poses, correcting=True)
    assert alone.shares == [0.0, 0.0, 1.0]
    given, target, known = alone.draw(0, 1, 1)
    assert not torch.equal(given.vertices, target.vertices)
    assert given.valid.all()
    assert target.geometric is not None
    photo = made.renderer(made.photos[0].body, (SIZE, SIZE))
    assert (photo.alpha > 0.5).any()
    assert 0.05 < float(known.mean()) < 1
    again = alone.draw(0, 1, 1)[1].geometric
    assert again is not None
    assert torch.equal(again.colour, target.geometric.colour)


def test_the_file_is_the_generator_adapted_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = source()
    monkeypatch.setattr(module, "read_sources", lambda *arguments, **options: [photo])
    monkeypatch.setattr(module, "find_critics", lambda *arguments: (Critics(), {}))
    system = build("small")
    before = {name: value.clone() for name, value in system.state_dict().items()}
    out = tmp_path / "person.safetensors"
    pipe = Pipeline(load_body(), system, torch.device("cpu"), cache=Cache(tmp_path / "cache"))
    chance = torch.get_rng_state()
    outcome = pipe.personalize(["photo.jpg"], out, Adaptation(2, SIZE, low_memory=True))
    assert (outcome.reason, outcome.step) == ("finished", 2)
    assert torch.equal(torch.get_rng_state(), chance)  # whoever calls it draws what they would have drawn
    found = load_checkpoint(out)
    assert found.kind == "person"
    assert all(name.startswith("generator.") for name in found.tensors)
    adapted = load(out)
    changed = [
        name
        for name, value in adapted.generator.state_dict().items()
        if not torch.equal(value, before[f"generator.{name}"].half().float())
    ]
    assert len(changed) > 50
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())
    again = tmp_path / "again.safetensors"
    monkeypatch.setattr(module.Trainer, "fit", lambda trainer: pytest.fail("trained again"))
    assert pipe.personalize(["photo.jpg"], again, Adaptation(2, SIZE, low_memory=True)) == outcome
    assert again.read_bytes() == out.read_bytes()
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        pipe.personalize(["photo.jpg"], again, Adaptation(2, SIZE, low_memory=True, seed=1), overwrite=True)
    with torch.no_grad():
        next(system.generator.parameters()).add_(1.0)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        pipe.personalize(["photo.jpg"], again, Adaptation(2, SIZE, low_memory=True), overwrite=True)


def test_a_task_draws_with_the_system_adapted_to_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_sources", lambda *arguments, **options: [source()])
    monkeypatch.setattr(studio, "read_sources", lambda *arguments, **options: [source()])
    monkeypatch.setattr(training, "find", lambda name: None)
    system = build("small")
    pipe = Pipeline(load_body(), system, torch.device("cpu"), cache=Cache(tmp_path))
    photo = source().image

    def drawn(**options: int) -> np.ndarray:
        return pipe.view([photo], Turn(20.0), look=Look(SIZE, "white"), **options).frame(0)

    chance = torch.get_rng_state()
    plain, adapted = drawn(), drawn(personalize=2)
    assert torch.equal(torch.get_rng_state(), chance)
    assert not np.array_equal(plain, adapted)
    assert np.abs(plain.astype(int) - adapted).mean() < 5  # of the same person
    assert pipe.system is system
    monkeypatch.setattr(module.Trainer, "fit", lambda trainer: pytest.fail("trained again"))
    assert np.array_equal(drawn(personalize=2), adapted)
    moving = pipe.imitate([photo], make_motion("wave", fps=2.0), look=Look(SIZE, "white"), personalize=2)
    assert moving.renderer.system is not system
    for name in ("perceptual", "face"):  # told of weights that the cache had, too
        (note,) = (note for note in moving.notes if f"the {name} loss" in note)
        assert note.startswith("adapting to the person: training goes without")
    monkeypatch.setattr(module.Trainer, "fit", lambda trainer: Outcome(1, "diverged"))
    with pytest.raises(InputError, match="diverged at step 1"):
        drawn(personalize=3)
    monkeypatch.setattr(module.Trainer, "fit", lambda trainer: Outcome(1, "asked"))
    with pytest.raises(KeyboardInterrupt):
        drawn(personalize=3)
    with pytest.raises(InputError, match="0 or more, not -1"):
        drawn(personalize=-1)
    pipe.system = None
    with pytest.raises(InputError, match="nothing to adapt"):
        drawn(personalize=2)


@pytest.mark.parametrize(("reason", "status"), [("asked", INTERRUPTED), ("diverged", REFUSED)])
def test_the_command_says_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Literal["asked", "diverged"], status: int
) -> None:
    pytest.importorskip("typer", reason="needs the extra [person]")
    from typer.testing import CliRunner

    from warpkit.models.app.commands import app

    pipe = Pipeline(load_body(), None, torch.device("cpu"))
    monkeypatch.setattr(Pipeline, "from_pretrained", lambda *arguments, **options: pipe)
    monkeypatch.setattr(Pipeline, "personalize", lambda *arguments, **options: Outcome(1, reason))
    done = CliRunner().invoke(app, ["personalize", "photo.jpg", "--out", str(tmp_path / "p.safetensors")])
    assert done.exit_code == status
    assert "stopped after 1 of 100 steps; nothing was written" in done.stderr


def test_a_fresh_global_discriminator_and_no_other_judges() -> None:
    system = build("small")
    chance = torch.get_rng_state()
    fresh = module.with_fresh_discriminators(system, 1)
    assert torch.equal(torch.get_rng_state(), chance)  # whoever calls it draws what they would have drawn
    assert list(fresh.discriminators) == ["global"]
    ours, theirs = system.discriminators["global"].state_dict(), fresh.discriminators["global"].state_dict()
    assert any(not torch.equal(value, theirs[name]) for name, value in ours.items())


def test_what_cannot_be_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (({"size": 100}, "multiple of 8"), ({"steps": 0}, "1 or more"), ({"learning_rate": math.nan}, "nan came"))
    for options, message in wrong:
        with pytest.raises(InputError, match=message):
            Adaptation(**options)
    monkeypatch.setattr(embedded_model, "DATA", tmp_path)
    pipe = Pipeline(load_body(), None, torch.device("cpu"))
    with pytest.raises(InputError, match="holds no trained model"):
        pipe.personalize(["a.jpg"], tmp_path / "p.safetensors")
    (tmp_path / "p.safetensors").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        pipe.personalize(["a.jpg"], tmp_path / "p.safetensors")
