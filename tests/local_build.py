"""Builds of their own under build/, by CMake alone: no pip and no package index. For gpu_check.py and fuzz.py."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class CannotRun(Exception):
    """What is missing, as a sentence."""


def find_tool(name: str) -> Path | None:
    """A program beside this Python, in the CUDA toolkit or on PATH."""
    homes = [Path(os.environ[key]) / "bin" for key in ("CUDA_HOME", "CUDA_PATH") if key in os.environ]
    for folder in (Path(sys.executable).parent, *homes):
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name) or shutil.which(f"/usr/local/cuda/bin/{name}")
    return Path(found) if found else None


def need_tool(name: str, how: str) -> Path:
    found = find_tool(name)
    if found is None:
        raise CannotRun(f"{name} is needed, and is neither beside {sys.executable} nor on PATH: {how}.")
    return found


def need_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise CannotRun(f"PyTorch 2.11 or newer is needed in {sys.executable}; PYTHON=… chooses another.")
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11):
        raise CannotRun(f"PyTorch 2.11 or newer is needed; {sys.executable} has {torch.__version__}.")


def commands(folder: Path, *options: str) -> dict[str, list[str | Path]]:
    """What configures, builds and installs into folder/site, in this order. `link_python` goes first."""
    cmake = need_tool("cmake", "install CMake 3.25 or newer")
    need_tool("c++", "install g++")
    configure = [cmake, "-S", ROOT, "-B", folder / "cmake", f"-DPython_EXECUTABLE={sys.executable}"]
    configure += [f"-DCMAKE_INSTALL_PREFIX={folder / 'site'}", *options]
    if ninja := find_tool("ninja"):
        configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    if importlib.util.find_spec("pybind11"):  # else CMake takes torch's copy
        import pybind11

        configure.append(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    return {
        "configure": configure,
        "build": [cmake, "--build", folder / "cmake", "--parallel", str(os.cpu_count() or 2)],
        "install": [cmake, "--install", folder / "cmake"],
    }


def link_python(site: Path) -> None:
    """Lay links to the package's Python files where the extension will be installed."""
    shutil.rmtree(site, ignore_errors=True)
    (site / "warpkit").mkdir(parents=True)
    for part in (ROOT / "warpkit").iterdir():
        if not part.match("_C*.so"):
            (site / "warpkit" / part.name).symlink_to(part)


def python(*arguments: str | Path) -> list[str | Path]:
    """A Python that runs with `environment`: -S leaves out an editable install, which would come first."""
    return [sys.executable, "-S", "-P", *arguments]


def environment(site: Path) -> dict[str, str]:
    """So that `import warpkit` is the build's, and all else what this Python has."""
    return {
        "PYTHONPATH": os.pathsep.join(
            [str(site), str(ROOT), str(ROOT / "tests"), *filter(os.path.isdir, sys.path[1:])]
        ),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
    }
