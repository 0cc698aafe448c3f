"""NamedTuples that ops return, made known to torch.export.save and torch.load."""

from typing import TypeVar

import torch
from torch.utils import _pytree

T = TypeVar("T", bound=type)


def exportable(namedtuple: T) -> T:
    """Class decorator: lets torch.export.save, and torch.load by default, take a NamedTuple."""
    _pytree._register_namedtuple(namedtuple, serialized_type_name=f"warpkit.{namedtuple.__name__}")
    torch.serialization.add_safe_globals([namedtuple])
    return namedtuple
