"""Settings of Liquid Warping GAN with Attention: the paper's, its public code's, and those of what we ship."""

import math
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from warpkit.models.batch import SurfaceCondition, UvCondition, Visibility
from warpkit.models.losses.face import PUBLIC_WEIGHTS as FACE_WEIGHTS
from warpkit.models.losses.perceptual import PUBLIC_WEIGHTS, Distance
from warpkit.models.settings import fitted_all, kinds_of
from warpkit.models.systems.liquid_warping.fusion import STRATEGIES

CONDITION_CHANNELS = {
    "uv": UvCondition.channels,
    "uv_flat": UvCondition.channels,
    "surface": SurfaceCondition.channels,
}


@dataclass(frozen=True)
class Weights:
    """Of each term of the generator's loss; 0: the term is not computed."""

    perceptual: float = 10.0
    """Of the target picture: lambda_p, Eq. 3."""
    source: float = 10.0
    """L1 of the reconstructed sources: lambda_p, Eq. 3."""
    background: float = 0.0
    """L1 of the background picture, where the true one is known."""
    pixel: float = 0.0
    """L1 of the target picture."""
    face: float = 5.0
    """lambda_f, Eq. 4."""
    mask: float = 2.5
    """lambda_a, Eq. 6's distance, of the target and of the sources."""
    smooth: float = 2.5
    """lambda_a, Eq. 6's total variation, of the target and of the sources."""
    adversarial: float = 1.0
    """Eq. 5."""

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"weights.{name}: expected 0 or more, got {weight}")


@dataclass(frozen=True)
class Schedule:
    """How it is trained."""

    epochs: float | None = 2.0
    """Over the pictures of the data; None: `steps` counts."""
    steps: int | None = None
    """Of the optimizer."""
    batch: int = 2
    sources: tuple[int, int] = (2, 2)
    """Fewest and most sources of a sample."""
    learning_rate: float = 1e-4
    """At first."""
    final_rate: float = 1e-5
    """At the end."""
    constant: float = 0.25
    """The share of the training in which the rate stays; then it falls linearly."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam."""
    adversarial_from: float = 0.0
    """The share of the training after which discriminators take part; 1: never."""


@dataclass(frozen=True)
class Preset:
    """Everything that tells one variant of the system from another. Data: `dataclasses.replace` makes more."""

    name: str
    layers: Literal["public", "small"] = "public"
    """The public code's layer plan (Fig. 5 of the paper is a drawing that cannot be read), or ours.

    By the public one the transfer stream is shown I_syn, the sources warped; by ours the geometric picture.
    """
    width: int = 64
    """Channels of the first stage, for the public plan; the others follow it. Less than 64 for studies and tests."""
    fusion: str = "attention"
    """A key of `STRATEGIES`."""
    condition: Literal["uv", "uv_flat", "surface"] = "uv"
    visibility: Visibility = "pixel"
    """Of the flow: which parts of a source are carried over; None: all, hidden ones too."""
    flow_resize: Literal["masked", "bilinear"] = "masked"
    """How a feature level's flow is made from the picture's."""
    mask: Literal["person", "background"] = "person"
    """What 1 means in the masks that the network gives: the paper's A, or the public code's 1 - A."""
    person_edge: int = 11
    """Pixels at a height of 512 by which the person's mask is widened before it is cut out of the background."""
    concat_sources: int = 8
    """Sources that input concatenation has room for; fewer are repeated."""
    discriminators: tuple[str, ...] = ("global", "body", "head")
    discriminator_width: int = 64
    weights: Weights = field(default_factory=Weights)
    mask_loss: Literal["square", "bce"] = "square"
    mask_truth: Literal["silhouette", "alpha"] = "silhouette"
    """What masks are drawn to: the body's rendered silhouette, or the person's alpha."""
    smooth: Literal["square", "absolute"] = "square"
    """The total variation's differences."""
    vgg_size: int | Literal["native"] = "native"
    """Pictures are resized to this before the perceptual loss."""
    vgg_layers: tuple[str, ...] | None = None
    """Whose features it compares, such as "relu3_1"; None: the first of each block."""
    vgg_weights: tuple[float, ...] | None = None
    """Of these layers; None: 1 each."""
    vgg_distance: Distance = "absolute"
    """How it compares them."""
    vgg_standardised: bool = True
    """Whether it is shown pictures in the colours that its network was trained on, or as they are."""
    face_weights: tuple[float, ...] | None = None
    """Of the face network's features at growing depth, the embedding last; None: the embedding alone, as in Eq. 4."""
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        fitted_all("", vars(self), {**kinds_of(type(self)), "weights": Any, "schedule": Any})
        if self.fusion not in STRATEGIES:
            raise ValueError(f"fusion: expected one of {', '.join(STRATEGIES)}, got {self.fusion!r}")
        if self.condition not in CONDITION_CHANNELS:
            raise ValueError(f"condition: expected one of {', '.join(CONDITION_CHANNELS)}, got {self.condition!r}")
        for name in ("width", "discriminator_width", "concat_sources"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        unknown = set(self.discriminators) - {"global", "body", "head"}
        if unknown:
            raise ValueError(f"discriminators: expected some of global, body, head, got {sorted(unknown)[0]!r}")
        for layer in self.vgg_layers or ():
            if not re.fullmatch("relu[1-5]_[1-4]", layer):
                raise ValueError(f"vgg_layers: expected layers from relu1_1 to relu5_4, got {layer!r}")
        if self.layers == "small" and self.condition != "surface":
            raise ValueError(
                "condition: the layers 'small' weigh sources by their normals, which only the condition 'surface' "
                f"has; got {self.condition!r}"
            )
        if self.layers == "small" and STRATEGIES[self.fusion].input == "sources":
            raise ValueError("fusion: 'concat' is for the layers 'public'; the small ones read one picture")

    @property
    def condition_channels(self) -> int:
        """Of the condition that it is shown."""
        return CONDITION_CHANNELS[self.condition]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file of settings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `to_dict` gave, lists for tuples allowed.

        Raises ValueError naming a key that does not exist, or what is expected of a value.
        """
        values = dict(values)
        for name, part in (("weights", Weights), ("schedule", Schedule)):
            inner = values.get(name, {})
            if isinstance(inner, dict):
                inner = values[name] = _made(part, inner, f"{name}.")
            if not isinstance(inner, part):
                raise ValueError(f"{name}: expected a table, got {inner!r}")
        return _made(cls, values, "")


def _made(kind: Any, values: dict[str, Any], where: str) -> Any:
    known = kinds_of(kind)
    for key in values:
        if key not in known:
            raise ValueError(f"preset: there is no setting {where}{key}; known: {', '.join(known)}")
    return kind(**fitted_all(where, values, {**known, "weights": Any, "schedule": Any}))


PRESETS: dict[str, Preset] = {
    "paper": Preset("paper"),
    "ipercore": Preset(
        "ipercore",
        condition="uv_flat",
        visibility=None,
        flow_resize="bilinear",
        mask="background",
        weights=Weights(source=5.0, background=5.0, mask=5.0, smooth=1.0),
        mask_loss="bce",
        mask_truth="alpha",
        smooth="absolute",
        vgg_size=224,
        vgg_weights=PUBLIC_WEIGHTS,
        vgg_standardised=False,
        face_weights=FACE_WEIGHTS,
        schedule=Schedule(epochs=None, steps=400_000, batch=4, sources=(4, 4), final_rate=1e-4),
    ),
    "small": Preset(
        "small",
        layers="small",
        condition="surface",
        discriminators=("global", "head"),
        discriminator_width=32,
        weights=Weights(source=0.0, background=10.0, pixel=10.0, mask=5.0, smooth=1.0, adversarial=0.1),
        mask_loss="bce",
        mask_truth="alpha",
        smooth="absolute",
        vgg_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_1"),
        vgg_distance="unit",
        schedule=Schedule(epochs=None, steps=23_000, batch=4, sources=(1, 4), learning_rate=2e-4, adversarial_from=1.0),
    ),
}
"""`paper`: the paper's settings. `ipercore`: its public code's. `small`: what is shipped."""
