"""Personalization: a trained system adapts to the person in a few photos (Liquid Warping GAN, section 3.5)."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from warpkit.models.bodies import BodyModel, body_digest, on_device
from warpkit.models.cache import NO_CACHE, Cache, code, digest
from warpkit.models.data.motion_library import MOTIONS, make_motion
from warpkit.models.data.person import PersonSamples, Photo
from warpkit.models.errors import InputError, check_trains
from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.geometric.matte import refine_alpha
from warpkit.models.media.output import check_output, whole
from warpkit.models.media.tensors import to_tensor
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping import Critics, LiquidWarping, build, load_embedded
from warpkit.models.systems.liquid_warping.checkpoints import FORMAT, load
from warpkit.models.tasks.choices import Adaptation
from warpkit.models.tasks.notices import notes
from warpkit.models.tasks.sources import Photos, Source, gather, read_sources
from warpkit.models.tasks.training import find_critics
from warpkit.models.training import Advice, Outcome, TrainConfig, Trainer, save_checkpoint
from warpkit.models.training.checkpoint import compact

RATES = {"public": 1e-4, "small": 1e-5}
"""Learning rates by the preset's layers: the paper's, and what was found best for ours (docs/training.md)."""
EMA_DECAY = 0.9
"""Of the averaged weights, which are kept."""


def personalize(
    photos: Photos,
    out: str | Path,
    how: Adaptation = Adaptation(),
    *,
    system: LiquidWarping | None,
    model: BodyModel,
    device: torch.device,
    person: int | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
    cache: Cache = NO_CACHE,
) -> Outcome:
    """Writes the generator of a system, adapted to the person in `photos`; discriminators are fresh and thrown away.

    What `Pipeline.personalize` does, which says the other arguments.

    Args:
        system: what is adapted, and stays as it is; None: the embedded one.
        model: the body model, on the CPU.
        device: where it is trained.
        progress: told of each stage.
        cache: where bodies and the outcome are kept and taken from.

    Returns:
        How the training ended. Unless it "finished", nothing was written.

    Raises:
        InputError: `out` exists, cannot be written or does not end in .safetensors; the extra [train] is missing; a
            photo cannot be read or shows nobody, or photos show people too unlike; there is no system to adapt; memory
            ran out.
    """
    check_trains()
    if Path(out).suffix.lower() != ".safetensors":
        raise InputError(f"{out}: the name of a system's weights must end in .safetensors")
    out = check_output(out, overwrite=overwrite)
    with own_chance(device):
        system = system or load_embedded()
    with torch.no_grad():
        sources = read_sources(photos, model, person=person, progress=progress, cache=cache)
        for note in notes(sources, person, model):
            tell(f"note: {note}")
    preset = system.preset
    critics, names = find_critics(preset, device, tell)
    key = None
    if cache.folder is not None:
        seen = [(source.image, source.person) for source in sources]
        judges = [judge for judge in (critics.perceptual, critics.face) if isinstance(judge, nn.Module)]
        made_from = (json.dumps(preset.to_dict()), system.generator, body_digest(model), seen, how, judges, names)
        key = digest("weights", made_from, device.type, code())[:32]
        if (data := cache.find("weights", key)) is not None:
            with whole(out, overwrite=overwrite) as draft:
                draft.write_bytes(data)
            tell("the same was done before: the weights are those of the cache")
            return Outcome(how.steps, "finished")
    with torch.no_grad():
        samples = person_samples(
            sources, model, how.size, device, seed=how.seed, correcting=preset.layers == "small", progress=progress
        )
    about = {"system": {"name": "liquid_warping", "preset": preset.name}, "critics": names, "photos": len(sources)}
    trainer = person_trainer(
        system,
        samples,
        on_device(model, device),
        critics,
        steps=how.steps,
        sources=len(sources),
        learning_rate=how.learning_rate,
        seed=how.seed,
        low_memory=how.low_memory,
        about=about,
        device=device,
        progress=progress,
        tell=tell,
    )
    with own_chance(device):
        outcome = trainer.fit()
    if outcome.reason == "finished":
        labels = {"format": FORMAT, "preset": json.dumps(preset.to_dict())}
        save_checkpoint(out, compact(trainer.ema.weights, outcome.step, trainer.about, labels, "person"))
        if key is not None:
            cache.keep("weights", key, out.read_bytes(), "safetensors")
    return outcome


def adapted(
    photos: Photos,
    how: Adaptation,
    *,
    system: LiquidWarping,
    model: BodyModel,
    device: torch.device,
    person: int | None = None,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
    cache: Cache = NO_CACHE,
) -> LiquidWarping:
    """A system that `personalize` made of `system` and `photos`, its arguments; the cache knows it the second time.

    Raises InputError where its training diverged, and KeyboardInterrupt where it was interrupted.
    """
    with TemporaryDirectory() as folder, own_chance(device):
        out = Path(folder) / "person.safetensors"
        outcome = personalize(
            photos,
            out,
            how,
            system=system,
            model=model,
            device=device,
            person=person,
            progress=progress,
            tell=tell,
            cache=cache,
        )
        if outcome.reason == "asked":
            raise KeyboardInterrupt
        if outcome.reason != "finished":
            raise InputError(f"adapting to the person {outcome.reason} at step {outcome.step}: take fewer, or none")
        return load(out)


def person_trainer(
    system: LiquidWarping,
    samples: PersonSamples,
    model: BodyModel,
    critics: Critics,
    *,
    steps: int,
    sources: int,
    learning_rate: float | None = None,
    seed: int = 0,
    low_memory: bool = False,
    about: dict[str, Any] | None = None,
    device: torch.device,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
) -> Trainer:
    """What adapts a copy of `system` to the person of `samples`; see `personalize`."""
    preset = system.preset
    rate = RATES[preset.layers] if learning_rate is None else learning_rate
    config = TrainConfig(
        steps=steps,
        batch=1,
        sources=(sources, sources),
        learning_rate=rate,
        final_rate=rate,
        constant=1.0,
        betas=preset.schedule.betas,
        adversarial_from=preset.schedule.adversarial_from,
        precision="bf16" if low_memory else "32",
        checkpointing=low_memory,
        seed=seed,
        sheet_every=0,
        ema=EMA_DECAY,
    )
    return Trainer(
        with_fresh_discriminators(system, seed),
        samples,
        model,
        config,
        None,
        about=about,
        critics=critics,
        accelerator=device.type,
        advice=Advice(
            f"give {'' if low_memory else '--low-memory (about half), '}a smaller --size or fewer photos; nothing was "
            "written",
            "Lower the learning rate (--learning-rate), or change the seed (--seed)",
        ),
        progress=progress,
        tell=tell,
    )


def own_chance(device: torch.device) -> AbstractContextManager[None]:
    """Chance inside, on the CPU and on `device`, leaves the generators of whoever calls as they were."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def person_samples(
    sources: Sequence[Source],
    model: BodyModel,
    size: int,
    device: torch.device,
    *,
    seed: int = 0,
    correcting: bool = False,
    progress: Progress = SILENT,
) -> PersonSamples:
    """What personalization draws from: the photos, and the person in other poses and views.

    `correcting`: for a system that corrects a geometric picture, which targets then come with.
    """
    appearance = gather(list(sources), model, resolution=size, progress=progress)
    photos = [_photo(source, size).to(device) for source in sources]
    there = on_device(model, device)
    return PersonSamples(photos, appearance.to(device), there, all_poses().to(device), seed=seed, correcting=correcting)


def all_poses() -> torch.Tensor:
    """`[N, 22, 3]` of all motions, to draw other poses from."""
    return torch.cat([make_motion(name, fps=5.0).rotations for name in MOTIONS])


def _photo(source: Source, size: int) -> Photo:
    framing = source.window(size)
    picture = framing.cut(to_tensor(source.image))
    inside = framing.inside(source.person.size)
    alpha = refine_alpha(picture, framing.cut(source.person.mask[None], "border")[0] * inside)
    hole = person_hole(alpha) | ~inside
    plate = fill_background(picture, hole)
    return Photo(picture, alpha, framing.body(source.person.body), plate, hole, min(1.0, framing.side / size))


def with_fresh_discriminators(system: LiquidWarping, seed: int) -> LiquidWarping:
    """A copy with a global discriminator that has learned nothing, and no other."""
    preset = replace(system.preset, discriminators=("global",))
    with own_chance(torch.device("cpu")):
        torch.default_generator.manual_seed(seed)
        fresh = build(preset)
    fresh.generator.load_state_dict(system.generator.state_dict())
    return fresh
