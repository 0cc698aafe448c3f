"""Every Python block of the documentation runs, what needs photos with a stand-in, and every link leads somewhere."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from pages import DOCS, README, blocks, run, run_page

from warpkit import Flow, Fragments

PAGES = sorted(page for page in DOCS.rglob("*.md") if blocks(page))
WITH_PHOTOS = {page: found for page in sorted(DOCS.rglob("*.md")) if (found := blocks(page, "py"))}
WITH_PHOTOS[README] = [block for block in blocks(README) if "Pipeline" in block]  # the others: test_package.py


def blank(kind: Any, **known: Any) -> Any:
    """A dataclass or a named tuple of which only these fields are known."""
    names = getattr(kind, "_fields", None) or [field.name for field in fields(kind)]
    return kind(**dict.fromkeys(names) | known)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks whose calls must fit the real signatures, and whose clips are two black frames."""
    pytest.importorskip("av", reason="needs the extra [person]")
    from warpkit.models import tasks
    from warpkit.models.tasks.inspect import Attention, Geometry, Inspection, Network

    clip = create_autospec(tasks.Clip, instance=True)
    frame = np.zeros((512, 512, 3), np.uint8)
    clip.fps, clip.notes, clip.frame.return_value = 25.0, [], frame
    clip.__len__.return_value, clip.__iter__.side_effect = 2, lambda: iter([frame, frame])
    pipe = create_autospec(tasks.Pipeline, instance=True)
    for task in (pipe.imitate, pipe.view, pipe.transfer, pipe.together):
        task.return_value = clip
    pipe.each.side_effect = lambda roles, **options: iter([clip for _ in roles])
    seen = blank(
        Inspection,
        fragments=blank(Fragments),
        flow=blank(Flow),
        geometry=blank(Geometry),
        network=blank(Network, attention=(blank(Attention),)),
    )
    loading = create_autospec(tasks.Pipeline.from_pretrained, return_value=pipe)
    monkeypatch.setattr(tasks.Pipeline, "from_pretrained", loading)
    for function, result in ((tasks.inspect, seen), (tasks.write_figures, 2)):
        monkeypatch.setattr(tasks, function.__name__, create_autospec(function, return_value=result))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page)


@pytest.mark.parametrize("page", WITH_PHOTOS, ids=lambda page: page.name)
@pytest.mark.usefixtures("stand_in")
def test_blocks_that_need_photos_run_with_a_stand_in(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert WITH_PHOTOS[page]
    run(page, WITH_PHOTOS[page])


@pytest.mark.parametrize(
    "wrong",
    [
        "Pipeline.from_pretrained(weight='a')",
        "Pipeline.from_pretrained().view(['a.jpg'], azimuth=3)",
        "Pipeline.from_pretrained().view(['a.jpg']).frames",
        "Pipeline.from_pretrained().view(['a.jpg']).frame(1, 2)",
        "tasks.inspect(Pipeline.from_pretrained().view(['a.jpg']), 0).flow.places",
        "tasks.inspect(Pipeline.from_pretrained().view(['a.jpg']), 0, loud=True)",
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_the_stand_in_has_nothing_that_the_real_one_lacks(wrong: str) -> None:
    with pytest.raises((TypeError, AttributeError)):
        exec(f"from warpkit.models import Pipeline, tasks; {wrong}")


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link
