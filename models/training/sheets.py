"""What a look at a training shows: sources, what was made of them and the truth side by side, and figures."""

from typing import Any

import numpy as np
import torch

from warpkit.models.batch import Batch
from warpkit.models.media.tensors import to_image
from warpkit.models.metrics.image import psnr


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
    return to_image(torch.cat(rows, -2))


def figures(batch: Batch, rendered: Any) -> dict[str, float]:
    """PSNR of the whole picture and on the person, of what was made and of the geometric picture."""
    assert batch.target_image is not None
    mask = batch.target_silhouette
    if batch.target_alpha is not None:
        mask = torch.maximum(mask, (batch.target_alpha > 0.1).to(mask))
    made = rendered.image.float()
    values = {
        "psnr": float(psnr(made, batch.target_image).mean()),
        "psnr_person": float(psnr(made, batch.target_image, mask).mean()),
    }
    geometric = getattr(rendered, "geometric", None)
    if geometric is not None:
        drawn = torch.lerp(rendered.background.float(), geometric.colour.float(), geometric.alpha.float())
        values["psnr_person_geometric"] = float(psnr(drawn, batch.target_image, mask).mean())
    return values
