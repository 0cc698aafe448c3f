"""What the streams are shown of a batch: the sources' foregrounds, the background's hole, the sources warped."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Flow, resize_flow, warp, warp_reduce
from warpkit.models.batch import Batch, Geometric
from warpkit.models.layers import spread

GLANCING = (0.0, 0.2)
"""Facing ratios from which on a source's colours start to count as seen, and do: bodies are not found to the pixel, and
at an outline that is a neighbour's colour."""
SHARPNESS = 4
"""Power of the facing ratio by which sources are weighed: the one that sees the surface best wins smoothly."""


class LevelFlows:
    """A flow at each feature level that asks for it, made once.

    Args:
        flow: of the picture.
        valid: `[B, S]` bool: the sources that are real.
        mode: "masked", or "bilinear" as the public code resizes, which blends the -2 beside the body with places.
        everything: all of a real source counts, hidden surface too, as where the flow was made with visibility None;
            but for faces that it may not give.
    """

    def __init__(self, flow: Flow, valid: Tensor, mode: Literal["masked", "bilinear"], everything: bool) -> None:
        self._flow, self._valid, self._mode, self._everything = flow, valid, mode, everything
        self._levels: dict[tuple[int, int], Flow] = {}

    def __call__(self, size: tuple[int, int]) -> Flow:
        """At height and width."""
        if size not in self._levels:
            self._levels[size] = self._resized(size)
        return self._levels[size]

    def _resized(self, size: tuple[int, int]) -> Flow:
        grid, visible = self._flow
        if not self._everything and self._mode == "masked":
            return resize_flow(self._flow, size)
        if self._mode == "bilinear":
            level = resize_flow(Flow(grid), size, mode="bilinear").grid
        else:  # every sample counts, but the -2 beside the body is no place that others may be averaged with
            level = resize_flow(Flow(grid, (grid != -2).any(-1)), size).grid
        if visible is None:
            return Flow(level)
        if self._everything:  # where no source may give the surface, there is none: beside the body all of them count
            visible = (visible | ~visible.any(1, keepdim=True)) & self._valid[:, :, None, None]
        return Flow(level, resize_flow(Flow(grid, visible), size).visible)


def foreground(batch: Batch) -> Tensor:
    """`[B, S, 3, H, W]` the sources without their background, which is 0."""
    return batch.sources.image * batch.sources.alpha


def person_hole(batch: Batch, edge: int) -> tuple[Tensor, Tensor]:
    """The picture whose background is used, that of the first real source, and where a person hides it.

    Returns:
        Image `[B, 3, H, W]`, hole `[B, 1, H, W]` in {0, 1}: the person's mask `edge` pixels at a height of 512 wider.
    """
    first = batch.sources.valid.float().argmax(1)
    people = torch.arange(len(first), device=first.device)
    alpha, silhouette = batch.sources.alpha[people, first], batch.source_silhouette[people, first]
    person = torch.maximum((alpha > 0.05).float(), silhouette.float())
    kernel = max(3, round(edge * batch.size[0] / 512)) | 1
    return batch.sources.image[people, first], F.max_pool2d(person, kernel, stride=1, padding=kernel // 2)


def warped_sources(batch: Batch) -> Tensor:
    """I_syn: the foregrounds warped once, averaged over the sources that show the surface; `[B, 3, H, W]`."""
    flow = batch.flow
    if flow.visible is None:
        return warp_reduce(foreground(batch), flow, "mean")
    count = flow.visible.sum(1, keepdim=True).clamp(min=1)
    return warp_reduce(foreground(batch), flow) / count


def stacked_sources(batch: Batch, room: int) -> Tensor:
    """`[B, room * (3 + C), H, W]`: foregrounds and conditions; where there are fewer they come again in turn."""
    number = batch.sources.image.shape[1]
    if number > room:
        raise ValueError(f"sources: this preset's concat_sources has room for {room}, got {number}")
    everything = torch.cat([foreground(batch), batch.source_condition], 2)
    valid = batch.sources.valid
    real_first = torch.argsort(~valid, dim=1, stable=True)
    turn = torch.arange(room, device=valid.device)[None] % valid.sum(1, keepdim=True).clamp(min=1)
    people = torch.arange(len(valid), device=valid.device)[:, None]
    return everything[people, real_first.gather(1, turn)].flatten(1, 2)


@torch.no_grad()
def geometric_picture(batch: Batch) -> Geometric:
    """Draws the target from what each source shows, weighed by how straight it looks at the surface.

    Colours are read where a source's alpha is more than half: outlines mix with the background. The batch's condition
    must be `SurfaceCondition`, whose normals tell the facing ratio.
    """
    image, alpha = batch.sources.image.float(), batch.sources.alpha.float()
    solid = (2 * alpha - 1).clamp(min=0)
    facing = -batch.source_condition[:, :, -2:-1].float()
    shown = torch.ones_like(alpha)
    layers = warp(torch.cat([image * solid, solid, alpha, facing, shown], 2), batch.flow)
    colour, seen, alpha, facing, shown = layers.split([3, 1, 1, 1, 1], 2)
    weight = facing.clamp(0.05, 1) ** SHARPNESS
    blended = (weight * colour).sum(1) / (weight * seen).sum(1).clamp(min=1e-9)
    low, high = GLANCING
    known = (seen * ((facing - low) / (high - low)).clamp(0, 1)).amax(1)
    outline = torch.where(shown.amax(1) > 0, alpha.amax(1), 1) * batch.target_silhouette
    return Geometric(spread(blended, known), known, (seen * facing.clamp(min=0)).amax(1), outline)
