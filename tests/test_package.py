"""What is installed: versions agree, extras are complete, data travel along, nothing heavy is needed by the ops."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import warpkit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement)[0].lower().replace("_", "-")


def test_the_ops_need_torch_and_numpy_alone() -> None:
    assert sorted(map(name_of, PROJECT["dependencies"])) == ["numpy", "torch"]
    script = (
        "import sys, warpkit\n"
        "heavy = {'PIL', 'av', 'scipy', 'typer', 'rich', 'ai_edge_litert', 'smplx', 'openpeople'}\n"
        "print(*heavy & {name.split('.')[0] for name in sys.modules})\n"
        "print(*(name for name in sys.modules if name.startswith('warpkit.models')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_requirement_has_a_lower_bound_and_a_tested_version() -> None:
    tested = {
        name_of(line): line.split("==")[1]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    for requirement in PROJECT["dependencies"] + extras:
        if not requirement.startswith("warpkit["):
            assert ">=" in requirement, requirement
            assert name_of(requirement) in tested, requirement


def test_what_is_licensed_for_research_only_is_not_in_all() -> None:
    assert not any("smpl" in requirement for requirement in PROJECT["optional-dependencies"]["all"])


def test_models_are_not_importable_under_a_second_name() -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import models"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode != 0
    assert "import this package as warpkit.models" in done.stderr


def test_the_package_is_typed() -> None:
    assert (Path(warpkit.__file__).parent / "py.typed").exists()
    assert (Path(warpkit.__file__).parent / "_C.pyi").exists()


@pytest.mark.parametrize("folder", ["bodies", "recovery"])
def test_data_files_stand_beside_the_code_with_their_licence(folder: str) -> None:
    module = importlib.import_module(f"warpkit.models.{folder}")
    data = Path(str(module.__file__)).parent / "data"
    assert len(list(data.iterdir())) > 1
    assert re.search("licen|CC0|Apache", (data / "README.md").read_text(), re.IGNORECASE)


def test_the_build_says_what_it_holds() -> None:
    info = warpkit.build_info()
    assert info["simd_level"] in info["simd_levels"]
    assert info["cuda_kernels"] or "CUDA kernels are missing" in info["note"]
