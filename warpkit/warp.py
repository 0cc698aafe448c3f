"""Reading features of sources where a flow says. The rules: csrc/warp/warp.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit._autocast import cast_features
from warpkit._dispatch import call
from warpkit.flow import Flow, check_flow

FEATURES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def warp(features: Tensor, flow: Flow) -> Tensor:
    """Read each source where the flow says: bilinear, zero outside the frame and where not visible.

    Args:
        features: ``[B, C, h, w]`` for a flow of one source, or ``[B, S, C, h, w]``; float32, float64, bfloat16 or
            float16, any strides. Channels-last (in five dimensions: stride(2) == 1) is the fast path.
        flow: grid ``[B, S, H, W, 2]`` float32 or float64, in NDC as `grid_sample` with align_corners=False; visible
            bool ``[B, S, H, W]`` or None: every sample counts.

    Returns:
        ``[B, C, H, W]`` or ``[B, S, C, H, W]``, the dtype of features; channels-last where features are. Where not
        visible, and where the grid is not finite or beyond 10^6, zero whatever the source holds, with zero gradient.

    Sums are in float32 (float64 for float64). Differentiable once in features and grid; gradients are repeatable on the
    CPU always, on CUDA under `torch.use_deterministic_algorithms(True)`. Under autocast features are cast, grid never.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    features = _check.check_tensor("features", features, "[B, C, h, w] or [B, S, C, h, w]", FEATURES)
    _check.check_shape("features", features, "[B, C, h, w] or [B, S, C, h, w]", features.dim() in (4, 5))
    grid, visible = check_flow("flow", flow)
    check_sources(features, grid)
    _check.check_size("features' height and width", tuple(features.shape[-2:]))
    _check.check_device(features=features, grid=grid, visible=visible)
    return call(torch.ops.warpkit.warp, features, grid, visible)


def check_sources(features: Tensor, grid: Tensor) -> None:
    """Check that features and flow have the same batch and sources."""
    batch, sources = grid.shape[:2]
    if features.dim() == 4:
        expected = f"[B, C, h, w] with B = {batch}, and a flow of one source"
        good = features.shape[0] == batch and sources == 1
    else:
        expected = f"[B, S, C, h, w] with B = {batch} and S = {sources} of flow"
        good = features.shape[:2] == (batch, sources)
    if not good:
        raise ValueError(f"features: expected {expected}, got {list(features.shape)} and flow {list(grid.shape)}")


def new_image(features: Tensor, height: int, width: int) -> Tensor:
    """An empty ``[B, (S,) C, height, width]`` in the layout that `warp` gives."""
    *lead, channels = features.shape[:-2]
    if features.stride(-3) == 1 and channels > 1:
        return features.new_empty(*lead, height, width, channels).movedim(-1, -3)
    return features.new_empty(*lead, channels, height, width)


@torch.library.register_fake("warpkit::warp")
def _(features: Tensor, grid: Tensor, visible: Tensor | None) -> Tensor:
    return new_image(features, grid.shape[2], grid.shape[3])


@torch.library.register_fake("warpkit::warp_backward")
def _(
    gradient: Tensor,
    features: Tensor,
    grid: Tensor,
    visible: Tensor | None,
    features_wanted: bool,
    grid_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor]:
    return (
        new_image(features, features.shape[-2], features.shape[-1]) if features_wanted else features.new_empty(0),
        grid.new_empty(grid.shape) if grid_wanted else grid.new_empty(0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    features, grid, visible = ctx.saved_tensors
    features_wanted, grid_wanted = ctx.needs_input_grad[:2]
    features_gradient, grid_gradient = call(
        torch.ops.warpkit.warp_backward,
        gradient,
        features,
        grid,
        visible,
        features_wanted,
        grid_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    return features_gradient if features_wanted else None, grid_gradient if grid_wanted else None, None


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: warp has no second derivative; call backward without create_graph")


cast_features("warp", ("features",))
torch.library.register_autograd("warpkit::warp", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::warp_backward", _no_second_gradient)
