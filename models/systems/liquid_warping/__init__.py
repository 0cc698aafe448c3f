"""Liquid Warping GAN with Attention: imitation, appearance transfer and novel views from 1 to 8 pictures.

`system.py` is the whole; `presets.py` its settings; `streams.py`, `small.py` and `fusion.py` the networks.
"""

from warpkit.models.batch import Geometric
from warpkit.models.systems.liquid_warping.embedded_model import Embedded, embedded, load_embedded, weights_named
from warpkit.models.systems.liquid_warping.fusion import STRATEGIES
from warpkit.models.systems.liquid_warping.inputs import geometric_picture
from warpkit.models.systems.liquid_warping.losses import Critics, absent, perceptual_loss, total
from warpkit.models.systems.liquid_warping.presets import PRESETS, Preset, Schedule, Weights
from warpkit.models.systems.liquid_warping.rendered import Rendered, Sources
from warpkit.models.systems.liquid_warping.system import LiquidWarping, build

__all__ = [
    "PRESETS",
    "STRATEGIES",
    "Critics",
    "Embedded",
    "Geometric",
    "LiquidWarping",
    "Preset",
    "Rendered",
    "Schedule",
    "Sources",
    "Weights",
    "absent",
    "build",
    "embedded",
    "geometric_picture",
    "load_embedded",
    "perceptual_loss",
    "total",
    "weights_named",
]
