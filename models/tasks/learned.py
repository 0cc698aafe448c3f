"""Draws a person by a trained system in place of the geometric picture: sources are encoded once, for all frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from warpkit import Flow
from warpkit.models.batch import Batch, Geometric, Pictures, make_batch, retarget
from warpkit.models.bodies import Body, BodyModel, Camera
from warpkit.models.geometric.appearance import Appearance
from warpkit.models.geometric.renderer import GeometricRenderer, Layer
from warpkit.models.geometric.view import View
from warpkit.models.geometric.whole_frame import whole_frame
from warpkit.models.systems.liquid_warping import LiquidWarping, Rendered
from warpkit.models.tasks.graphs import Graphs

STRIDE = 16
"""Windows begin at multiples of it and have such sides, so that the coarsest features lie as in the whole frame."""
GRAPH_STRIDE = 64
"""Likewise of the sides on a GPU, so that one graph serves many frames."""
MARGIN = 0.1
"""Of the person's height, left free round the naked body: how far clothes and hair may reach."""
SIGHT = 48
"""Pixels left free at least: how far the network looks, so that the window's edge hardly matters to it."""
FADE = 0.03
"""Of the person's height, over which the picture fades out towards the window's edge."""
FAINT = 0.05
"""Alpha that counts as none, and short of one as all: background that is seen stays as it is. Networks start there."""


PIXELS = 2**21
"""Of the frames that go through the network together on a GPU."""
MOST_AT_ONCE = 8
"""Of such frames: on a GPU one small frame leaves much of it idle."""


@dataclass(frozen=True)
class Window:
    """A part of a frame, in pixels; it may reach beyond the frame to the right and below."""

    top: int
    left: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def body(self, body: Body) -> Body:
        """A body of the frame, in the window's pixels."""
        camera = body.camera
        x, y = camera.offset.unbind(-1)
        return Body(body.pose, body.shape, Camera(camera.scale, torch.stack((x - self.left, y - self.top), -1)))

    def cut(self, picture: Geometric) -> Geometric:
        """That part of a picture of the frame, which reaches as far as the window."""
        rows, columns = slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)
        return picture[..., rows, columns]


class Drawn(NamedTuple):
    """What a network was shown of a body and made of it, in a window of the frame of h x w pixels."""

    rendered: Rendered
    """B = 1, without a background."""
    window: Window
    vertices: Tensor | None
    """`[1, V, 3]` metres, of the body with clothes and hair; None where no geometric picture was made."""


class LearnedRenderer:
    """One person, by a system that was trained or personalized; over the geometric picture, where it corrects one."""

    def __init__(
        self,
        system: LiquidWarping,
        model: BodyModel,
        views: Sequence[View],
        appearance: Appearance,
        *,
        whole: bool = False,
        precision: torch.dtype | None = None,
        at_once: int | None = None,
        graphs: bool | None = None,
    ) -> None:
        """On the device of `model`, where the system is moved to.

        Args:
            system: in evaluation mode.
            model: of all bodies.
            views: of the person, all of one resolution, a multiple of 8; best one at which the person is as large as
                in the frames. Their bodies have the shape of whom they show, who may be several people.
            appearance: gathered from the views, in their order.
            whole: the network draws whole frames, of sides that are multiples of 8, even where the person is small.
                So it is for layers that normalise over the picture.
            precision: of the networks; None: bfloat16 where the device has instructions for it (on a CPU colours differ
                by less than 1 in 255), else float32.
            at_once: frames that go through the network together, at most; None: 1 on a CPU, on a GPU as many as have
                `PIXELS`.
            graphs: whether the network is played from CUDA graphs, see `Graphs`; None: on a GPU.
        """
        shape = appearance.shape
        self.device = shape.device
        self.system, self.model = system.to(self.device, memory_format=torch.channels_last), model  # type: ignore[call-overload]
        self.whole = whole or system.preset.layers != "small"
        self.precision = precision or (torch.bfloat16 if _multiplies_bfloat16(self.device) else torch.float32)
        self._at_once = at_once
        graphs = self.device.type == "cuda" if graphs is None else graphs
        self._side = GRAPH_STRIDE if graphs else STRIDE
        self._graphs = Graphs(self._through_network) if graphs else None
        self._geometric = GeometricRenderer(model, appearance)
        self._corrects = system.preset.layers == "small"
        self._condition = system.condition(model)
        self._faces = appearance.faces
        self._tall = float(model.height(shape)[0])
        with torch.inference_mode():
            pictures = _pictures(views, model, self.device)
            self._batch = make_batch(
                pictures, pictures.vertices[:, 0], model, self._condition, visibility=system.visibility
            )
            with self._autocast():
                # the person alone is wanted: no background is made
                self._sources = system.encode_sources(self._batch, background=torch.zeros_like(pictures.image[:, 0]))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def window(self, vertices: Tensor, body: Body, size: tuple[int, int]) -> Window:
        """Where in a frame of `size` the network draws a body of `vertices` `[1, V, 3]`."""
        if self.whole:
            return Window(0, 0, *size)
        pixels = body.camera.pixels(vertices)[0]
        numbers = torch.cat((pixels.amin(0), pixels.amax(0), body.camera.scale))  # together: a GPU is waited for once
        left, top, right, bottom, scale = numbers.tolist()
        margin = max(MARGIN * self._tall * scale, SIGHT)
        left, width = _span(left - margin, right + margin, size[1], self._side)
        top, height = _span(top - margin, bottom + margin, size[0], self._side)
        return Window(top, left, height, width)

    def at_once(self, size: tuple[int, int]) -> int:
        """How many frames of `size` `draw_all` is best given together: memory is bounded by it."""
        if self._at_once is not None:
            return self._at_once
        return 1 if self.device.type == "cpu" else max(1, min(MOST_AT_ONCE, PIXELS // (size[0] * size[1])))

    def draw(self, body: Body, size: tuple[int, int], *, eager: bool = False) -> Drawn:
        """What the network makes of `body` (B = 1, its camera in pixels of the frame) in a frame of `size`.

        `eager`: the network is called, and not played from a graph: hooks on it see this call.

        Raises ValueError where whole frames are drawn and a side of `size` is no multiple of 8.
        """
        return self.draw_all(body, size, eager=eager)[0]

    @torch.inference_mode()
    def draw_all(self, bodies: Body, size: tuple[int, int], *, eager: bool = False) -> list[Drawn]:
        """`draw` of each of the bodies; those whose windows are equally large go through the network together.

        What comes out differs from one by one by rounding. Where graphs are played, all windows are as large as the
        largest, so that one graph serves all of them: there it differs by what a window's edge costs, too.
        """
        played = None if eager else self._graphs
        network = played or self._through_network
        shapes = [self.model(bodies[n].pose, bodies[n].shape) for n in range(len(bodies.pose))]
        windows = [self.window(vertices, bodies[n], size) for n, vertices in enumerate(shapes)]
        if played is not None:
            height, width = (max(sides) for sides in zip(*(window.size for window in windows), strict=True))
            windows = [replace(window, height=height, width=width) for window in windows]
        drawn: dict[int, Drawn] = {}
        for like in dict.fromkeys(window.size for window in windows):
            chosen = [number for number, window in enumerate(windows) if window.size == like]
            batch = retarget(
                _repeated(self._batch, len(chosen)),
                torch.cat([windows[n].body(bodies[n]).camera.project(shapes[n], like) for n in chosen]),
                self.model,
                self._condition,
                size=like,
                visibility=self.system.visibility,
                face_mask=None if self._faces is None else self._faces.expand(len(chosen), -1, -1),
            )
            pictured = [self.by_geometry(bodies[n], size, windows[n]) for n in chosen] if self._corrects else []
            geometric = _joined([picture for picture, _ in pictured]) if pictured else None
            parts = (
                () if geometric is None else (geometric.colour, geometric.seen, geometric.confidence, geometric.alpha)
            )
            flow = batch.flow
            colour, alpha, *gate = network(batch.target_condition, flow.grid, flow.visible, *parts)
            for row, number in enumerate(chosen):
                clothed = pictured[row][1] if pictured else None
                one = slice(row, row + 1)
                rendered = Rendered(
                    image=alpha[one] * colour[one],
                    alpha=alpha[one],
                    colour=colour[one],
                    background=torch.zeros_like(colour[one]),
                    source_images=None,
                    source_alphas=None,
                    geometric=None if geometric is None else geometric[one],
                    gate=gate[0][one] if gate else None,
                )
                drawn[number] = Drawn(rendered, windows[number], clothed)
        return [drawn[number] for number in range(len(windows))]

    def _through_network(
        self, condition: Tensor, grid: Tensor, visible: Tensor | None, *geometric: Tensor
    ) -> tuple[Tensor, ...]:
        """Colour, alpha and, where there is one, gate of N frames; arguments are those of `Batch` and `Geometric`."""
        count = len(condition)
        batch = replace(
            _repeated(self._batch, count), target_condition=condition, flow=Flow(grid, visible), geometric=None
        )
        sources = replace(
            self._sources,
            features=tuple(level.expand(count, -1, -1, -1, -1) for level in self._sources.features),
            background=condition.new_zeros(count, 3, *condition.shape[-2:]),
        )
        with self._autocast():
            rendered = self.system.render(sources, batch, Geometric(*geometric) if geometric else None)
        gate = () if rendered.gate is None else (rendered.gate,)
        return rendered.colour, rendered.alpha, *gate

    @torch.inference_mode()
    def by_geometry(self, body: Body, size: tuple[int, int], window: Window) -> tuple[Geometric, Tensor]:
        """The `window` of the geometric picture of `body`, and the clothed body's vertices `[1, V, 3]` in metres."""
        # of the whole frame, so that what surrounds the person does not change with the window
        frame = (max(size[0], window.top + window.height), max(size[1], window.left + window.width))
        rendered = self._geometric(body, frame)
        return window.cut(whole_frame(rendered, frame)), rendered.vertices

    @torch.inference_mode()
    def __call__(self, body: Body, size: tuple[int, int]) -> Layer:
        """The person as `body` (B = 1, its camera in pixels of the frame) in a frame of `size`.

        Raises ValueError where whole frames are drawn and a side of `size` is no multiple of 8.
        """
        return self.seen(self.draw(body, size), body, size)

    def seen(self, drawn: Drawn, body: Body, size: tuple[int, int]) -> Layer:
        """The person as they were drawn."""
        return self.layer(*person(drawn), drawn.window, body, size)

    def layer(self, colour: Tensor, alpha: Tensor, window: Window, body: Body, size: tuple[int, int]) -> Layer:
        """What is seen of a person drawn in a `window`, `[1, 3, h, w]` and `[1, 1, h, w]`, in a frame of `size`."""
        alpha = alpha * self._fade(window, size, FADE * self._tall * float(body.camera.scale[0]))
        bottom, right = min(size[0] - window.top, window.height), min(size[1] - window.left, window.width)
        return Layer(colour[..., :bottom, :right], alpha[..., :bottom, :right], (window.top, window.left))

    def _fade(self, window: Window, size: tuple[int, int], reach: float) -> Tensor:
        """`[h, w]`: 1 inside, falling to nought at the window's edges that lie within the frame."""

        def along(start: int, length: int, side: int) -> Tensor:
            pixel = torch.arange(length, device=self.device) + 0.5
            fade = torch.ones(length, device=self.device)
            if start > 0:
                fade = torch.minimum(fade, pixel / reach)
            if start + length < side:
                fade = torch.minimum(fade, (length - pixel) / reach)
            return fade

        return along(window.top, window.height, size[0])[:, None] * along(window.left, window.width, size[1])


def person(drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Colour `[1, 3, h, w]` and alpha `[1, 1, h, w]` of the person in the window, float32."""
    alpha = ((drawn.rendered.alpha.float() - FAINT) / (1 - 2 * FAINT)).clamp(0, 1)
    return drawn.rendered.colour.float(), alpha


def _repeated(batch: Batch, count: int) -> Batch:
    """The sources of a batch of one person, so many times; nothing is copied."""

    def again(values: Tensor) -> Tensor:
        return values.expand(count, *values.shape[1:])

    given = batch.sources
    sources = Pictures(again(given.image), again(given.alpha), again(given.vertices), again(given.valid))
    return replace(
        batch,
        sources=sources,
        source_condition=again(batch.source_condition),
        source_silhouette=again(batch.source_silhouette),
    )


def _joined(pictures: Sequence[Geometric]) -> Geometric:
    names = ("colour", "seen", "confidence", "alpha")
    return Geometric(*(torch.cat([getattr(picture, name) for picture in pictures]) for name in names))


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16, without which it only costs time."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(asked())


def _span(low: float, high: float, side: int, step: int) -> tuple[int, int]:
    """Start and length, multiples of `STRIDE` and of `step`, of what lies from `low` to `high` of a frame's side."""
    end = math.ceil(side / STRIDE)
    start = min(max(math.floor(low / STRIDE), 0), end - 1)
    stop = max(min(math.ceil(high / STRIDE), end), start + 1)
    return start * STRIDE, math.ceil((stop - start) * STRIDE / step) * step


def _pictures(views: Sequence[View], model: BodyModel, device: torch.device) -> Pictures:
    """N views as a system's sources, B = 1."""
    size = (views[0].resolution, views[0].resolution)
    bodies = [view.body.to(device) for view in views]
    vertices = [body.camera.project(model(body.pose, body.shape), size)[0] for body in bodies]
    return Pictures(
        torch.stack([view.image.to(device) for view in views])[None],
        torch.stack([view.alpha[None].to(device) for view in views])[None],
        torch.stack(vertices)[None],
        torch.ones(1, len(views), dtype=torch.bool, device=device),
    )
