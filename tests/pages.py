"""The Python blocks of documentation pages."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: Path) -> list[str]:
    """The ```python blocks of a page, padded with lines so that a traceback names the line of the page."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return ["\n" * (text.count("\n", 0, match.start()) + 1) + match[1] for match in found]


def run_page(page: Path) -> dict[str, Any]:
    """Runs all blocks of a page, in order, and gives what they define."""
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)
    return names
