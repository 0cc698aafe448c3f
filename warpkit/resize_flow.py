"""Flows at another size. The rules: csrc/flow/resize_flow.h."""

from typing import Any, Literal

import torch
from torch import Tensor

from warpkit import _check
from warpkit._dispatch import call
from warpkit.flow import Flow, check_flow


def resize_flow(flow: Flow, size: tuple[int, int], *, mode: Literal["masked", "bilinear"] = "masked") -> Flow:
    """Resize a flow, so that it warps features of another level.

    Args:
        flow: grid ``[B, S, H, W, 2]``, visible ``[B, S, H, W]`` or None.
        size: (height, width) of the result.
        mode: "masked": a sample is visible when at least half of the area that it covers is (its share of the frame
            along an axis that shrinks, the bilinear footprint along one that grows); its displacement from its own
            place is the mean of the visible samples' there, so an identity stays an identity and -2 never bleeds in.
            Two visible surfaces still mix: where that matters, call `mesh_flow` for each level. "bilinear":
            align_corners=True on the grid alone, -2 included, as the public code of the papers does.

    Returns:
        Flow of that size: visible is None where the flow's is, and for "bilinear"; grid -2 where not visible.

    Differentiable in grid, once; gradients are repeatable on every device.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    grid, visible = check_flow("flow", flow)
    height, width = _check.check_size("size", size)
    _check.check_choice("mode", mode, ("masked", "bilinear"))
    _check.check_size("flow's height and width", tuple(grid.shape[2:4]))
    _check.check_device(grid=grid, visible=visible)
    out, out_visible = call(torch.ops.warpkit.resize_flow, grid, visible, height, width, mode)
    return Flow(out, None if visible is None or mode == "bilinear" else out_visible)


@torch.library.register_fake("warpkit::resize_flow")
def _(grid: Tensor, visible: Tensor | None, height: int, width: int, mode: str) -> tuple[Tensor, Tensor]:
    lead = grid.shape[:2]
    shape = (*lead, height, width) if visible is not None and mode == "masked" else (0,)
    return grid.new_empty(*lead, height, width, 2), grid.new_empty(shape, dtype=torch.bool)


@torch.library.register_fake("warpkit::resize_flow_backward")
def _(gradient: Tensor, visible: Tensor | None, in_height: int, in_width: int, mode: str) -> Tensor:
    return gradient.new_empty(*gradient.shape[:2], in_height, in_width, 2)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    grid, visible, _, _, mode = inputs
    ctx.save_for_backward(visible)
    ctx.in_size = grid.shape[2:4]
    ctx.mode = mode
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor, None, None, None, None]:
    (visible,) = ctx.saved_tensors
    to_grid = call(torch.ops.warpkit.resize_flow_backward, gradient, visible, *ctx.in_size, ctx.mode)
    return to_grid, None, None, None, None


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: resize_flow has no second derivative; call backward without create_graph")


torch.library.register_autograd("warpkit::resize_flow", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::resize_flow_backward", _no_second_gradient)
