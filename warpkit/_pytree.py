"""NamedTuples that ops return, made known to torch.export.save."""

from typing import TypeVar

from torch.utils import _pytree

T = TypeVar("T", bound=type)


def exportable(namedtuple: T) -> T:
    """Class decorator: lets a NamedTuple be part of a saved exported program."""
    _pytree._register_namedtuple(namedtuple, serialized_type_name=f"warpkit.{namedtuple.__name__}")
    return namedtuple
