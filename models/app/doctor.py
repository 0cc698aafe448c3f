"""`warpkit doctor`: versions, SIMD level, CUDA kernels, extras, and what to do where something is missing."""

import importlib.util
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import warpkit

EXTRAS = {
    "person": {"ai-edge-litert": "ai_edge_litert", "av": "av", "pillow": "PIL", "rich": "rich",
               "safetensors": "safetensors", "scipy": "scipy", "typer": "typer"},
    "demo": {"openpeople": "openpeople"},
    "train": {"lightning-fabric": "lightning_fabric", "tensorboard": "tensorboard"},
    "smpl": {"smplx": "smplx"},
}  # fmt: skip
"""Packages of each extra and the modules that they bring."""


def installed(package: str) -> str:
    """The version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"


def report() -> Iterator[str]:
    """The lines of the report."""
    system = f"{platform.system()} {platform.machine()}"
    yield f"warpkit      {installed('warpkit')}, Python {platform.python_version()}, {system}"
    yield f"torch        {torch.__version__}, {torch.get_num_threads()} CPU threads"
    build = warpkit.build_info()
    yield f"SIMD         {build['simd_level']} (compiled: {', '.join(build['simd_levels'])})"
    if build["cuda_kernels"]:
        yield f"CUDA kernels compiled with {build['cuda_version']} for {', '.join(build['cuda_architectures'])}"
    else:
        yield f"CUDA kernels {build['note']}"
    if torch.cuda.is_available():
        yield f"GPU          {torch.cuda.get_device_name()}"
    else:
        yield "GPU          none that this PyTorch can use: everything runs on the CPU"
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if pages.exists():
        state = pages.read_text().split("[")[-1].split("]")[0]
        cost = "big outputs cost less" if state != "never" else "big outputs cost more time than they need"
        yield f"huge pages   {state}: {cost}"
    yield "bodies       anny (travels along); smpl, smplh, smplx from your files: --body-folder"
    for extra, packages in EXTRAS.items():
        missing = [package for package, module in packages.items() if importlib.util.find_spec(module) is None]
        if missing:
            yield f"[{extra}]".ljust(13) + f"missing {', '.join(missing)}: pip install 'warpkit[{extra}]'"
        else:
            yield f"[{extra}]".ljust(13) + ", ".join(f"{package} {installed(package)}" for package in packages)
