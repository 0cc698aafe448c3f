"""Attention of each pixel over its places in the sources. The rules: csrc/attention/attention.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit._autocast import autocasts, cast_features
from warpkit._dispatch import call
from warpkit.flow import Flow
from warpkit.warp import FEATURES
from warpkit.warp_reduce import check_all_sources, new_gradient, new_reduced


def warp_attention(
    query: Tensor, features: Tensor, flow: Flow, *, value: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Attend over sources read where the flow says: softmax of <query, warp(features_s)> scale, times warp(value_s).

    The attention of Liquid Warping GAN with attention, without writing a warped source.

    Args:
        query: ``[B, C, H, W]`` in the dtype of features; C >= 0.
        features: ``[B, S, C, h, w]`` float32, float64, bfloat16 or float16, any strides; what is compared with the
            query. Channels-last (stride(2) == 1) is the fast path.
        flow: grid ``[B, S, H, W, 2]`` and visible ``[B, S, H, W]`` or None, as for `warpkit.warp`.
        value: ``[B, S, Cv, h, w]`` in the dtype of features, or None: features, read once for both.
        scale: of the scores; None: C ** -0.5.

    Returns:
        ``[B, Cv, H, W]`` in the dtype of features; channels-last where value is, or features without one. A source that
        is not visible at a pixel is left out of the softmax, whatever it holds, and has no gradient there; one that is
        visible but outside its frame, or where the grid is not usable, takes part with score 0 and value 0, and so do
        all with a flow without visible. Where no source takes part: zeros.

    Scores and sums are in float32 (float64 for float64). Differentiable once in query, features, value and grid;
    gradients are repeatable on the CPU always, on CUDA under `torch.use_deterministic_algorithms(True)`. Backward reads
    the sources again: only the arguments are saved. Under autocast query, features and value are cast, grid is not.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    features, grid, visible = check_all_sources(features, flow)
    batch, sources, channels = features.shape[:3]
    same = FEATURES if autocasts(features) else (features.dtype,)
    query = _check.check_tensor("query", query, "[B, C, H, W]", same)
    shape = (batch, channels, *grid.shape[2:4])
    if query.shape != shape:
        _check.check_shape("query", query, f"[B, C, H, W] = {list(shape)}", False)
    if value is not None:
        value = _check.check_tensor("value", value, "[B, S, Cv, h, w]", same)
        if value.dim() != 5 or value.shape[:2] != features.shape[:2] or value.shape[3:] != features.shape[3:]:
            expected = f"[{batch}, {sources}, Cv, {features.shape[3]}, {features.shape[4]}], as features"
            _check.check_shape("value", value, expected, False)
    number = (float(channels) ** -0.5 if channels > 0 else 1.0) if scale is None else _check.as_number(scale)
    if number is None:
        raise TypeError(f"scale: expected a number or None, got {_check.describe(scale)}")
    _check.check_device(features=features, query=query, grid=grid, visible=visible, value=value)
    return call(torch.ops.warpkit.warp_attention, query, features, grid, visible, value, number)


@torch.library.register_fake("warpkit::warp_attention")
def _(
    query: Tensor, features: Tensor, grid: Tensor, visible: Tensor | None, value: Tensor | None, scale: float
) -> Tensor:
    return new_reduced(features if value is None else value, grid.shape[2], grid.shape[3])


@torch.library.register_fake("warpkit::warp_attention_backward")
def _(
    gradient: Tensor,
    query: Tensor,
    features: Tensor,
    grid: Tensor,
    visible: Tensor | None,
    value: Tensor | None,
    scale: float,
    query_wanted: bool,
    features_wanted: bool,
    value_wanted: bool,
    grid_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        new_gradient(query_wanted, query),
        new_gradient(features_wanted, features),
        features.new_empty(0) if value is None else new_gradient(value_wanted, value),
        grid.new_empty(grid.shape if grid_wanted else 0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1])
    ctx.scale = inputs[-1]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    query_wanted, features_wanted, grid_wanted, _, value_wanted, _ = wanted = ctx.needs_input_grad
    to_query, to_features, to_value, to_grid = call(
        torch.ops.warpkit.warp_attention_backward,
        gradient,
        *ctx.saved_tensors,
        ctx.scale,
        query_wanted,
        features_wanted,
        value_wanted,
        grid_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    gradients = (to_query, to_features, to_grid, None, to_value, None)
    return tuple(value if need else None for value, need in zip(gradients, wanted, strict=True))


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: warp_attention has no second derivative; call backward without create_graph")


cast_features("warp_attention", ("query", "features", "value"))
torch.library.register_autograd("warpkit::warp_attention", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::warp_attention_backward", _no_second_gradient)
