"""Every option means the same on the command line and in Python, for each of the tasks."""

import inspect
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="needs the extra [person]")
import typer
from typer.testing import CliRunner

from warpkit.models import Pipeline, Turn, Wear
from warpkit.models.app.commands import app
from warpkit.models.errors import InputError

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TASKS = ("imitate", "view", "transfer", "personalize")
WRITING = {"out", "frames", "sheet", "force", "keep", "debug"}
"""What the command line writes, and how: nobody else's business."""
TOGETHER = {"others", "place"}
"""Of people in one picture: fields of `Role`, see test_together.py."""
PYTHON_ONLY = {"self", "progress", "photos", "out", "overwrite", "tell"}
"""What is handed over by the command line itself."""
SHORTHANDS = {"look", "turn", "travel", "how"}
"""Arguments that hold several options as fields."""
OTHERS: dict[str, tuple[str, Any]] = {
    "motion": ("wave", "wave"),
    "wear": ("b.jpg:upper", [Wear([Path("b.jpg")], ("upper",))]),
    "azimuth": ("0:90:45", [0, 45, 90]),
    "elevation": ("10", [10]),
    "roll": ("-5", [-5]),
    "shift": ("0.5,0", (0.5, 0)),
    "reference_person": ("2", 2),
    "freeze": ("1.5", 1.5),
    "hold": ("2", 2.0),
    "size": ("256", 256),
    "background": ("white", "white"),
    "frame": ("photo", "photo"),
    "camera": ("stay", "stay"),
    "smooth": ("0.2", 0.2),
    "slide": (None, True),
    "fps": ("12", 12.0),
    "steady": ("0.5", 0.5),
    "body": ("smplx", "smplx"),
    "body_folder": ("bodies", Path("bodies")),
    "device": ("cpu", "cpu"),
    "person": ("2", 2),
    "renderer": ("geometric", "geometric"),
    "weights": ("my.safetensors", Path("my.safetensors")),
    "personalize": ("50", 50),
    "side_by_side": (None, True),
    "cache": (None, False),
    "steps": ("7", 7),
    "learning_rate": ("0.5", 0.5),
    "seed": ("3", 3),
    "low_memory": (None, True),
}
"""For each option another value than it has by default: as it is typed, and as it arrives."""


def parameters(function: Any) -> dict[str, Any]:
    """Names and defaults, without what only Python has."""
    found = inspect.signature(function).parameters.items()
    return {name: one.default for name, one in found if name not in PYTHON_ONLY}


def of_python(task: str) -> dict[str, Any]:
    """Names and defaults of all options that a task has in Python."""
    own = parameters(getattr(Pipeline, task))
    flat = {name: default for name, default in own.items() if name not in SHORTHANDS}
    for name in SHORTHANDS & set(own):
        flat |= {field.name: getattr(own[name], field.name) for field in fields(own[name])}
    flat |= parameters(Pipeline.from_pretrained)
    if task == "view":
        del flat["freeze"], flat["hold"]  # of a motion
    if task == "personalize":
        del flat["renderer"]  # what is adapted draws
    return flat


def of_command(task: str) -> dict[str, Any]:
    return {one.name: one for one in COMMANDS[task].params if one.name not in WRITING | TOGETHER | {"photos", "help"}}


@pytest.mark.parametrize("task", TASKS)
def test_both_have_the_same_options_with_the_same_defaults(task: str) -> None:
    python, command = of_python(task), of_command(task)
    assert set(python) == set(command) <= set(OTHERS)
    turned = {field.name: command[field.name].default for field in fields(Turn) if field.name in command}
    if turned:
        expected = Turn(**{name: python[name] for name in turned})
        assert (Turn.parse(**turned).angles, Turn.parse(**turned).shift) == (expected.angles, expected.shift)
    required = {name for name in set(python) - set(turned) if python[name] is inspect.Parameter.empty}
    assert required == {name for name in command if command[name].required}
    for name in set(python) - set(turned) - required:
        assert command[name].default == python[name], name


@pytest.mark.parametrize("task", TASKS)
def test_an_option_arrives_under_its_name_and_changes_nothing_else(
    task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    came: dict[str, Any] = {}
    loading = inspect.signature(Pipeline.from_pretrained)

    class Recorder:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            bound = loading.bind(*arguments, **options)
            bound.apply_defaults()
            came.update(bound.arguments)

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> None:
                bound = inspect.signature(getattr(Pipeline, name)).bind(self, *arguments, **options)
                bound.apply_defaults()
                came.update(bound.arguments)
                raise InputError("this is far enough")

            return call

    monkeypatch.setattr(Pipeline, "from_pretrained", Recorder)
    monkeypatch.setattr("warpkit.models.tasks.together.check_motion", lambda *_: None)  # there is no such video

    def arrived(*options: str) -> dict[str, Any]:
        came.clear()
        motion = [] if "--motion" in options else ["--motion", "a.mp4"]  # what names a person of it goes with
        needed = {"imitate": motion, "view": [], "transfer": [*motion, "--wear", "a.jpg"]}.get(task, [])
        result = CliRunner().invoke(app, [task, "photo.jpg", "--out", "out.mp4", *needed, *options])
        assert "this is far enough" in result.stderr, result.stderr
        flat = {name: value for name, value in came.items() if name not in SHORTHANDS | PYTHON_ONLY}
        for name in SHORTHANDS & set(came):
            flat |= asdict(came[name])
        return flat

    usual = arrived()
    for name, option in of_command(task).items():
        text, value = OTHERS[name]
        together = ["--freeze", OTHERS["freeze"][0]] if name == "hold" else []
        changed = arrived(*together, (option.secondary_opts or option.opts)[0], *([] if text is None else [text]))
        expected = [*usual["wear"], *value] if name == "wear" else value
        assert changed.pop(name) == expected, name
        same = set(changed) - ({"freeze"} if together else set())
        assert {other: changed[other] for other in same} == {other: usual[other] for other in same}, name
