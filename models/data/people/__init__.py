"""People rendered on the fly by warpkit's own ops, with exact truth for every pixel."""

from warpkit.models.data.people.gathered import GatheredPeople
from warpkit.models.data.people.held_out import HeldOut
from warpkit.models.data.people.samples import Drawn, RenderedPeople, Truth

__all__ = ["Drawn", "GatheredPeople", "HeldOut", "RenderedPeople", "Truth"]
