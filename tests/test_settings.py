"""Values of settings from files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from warpkit.models.settings import Unfit, fitted


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [
        (3, int, 3),
        (3, float, 3),
        (True, bool, True),
        ("a", Literal["a", "b"], "a"),
        ([1, 2], tuple[int, int], (1, 2)),
        (["x", "y", "z"], tuple[str, ...], ("x", "y", "z")),
        ([1, 2], int | Sequence[int] | None, (1, 2)),
        (None, float | None, None),
        ("none", Literal["a", "b"] | None, None),
        (0.5, float | Callable[[int], float], 0.5),
        ("~/place", Path | None, "~/place"),
        ({"any": "thing"}, Any, {"any": "thing"}),
        ("native", int | Literal["native"], "native"),
    ],
)
def test_what_fits_is_taken(value: Any, kind: Any, made: Any) -> None:
    assert fitted("a", value, kind) == made


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ("big", int, "data.size: expected a whole number, got 'big'"),
        (1.5, int, "expected a whole number, got 1.5"),
        (True, int, "expected a whole number, got True"),
        (1, bool, "expected true or false, got 1"),
        ("no", bool, "expected true or false, got 'no'"),
        ([1, "2"], tuple[int, int], "expected a list of 2, a whole number each"),
        ([1, 2, 3], tuple[int, int], "expected a list of 2"),
        (["a", 1], Sequence[str] | None, "expected a list of texts"),
        ("c", Literal["a", "b"] | None, "expected 'a' or 'b' or 'none', got 'c'"),
        ("none", int, "expected a whole number, got 'none'"),
        (print, float | Callable[[int], float], "expected a number, got <built-in"),
        (7, Path, "expected a path, got 7"),
    ],
)
def test_what_does_not_fit_is_a_sentence(value: Any, kind: Any, sentence: str) -> None:
    with pytest.raises(Unfit) as caught:
        fitted("data.size", value, kind)
    assert sentence in str(caught.value)
