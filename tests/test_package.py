"""What is installed: versions agree, extras are complete, data travel along, nothing heavy is needed by the ops."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

import warpkit
from warpkit.models.app.doctor import EXTRAS

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


BARE_START = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"PIL", "av", "scipy", "typer", "rich", "ai_edge_litert", "smplx", "openpeople"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def no_network(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "urllib.Request"}:
        raise RuntimeError(f"{event} at import")

sys.meta_path.insert(0, Refuse())
sys.addaudithook(no_network)
"""


def test_the_ops_work_without_extras_and_without_network() -> None:
    script = BARE_START + (
        "import torch, warpkit\n"
        "vertices = torch.tensor([[[-1.0, -1, 1], [-1, 3, 1], [3, -1, 1]]])\n"
        "print(warpkit.rasterize(vertices, torch.tensor([[0, 1, 2]]), (2, 2)).face_index.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[[[0, 0], [0, 0]]]", done.stderr


def test_bodies_and_motions_work_without_extras() -> None:
    script = BARE_START + (
        "from warpkit.models.bodies import load_body\n"
        "from warpkit.models.data import make_motion\n"
        "motion = make_motion('walk', seconds=0.1)\n"
        "body = load_body()\n"
        "print(*body(motion.rotations[:1], body.mean_shape[None]).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split()[::2] == ["1", "3"], done.stderr


SIGNATURES = {
    "rasterize": "(vertices, faces, size, *, cull=None, near=0.0001)",
    "interpolate": "(attributes, faces, fragments)",
    "barycentrics": "(vertices, faces, face_index, *, near=0.0001)",
    "visible_faces": "(face_index, num_faces)",
    "compose_flow": "(source_vertices, faces, target, *, source_visible=None, face_mask=None)",
    "mesh_flow": "(source_vertices, target_vertices, faces, size, *, source_size=None, visibility='pixel', "
    "face_mask=None)",
    "resize_flow": "(flow, size, *, mode='masked')",
    "warp": "(features, flow)",
    "warp_reduce": "(features, flow, reduce='sum', weights=None)",
    "AttentionWarp": "(channels, key_channels=None, value_channels=None, bias=True)",
    "warp_attention": "(query, features, flow, *, value=None, scale=None)",
    "antialias": "(image, fragments, vertices, faces, *, neighbours=None)",
    "face_neighbours": "(faces)",
    "Flow": "(grid, visible=None)",
    "Fragments": "(face_index, barycentric, depth)",
    "build_info": "()",
}


def without_types(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def test_public_names_have_the_signatures_of_the_design() -> None:
    assert {name: without_types(getattr(warpkit, name)) for name in warpkit.__all__} == SIGNATURES


def test_the_example_of_the_readme_runs() -> None:
    section = (ROOT / "README.md").read_text().split("## The ops")[1]
    names: dict[str, torch.Tensor] = {}
    for example in section.split("```python\n")[1:]:
        exec(example.split("```")[0], names)
    assert names["vertices"].grad.abs().sum() > 0
    visible = names["flow"].visible[0, 0]
    assert 0.2 < visible.float().mean() < 1
    assert (names["warped"][0, :, visible] > 0).any()
    assert (names["warped"][0, :, ~visible] == 0).all()


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


def test_doctor_knows_every_extra_of_those_who_use_warpkit() -> None:
    of_developers = {"all", "bench", "lint", "test"}
    extras = PROJECT["optional-dependencies"]
    assert EXTRAS.keys() == extras.keys() - of_developers
    for extra, packages in EXTRAS.items():
        wanted = {name_of(requirement) for requirement in extras[extra]} - {"warpkit"}
        assert set(map(name_of, packages)) == wanted


def test_nobody_is_sent_to_the_package_of_another_project() -> None:
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.py")]
    places += (ROOT / "benchmarks").rglob("*.py")
    for place in places:
        assert not re.search(r"pip install '?warpkit\b", place.read_text()), place


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


def test_the_installed_version_is_that_of_the_project() -> None:
    try:
        assert version("warpkit") == PROJECT["version"]
    except PackageNotFoundError:
        pytest.skip("warpkit was built in place here, not installed")


def test_the_build_says_what_it_holds() -> None:
    info = warpkit.build_info()
    assert info["simd_level"] in info["simd_levels"]
    assert info["cuda_kernels"] or "CUDA kernels are missing" in info["note"]
