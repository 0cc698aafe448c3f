"""What the system is trained on: Eq. 3 to 8, and the terms of the other presets."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit.models.batch import Batch
from warpkit.models.features.vgg import Vgg
from warpkit.models.layers import PatchDiscriminator, crop
from warpkit.models.losses import (
    PerceptualLoss,
    bce,
    lsgan_discriminator,
    lsgan_generator,
    mask_loss,
    total_variation,
)
from warpkit.models.systems.liquid_warping.presets import Preset
from warpkit.models.systems.liquid_warping.rendered import Rendered

BODY_MARGIN = 0.1
"""Of the body's box, each side, in its width and height: clothes and hair reach further than the body."""
HEAD_MARGIN = 0.1
"""Of the head's box, each side, NDC."""


@dataclass(frozen=True)
class Critics:
    """Networks trained elsewhere that judge pictures. Where one is None its term is left out."""

    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None
    """(made, truth), `[B, 3, H, W]` both: Eq. 3's distance of features."""
    face: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """(made, truth, head box `[B, 4]`): Eq. 4's."""


def perceptual_loss(preset: Preset, features: Vgg, *, bf16: bool = False) -> PerceptualLoss:
    """Eq. 3's distance of features as a preset has it. `bf16`: as of `PerceptualLoss`."""
    return PerceptualLoss(
        features,
        preset.vgg_weights,
        preset.vgg_size,
        layers=preset.vgg_layers,
        distance=preset.vgg_distance,
        prepare=preset.vgg_standardised,
        bf16=bf16,
    )


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of weighted terms, which is what is minimised: Eq. 7, Eq. 8."""
    return torch.stack(list(losses.values())).sum()


def absent(preset: Preset, critics: Critics | None) -> list[str]:
    """The terms that a preset asks for and no critic is there to compute: for logs and results."""
    critics = critics or Critics()
    return [name for name in ("perceptual", "face") if getattr(preset.weights, name) and not getattr(critics, name)]


def generator_losses(
    preset: Preset,
    rendered: Rendered,
    batch: Batch,
    critics: Critics,
    discriminators: nn.ModuleDict | None,
) -> dict[str, Tensor]:
    """Eq. 7's terms, weighted. `discriminators`: None: they take no part.

    Raises ValueError where the batch lacks the truth that a term compares with.
    """
    truth, weights = _truth(batch), preset.weights
    valid, plate = batch.sources.valid, batch.plate
    terms: dict[str, Tensor] = {}
    if weights.pixel:
        terms["pixel"] = weights.pixel * F.l1_loss(rendered.image, truth)
    if weights.perceptual and critics.perceptual is not None:
        terms["perceptual"] = weights.perceptual * critics.perceptual(rendered.image, truth)
    if weights.face and critics.face is not None:
        terms["face"] = weights.face * critics.face(rendered.image, truth, batch.head_box)
    if weights.source and rendered.source_images is not None:
        made, real, share = _real(rendered.source_images, batch.sources.image, valid)
        terms["source"] = weights.source * share * F.l1_loss(made, real)
    if weights.background:  # nought where the true one is not known: processes must have the same terms
        off = rendered.background.new_zeros(()) if plate is None else F.l1_loss(rendered.background, plate)
        terms["background"] = weights.background * off
    one = torch.ones((), device=truth.device)
    masks = [(rendered.alpha, _mask_truth(preset, batch.target_silhouette, batch.target_alpha), one)]
    if rendered.source_alphas is not None:
        real = _mask_truth(preset, batch.source_silhouette, batch.sources.alpha)
        masks.append(_real(rendered.source_alphas, real, valid))
    if weights.mask:
        distance = mask_loss if preset.mask_loss == "square" else bce
        terms["mask"] = weights.mask * _sum([share * distance(made, real) for made, real, share in masks])
    if weights.smooth:
        terms["smooth"] = weights.smooth * _sum(
            [share * total_variation(made, preset.smooth) for made, _, share in masks]
        )
    if weights.adversarial and discriminators:
        scores = [
            # the discriminators' own gradient is not wanted here
            torch.func.functional_call(
                discriminator, {name: p.detach() for name, p in discriminator.named_parameters()}, picture
            )
            for discriminator, picture in looked_at(discriminators, rendered.image, batch)
        ]
        terms["adversarial"] = weights.adversarial * _sum([lsgan_generator(score) for score in scores])
    return terms


def discriminator_losses(rendered: Rendered, batch: Batch, discriminators: nn.ModuleDict) -> dict[str, Tensor]:
    """Eq. 8's terms, by discriminator."""
    made = looked_at(discriminators, rendered.image.detach(), batch)
    real = looked_at(discriminators, _truth(batch), batch)
    return {
        name: lsgan_discriminator(discriminator(truth), discriminator(fake))
        for name, (discriminator, fake), (_, truth) in zip(discriminators, made, real, strict=True)
    }


def looked_at(discriminators: nn.ModuleDict, image: Tensor, batch: Batch) -> list[tuple[PatchDiscriminator, Tensor]]:
    """Each discriminator with what it sees of a picture `[B, 3, H, W]`: that and C_t, whole or in a box.

    `[B, 3 + C, h, w]`: h, w are the picture's for "global", half of it for "body", a quarter for "head", but never less
    than the discriminator needs.
    """
    height, width = batch.size
    shown = torch.cat([image, batch.target_condition.to(image)], 1)
    seen = []
    for name, discriminator in discriminators.items():
        assert isinstance(discriminator, PatchDiscriminator)
        share = {"global": 1, "body": 2, "head": 4}[name]
        size = (max(height // share, discriminator.smallest), max(width // share, discriminator.smallest))
        if name == "global":
            small = size != (height, width)
            seen.append((discriminator, F.interpolate(shown, size, mode="bilinear") if small else shown))
            continue
        box = batch.body_box if name == "body" else batch.head_box
        margin = (box[:, 2:] - box[:, :2]) * BODY_MARGIN if name == "body" else torch.full_like(box[:, 2:], HEAD_MARGIN)
        seen.append((discriminator, crop(shown, box + torch.cat([-margin, margin], 1), size)))
    return seen


def _truth(batch: Batch) -> Tensor:
    if batch.target_image is None:
        raise ValueError("batch: has no target_image; make_batch is given the truth as `target` for training")
    return batch.target_image


def _mask_truth(preset: Preset, silhouette: Tensor, alpha: Tensor | None) -> Tensor:
    if preset.mask_truth == "silhouette":
        return silhouette
    if alpha is None:
        raise ValueError(f"batch: has no target_alpha, to which the preset {preset.name!r} draws its masks")
    return alpha


def _real(made: Tensor, real: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both, nought where a source only fills up the batch, and what a mean over all must be multiplied by for that.

    By no index of what is valid: how many there are is not known to the host.
    """
    kept = valid[..., None, None, None]
    share = valid.numel() / valid.sum().clamp(min=1)
    return torch.where(kept, made, 0), torch.where(kept, real.to(made), 0), share


def _sum(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()
