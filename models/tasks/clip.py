"""A person moving or turning before a background, frame by frame: what every task makes."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warpkit.models.bodies import PARTS, Body, BodyModel, Camera, on_device
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.camera_path import Following, Plates, moving_plate
from warpkit.models.geometric.framing import Framing, whole_picture
from warpkit.models.geometric.renderer import GeometricRenderer, Layer, Rendered
from warpkit.models.geometric.shadow import contact_shadow
from warpkit.models.geometric.view import View
from warpkit.models.media.images import parse_color, read_image
from warpkit.models.media.tensors import to_image, to_tensor
from warpkit.models.memory import give_back
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.beside import Beside
from warpkit.models.tasks.learned import STRIDE, LearnedRenderer
from warpkit.models.tasks.sources import Source
from warpkit.models.tasks.steady import in_order

BREATH = 50
"""Frames after which free memory is given back."""
MOST_CANVAS = 3
"""Of a frame's longer side: a background that passes is drawn with so many pixels at most."""


class Clip:
    """Frames of a person, made as they are asked for, and what they are made from."""

    def __init__(
        self,
        model: BodyModel,
        sources: list[Source],
        appearance: Appearance,
        bodies: Body,
        framing: Framing,
        plate: Tensor | Plates | None,
        *,
        fps: float,
        device: torch.device,
        system: LiquidWarping | None = None,
        video: Path | None = None,
        beside: Beside | None = None,
        shadow: bool = True,
        notes: Sequence[str] = (),
        views: Callable[[int], list[View]] | None = None,
        givers: Sequence[Source] | None = None,
        steady: float = 0.0,
    ) -> None:
        """`bodies` (T of them) in the pixels of a picture, `framing` the part of it that is shown before `plate`.

        `plate`: `[3, H, W]` of the frame's size; or what gives it for each frame; None: frames are transparent.
        `system`: what draws the person; the geometric picture if None. `video`: whose sound belongs to the frames.
        `beside`: puts other pictures beside each. `shadow`: whether the feet darken the ground
        that they stand on. `views`: the pictures that the appearance was gathered from, at any resolution; those of
        the sources if None. `givers`: the photos of the views, in their order; the sources if None.
        `steady`: as of `Look`.
        """
        self._views = views or partial(views_of, sources, appearance.shape)
        self.model, self.sources, self.appearance = model, sources, appearance
        self.bodies, self.framing = bodies, framing
        self.givers = list(sources if givers is None else givers)
        """The photos that the appearance was gathered from, in the order of the views."""
        self.fps = fps
        """Frames per second."""
        self.device = device
        """Where frames are rendered."""
        self.num_frames = len(bodies.pose)
        height, width = framing.shape
        self.size = (height, 3 * width if beside else width)
        """Height and width of a frame."""
        self.transparent = plate is None
        """Whether frames have a fourth channel: the person's alpha, which their colours are not multiplied by."""
        self.audio_from = video
        """The video whose sound belongs to the frames, if the motion came from one."""
        self.notes = list(notes)
        """Sentences that the user should see."""
        self.steady = steady
        """Seconds over which frames in order share what a network adds, see `Look`."""
        self._beside = beside
        self._placed = on_device(model, device)
        self.geometric = GeometricRenderer(self._placed, appearance.to(device))
        """Draws the person without a network, whatever draws the frames."""
        self.renderer = self._drawer(system)
        """Draws the frames."""
        self._framed = framing.body(bodies).to(device)
        self._plate = plate.to(device) if isinstance(plate, Tensor) else plate
        self._offsets = appearance.offsets.to(device)
        feet = [number for number, part in enumerate(PARTS) if part.endswith("foot")]
        of_feet = torch.isin(model.parts, torch.tensor(feet, device=model.parts.device))
        self._feet = model.faces[of_feet].long().unique().to(device) if shadow else None

    def drawn_by(self, system: LiquidWarping | None) -> "Clip":
        """The same clip with another renderer; the geometric one if None."""
        other = copy(self)
        other.renderer = self._drawer(system)
        return other

    def _drawer(self, system: LiquidWarping | None) -> GeometricRenderer | LearnedRenderer:
        if system is None:
            return self.geometric
        resolution = _as_large(self.sources, self.framing.body(self.bodies))
        views = self._views(resolution)
        return LearnedRenderer(system, self._placed, views, self.appearance.to(self.device))

    def body(self, index: int) -> Body:
        """The body of frame `index` (B = 1) in the frame's pixels, on the device that renders; not displaced."""
        return self._framed[index]

    def views(self, resolution: int) -> list[View]:
        """The pictures that the appearance was gathered from, cut out again at `resolution` pixels a side."""
        return self._views(resolution)

    @torch.no_grad()
    def render(self, index: int) -> Layer:
        """The person of frame `index` by itself, without the background."""
        return self.renderer(self._framed[index], self.framing.shape)

    @torch.no_grad()
    def renders(self) -> Iterator[Layer]:
        """The person of each frame in order: where a network draws and `steady` is not 0, with those before in mind."""
        people: Iterator[Layer] = map(self.render, range(self.num_frames))
        if isinstance(self.renderer, LearnedRenderer):
            people = in_order(self.renderer, self._framed, self.framing.shape, self.fps, self.steady)
        for index, person in enumerate(people):
            yield person
            if (index + 1) % BREATH == 0:
                give_back()  # windows differ in size: what one leaves is in pieces, and a long clip's would add up

    @torch.no_grad()
    def render_geometric(self, index: int) -> Rendered:
        """The same by geometry alone."""
        return self.geometric(self._framed[index], self.framing.shape)

    @torch.no_grad()
    def picture(self, person: Layer, index: int, ground: Tensor | None = None) -> np.ndarray:
        """A person over the background of frame `index`, uint8 RGB `[H, W, 3]`; or RGBA `[H, W, 4]`.

        `ground`: of the frame, `[3, H, W]`, in place of its own.
        """
        if not self.transparent:
            return to_image(person.over(self.ground(index) if ground is None else ground))
        alone = person.alone(self.framing.shape)
        alpha = alone[3:].mul(255).round().clamp(0, 255).to(torch.uint8)
        return np.concatenate([to_image(alone[:3]), alpha.permute(1, 2, 0).cpu().numpy()], 2)

    @torch.no_grad()
    def frame(self, index: int) -> np.ndarray:
        """Frame `index` by itself, uint8 RGB `[H, W, 3]`; RGBA `[H, W, 4]` where the clip is transparent."""
        return self._finished(self.render(index), index)

    def _finished(self, person: Layer, index: int) -> np.ndarray:
        picture = self.picture(person, index)
        return self._beside(index, picture) if self._beside else picture

    def ground(self, index: int) -> Tensor:
        """[3, H, W] the background of frame `index`, with the shadow of the feet; grey where that is transparent."""
        return self.shaded(self.plate(index), index)

    def plate(self, index: int) -> Tensor:
        """The same without the shadow."""
        if self._plate is None:
            return torch.zeros(3, *self.framing.shape, device=self.device)
        return self._plate if isinstance(self._plate, Tensor) else self._plate(index).to(self.device)

    def shaded(self, ground: Tensor, index: int) -> Tensor:
        """A background `[3, H, W]` with the shadow of the feet of frame `index`, where the clip has one."""
        if self._feet is None:
            return ground
        body = self._framed[index]
        feet = self._placed(body.pose, body.shape, offsets=self._offsets, vertices=self._feet)[0]
        dark = contact_shadow(feet, body.camera.scale[0], body.camera.offset[0], self.framing.shape)
        return (ground + 1) * (1 - dark) - 1

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames from the first on, as of `frame`, but each with those before it in mind where `steady` says so."""
        return (self._finished(person, index) for index, person in enumerate(self.renders()))


def views_of(sources: Sequence[Source], shape: Tensor, resolution: int) -> list[View]:
    """The sources cut out, with bodies of one shape."""
    views = [source.view(resolution) for source in sources]
    return [replace(view, body=replace(view.body, shape=shape)) for view in views]


def _as_large(sources: Sequence[Source], framed: Body) -> int:
    """The resolution of views, at which the person is as large in them as in the frames: so the systems learned it."""
    of_views = [float(source.window(1).body(source.person.body).camera.scale[0]) for source in sources]
    alike = float(framed.camera.scale.median()) / (sum(of_views) / len(of_views))
    return STRIDE * max(2, round(alike / STRIDE))


def extent(bodies: Body, model: BodyModel) -> tuple[Tensor, Camera]:
    """Vertices `[N, V, 3]` of up to 48 moments of a motion, and their cameras: enough to know where it goes."""
    frames = len(bodies.pose)
    chosen = torch.linspace(0, frames - 1, min(frames, 48)).round().long()
    vertices = torch.cat([model(bodies.pose[[i]], bodies.shape[[i]]) for i in chosen.tolist()])
    return vertices, bodies.camera[chosen]


def make_plate(background: str | Path, source: Source, framing: Framing) -> Tensor | None:
    """[3, H, W] the background asked for, of the frame's size; None where it is transparent.

    "keep", a colour, or a picture that is made to fill the frame. `framing` is of the photo of `source`.
    """
    if str(background) == "transparent":
        return None
    if str(background) == "keep":
        whole = framing == whole_picture(source.person.size)
        return source.emptied() if whole else source.plate(framing)
    color = parse_color(str(background))
    if color is not None:
        return to_tensor(np.full((*framing.shape, 3), color, np.uint8))
    return filling(to_tensor(read_image(background)), framing.shape)


def filling(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    """[3, H, W] the largest part in the middle of `picture` `[3, h, w]` that has the shape (height, width)."""
    (down, across), (height, width) = shape, picture.shape[-2:]
    side = min(width, height * across / down)
    return Framing((width - side) / 2, (height - side * down / across) / 2, side, across, down).cut(picture)


def leaves(framed: Body, model: BodyModel, shape: tuple[int, int]) -> bool:
    """Whether bodies in a frame's pixels ever reach beyond its sides or its bottom by more than a hundredth of it."""
    points, camera = extent(framed, model)
    pixels = camera.pixels(points)
    (height, width), slack = shape, 0.01 * max(shape)
    beyond = (pixels[..., 0] < -slack) | (pixels[..., 0] > width + slack) | (pixels[..., 1] > height + slack)
    return bool(beyond.any())


def passing(source: Source, first: Framing, following: Following) -> Plates:
    """The photo's own background behind a camera that moves; beyond the photo, continued."""
    whole = following.all(first, MOST_CANVAS * max(first.shape))
    return moving_plate(source.plate(whole), whole, following, first)
