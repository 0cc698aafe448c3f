"""Settings of a training, as a file gives them."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from warpkit.models.batch import MAX_SOURCES
from warpkit.models.errors import InputError
from warpkit.models.settings import Unfit, fitted_all, kinds_of

Precision = Literal["32", "bf16"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are the schedule of Liquid Warping GAN with Attention, section 4.2."""

    epochs: float | None = 2.0
    """Over the pictures of the data; used where `steps` is None."""
    steps: int | None = None
    """Of the optimizer."""
    batch: int = 2
    """People a step, of all processes and pieces together."""
    sources: tuple[int, int] = (2, 2)
    """Fewest and most sources of a sample, from 1 to 8; drawn anew each step."""
    drop: float = 0.0
    """Probability with which each source but one is left out."""
    learning_rate: float = 1e-4
    """At first."""
    final_rate: float = 1e-5
    """At the end."""
    constant: float = 0.25
    """Share of the training in which the rate stays; then it falls linearly."""
    warmup: int = 0
    """Steps in which the rate rises from nought."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam."""
    adversarial_from: float = 0.0
    """Share of the training after which discriminators take part; 1: never."""
    accumulate: int = 1
    """Pieces in which each process computes its part of a step: less memory, the same gradient."""
    clip: float | None = None
    """Largest norm of the generator's gradient."""
    ema: float = 0.999
    """Decay of the averaged weights."""
    precision: Precision = "32"
    """bf16: networks under autocast; geometry, weights and optimizer stay in float32."""
    perceptual_precision: Precision = "32"
    """bf16: the perceptual loss's network alone under autocast; on a CPU that has instructions for it a training whose
    network gains nothing by bf16 still gains there."""
    channels_last: bool = False
    """Pictures lie in memory pixel by pixel: faster convolutions on a CPU. The same bit for bit on one thread only."""
    checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more time."""
    deterministic: bool = False
    """Only operations whose result is the same bit for bit; for exact resuming on a GPU."""
    seed: int = 0
    workers: int = 0
    """Processes that draw samples ahead, on the CPU, for a GPU that would wait. What a step is given depends on how
    many they are."""
    save_every: int = 500
    """Steps between checkpoints."""
    sheet_every: int = 500
    """Steps between sample sheets; 0: none."""
    log_every: int = 20
    """Steps between lines of the log."""

    def __post_init__(self) -> None:
        def check(name: str, fine: bool, expected: str) -> None:
            if not fine:
                raise InputError(f"training.{name}: expected {expected}, got {getattr(self, name)!r}")

        low, high = self.sources
        check("steps", self.steps is None or self.steps >= 1, "1 or more")
        check("epochs", self.epochs is None or self.epochs > 0, "more than 0")
        if self.steps is None and self.epochs is None:
            raise InputError("training: one of steps and epochs is needed")
        for name in ("batch", "accumulate", "save_every", "log_every"):
            check(name, getattr(self, name) >= 1, "1 or more")
        check("sources", 1 <= low <= high <= MAX_SOURCES, f"fewest and most, from 1 to {MAX_SOURCES}")
        for name in ("drop", "constant", "adversarial_from"):
            check(name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        check("ema", 0 <= self.ema < 1, "from 0 to below 1")
        for name in ("learning_rate", "final_rate"):
            check(name, 0 < getattr(self, name) < 1, "more than 0, less than 1")
        check("clip", self.clip is None or 0 < self.clip < math.inf, "more than 0")
        check("betas", all(0 <= beta < 1 for beta in self.betas), "from 0 to below 1")
        for name in ("sheet_every", "warmup", "workers"):
            check(name, getattr(self, name) >= 0, "0 or more")
        for name in ("precision", "perceptual_precision"):
            check(name, getattr(self, name) in get_args(Precision), " or ".join(get_args(Precision)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Self:
        """From the table [training] of a file.

        Args:
            values: what the file says.
            defaults: what holds where it says nothing, such as a preset's schedule; keys that no field has are left.

        Raises:
            InputError: a key that does not exist, or a value that cannot be.
        """
        known = {field.name for field in fields(cls)}
        check_keys("training", values, known)
        chosen = {key: value for key, value in (defaults or {}).items() if key in known} | dict(values)
        if "steps" in values and "epochs" not in values:
            chosen["epochs"] = None
        if "epochs" in values and "steps" not in values:
            chosen["steps"] = None
        for name in ("sources", "betas"):
            if isinstance(chosen.get(name), int | float):
                chosen[name] = (chosen[name], chosen[name])
        for name in ("precision", "perceptual_precision"):
            if chosen.get(name) == 32:
                chosen[name] = "32"
        try:
            return cls(**fitted_all("training.", chosen, kinds_of(cls)))
        except Unfit as error:
            raise InputError(str(error)) from error

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step."""
        flat = self.constant * steps
        fallen = 0.0 if step < flat else (step - flat) / max(steps - flat, 1)
        rate = self.learning_rate + min(fallen, 1.0) * (self.final_rate - self.learning_rate)
        return rate * min(1.0, (step + 1) / (self.warmup + 1))


def check_keys(where: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError for the first key that does not exist, naming the nearest one that does."""
    known = sorted(known)
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
            raise InputError(f"there is no setting {where}.{key}; {hint}")
