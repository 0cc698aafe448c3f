"""Frames that follow one another do not flicker: what a network adds to geometry is averaged along the body's surface.

The geometric picture is painted on the body, so it moves as the body does. A network looks at each frame anew, and
answers to bodies that waver a little with colours and outlines that waver too. Only what it adds is averaged; the
geometric picture, and with it the person's texture, stays that of each frame.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from warpkit import Flow, mesh_flow, warp
from warpkit.models.batch import Geometric
from warpkit.models.bodies import Body
from warpkit.models.bodies.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from warpkit.models.geometric.renderer import Layer
from warpkit.models.layers import spread
from warpkit.models.tasks.learned import Drawn, LearnedRenderer, person

CUT = 20.0
"""Degrees that a person turns between frames which do not follow one another, but are other views."""
ALIKE = 0.1
"""Difference of colours, of a range of two, at which what came before lasts 1/e as long."""
NEAR = 5
"""Pixels along a side of the squares that colours are compared over, and that outlines are averaged within."""
COARSE = 4
"""Pixels for each sample along a side of the flow beside the body."""
LEAST = 1 / 256
"""Alpha nearer to nought or one is taken for that far from it, so that its odds are finite. The smaller, the steeper
are averages of edges: with this they are as steep as the network's."""
NONE = 1 / 1024
"""Alpha so near to nought or one is that: the tail of an average."""


@dataclass(frozen=True)
class _Before:
    """What the average is, in the last picture."""

    added: Tensor
    """[1, 5, h, w]: what colours, and log odds of alpha, have more than the geometric picture; 1 where the body is."""
    vertices: Tensor
    """[1, V, 3] NDC of the picture."""


class SurfaceAverage:
    """Averages what a network adds to one person's geometric pictures, one after the other, along the surface."""

    def __init__(self, faces: Tensor, fps: float, seconds: float) -> None:
        """`faces` `[F, 3]` of the body; `fps` pictures a second; `seconds` until half of a picture's share is left.

        Raises ValueError where `fps` or `seconds` is not more than nought.
        """
        if not (fps > 0 and seconds > 0):
            raise ValueError(f"fps and seconds: expected more than 0, got {fps} and {seconds}")
        self._faces, self._steps = faces, fps * seconds
        self._before: _Before | None = None

    def __call__(self, colour: Tensor, alpha: Tensor, geometric: Geometric, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """The next picture.

        Args:
            colour: `[1, 3, h, w]` in [-1, 1], as the network drew it; pictures may differ in size.
            alpha: `[1, 1, h, w]` in [0, 1].
            geometric: `[1, ..., h, w]` what it was drawn over; its colour and alpha are read.
            vertices: `[1, V, 3]` NDC, in this picture, of the body that `geometric` was drawn from.

        Returns:
            Colour and alpha, the average's. The first picture comes back as it is, and so does what the one before
            does not show, or shows otherwise than the average has it.
        """
        covered = (geometric.alpha > 0.5).to(colour)
        outline, odds = _log_odds(geometric.alpha), _log_odds(alpha)
        added = torch.cat([colour - geometric.colour, odds - outline, covered], 1)
        if self._before is not None:
            # outlines waver, but no further: so nothing is left behind where the person was
            bounds = _within(odds, torch.minimum) - outline, _within(odds, torch.maximum) - outline
            added = torch.cat([self._averaged(added, self._before, vertices, bounds), covered], 1)
            colour = (geometric.colour + added[:, :3]).clamp(-1, 1)
            alpha = _alpha(outline + added[:, 3:4])
        self._before = _Before(added.contiguous(memory_format=torch.channels_last), vertices)
        return colour, alpha

    def forget(self) -> None:
        """The next picture is the first."""
        self._before = None

    def _averaged(self, added: Tensor, before: _Before, vertices: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
        """[1, 4, h, w]; `bounds` of the last of them, `[1, 1, h, w]` each."""
        size, source = (added.shape[-2], added.shape[-1]), (before.added.shape[-2], before.added.shape[-1])
        flow = mesh_flow(before.vertices[:, None], vertices, self._faces, size, source_size=source)
        assert flow.visible is not None
        grid = _continued(flow, flow.visible, source)
        carried = warp(before.added, Flow(grid.movedim(1, -1)[:, None]))
        covered = added[:, 4:] > 0.5
        # beside the body, what the body hid before was not seen
        seen = (
            torch.where(covered, flow.visible, carried[:, 4:] < 0.5)
            & (grid[:, :1].abs() <= 1)
            & (grid[:, 1:].abs() <= 1)
        )
        unlike = (added[:, :3] - carried[:, :3]).abs().mean(1, keepdim=True)
        unlike = _within(unlike, torch.add) / NEAR**2
        # what differs shortens the time, so that it means the same at any frame rate
        kept = torch.exp2(-torch.exp((unlike / ALIKE).square().clamp(max=30)) / self._steps)
        colour = torch.lerp(added[:, :3], carried[:, :3], torch.where(seen, kept, 0))
        kept = torch.where(seen, 2 ** (-1 / self._steps), 0.0)
        return torch.cat([colour, torch.lerp(added[:, 3:4], carried[:, 3:4].clamp(*bounds), kept)], 1)


class Steady:
    """Steadies frames of one person that come in order, each with those before it in mind; it keeps one of them."""

    def __init__(self, renderer: LearnedRenderer, fps: float, seconds: float) -> None:
        """`renderer` drew the frames; `fps` and `seconds` as of `SurfaceAverage`."""
        self._renderer = renderer
        self._average = SurfaceAverage(renderer.model.faces, fps, seconds)
        self._facing: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, drawn: Drawn, body: Body, size: tuple[int, int]) -> Layer:
        """What is seen of the next frame, as `LearnedRenderer.seen`."""
        facing = axis_angle_to_matrix(body.pose[:, 0])
        if self._facing is not None:
            turned = matrix_to_axis_angle(self._facing.mT @ facing).norm()
            if turned > math.radians(CUT):
                self._average.forget()
        self._facing = facing
        renderer, window = self._renderer, drawn.window
        geometric, clothed = drawn.rendered.geometric, drawn.vertices
        if geometric is None or clothed is None:
            geometric, clothed = renderer.by_geometry(body, size, window)
        vertices = window.body(body).camera.project(clothed, window.size)
        colour, alpha = self._average(*person(drawn), geometric, vertices)
        return renderer.layer(colour, alpha, window, body, size)


def in_order(
    renderer: LearnedRenderer, bodies: Body, size: tuple[int, int], fps: float, seconds: float
) -> Iterator[Layer]:
    """One frame after the other of `bodies`, T of them in pixels of a frame of `size`, drawn some at a time.

    `fps` frames a second are steadied over `seconds`, see `Steady`; 0: each is by itself.
    """
    seen = Steady(renderer, fps, seconds) if seconds > 0 else renderer.seen
    count, step = len(bodies.pose), renderer.at_once(size)
    for start in range(0, count, step):
        some = range(start, min(start + step, count))
        for index, drawn in zip(some, renderer.draw_all(bodies[start : some.stop], size), strict=True):
            yield seen(drawn, bodies[index], size)


def _log_odds(alpha: Tensor) -> Tensor:
    """Finite for alphas from 0 to 1: steep edges that lie a little apart have a steep one between them."""
    return torch.logit(LEAST + (1 - 2 * LEAST) * alpha)


def _alpha(log_odds: Tensor) -> Tensor:
    alpha = (torch.sigmoid(log_odds) - LEAST) / (1 - 2 * LEAST)
    return torch.where(alpha < NONE, 0, torch.where(alpha > 1 - NONE, 1, alpha))


def _continued(flow: Flow, visible: Tensor, source: tuple[int, int]) -> Tensor:
    """[1, 2, h, w] the grid of a flow, S = 1, into a picture of the size `source`, continued to where it sees nothing.

    So hair, and hems that hang beside the body, move with what of it is near.
    """
    size = (visible.shape[-2], visible.shape[-1])
    rows, columns = (torch.arange(length, device=visible.device) + 0.5 for length in size)
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]
    half = torch.stack([here.new_full((1, 1), side / 2) for side in reversed(source)])
    grid = flow.grid[:, 0].movedim(-1, 1)
    down, across = (slice(min(COARSE, length) // 2, None, COARSE) for length in size)  # it is smooth
    known = visible[..., down, across]
    move = torch.where(known, (grid[..., down, across] + 1) * half - here[..., down, across], 0)
    move = spread(move, known.to(move)).contiguous()
    move = F.interpolate(move, size=size, mode="bilinear", align_corners=False)
    return torch.where(visible, grid, (move + here) / half - 1)


def _within(values: Tensor, combined: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What `combined` makes of all values within the square of `NEAR` pixels round each; at borders the last repeat."""
    reach = NEAR // 2
    values = F.pad(values, (reach, reach, reach, reach), mode="replicate")
    for dim in (-1, -2):  # much faster on a CPU than pooling
        length = values.shape[dim] - 2 * reach
        values = reduce(combined, (values.narrow(dim, start, length) for start in range(NEAR)))
    return values
