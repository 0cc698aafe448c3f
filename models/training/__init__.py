"""Training for every system: one trainer, its settings, its checkpoints.

What is trained is an argument: anything with `generator`, `discriminators`, `condition`, `visibility`,
`encode_sources`, `render` and `losses` (DESIGN, section 4), on anything that gives `Samples`.
"""

from warpkit.models.training.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from warpkit.models.training.config import TrainConfig, check_keys
from warpkit.models.training.ema import EMA
from warpkit.models.training.protocols import Samples, System
from warpkit.models.training.trainer import Advice, Outcome, Trainer

__all__ = [
    "EMA",
    "Advice",
    "Checkpoint",
    "Outcome",
    "Samples",
    "System",
    "TrainConfig",
    "Trainer",
    "check_keys",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
]
