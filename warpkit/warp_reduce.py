"""Reading several sources into one image. The rules: csrc/warp/warp_reduce.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit._autocast import cast_features
from warpkit._dispatch import call
from warpkit.flow import Flow, check_flow
from warpkit.warp import FEATURES, check_sources, new_image


def warp_reduce(features: Tensor, flow: Flow, reduce: str = "sum", weights: Tensor | None = None) -> Tensor:
    """Read each source where the flow says and sum over the sources, without writing a warped source.

    The additive liquid warping block of Liquid Warping GAN, its mean variant (Eq. 9), and fusion by weights.

    Args:
        features: ``[B, S, C, h, w]`` float32, float64, bfloat16 or float16, any strides. Channels-last (stride(2) == 1)
            is the fast path.
        flow: grid ``[B, S, H, W, 2]`` and visible ``[B, S, H, W]`` or None, as for `warpkit.warp`.
        reduce: "sum", or "mean": the sum divided by S, with weights too and however many sources are visible.
        weights: ``[B, S, H, W]``, any floating dtype, or None: 1. They multiply the warped sources; they are used in
            float32 (float64 for float64 features).

    Returns:
        ``[B, C, H, W]``, the dtype of features; channels-last where features are. A source that is not visible at a
        pixel, or reads nothing there, adds nothing, whatever it and its weight hold, and has no gradient there.

    Sums are in float32 (float64 for float64). Differentiable once in features, grid and weights; gradients are
    repeatable on the CPU always, on CUDA under `torch.use_deterministic_algorithms(True)`. Backward reads the sources
    again: only the arguments are saved. Under autocast features are cast, grid and weights are not.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    features, grid, visible = check_all_sources(features, flow)
    _check.check_choice("reduce", reduce, ("sum", "mean"))
    if weights is not None:
        weights = _check.check_tensor("weights", weights, "[B, S, H, W]", FEATURES)
        expected = f"[B, S, H, W] = {list(grid.shape[:-1])}"
        _check.check_shape("weights", weights, expected, weights.shape == grid.shape[:-1])
    _check.check_device(features=features, grid=grid, visible=visible, weights=weights)
    if weights is not None:
        weights = weights.to(torch.float64 if features.dtype == torch.float64 else torch.float32)
    return call(torch.ops.warpkit.warp_reduce, features, grid, visible, weights, reduce == "mean")


def check_all_sources(features: object, flow: object) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check ``[B, S, C, h, w]`` and a flow of the same batch and sources: features, grid, visible."""
    features = _check.check_tensor("features", features, "[B, S, C, h, w]", FEATURES)
    _check.check_shape("features", features, "[B, S, C, h, w]", features.dim() == 5)
    grid, visible = check_flow("flow", flow)
    check_sources(features, grid)
    _check.check_size("features' height and width", tuple(features.shape[-2:]))
    return features, grid, visible


def new_reduced(sources: Tensor, height: int, width: int) -> Tensor:
    """An empty ``[B, C, height, width]`` in the layout of ``sources`` ``[B, S, C, h, w]``."""
    batch, _, channels = sources.shape[:3]
    if sources.stride(2) == 1 and channels > 1:
        return sources.new_empty(batch, height, width, channels).movedim(-1, 1)
    return sources.new_empty(batch, channels, height, width)


def new_gradient(wanted: bool, image: Tensor) -> Tensor:
    """An empty gradient of features, channels-last where they are; of no elements where it is not wanted."""
    return new_image(image, image.shape[-2], image.shape[-1]) if wanted else image.new_empty(0)


@torch.library.register_fake("warpkit::warp_reduce")
def _(features: Tensor, grid: Tensor, visible: Tensor | None, weights: Tensor | None, mean: bool) -> Tensor:
    return new_reduced(features, grid.shape[2], grid.shape[3])


@torch.library.register_fake("warpkit::warp_reduce_backward")
def _(
    gradient: Tensor,
    features: Tensor,
    grid: Tensor,
    visible: Tensor | None,
    weights: Tensor | None,
    mean: bool,
    features_wanted: bool,
    grid_wanted: bool,
    weights_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    sums = torch.float64 if features.dtype == torch.float64 else torch.float32
    return (
        new_gradient(features_wanted, features),
        grid.new_empty(grid.shape if grid_wanted else 0),
        grid.new_empty(grid.shape[:-1] if weights_wanted else 0, dtype=sums),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1])
    ctx.mean = inputs[-1]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    features_wanted, grid_wanted, _, weights_wanted, _ = wanted = ctx.needs_input_grad
    to_features, to_grid, to_weights = call(
        torch.ops.warpkit.warp_reduce_backward,
        gradient,
        *ctx.saved_tensors,
        ctx.mean,
        features_wanted,
        grid_wanted,
        weights_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    gradients = (to_features, to_grid, None, to_weights, None)
    return tuple(value if need else None for value, need in zip(gradients, wanted, strict=True))


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: warp_reduce has no second derivative; call backward without create_graph")


cast_features("warp_reduce", ("features",))
torch.library.register_autograd("warpkit::warp_reduce", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::warp_reduce_backward", _no_second_gradient)
