"""Values of settings from files, held against the kinds that fields and arguments are declared with."""

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

NONE = "none"
"""Stands for None where a setting may be None, which TOML cannot say."""


class Unfit(ValueError):
    """A value that no option of its kind can hold; says which setting, what was expected and what came."""


def kinds_of(declared: Callable[..., Any]) -> dict[str, Any]:
    """What the fields of a dataclass, or the arguments of a function, are declared with, by name."""
    return get_type_hints(declared)


def fitted(name: str, value: Any, kind: Any) -> Any:
    """A value as what it is declared with wants it: lists become tuples, "none" None, whole numbers pass for others.

    Args:
        name: of the setting, for the message.
        value: from TOML or JSON.
        kind: bool, int, float, str, Path, Literal, tuple, Sequence, Any, and unions of them with each other and None;
            what a file cannot hold, such as a function, is no option.

    Raises:
        Unfit: what was expected and what came.
    """
    for option in _options(kind):
        fits, made = _as(value, option)
        if fits:
            return made
    expected = " or ".join(dict.fromkeys(said for option in _options(kind) if (said := _said(option))))
    raise Unfit(f"{name}: expected {expected}, got {value!r}")


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _as(value: Any, kind: Any) -> tuple[bool, Any]:
    """Whether a value is of one kind, and what it is then."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is Any:
        return True, value
    if kind is types.NoneType:
        return value is None or value == NONE, None
    if get_origin(kind) is Literal:
        return value in get_args(kind), value
    if get_origin(kind) in (tuple, Sequence):
        return _parts(value, kind)
    if kind is float:
        return number, value
    if kind is int:
        return number and isinstance(value, int), value
    if kind is Path:
        return isinstance(value, str | Path), value
    return kind in (bool, str) and isinstance(value, kind), value


def _parts(value: Any, kind: Any) -> tuple[bool, Any]:
    inner = get_args(kind)
    if not isinstance(value, list | tuple):
        return False, value
    if inner[-1] is Ellipsis or get_origin(kind) is Sequence:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        return False, value
    found = [_as(part, one) for part, one in zip(value, inner, strict=True)]
    return all(fits for fits, _ in found), tuple(part for _, part in found)


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (tuple, Sequence):
        inner = get_args(kind)
        many = inner[-1] is Ellipsis or get_origin(kind) is Sequence
        return f"a list of {_said(inner[0])}s" if many else f"a list of {len(inner)}, {_said(inner[0])} each"
    return {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
        types.NoneType: repr(NONE),
    }.get(kind, "")


def fitted_all(prefix: str, values: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Each of `values` that `kinds` knows as that kind wants it, named `prefix` and its key; the rest as they are."""
    return {
        key: fitted(f"{prefix}{key}", value, kinds[key]) if key in kinds else value for key, value in values.items()
    }
