"""Other libraries' ops on our arguments. Each is found by import; what is missing is said in the report."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Contender

NAMES = {"DRTK": "drtk", "PyTorch3D": "pytorch3d.renderer", "nvdiffrast": "nvdiffrast.torch"}
"""What is called of each."""
NEEDS_CUDA = {"nvdiffrast"}


def found() -> dict[str, str]:
    """What each peer's import gave: its version, or why it is not there."""
    answers = {}
    for name, module in NAMES.items():
        try:
            importlib.import_module(module)
            package = importlib.import_module(module.partition(".")[0])
            answers[name] = str(getattr(package, "__version__", "version unknown"))
        except Exception as error:  # a library built for another torch fails in many ways
            answers[name] = f"absent ({type(error).__name__}: {error})".splitlines()[0][:160]
    return answers


def present(name: str, device: torch.device) -> bool:
    return not found()[name].startswith("absent") and (device.type == "cuda" or name not in NEEDS_CUDA)


def rasterize(vertices: Tensor, faces: Tensor, size: int) -> dict[str, Contender]:
    """Ids, barycentrics and depth of `[B, V, 3]` NDC vertices in a square picture."""
    device, batch = vertices.device, len(vertices)
    contenders = {}
    if present("DRTK", device):
        pixels, ids = _pixels(vertices, size), faces.int()
        drtk: Any = importlib.import_module("drtk")

        def drtk_rasterize() -> Any:
            index = drtk.rasterize(pixels, ids, size, size)
            return index, drtk.render(pixels, ids, index)

        contenders["DRTK"] = Contender("peer", drtk_rasterize)
    if present("PyTorch3D", device):
        # Its CPU kernel tests every face at every pixel (14 s a picture at 1024²): one picture, once, scaled.
        on_cpu = device.type == "cpu"
        contenders["PyTorch3D"] = Contender(
            "peer", _pytorch3d(vertices[:1] if on_cpu else vertices, faces, size), batch if on_cpu else 1, once=on_cpu
        )
    if present("nvdiffrast", device):
        contenders["nvdiffrast"] = Contender("peer", _nvdiffrast(vertices, faces, size))
    return contenders


def interpolate(attributes: Tensor, vertices: Tensor, faces: Tensor, size: int) -> dict[str, Contender]:
    """Attributes `[B, V, D]` at each pixel; each library from its own fragments, made beforehand."""
    contenders = {}
    if present("DRTK", vertices.device):
        drtk: Any = importlib.import_module("drtk")
        pixels, ids = _pixels(vertices, size), faces.int()
        index = drtk.rasterize(pixels, ids, size, size)
        _, barycentric = drtk.render(pixels, ids, index)
        contenders["DRTK"] = Contender("peer", lambda: drtk.interpolate(attributes, ids, index, barycentric))
    if present("nvdiffrast", vertices.device):
        nvdiffrast: Any = importlib.import_module("nvdiffrast.torch")
        raster, ids = _nvdiffrast(vertices, faces, size)(), faces.int()
        contenders["nvdiffrast"] = Contender("peer", lambda: nvdiffrast.interpolate(attributes, raster, ids))
    return contenders


def antialias(image: Tensor, vertices: Tensor, faces: Tensor) -> dict[str, Contender]:
    """nvdiffrast's op of this name. DRTK's edge gradient leaves the picture as it is and has no forward to time."""
    if not present("nvdiffrast", vertices.device):
        return {}
    nvdiffrast: Any = importlib.import_module("nvdiffrast.torch")
    raster = _nvdiffrast(vertices, faces, image.shape[-1])()
    position, ids, last = _clip_space(vertices), faces.int(), image.movedim(1, -1).contiguous()
    return {"nvdiffrast": Contender("peer", lambda: nvdiffrast.antialias(last, raster, position, ids))}


def _pixels(vertices: Tensor, size: int) -> Tensor:
    """DRTK's coordinates: pixels, centres at whole numbers."""
    return torch.cat([(vertices[..., :2] + 1) * (size / 2) - 0.5, vertices[..., 2:]], -1)


def _clip_space(vertices: Tensor) -> Tensor:
    """nvdiffrast's: clip space whose depth lies in -1 … 1."""
    depth = vertices[..., 2:]
    low, high = depth.amin(), depth.amax()
    return torch.cat(
        [vertices[..., :2], (depth - low) / (high - low).clamp(min=1e-6) - 0.5, torch.ones_like(depth)], -1
    )


def _nvdiffrast(vertices: Tensor, faces: Tensor, size: int) -> Callable[[], Any]:
    nvdiffrast: Any = importlib.import_module("nvdiffrast.torch")
    context = nvdiffrast.RasterizeCudaContext(vertices.device)
    position, ids = _clip_space(vertices), faces.int()
    return lambda: nvdiffrast.rasterize(context, position, ids, (size, size), grad_db=False)[0]


def _pytorch3d(vertices: Tensor, faces: Tensor, size: int) -> Callable[[], Any]:
    structures = importlib.import_module("pytorch3d.structures")
    raster: Any = importlib.import_module("pytorch3d.renderer.mesh.rasterize_meshes")
    turned = torch.cat([-vertices[..., :2], vertices[..., 2:]], -1)  # x left, y up
    meshes = structures.Meshes(turned, faces.long().expand(len(vertices), -1, -1))
    return lambda: raster.rasterize_meshes(meshes, size, blur_radius=0.0, faces_per_pixel=1)
