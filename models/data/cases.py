"""What evaluation asks of data: cases of each task of Liquid Warping GAN with Attention, 4.3 to 4.5.

Any `draw(step, batch, sources)` (see `training.Samples`) gives self-imitation. What else data can show, they say by
having a method `cases`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from warpkit.models.batch import Geometric, Pictures
from warpkit.models.bodies import Body
from warpkit.models.geometric.appearance import Appearance

Task = Literal["self", "cross", "transfer", "views"]
TASKS: tuple[Task, ...] = ("self", "cross", "transfer", "views")


@dataclass(frozen=True)
class Gathered:
    """What the renderer of `warpkit imitate` makes of a case."""

    geometric: Geometric
    """[B, ...]: the drawings that are asked for, without a network."""
    appearance: Appearance
    """Gathered from the sources."""
    bodies: Body
    """S of them: the sources' bodies, in their pixels."""

    def to(self, device: torch.device) -> "Gathered":
        """The same on another device."""
        return Gathered(self.geometric.to(device), self.appearance.to(device), self.bodies.to(device))


@dataclass(frozen=True)
class Case:
    """Something to draw, and what it is compared with."""

    sources: Pictures
    """Of B people, or of the one whom all B drawings show; N = S."""
    target_vertices: Tensor
    """[B, V, 3] NDC: the body that is to be drawn."""
    truth: Pictures | None = None
    """N = 1: what it should look like, where that is known."""
    real: Pictures | None = None
    """N = L real pictures of the same person, where the truth is not."""
    parts: tuple[tuple[str, ...] | None, ...] | None = None
    """For each source the parts of the body that may be taken from it; None: all."""
    names: tuple[str, ...] = ()
    """Of the B drawings, such as the angles of views."""
    gathered: Gathered | None = None
    """None: the data do not gather what their sources show."""
    kind: str = ""
    """Of person, where data have several: results tell them apart."""


class Draws(Protocol):
    """Data that are drawn: the same for the same arguments."""

    def draw(self, step: int, batch: int, sources: int) -> tuple[Pictures, Pictures]:
        """Sources (N = `sources`) and target (N = 1) of `batch` people."""
        ...


@runtime_checkable
class Cases(Draws, Protocol):
    """Data that have more than self-imitation."""

    tasks: tuple[Task, ...]
    """Those that they have."""

    def cases(self, task: Task, step: int, sources: int) -> Case:
        """The case of a number, the same for the same arguments."""
        ...
