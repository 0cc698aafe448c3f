"""Vertex attributes at each pixel. The rules: csrc/interpolate/interpolate.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit._dispatch import call
from warpkit.rasterize import Fragments, check_batch

FEATURES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Interpolate vertex attributes over the faces that each pixel shows.

    Args:
        attributes: ``[B, V, D]``, or ``[V, D]`` shared by the batch; float32, bfloat16 or float16 with float32
            barycentrics, or float64 with float64 ones.
        faces: ``[F, 3]`` int32 or int64 into the attributes. Attributes with a topology of their own, such as uv, go
            with that topology's faces (as many, in the same order, as were rasterized).
        fragments: of `rasterize`, ``[B, H, W]``.

    Returns:
        ``[B, H, W, D]``, the dtype of attributes; zeros where there is no face, or the face has an index out of range.

    Sums are in float32 (float64 for float64) or wider. Differentiable once in attributes and barycentrics: a vertex's
    gradient is the sum over the pixels that show its faces, repeatable on the CPU always, on CUDA under
    `torch.use_deterministic_algorithms(True)`.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    attributes = _check.check_tensor("attributes", attributes, "[B, V, D] or [V, D]", FEATURES)
    _check.check_shape("attributes", attributes, "[B, V, D] or [V, D]", attributes.dim() in (2, 3))
    faces = _check.check_faces("faces", faces)
    if not isinstance(fragments, tuple) or len(fragments) != 3:
        raise TypeError(f"fragments: expected Fragments of rasterize, got {_check.describe(fragments)}")
    face_index = _check.check_face_index("fragments.face_index", fragments[0])
    dtype = torch.float64 if attributes.dtype == torch.float64 else torch.float32
    barycentric = _check.check_tensor("fragments.barycentric", fragments[1], "[B, H, W, 3]", (dtype,))
    same = barycentric.shape == (*face_index.shape, 3)
    _check.check_shape("fragments.barycentric", barycentric, "[B, H, W, 3] with B, H, W of face_index", same)
    if attributes.dim() == 3:
        check_batch("attributes", attributes, "fragments", face_index)
    _check.check_device(attributes=attributes, faces=faces, face_index=face_index, barycentric=barycentric)
    return call(torch.ops.warpkit.interpolate, attributes, faces, face_index, barycentric)


@torch.library.register_fake("warpkit::interpolate")
def _(attributes: Tensor, faces: Tensor, face_index: Tensor, barycentric: Tensor) -> Tensor:
    return attributes.new_empty(*face_index.shape, attributes.shape[-1])


@torch.library.register_fake("warpkit::interpolate_backward")
def _(
    gradient: Tensor,
    attributes: Tensor,
    faces: Tensor,
    face_index: Tensor,
    barycentric: Tensor,
    attributes_wanted: bool,
    barycentric_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor]:
    return (
        attributes.new_empty(attributes.shape if attributes_wanted else 0),
        barycentric.new_empty(barycentric.shape if barycentric_wanted else 0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, Tensor | None]:
    attributes, faces, face_index, barycentric = ctx.saved_tensors
    attributes_wanted, _, _, barycentric_wanted = ctx.needs_input_grad
    attributes_gradient, barycentric_gradient = call(
        torch.ops.warpkit.interpolate_backward,
        gradient,
        attributes,
        faces,
        face_index,
        barycentric,
        attributes_wanted,
        barycentric_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    return (
        attributes_gradient if attributes_wanted else None,
        None,
        None,
        barycentric_gradient if barycentric_wanted else None,
    )


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: interpolate has no second derivative; call backward without create_graph")


torch.library.register_autograd("warpkit::interpolate", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::interpolate_backward", _no_second_gradient)
