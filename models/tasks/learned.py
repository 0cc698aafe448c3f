"""Draws a person by a trained system in place of the geometric picture: sources are encoded once, for all frames."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from warpkit.models.batch import Batch, Pictures, make_batch, retarget
from warpkit.models.bodies import Body, BodyModel
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.renderer import GeometricRenderer, Layer
from warpkit.models.geometric.view import View
from warpkit.models.geometric.whole_frame import whole_frame
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.systems.liquid_warping.rendered import Sources


class LearnedRenderer:
    """One person, by a system that was trained or personalized; over the geometric picture, where it corrects one."""

    def __init__(self, system: LiquidWarping, model: BodyModel, views: Sequence[View], appearance: Appearance) -> None:
        """On the device of `model`, where the system is moved to.

        Args:
            system: in evaluation mode.
            model: of all bodies.
            views: of the person, all of one resolution, a multiple of 8.
            appearance: gathered from the views.
        """
        shape = appearance.shape
        self.device = shape.device
        self.system, self.model = system.to(self.device), model
        self._geometric = GeometricRenderer(model, appearance) if system.preset.layers == "small" else None
        self._condition = system.condition(model)
        self._pictures = _pictures(views, model, shape)
        self._batch: Batch | None = None
        self._sources: Sources | None = None

    @torch.no_grad()
    def __call__(self, body: Body, size: tuple[int, int]) -> Layer:
        """The person as `body` (B = 1, its camera in pixels of the frame) in a frame of `size`, the views' resolution.

        Raises ValueError for another size.
        """
        of_views = tuple(self._pictures.image.shape[-2:])
        if size != of_views:
            raise ValueError(f"size: expected that of the views, {of_views}, got {size}")
        target = body.camera.project(self.model(body.pose, body.shape), size)
        if self._batch is None or self._sources is None:
            batch = make_batch(self._pictures, target, self.model, self._condition, visibility=self.system.visibility)
            # the person alone is wanted: no background is made
            self._sources = self.system.encode_sources(batch, background=torch.zeros_like(batch.sources.image[:, 0]))
            self._batch = batch
        else:
            batch = retarget(self._batch, target, self.model, self._condition, visibility=self.system.visibility)
        geometric = None if self._geometric is None else whole_frame(self._geometric(body, size), size)
        drawn = self.system.render(self._sources, batch, geometric)
        return Layer(drawn.colour, drawn.alpha, (0, 0))


def _pictures(views: Sequence[View], model: BodyModel, shape: Tensor) -> Pictures:
    """N views as a system's sources, B = 1."""
    size = (views[0].resolution, views[0].resolution)
    bodies = [replace(view.body.to(shape.device), shape=shape) for view in views]
    vertices = [body.camera.project(model(body.pose, body.shape), size)[0] for body in bodies]
    return Pictures(
        torch.stack([view.image.to(shape.device) for view in views])[None],
        torch.stack([view.alpha[None].to(shape.device) for view in views])[None],
        torch.stack(vertices)[None],
        torch.ones(1, len(views), dtype=torch.bool, device=shape.device),
    )
