"""What the trainer asks of a system and of data."""

from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from warpkit.models.batch import Batch, Condition, Pictures, Visibility
from warpkit.models.bodies import BodyModel


class System(Protocol):
    """A module that draws people and knows what it is trained on."""

    @property
    def generator(self) -> nn.Module:
        """What is trained, averaged and kept."""
        ...

    @property
    def discriminators(self) -> nn.ModuleDict:
        """What is trained beside it; may be empty."""
        ...

    @property
    def visibility(self) -> Visibility:
        """For `make_batch`."""
        ...

    def condition(self, model: BodyModel) -> Condition:
        """For `make_batch`."""
        ...

    def encode_sources(self, batch: Batch) -> Any:
        """What the sources of a batch give every frame."""
        ...

    def render(self, sources: Any, batch: Batch) -> Any:
        """The target drawn: has `image` `[B, 3, H, W]` and `alpha` `[B, 1, H, W]`."""
        ...

    def losses(
        self,
        rendered: Any,
        batch: Batch,
        stage: Literal["generator", "discriminator"],
        critics: Any = None,
        *,
        adversarial: bool | None = None,
    ) -> dict[str, Tensor]:
        """Weighted terms by name; each stage has gradients to its own networks alone."""
        ...


class Samples(Protocol):
    """Data as the trainer draws them."""

    def draw(
        self, step: int, batch: int, sources: int
    ) -> tuple[Pictures, Pictures] | tuple[Pictures, Pictures, Tensor]:
        """Sources (N = `sources`) and target (N = 1) of `batch` people; the same for the same arguments.

        So that a training that is taken up again sees what it would have seen. A third value, `[B, 1, H, W]` in
        [0, 1], may say where the target is known: the rest of it teaches nothing.
        """
        ...


@runtime_checkable
class Windowed(Protocol):
    """Samples that keep what is dear to make for several draws in a row."""

    @property
    def window(self) -> int:
        """Draws, counted from 0, that share it; the number of sources is not changed within them."""
        ...
