"""Liquid Warping GAN with Attention as one module: encode sources once, render frames, compute losses."""

from typing import Literal

from torch import Tensor, nn

from warpkit.models.batch import Batch, Condition, SurfaceCondition, UvCondition, Visibility
from warpkit.models.bodies import BodyModel
from warpkit.models.layers import PatchDiscriminator
from warpkit.models.systems.liquid_warping.fusion import STRATEGIES
from warpkit.models.systems.liquid_warping.generator import Generator, joined
from warpkit.models.systems.liquid_warping.inputs import (
    Geometric,
    LevelFlows,
    foreground,
    geometric_picture,
    person_hole,
    stacked_sources,
    warped_sources,
)
from warpkit.models.systems.liquid_warping.losses import Critics, discriminator_losses, generator_losses
from warpkit.models.systems.liquid_warping.presets import PRESETS, Preset
from warpkit.models.systems.liquid_warping.rendered import Rendered, Sources
from warpkit.models.systems.liquid_warping.small import SmallTransferStream
from warpkit.models.systems.liquid_warping.streams import SourceStream


class LiquidWarping(nn.Module):
    """The whole system of one preset.

    `generator` and `discriminators` are trained by turns: `losses(…, "generator")`, `losses(…, "discriminator")`.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.generator = Generator(preset)
        channels = 3 + preset.condition_channels
        self.discriminators = nn.ModuleDict(
            {name: PatchDiscriminator(channels, preset.discriminator_width) for name in preset.discriminators}
        )

    @property
    def visibility(self) -> Visibility:
        """For `make_batch`."""
        return self.preset.visibility

    def condition(self, model: BodyModel) -> Condition:
        """For `make_batch`: what this system is shown of bodies of `model`."""
        if self.preset.condition == "surface":
            return SurfaceCondition(model)
        return UvCondition(model, flat=self.preset.condition == "uv_flat")

    def encode_sources(
        self, batch: Batch, *, background: Tensor | None = None, reconstruct: bool | None = None
    ) -> Sources:
        """What the sources of a batch give every frame; its target is not read.

        Args:
            batch: S from 1 on; height and width multiples of 8.
            background: `[B, 3, H, W]` to use instead of the background stream's.
            reconstruct: whether sources are also drawn back from their features; None: in training.

        Raises:
            ValueError: a size that is no multiple of 8, or a condition that is not this preset's.
        """
        _check(batch, self.preset)
        if background is None:
            background = self.generator.background(*person_hole(batch, self.preset.person_edge)).float()
        stream = self.generator.source
        if stream is None:
            return Sources((), background, None, None)
        people = batch.sources.image.shape[:2]
        parts = [foreground(batch), batch.source_condition]
        if self.preset.layers == "small":
            parts.append(batch.sources.alpha)
        features = stream(joined(*[part.flatten(0, 1) for part in parts]))
        images = alphas = None
        if isinstance(stream, SourceStream) and (self.training if reconstruct is None else reconstruct):
            colour, mask = (part.float().unflatten(0, people) for part in stream.reconstruct(features))
            alphas = self._alpha(mask)
            images = alphas * colour + (1 - alphas) * background[:, None]
        return Sources(tuple(level.unflatten(0, people) for level in features), background, images, alphas)

    def render(self, sources: Sources, batch: Batch, geometric: Geometric | None = None) -> Rendered:
        """Draws the target of a batch.

        Args:
            sources: from `encode_sources`, of this batch or of any other with the same sources.
            batch: its target and the flow to the sources.
            geometric: the picture to correct; None: the batch's, or `geometric_picture` where it has none. For the
                layers "small".

        Raises:
            ValueError: as `encode_sources`; more sources than `concat_sources`.
        """
        _check(batch, self.preset)
        preset, stream = self.preset, self.generator.transfer
        valid = batch.sources.valid
        flows = LevelFlows(batch.flow, valid, preset.flow_resize, everything=preset.visibility is None)
        gate = None
        if isinstance(stream, SmallTransferStream):
            geometric = geometric or batch.geometric or geometric_picture(batch)
            shown = joined(geometric.colour, batch.target_condition, geometric.seen, geometric.confidence)
            colour, alpha, gate = stream(
                shown, sources.features, flows, valid, geometric.colour, geometric.seen, geometric.alpha
            )
        else:
            if STRATEGIES[preset.fusion].input == "sources":
                shown = joined(stacked_sources(batch, preset.concat_sources), batch.target_condition)
            else:
                shown = joined(warped_sources(batch), batch.target_condition)
            colour, mask = (part.float() for part in stream(shown, sources.features, flows, valid))
            alpha = self._alpha(mask)
        image = alpha * colour + (1 - alpha) * sources.background
        return Rendered(image, alpha, colour, sources.background, sources.images, sources.alphas, geometric, gate)

    def losses(
        self,
        rendered: Rendered,
        batch: Batch,
        stage: Literal["generator", "discriminator"],
        critics: Critics | None = None,
        *,
        adversarial: bool | None = None,
    ) -> dict[str, Tensor]:
        """The weighted terms of a stage by name; `total` adds them up.

        Args:
            rendered: from `render`, of this batch.
            batch: with target_image, and with target_alpha for presets whose mask_truth is "alpha".
            stage: "generator": Eq. 7, with gradients to the generator alone; "discriminator": Eq. 8, with gradients
                to the discriminators alone.
            critics: networks from outside. A term without its network is left out: see `absent`.
            adversarial: whether discriminators take part; None: where the preset's schedule has them do so from the
                start.

        Raises:
            ValueError: another stage; no truth in the batch.
        """
        if stage not in ("generator", "discriminator"):
            raise ValueError(f"stage: expected 'generator' or 'discriminator', got {stage!r}")
        judged = self.preset.schedule.adversarial_from == 0 if adversarial is None else adversarial
        if stage == "discriminator":
            return discriminator_losses(rendered, batch, self.discriminators) if judged else {}
        judges = self.discriminators if judged else None
        return generator_losses(self.preset, rendered, batch, critics or Critics(), judges)

    def _alpha(self, mask: Tensor) -> Tensor:
        return mask if self.preset.mask == "person" else 1 - mask


def build(preset: str | Preset) -> LiquidWarping:
    """The system of a preset, by name or in full, with fresh weights."""
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
        preset = PRESETS[preset]
    return LiquidWarping(preset)


def _check(batch: Batch, preset: Preset) -> None:
    """A batch that this preset's networks can read."""
    height, width = batch.size
    if height % 8 or width % 8 or min(height, width) < 16:
        raise ValueError(f"batch: expected height and width multiples of 8, 16 at least, got {height} x {width}")
    channels = batch.target_condition.shape[1]
    if channels != preset.condition_channels:
        raise ValueError(
            f"batch: the preset {preset.name!r} is shown the condition {preset.condition!r} of "
            f"{preset.condition_channels} channels, got {channels}; make it with system.condition(model)"
        )
