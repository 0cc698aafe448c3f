"""Vertex attributes at each pixel. The rules: csrc/interpolate/interpolate.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit.rasterize import Fragments, check_batch


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Interpolate vertex attributes over the faces that each pixel shows.

    Args:
        attributes: ``[B, V, D]``, or ``[V, D]`` shared by the batch; float32 or float64, the dtype of the barycentrics.
        faces: ``[F, 3]`` int32 or int64 into the attributes. Attributes with a topology of their own, such as uv, go
            with that topology's faces (as many, in the same order, as were rasterized).
        fragments: of `rasterize`, ``[B, H, W]``.

    Returns:
        ``[B, H, W, D]``; zeros where there is no face, or the face has an index out of range.

    Gradients are not available yet: backward through the output raises.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    attributes = _check.check_tensor("attributes", attributes, "[B, V, D] or [V, D]", _check.GEOMETRY)
    _check.check_shape("attributes", attributes, "[B, V, D] or [V, D]", attributes.dim() in (2, 3))
    faces = _check.check_faces("faces", faces)
    if not isinstance(fragments, tuple) or len(fragments) != 3:
        raise TypeError(f"fragments: expected Fragments of rasterize, got {_check.describe(fragments)}")
    face_index = _check.check_face_index("fragments.face_index", fragments[0])
    barycentric = _check.check_tensor("fragments.barycentric", fragments[1], "[B, H, W, 3]", (attributes.dtype,))
    same = barycentric.shape == (*face_index.shape, 3)
    _check.check_shape("fragments.barycentric", barycentric, "[B, H, W, 3] with B, H, W of face_index", same)
    if attributes.dim() == 3:
        check_batch("attributes", attributes, "fragments", face_index)
    _check.check_device(attributes=attributes, faces=faces, face_index=face_index, barycentric=barycentric)
    return torch.ops.warpkit.interpolate(attributes, faces, face_index, barycentric)


@torch.library.register_fake("warpkit::interpolate")
def _(attributes: Tensor, faces: Tensor, face_index: Tensor, barycentric: Tensor) -> Tensor:
    return attributes.new_empty(*face_index.shape, attributes.shape[-1])


def _no_gradient(ctx: Any, gradient: Tensor) -> Any:
    raise NotImplementedError("warpkit: the gradient of interpolate is not available yet; detach its inputs")


torch.library.register_autograd("warpkit::interpolate", _no_gradient)
