"""Networks trained elsewhere that judge pictures: their layers here, their weights in files that `weights` finds.

They are frozen, plain PyTorch, and differentiable in the picture. Pictures are `[B, 3, H, W]`, RGB in [-1, 1].
"""

from warpkit.models.features.frozen import Frozen
from warpkit.models.features.state import read_state

__all__ = ["Frozen", "read_state"]
