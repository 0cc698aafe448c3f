"""What follows from a body model alone, worked out once for each and kept as long as the model lives."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from warpkit.models.bodies import BodyModel

T = TypeVar("T")

_kept: weakref.WeakKeyDictionary[BodyModel, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def once(model: BodyModel, name: Hashable, make: Callable[[], T]) -> T:
    """`make()`, or what it gave for this model, name and device before. Nobody may change it in place."""
    known = _kept.setdefault(model, {})
    key = (name, model.parts.device)
    if key not in known:
        known[key] = make()
    found: T = known[key]
    return found
