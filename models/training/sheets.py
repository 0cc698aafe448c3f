"""Sample sheets: sources, what was made of them, and the truth, side by side."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpkit.models.batch import Batch


def sheet(batch: Batch, rendered: Any) -> np.ndarray:
    """A row for each person: sources, the geometric picture where there is one, made, its alpha, truth.

    Returns:
        uint8 `[B * H, N * W, 3]`.
    """
    rows = []
    for person in range(len(batch.target_vertices)):
        shown = batch.sources.image[person] * batch.sources.valid[person][:, None, None, None]
        cells = list(shown)
        geometric = getattr(rendered, "geometric", None)
        if geometric is not None:
            cells.append(geometric.colour[person])
        cells += [rendered.image[person], rendered.alpha[person].expand(3, -1, -1) * 2 - 1]
        if batch.target_image is not None:
            cells.append(batch.target_image[person])
        rows.append(torch.cat([cell.float().cpu() for cell in cells], -1))
    return to_bytes(torch.cat(rows, -2))


def to_bytes(picture: Tensor) -> np.ndarray:
    """`[3, H, W]` in [-1, 1] to uint8 `[H, W, 3]`."""
    return ((picture.clamp(-1, 1) + 1) * 127.5 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
