"""The Python blocks of documentation pages."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"


def blocks(page: Path, language: str = "python") -> list[str]:
    """A page's blocks in a language, padded with lines so that a traceback names the line of the page.

    `python` can be run as it stands; `py` asks for photos that a person has.
    """
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return ["\n" * (text.count("\n", 0, match.start()) + 1) + match[1] for match in found]


def run_page(page: Path) -> dict[str, Any]:
    """Runs all `python` blocks of a page, in order, and gives what they define."""
    return run(page, blocks(page))


def run(page: Path, these: list[str]) -> dict[str, Any]:
    """Runs some blocks of a page likewise."""
    names: dict[str, Any] = {"__name__": page.stem}
    for block in these:
        exec(compile(block, str(page), "exec"), names)
    return names
