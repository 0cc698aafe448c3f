"""Pictures in memory: uint8 arrays, as files have them, and float tensors in [-1, 1], as networks have them."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(image: np.ndarray) -> Tensor:
    """`[..., H, W, 3]` up to 255 to float32 `[..., 3, H, W]` in [-1, 1], with the array's strides."""
    return torch.from_numpy(image).movedim(-1, -3).float() / 127.5 - 1


def to_image(picture: Tensor) -> np.ndarray:
    """Float `[..., 3, H, W]` on any device to uint8 `[..., H, W, 3]`: -1 to 0, 1 to 255, beyond to the nearer."""
    scaled = picture.float().add(1).mul_(127.5).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).contiguous().cpu().numpy()
