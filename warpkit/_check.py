"""Argument checks shared by all ops. Each error names the argument, what was expected and what came."""

import numbers
import reprlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from warpkit._build import WITH_CUDA

GEOMETRY = (torch.float32, torch.float64)
"""Dtypes of coordinates: fp16 coordinates are wrong from about 192 pixels on, so half precision is refused."""
INDICES = (torch.int32, torch.int64)
MAX_SIZE = 1 << 22
"""Largest height or width of an image, in pixels."""


def describe(value: object) -> str:
    """What came, in words: dtype and shape of a tensor, otherwise the type and the beginning of the value."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"
    if isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value):
        return f"{type(value).__name__} of {', '.join(map(describe, value))}"
    return f"{type(value).__name__} {reprlib.repr(value)}"


def check_tensor(name: str, value: object, shape: str, dtypes: Sequence[torch.dtype]) -> Tensor:
    """Check that ``value`` is a dense tensor with one of ``dtypes``; ``shape`` is for the message."""
    if isinstance(value, Tensor) and value.dtype in dtypes and value.layout is torch.strided:
        return value
    expected = f"a tensor {shape} of {' or '.join(str(dtype).removeprefix('torch.') for dtype in dtypes)}"
    if isinstance(value, Tensor) and value.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got layout {value.layout}")
    raise TypeError(f"{name}: expected {expected}, got {describe(value)}")


def check_shape(name: str, value: Tensor, shape: str, good: bool) -> None:
    """Raise ValueError for ``name`` unless ``good``."""
    if not good:
        raise ValueError(f"{name}: expected shape {shape}, got {list(value.shape)}")


def check_vertices(name: str, value: object) -> Tensor:
    """Check ``[B, V, 3]`` (x, y, z) or ``[B, V, 4]`` (x, y, z, w), float32 or float64."""
    vertices = check_tensor(name, value, "[B, V, 3] or [B, V, 4]", GEOMETRY)
    check_shape(name, vertices, "[B, V, 3] or [B, V, 4]", vertices.dim() == 3 and vertices.shape[-1] in (3, 4))
    return vertices


def check_faces(name: str, value: object) -> Tensor:
    """Check ``[F, 3]`` int32 or int64; the indices themselves are checked where they are used."""
    faces = check_tensor(name, value, "[F, 3]", INDICES)
    check_shape(name, faces, "[F, 3]", faces.dim() == 2 and faces.shape[1] == 3)
    if faces.shape[0] > 2**31 - 1:
        raise ValueError(f"{name}: expected fewer than 2^31 faces, got {faces.shape[0]}")
    return faces


def check_size(name: str, value: object) -> tuple[int, int]:
    """Check (height, width), both from 1 to MAX_SIZE."""
    if isinstance(value, Tensor) or not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"{name}: expected (height, width), got {describe(value)}")
    height, width = as_integer(value[0]), as_integer(value[1])
    if height is None or width is None:
        raise TypeError(f"{name}: expected two integers (height, width), got {describe(value)}")
    if not (1 <= height <= MAX_SIZE and 1 <= width <= MAX_SIZE):
        raise ValueError(f"{name}: expected height and width from 1 to {MAX_SIZE}, got {value!r}")
    return height, width


def as_integer(value: object) -> int | None:
    """An integer, NumPy's too, as the ops take it; None: it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | torch.SymInt):
        return value  # type: ignore[return-value]
    return int(value) if isinstance(value, numbers.Integral) else None


def as_number(value: object) -> float | None:
    """A real number, NumPy's too, as the ops take it; None: it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float | int | torch.SymFloat | torch.SymInt):
        return float(value)
    return float(value) if isinstance(value, numbers.Real) else None


def check_face_index(name: str, value: object) -> Tensor:
    """Check ``[B, H, W]`` int32."""
    face_index = check_tensor(name, value, "[B, H, W]", (torch.int32,))
    check_shape(name, face_index, "[B, H, W]", face_index.dim() == 3)
    return face_index


def check_choice(name: str, value: object, choices: Sequence[str | None]) -> None:
    """Check that ``value`` is one of ``choices``."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        *most, last = map(repr, choices)
        raise ValueError(f"{name}: expected {', '.join(most)} or {last}, got {reprlib.repr(value)}")


def check_device(**tensors: Tensor | None) -> None:
    """Check that all tensors lie on one device, that this build has kernels for it, and that none has a tangent."""
    if forward_ad._current_level >= 0:
        _refuse_tangents(tensors)
    first: tuple[str, Tensor] | None = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if first is None:
            first = name, tensor
        elif tensor.device != first[1].device:
            raise ValueError(f"{name}: expected on {first[1].device}, where {first[0]} is, got {tensor.device}")
    if first is not None and first[1].is_cuda and not WITH_CUDA:
        raise RuntimeError(
            f"{first[0]} is on {first[1].device}, but this build of warpkit has no CUDA kernels: nvcc was not found "
            "when it was built, or WARPKIT_CUDA was off (warpkit.build_info() tells). Install the CUDA toolkit so that "
            "nvcc is on PATH and reinstall warpkit, or move the tensors to the CPU."
        )


def _refuse_tangents(tensors: dict[str, Tensor | None]) -> None:
    """PyTorch lets tangents pass a registered op by in silence, as if its derivative were zero."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.is_floating_point() and forward_ad.unpack_dual(tensor).tangent is not None:
            raise NotImplementedError(
                f"{name}: has a forward-mode tangent, and warpkit has no forward-mode derivatives; use backward or "
                "torch.autograd.grad"
            )
