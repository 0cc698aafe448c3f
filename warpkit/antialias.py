"""Silhouettes that move smoothly with the vertices, and their gradient. The rules: csrc/antialias/antialias.h."""

from typing import Any

import torch
from torch import Tensor

from warpkit import _check
from warpkit._autocast import cast_features
from warpkit._dispatch import call
from warpkit.rasterize import Fragments, check_batch
from warpkit.warp import FEATURES, new_image


def antialias(
    image: Tensor, fragments: Fragments, vertices: Tensor, faces: Tensor, *, neighbours: Tensor | None = None
) -> Tensor:
    """Blend the colours across silhouettes by coverage, so that the picture is continuous in the vertices.

    `rasterize` decides each pixel by its centre, so a picture made from it jumps as a silhouette moves and tells
    nothing of where it lies. This op finds the silhouettes between the centres of pixels side by side and lets the
    pixel that a silhouette cuts take from the one beyond, by the distance of the cut. The sum of a mask of ones then is
    the area covered, and its gradient reaches the vertices of the silhouettes' edges: bodies can be fitted to masks.

    Args:
        image: ``[B, C, H, W]``, made from the fragments (a mask, shaded colours, features, with any background);
            float32, float64, bfloat16 or float16, any strides. Channels-last is kept.
        fragments: of `rasterize` for these vertices and faces, ``[B, H, W]``. Barycentrics are not used.
        vertices: ``[B, V, 3]`` or ``[B, V, 4]`` as for `rasterize`; the dtype of fragments.depth.
        faces: ``[F, 3]`` as for `rasterize`.
        neighbours: `face_neighbours` of the faces; found anew in each call where None. Keep it in a loop.

    Returns:
        The shape, dtype and layout of image. Each pixel is a mean, with weights that sum to one, of itself and the four
        pixels next to it; where no silhouette passes it is what it was, bit for bit.

    Where the surfaces of neighbouring pixels are connected without an outline between them nothing changes, however
    small their faces. A silhouette that passes no pixel's centre (a hair) has no effect. Differentiable once, in image
    and in x, y (and w) of the vertices. fragments carry no gradient here; compose with `interpolate` for colours.
    Gradients are repeatable on the CPU always, on CUDA under `torch.use_deterministic_algorithms(True)`. Under
    autocast image is cast, vertices never.

    Source: Laine et al. 2020, Modular Primitives for High-Performance Differentiable Rendering, section on analytic
    antialiasing. Different here: the surface is followed across faces, and each pixel blends by rows and columns at
    once.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    image = _check.check_tensor("image", image, "[B, C, H, W]", FEATURES)
    _check.check_shape("image", image, "[B, C, H, W]", image.dim() == 4)
    vertices = _check.check_vertices("vertices", vertices)
    faces = _check.check_faces("faces", faces)
    if not isinstance(fragments, tuple) or len(fragments) != 3:
        raise TypeError(f"fragments: expected Fragments of rasterize, got {_check.describe(fragments)}")
    face_index = _check.check_face_index("fragments.face_index", fragments[0])
    depth = _check.check_tensor("fragments.depth", fragments[2], "[B, H, W]", (vertices.dtype,))
    _check.check_shape("fragments.depth", depth, "[B, H, W] of face_index", depth.shape == face_index.shape)
    check_batch("image", image, "fragments", face_index)
    check_batch("vertices", vertices, "fragments", face_index)
    height_width = face_index.shape[1:]
    _check.check_shape("image", image, f"[B, C, H, W] with H, W {list(height_width)}", image.shape[2:] == height_width)
    _check.check_size("image's height and width", tuple(height_width))
    if neighbours is None:
        neighbours = face_neighbours(faces)
    else:
        neighbours = _check.check_tensor("neighbours", neighbours, "[F, 3]", (torch.int32,))
        _check.check_shape("neighbours", neighbours, "[F, 3] of faces", neighbours.shape == faces.shape)
    _check.check_device(
        image=image, face_index=face_index, depth=depth, vertices=vertices, faces=faces, neighbours=neighbours
    )
    return call(torch.ops.warpkit.antialias, image, face_index, depth.detach(), vertices, faces, neighbours)


def face_neighbours(faces: Tensor) -> Tensor:
    """Which face lies across each edge.

    Args:
        faces: ``[F, 3]`` int32 or int64 indices of vertices. Edges are shared by index: copies of a vertex, as along
            the seams of a texture, part the surface.

    Returns:
        int32 ``[F, 3]``: the face across the edge opposite to corner k; -1 where there is none, or more than one.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    faces = _check.check_faces("faces", faces)
    _check.check_device(faces=faces)
    a, b = faces[:, [1, 2, 0]].long().flatten(), faces[:, [2, 0, 1]].long().flatten()
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    good = (low >= 0) & (low < high) & (high < 2**31)
    keys, order = torch.sort(torch.where(good, low * 2**31 + high, -1))
    ends = torch.nn.functional.pad((keys[1:] == keys[:-1]) & (keys[1:] >= 0), (2, 2))  # [n + 1]: entry n - 1 is entry n
    before, after = ends[1:-2], ends[2:-1]  # entry n equals the one before it, after it
    with_after = after & ~before & ~ends[3:]
    with_before = before & ~after & ~ends[:-3]
    partner = torch.where(with_after, order.roll(-1), torch.where(with_before, order.roll(1), -3))
    return torch.empty_like(partner).scatter_(0, order, partner).div(3, rounding_mode="floor").int().view(-1, 3)


@torch.library.register_fake("warpkit::antialias")
def _(image: Tensor, face_index: Tensor, depth: Tensor, vertices: Tensor, faces: Tensor, neighbours: Tensor) -> Tensor:
    return new_image(image, image.shape[2], image.shape[3])


@torch.library.register_fake("warpkit::antialias_backward")
def _(
    gradient: Tensor,
    image: Tensor,
    face_index: Tensor,
    depth: Tensor,
    vertices: Tensor,
    faces: Tensor,
    neighbours: Tensor,
    image_wanted: bool,
    vertices_wanted: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor]:
    return (
        new_image(image, image.shape[2], image.shape[3]) if image_wanted else image.new_empty(0),
        vertices.new_empty(vertices.shape) if vertices_wanted else vertices.new_empty(0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    image_wanted, vertices_wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[3]
    image_gradient, vertices_gradient = call(
        torch.ops.warpkit.antialias_backward,
        gradient,
        *ctx.saved_tensors,
        image_wanted,
        vertices_wanted,
        torch.are_deterministic_algorithms_enabled(),
    )
    return (
        image_gradient if image_wanted else None,
        None,
        None,
        vertices_gradient if vertices_wanted else None,
        None,
        None,
    )


def _no_second_gradient(ctx: Any, *gradients: Tensor) -> Any:
    raise NotImplementedError("warpkit: antialias has no second derivative; call backward without create_graph")


cast_features("antialias", ("image",))
torch.library.register_autograd("warpkit::antialias", _backward, setup_context=_save)
torch.library.register_autograd("warpkit::antialias_backward", _no_second_gradient)
