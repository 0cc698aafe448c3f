"""From meshes to flow in one call: rasterize, visibility and compose. The rules: csrc/flow/mesh_flow.h."""

from typing import Any, Literal

import torch
from torch import Tensor

from warpkit import _check
from warpkit._dispatch import call
from warpkit.flow import Flow, check_face_flags

VISIBILITY = {"pixel": "pixel", "face": "face", None: "none"}
NEAR = 1e-4  # kNear of csrc/flow/mesh_flow.h


def mesh_flow(
    source_vertices: Tensor,
    target_vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    *,
    source_size: tuple[int, int] | None = None,
    visibility: Literal["pixel", "face"] | None = "pixel",
    face_mask: Tensor | None = None,
) -> Flow:
    """Find where the surface that a target shows lies in each source, and whether the source shows it.

    Args:
        source_vertices: ``[B, S, V, 3]`` NDC with depth, or ``[B, S, V, 4]`` clip space; float32 or float64.
        target_vertices: ``[B, V, 3]`` or ``[B, V, 4]``, the same mesh in the target; the dtype of source_vertices.
        faces: ``[F, 3]`` int32 or int64.
        size: (height, width) of the flow.
        source_size: (height, width) of the sources, at which visibility is decided; None: size.
        visibility: "pixel": the depth d of the point seen at a target pixel, against the depth D that the source
            shows in the pixel where the point lies: visible when d <= D + slopes + 1e-5 max(1, abs(d)). The slopes are
            how far the depth of the point's face, and of the face shown, goes in one pixel right and one down; they
            are left out where the two turn opposite ways. "face": Algorithm 1's Vis of Liquid Warping GAN, faces that
            own a pixel of the source at 2048 x 2048 or more. None: everything is visible.
        face_mask: bool ``[B, S, F]``: faces that each source gives; None: all.

    Returns:
        Flow: grid ``[B, S, H, W, 2]``, visible ``[B, S, H, W]``; nothing hides a point outside its source's frame.

    Differentiable once in source_vertices (x, y and w) and target_vertices, where visible; visible itself is not
    differentiated. Backward makes the target's barycentrics again from its face ids. Gradients are repeatable on the
    CPU always, on CUDA under `torch.use_deterministic_algorithms(True)`.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    shapes = "[B, S, V, 3] or [B, S, V, 4]"
    target_vertices = _check.check_vertices("target_vertices", target_vertices)
    source_vertices = _check.check_tensor("source_vertices", source_vertices, shapes, (target_vertices.dtype,))
    good = source_vertices.dim() == 4 and source_vertices.shape[-1] in (3, 4)
    _check.check_shape("source_vertices", source_vertices, shapes, good)
    batch, vertices = target_vertices.shape[:2]
    good = source_vertices.shape[0] == batch and source_vertices.shape[2] == vertices
    expected = f"[B, S, V, 3 or 4] with B = {batch} and V = {vertices} of target_vertices"
    _check.check_shape("source_vertices", source_vertices, expected, good)
    faces = _check.check_faces("faces", faces)
    height, width = _check.check_size("size", size)
    source_height, source_width = (
        (height, width) if source_size is None else _check.check_size("source_size", source_size)
    )
    _check.check_choice("visibility", visibility, tuple(VISIBILITY))
    check_face_flags("face_mask", face_mask, source_vertices, faces)
    _check.check_device(
        source_vertices=source_vertices, target_vertices=target_vertices, faces=faces, face_mask=face_mask
    )
    grid, visible, _ = call(
        torch.ops.warpkit.mesh_flow,
        source_vertices,
        target_vertices,
        faces,
        height,
        width,
        source_height,
        source_width,
        VISIBILITY[visibility],
        face_mask,
    )
    return Flow(grid, visible)


@torch.library.register_fake("warpkit::mesh_flow")
def _(
    source_vertices: Tensor,
    target_vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    source_height: int,
    source_width: int,
    visibility: str,
    face_mask: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (*source_vertices.shape[:2], height, width)
    return (
        target_vertices.new_empty(*shape, 2),
        target_vertices.new_empty(shape, dtype=torch.bool),
        target_vertices.new_empty(shape[0], height, width, dtype=torch.int32),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    source_vertices, target_vertices, faces = inputs[:3]
    _, visible, face_index = output
    ctx.set_materialize_grads(False)  # no zeros for those two
    ctx.save_for_backward(source_vertices, target_vertices, faces, face_index, visible)


def _backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 9
    source_vertices, target_vertices, faces, face_index, visible = ctx.saved_tensors
    sources_wanted, target_wanted = ctx.needs_input_grad[:2]
    deterministic = torch.are_deterministic_algorithms_enabled()
    barycentric, depth = call(torch.ops.warpkit.barycentrics, target_vertices, faces, face_index, NEAR)
    sources_gradient, barycentric_gradient = call(
        torch.ops.warpkit.compose_flow_backward,
        gradient,
        source_vertices,
        faces,
        face_index,
        barycentric,
        visible,
        sources_wanted,
        target_wanted,
        deterministic,
    )
    target_gradient = None
    if target_wanted:
        target_gradient = call(
            torch.ops.warpkit.barycentrics_backward,
            barycentric_gradient,
            torch.zeros_like(depth),
            target_vertices,
            faces,
            face_index,
            NEAR,
            deterministic,
        )
    return (sources_gradient if sources_wanted else None, target_gradient, *(None,) * 7)


torch.library.register_autograd("warpkit::mesh_flow", _backward, setup_context=_save)
