"""Photo-like people of the package openpeople (made by a model, nobody real): where their pictures lie.

Needs the extra [demo]. Which of them may be trained on is said by `people/baked.py`, not here.
"""

from pathlib import Path

import numpy as np

from warpkit.models.errors import needs_extra

SHEET_VIEWS = ((72, 880, 546, 1630), (1262, 880, 1736, 1630), (665, 880, 1140, 1630), (1854, 880, 2328, 1630))
"""Front, back and both sides in a character sheet: x0, y0, x1, y1, pixels."""


def outdoor_file(person: str) -> Path:
    """The picture of `person` ("P001", …) outdoors. Raises InputError where the extra [demo] is missing."""
    return _assets(person) / "amateur_posture.jpg"


def sheet_file(person: str) -> Path:
    """Their character sheet, likewise."""
    return _assets(person) / "character_sheet.jpg"


def outdoor(person: str) -> list[np.ndarray]:
    """One picture of the person outdoors, uint8 RGB `[H, W, 3]`."""
    from warpkit.models.media.images import read_image

    return [read_image(outdoor_file(person))]


def four_views(person: str) -> list[np.ndarray]:
    """The person from the front, the back and both sides, likewise."""
    from warpkit.models.media.images import read_image

    sheet = read_image(sheet_file(person))
    return [np.ascontiguousarray(sheet[y0:y1, x0:x1]) for x0, y0, x1, y1 in SHEET_VIEWS]


def _assets(person: str) -> Path:
    with needs_extra("demo"):
        import openpeople
    return Path(openpeople.__file__).parent / "data" / "curated" / person / "assets"
