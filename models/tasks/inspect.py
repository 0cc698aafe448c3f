"""What happened on the way to one frame, as numbers; `inspect_figures` makes pictures of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warpkit import AttentionWarp, Flow, Fragments, compose_flow, mesh_flow, rasterize
from warpkit.models.bodies import Body
from warpkit.models.errors import InputError
from warpkit.models.geometric.view import View
from warpkit.models.progress import SILENT, Progress
from warpkit.models.systems.liquid_warping import LiquidWarping
from warpkit.models.tasks.clip import Clip
from warpkit.models.tasks.learned import LearnedRenderer, Window

LARGEST = 1024
"""Pixels along a side of the cut-outs that are looked at, at most: the frame may be a whole photo."""


@dataclass(frozen=True)
class Geometry:
    """The picture that is made without a network, in a frame of H x W pixels, from N views."""

    picture: np.ndarray
    """uint8 `[H, W, 3]`: the person over the background; `[H, W, 4]` where the clip is transparent."""
    alpha: Tensor
    """`[H, W]` in [0, 1]."""
    shares: Tensor
    """`[N, H, W]` in [0, 1]: how much of the person's colour each view gives."""
    filled: Tensor
    """`[H, W]` in [0, 1]: how much no view gives, so that it was worked out; one in all with the shares, where alpha is
    more than nought."""


@dataclass(frozen=True)
class Attention:
    """What one AttLWB takes from each view."""

    size: tuple[int, int]
    """Height and width of its features, in the network's window."""
    reduction: int
    """Pixels of the frame for each of them, along a side."""
    weights: Tensor
    """`[N, H, W]` in [0, 1], in pixels of the frame: sums to one where a view shows the surface, nought elsewhere."""


@dataclass(frozen=True)
class Network:
    """What a trained system made, where it drew; nought beside its window."""

    colour: Tensor
    """`[3, H, W]` in [-1, 1]: P_t."""
    alpha: Tensor
    """`[H, W]` in [0, 1]: A_t, 1 = person."""
    gate: Tensor | None
    """`[H, W]` in [0, 1]: the geometric picture's share of the colour, of presets that correct one."""
    inside: Tensor
    """`[H, W]` bool: its window."""
    attention: tuple[Attention, ...]
    """Of each AttLWB, finest first; none for other ways to carry sources over."""


@dataclass(frozen=True)
class Inspection:
    """One frame of a clip, of H x W pixels, and what it was made from: N views of the person. All on the CPU."""

    clip: Clip
    index: int
    """Which frame, from 0."""
    views: list[View]
    """The person in each picture, cut out at R pixels a side."""
    trust: Tensor
    """`[N, R, R]` in [0, 1]: how far each pixel of the views is believed."""
    body: Body
    """B = 1, in the frame's pixels, as it was fitted or moved: without clothes."""
    fragments: Fragments
    """`[1, H, W]`: what the pixels' centres see of the body with clothes and hair."""
    flow: Flow
    """`[1, N, H, W]`: where each view holds the surface that the pixels see, whether it shows it or not."""
    visible: Tensor
    """`[N, H, W]` bool: whether it does, by its depth (`warpkit.mesh_flow`)."""
    move: Tensor
    """`[N, H, W, 2]` pixels of the frame, right and down: how far the surface went from its place in each photo. Photos
    are laid over the clip's first frame, pelvis on pelvis and as large. Nought where `flow` is not visible."""
    background: Tensor
    """`[3, H, W]` in [-1, 1], with the shadow of the feet where the clip has one; grey where it is transparent."""
    geometry: Geometry
    network: Network | None
    """None: geometry drew the frame."""
    result: np.ndarray
    """uint8 `[H, W, 3]`: the frame; `[H, W, 4]` where the clip is transparent."""


@torch.no_grad()
def inspect(clip: Clip, index: int | None = None, *, progress: Progress = SILENT) -> Inspection:
    """Looks into one frame of a clip.

    Args:
        clip: of any task.
        index: which frame, from 0, as it is by itself (`Clip.frame`); None: the middle one.
        progress: told of each stage.

    Returns:
        Everything on the way from the pictures to the frame; see `inspect_figures.sections` for pictures of it.

    Raises:
        InputError: the clip has no such frame.
    """
    if index is None:
        index = len(clip) // 2
    if not 0 <= index < len(clip):
        raise InputError(f"frame {index} does not exist: there are {len(clip)}, counted from 0")
    shape = clip.framing.shape
    progress.stage("Looking at the sources", None)
    side = min(max(shape), LARGEST)
    views = clip.views(side)
    renderer, body = clip.geometric, clip.body(index)
    model, appearance = renderer.model, renderer.appearance
    trust = F.interpolate(appearance.images[:, :, 3], (side, side), mode="bilinear", antialias=True)[0]
    progress.stage("Looking at the frame", None)
    target = body.camera.project(model(body.pose, body.shape, offsets=appearance.offsets), shape)
    fragments = rasterize(target, model.faces, shape)
    flow = compose_flow(appearance.vertices, model.faces, fragments, face_mask=appearance.faces)
    resolution = appearance.images.shape[-1]
    by_depth = mesh_flow(
        appearance.vertices,
        target,
        model.faces,
        shape,
        source_size=(resolution, resolution),
        visibility="pixel",
        face_mask=appearance.faces,
    )
    assert flow.visible is not None
    assert by_depth.visible is not None
    network = None
    if isinstance(clip.renderer, LearnedRenderer):
        network = _network(clip.renderer, body, shape)
    return Inspection(
        clip,
        index,
        views,
        trust.cpu(),
        body.to(torch.device("cpu")),
        Fragments(*(part.cpu() for part in fragments)),
        Flow(flow.grid.cpu(), flow.visible.cpu()),
        by_depth.visible[0].cpu(),
        _moves(clip, views, flow.grid[0].cpu(), flow.visible[0].cpu()),
        clip.ground(index).cpu(),
        _geometry(clip, index),
        network,
        clip.picture(clip.render(index), index),
    )


def _moves(clip: Clip, views: list[View], grid: Tensor, visible: Tensor) -> Tensor:
    """`move` of an inspection, from the flow's grid `[N, H, W, 2]` and `[N, H, W]` where it leads anywhere."""
    first = clip.body(0).to(torch.device("cpu")).camera
    rows, columns = (torch.arange(length) + 0.5 for length in grid.shape[1:3])
    now = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    moves = []
    for view, places in zip(views, grid, strict=True):
        camera = view.body.to(torch.device("cpu")).camera
        pixels = (places + 1) / 2 * view.resolution
        before = (pixels - camera.offset[0]) * (first.scale / camera.scale)[0] + first.offset[0]
        moves.append(now - before)
    return torch.where(visible[..., None], torch.stack(moves), 0)


def _geometry(clip: Clip, index: int) -> Geometry:
    drawn = clip.render_geometric(index)
    window = Window(*drawn.corner, *drawn.alpha.shape[-2:])
    shape = clip.framing.shape
    alpha, filled = (_placed(values[0], window, shape)[0] for values in (drawn.alpha, drawn.filled))
    shares = _placed(clip.geometric.shares(drawn)[0], window, shape)
    return Geometry(clip.picture(drawn, index), alpha, shares, filled)


def _network(renderer: LearnedRenderer, body: Body, shape: tuple[int, int]) -> Network:
    with _attending(renderer.system) as attended:
        drawn = renderer.draw(body, shape, eager=True)
    rendered, window = drawn.rendered, drawn.window
    attention = []
    for weights in attended:
        size = (weights.shape[-2], weights.shape[-1])
        attention.append(Attention(size, round(window.height / size[0]), _placed(weights[0], window, shape)))
    gate = None if rendered.gate is None else _placed(rendered.gate[0], window, shape)[0]
    colour, alpha = (_placed(values[0], window, shape) for values in (rendered.colour, rendered.alpha))
    inside = _placed(torch.ones(1, 1, 1), window, shape)[0].bool()
    return Network(colour, alpha[0], gate, inside, tuple(attention))


@contextmanager
def _attending(system: LiquidWarping) -> Iterator[list[Tensor]]:
    """The attention weights `[B, N, h, w]` of each AttLWB of `system` as they come, while it renders in the block."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(module, AttentionWarp)
        seen.append(module.weights(*arguments))

    blocks = [module for module in system.generator.transfer.modules() if isinstance(module, AttentionWarp)]
    hooks = [block.register_forward_pre_hook(keep) for block in blocks]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _placed(values: Tensor, window: Window, shape: tuple[int, int]) -> Tensor:
    """Values `[C, h, w]` of a window, at any resolution, in its frame `[C, *shape]`; nought beside it."""
    values = values.float().cpu()
    if tuple(values.shape[-2:]) != window.size:
        values = F.interpolate(values[None], window.size, mode="nearest-exact")[0]
    values = values[:, : shape[0] - window.top, : shape[1] - window.left]
    frame = values.new_zeros(len(values), *shape)
    frame[:, window.top : window.top + values.shape[1], window.left : window.left + values.shape[2]] = values
    return frame
