"""The person-image parts, systems, tasks and application that stand on warpkit's ops; installed as `warpkit.models`.

`Pipeline`, and what it is asked with, can be had from here; they are imported when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

if __name__ != "warpkit.models":
    raise ImportError(
        "import this package as warpkit.models: the top-level name would make a second copy of every module"
    )
if TYPE_CHECKING:
    from warpkit.models.tasks import Adaptation, Clip, Look, Pipeline, Role, Together, Travel, Turn, Wear

__all__ = ["Adaptation", "Clip", "Look", "Pipeline", "Role", "Together", "Travel", "Turn", "Wear"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from warpkit.models import tasks

    return getattr(tasks, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
