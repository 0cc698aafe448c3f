"""Meshes to pixels: rasterize, barycentrics of known faces, visible faces. The rules: csrc/rasterize/rasterize.h."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from warpkit import _check
from warpkit._dispatch import call
from warpkit._pytree import exportable

CULL = {None: 0, "back": 1, "front": 2}


@exportable
class Fragments(NamedTuple):
    """What lies under each pixel's centre."""

    face_index: Tensor
    """int32 ``[B, H, W]``; -1: none."""
    barycentric: Tensor
    """``[B, H, W, 3]``, dtype of the vertices; zeros: none."""
    depth: Tensor
    """``[B, H, W]``, dtype of the vertices; +inf: none."""


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    *,
    cull: Literal["back", "front"] | None = None,
    near: float = 1e-4,
) -> Fragments:
    """Find the nearest face under each pixel's centre.

    Args:
        vertices: ``[B, V, 3]`` (x, y, z) in NDC, x right and y down, edges of the image at -1 and 1, depth z growing
            away from the camera; or ``[B, V, 4]`` clip space (x, y, z, w). float32 or float64.
        faces: ``[F, 3]`` int32 or int64 indices of vertices. A face with an index out of range draws nothing.
        size: (height, width) in pixels, both at least 1.
        cull: "back" or "front" leaves those faces out; front faces turn counter-clockwise as seen in the image.
        near: faces of a ``[B, V, 4]`` mesh are clipped to w >= near: what lies behind draws nothing.

    Returns:
        Fragments. Coverage is decided on vertices snapped to 1/256 pixel with the top-left rule, barycentrics
        (perspective-correct) and depth (z, or z/w) on the vertices as they are. The nearest wins, ties go to the lower
        index.

    Coverage is exact, without holes or doubles on shared edges, for vertices up to 2^53 pixels away; a face that
    reaches farther, has a vertex that is not finite or no area after snapping, draws nothing.

    barycentric and depth are differentiable in the vertices, once; which face a pixel shows is not (`antialias` is for
    that). Background has no gradient, nor have the barycentrics of a face without area.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    vertices = _check.check_vertices("vertices", vertices)
    faces = _check.check_faces("faces", faces)
    height, width = _check.check_size("size", size)
    _check.check_choice("cull", cull, tuple(CULL))
    near = check_near(near)
    _check.check_device(vertices=vertices, faces=faces)
    barycentric, depth, face_index = call(torch.ops.warpkit.rasterize, vertices, faces, height, width, CULL[cull], near)
    return Fragments(face_index, barycentric, depth)


def barycentrics(vertices: Tensor, faces: Tensor, face_index: Tensor, *, near: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Barycentrics and depth of known faces at each pixel's centre, bit for bit those of `rasterize`.

    Args:
        vertices, faces, near: as for `rasterize`.
        face_index: int32 ``[B, H, W]``. None where an index is out of range, or the face has a vertex that is not
            finite or too far, or lies behind the near plane. Other faces have values wherever they are asked for,
            seen or not: outside the face those of a point on its edge, without area a third each.

    Returns:
        (barycentric ``[B, H, W, 3]``, depth ``[B, H, W]``); zeros and +inf: none. Never negative, sum one.

    Differentiable in the vertices, as `rasterize` is.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    vertices = _check.check_vertices("vertices", vertices)
    faces = _check.check_faces("faces", faces)
    face_index = _check.check_face_index("face_index", face_index)
    check_batch("face_index", face_index, "vertices", vertices)
    _check.check_size("face_index's height and width", tuple(face_index.shape[1:]))
    near = check_near(near)
    _check.check_device(vertices=vertices, faces=faces, face_index=face_index)
    return call(torch.ops.warpkit.barycentrics, vertices, faces, face_index, near)


def visible_faces(face_index: Tensor, num_faces: int) -> Tensor:
    """Which faces own at least one pixel: Vis of Algorithm 1.

    Args:
        face_index: int32 ``[B, H, W]``; indices out of range count as none.
        num_faces: F.

    Returns:
        bool ``[B, F]``.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    face_index = _check.check_face_index("face_index", face_index)
    count = _check.as_integer(num_faces)
    if count is None:
        raise TypeError(f"num_faces: expected an integer, got {_check.describe(num_faces)}")
    if count < 0:
        raise ValueError(f"num_faces: expected at least 0, got {count}")
    _check.check_device(face_index=face_index)
    return call(torch.ops.warpkit.visible_faces, face_index, count)


def check_near(near: float) -> float:
    """Check the near plane: a finite number above 0."""
    number = _check.as_number(near)
    if number is None:
        raise TypeError(f"near: expected a number, got {_check.describe(near)}")
    if not 0 < number < float("inf"):
        raise ValueError(f"near: expected a finite number above 0, got {near}")
    return number


def check_batch(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Check that two tensors have the same batch size."""
    if tensor.shape[0] != other.shape[0]:
        raise ValueError(
            f"{name}: expected batch size {other.shape[0]} as of {other_name}, got shape {list(tensor.shape)}"
        )


@torch.library.register_fake("warpkit::rasterize")
def _(vertices: Tensor, faces: Tensor, height: int, width: int, cull: int, near: float) -> tuple[Tensor, ...]:
    batch = vertices.shape[0]
    return (
        vertices.new_empty(batch, height, width, 3),
        vertices.new_empty(batch, height, width),
        vertices.new_empty(batch, height, width, dtype=torch.int32),
    )


@torch.library.register_fake("warpkit::barycentrics")
def _(vertices: Tensor, faces: Tensor, face_index: Tensor, near: float) -> tuple[Tensor, Tensor]:
    return vertices.new_empty(*face_index.shape, 3), vertices.new_empty(face_index.shape)


@torch.library.register_fake("warpkit::visible_faces")
def _(face_index: Tensor, num_faces: int) -> Tensor:
    return face_index.new_empty(face_index.shape[0], num_faces, dtype=torch.bool)


@torch.library.register_fake("warpkit::barycentrics_backward")
def _(
    barycentric_gradient: Tensor,
    depth_gradient: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_index: Tensor,
    near: float,
    deterministic: bool,
) -> Tensor:
    return vertices.new_empty(vertices.shape)


def _vertices_gradient(ctx: Any, barycentric_gradient: Tensor, depth_gradient: Tensor) -> Tensor:
    vertices, faces, face_index = ctx.saved_tensors
    return call(
        torch.ops.warpkit.barycentrics_backward,
        barycentric_gradient,
        depth_gradient,
        vertices,
        faces,
        face_index,
        ctx.near,
        torch.are_deterministic_algorithms_enabled(),
    )


def _save_rasterize(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    vertices, faces, ctx.near = inputs[0], inputs[1], inputs[5]
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(vertices, faces, output[2])


def _rasterize_backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    return _vertices_gradient(ctx, gradients[0], gradients[1]), None, None, None, None, None


def _save_barycentrics(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.near = inputs[3]
    ctx.save_for_backward(*inputs[:3])


def _barycentrics_backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    return _vertices_gradient(ctx, *gradients), None, None, None


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError(
        "warpkit: rasterize and barycentrics have no second derivative; call backward without create_graph"
    )


torch.library.register_autograd("warpkit::rasterize", _rasterize_backward, setup_context=_save_rasterize)
torch.library.register_autograd("warpkit::barycentrics", _barycentrics_backward, setup_context=_save_barycentrics)
torch.library.register_autograd("warpkit::barycentrics_backward", _no_second_gradient)
