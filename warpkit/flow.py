"""Where the pixels of a target lie in its sources. The rules: csrc/flow/*.h; how a flow is read: warpkit/warp.py."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from warpkit import _check
from warpkit._dispatch import call
from warpkit._pytree import exportable
from warpkit.rasterize import Fragments, check_batch


@exportable
class Flow(NamedTuple):
    """Where each target pixel reads each source."""

    grid: Tensor
    """``[B, S, H, W, 2]`` float32 or float64: (x, y) in NDC of the source; -2 where not visible."""
    visible: Tensor | None = None
    """bool ``[B, S, H, W]``; None: every sample counts. Where false nothing of the source matters."""


def compose_flow(
    source_vertices: Tensor,
    faces: Tensor,
    target: Fragments,
    *,
    source_visible: Tensor | None = None,
    face_mask: Tensor | None = None,
) -> Flow:
    """Find where the surface that a target shows lies in each source: Algorithm 1 of Liquid Warping GAN.

    Args:
        source_vertices: ``[B, S, V, 2]`` or ``[B, S, V, 3]`` NDC of the sources (x and y enter), or ``[B, S, V, 4]``
            clip space (x, y, z, w): perspective-correct. float32 or float64, the dtype of the target's barycentrics.
        faces: ``[F, 3]`` int32 or int64, those that the target was rasterized with.
        target: Fragments of the target, ``[B, H, W]``. The weights are the target's.
        source_visible: bool ``[B, S, F]``: faces that each source shows; None: all. See `warpkit.visible_faces`.
        face_mask: bool ``[B, S, F]``: faces that each source gives; None: all.

    Returns:
        Flow: grid ``[B, S, H, W, 2]``, visible ``[B, S, H, W]``. Not visible where there is no face, where the face is
        not in source_visible or face_mask, and where the point is not finite or not in front of the source's camera.

    Differentiable once in source_vertices and the target's barycentrics, where visible; visible itself is not
    differentiated. Gradients are repeatable on the CPU always, on CUDA under
    `torch.use_deterministic_algorithms(True)`.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    shapes = "[B, S, V, 2], [B, S, V, 3] or [B, S, V, 4]"
    source_vertices = _check.check_tensor("source_vertices", source_vertices, shapes, _check.GEOMETRY)
    good = source_vertices.dim() == 4 and source_vertices.shape[-1] in (2, 3, 4)
    _check.check_shape("source_vertices", source_vertices, shapes, good)
    faces = _check.check_faces("faces", faces)
    if not isinstance(target, tuple) or len(target) != 3:
        raise TypeError(f"target: expected Fragments of rasterize, got {_check.describe(target)}")
    face_index = _check.check_face_index("target.face_index", target[0])
    barycentric = _check.check_tensor("target.barycentric", target[1], "[B, H, W, 3]", (source_vertices.dtype,))
    same = barycentric.shape == (*face_index.shape, 3)
    _check.check_shape("target.barycentric", barycentric, "[B, H, W, 3] with B, H, W of face_index", same)
    check_batch("source_vertices", source_vertices, "target", face_index)
    check_face_flags("source_visible", source_visible, source_vertices, faces)
    check_face_flags("face_mask", face_mask, source_vertices, faces)
    _check.check_device(
        source_vertices=source_vertices,
        faces=faces,
        face_index=face_index,
        barycentric=barycentric,
        source_visible=source_visible,
        face_mask=face_mask,
    )
    return Flow(
        *call(
            torch.ops.warpkit.compose_flow, source_vertices, faces, face_index, barycentric, source_visible, face_mask
        )
    )


def check_face_flags(name: str, flags: Tensor | None, source_vertices: Tensor, faces: Tensor) -> None:
    """Check bool ``[B, S, F]``, or None."""
    if flags is None:
        return
    flags = _check.check_tensor(name, flags, "[B, S, F]", (torch.bool,))
    shape = (*source_vertices.shape[:2], faces.shape[0])
    _check.check_shape(name, flags, f"[B, S, F] = {list(shape)}", flags.shape == shape)


def check_flow(name: str, flow: object) -> Flow:
    """Check grid ``[B, S, H, W, 2]`` and visible ``[B, S, H, W]`` or None."""
    if not isinstance(flow, tuple) or len(flow) != 2:
        raise TypeError(f"{name}: expected Flow(grid, visible), got {_check.describe(flow)}")
    grid = _check.check_tensor(f"{name}.grid", flow[0], "[B, S, H, W, 2]", _check.GEOMETRY)
    _check.check_shape(f"{name}.grid", grid, "[B, S, H, W, 2]", grid.dim() == 5 and grid.shape[-1] == 2)
    visible = flow[1]
    if visible is not None:
        visible = _check.check_tensor(f"{name}.visible", visible, "[B, S, H, W]", (torch.bool,))
        good = visible.shape == grid.shape[:-1]
        _check.check_shape(f"{name}.visible", visible, f"[B, S, H, W] = {list(grid.shape[:-1])}", good)
    return Flow(grid, visible)


@torch.library.register_fake("warpkit::compose_flow")
def _(
    source_vertices: Tensor,
    faces: Tensor,
    face_index: Tensor,
    barycentric: Tensor,
    source_visible: Tensor | None,
    face_mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    shape = (*source_vertices.shape[:2], *face_index.shape[1:])
    return source_vertices.new_empty(*shape, 2), source_vertices.new_empty(shape, dtype=torch.bool)


@torch.library.register_fake("warpkit::compose_flow_backward")
def _(
    gradient: Tensor,
    source_vertices: Tensor,
    faces: Tensor,
    face_index: Tensor,
    barycentric: Tensor,
    visible: Tensor,
    vertices_wanted: bool,
    barycentric_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor]:
    return (
        source_vertices.new_empty(source_vertices.shape if vertices_wanted else 0),
        barycentric.new_empty(barycentric.shape if barycentric_wanted else 0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)  # no zeros for visible
    ctx.save_for_backward(*inputs[:4], output[1])


def _backward(ctx: Any, gradient: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 6
    vertices_wanted, barycentric_wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[3]
    vertices_gradient, barycentric_gradient = call(
        torch.ops.warpkit.compose_flow_backward,
        gradient,
        *ctx.saved_tensors,
        vertices_wanted,
        barycentric_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    return (
        vertices_gradient if vertices_wanted else None,
        None,
        None,
        barycentric_gradient if barycentric_wanted else None,
        None,
        None,
    )


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError(
        "warpkit: compose_flow and mesh_flow have no second derivative; call backward without create_graph"
    )


torch.library.register_autograd("warpkit::compose_flow", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::compose_flow_backward", _no_second_gradient)
