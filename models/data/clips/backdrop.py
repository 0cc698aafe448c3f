"""The background behind a person who moves: what most frames show where the person is not, the rest filled in."""

import warnings

import numpy as np
import torch

from warpkit.models.geometric.background import fill_background, person_hole
from warpkit.models.media.tensors import to_tensor

FRAMES = 32
"""So many frames of a clip are looked at, evenly over it."""
MOVED = 8.0
"""Of 255: where colours differ from their median by more than this on average, the camera or the background moves."""
LEAST_SEEN = 0.3
"""The share of the picture that must have been seen without the person."""
STRIP = 64


class Backdrop:
    """Gathers some frames of a clip, then tells the background."""

    def __init__(self, count: int) -> None:
        self.wanted = set(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int).tolist())
        self._images: list[np.ndarray] = []
        self._free: list[np.ndarray] = []

    def add(self, number: int, image: np.ndarray, alpha: np.ndarray) -> None:
        """Frame `number` of the clip: uint8 `[H, W, 3]`, and alpha `[H, W]` in [0, 1]; looked at if it is wanted."""
        if number in self.wanted:
            self._images.append(image)
            self._free.append(~person_hole(torch.from_numpy(alpha), margin=0.02).numpy())

    def plate(self) -> np.ndarray | None:
        """uint8 `[H, W, 3]`, or None where the background moves or was hardly seen."""
        images, free = np.stack(self._images), np.stack(self._free)
        seen = free.sum(0)
        known = seen > 0
        if known.mean() < LEAST_SEEN:
            return None
        plate = np.zeros(images.shape[1:], np.float32)
        spread = np.zeros(images.shape[1:3], np.float32)
        for top in range(0, len(plate), STRIP):
            rows = slice(top, top + STRIP)
            values = np.where(free[:, rows, :, None], images[:, rows].astype(np.float32), np.nan)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that nobody saw
                plate[rows] = np.nanmedian(values, 0)
                spread[rows] = np.nanmean(np.abs(values - plate[rows]), 0).mean(-1)
        often = seen >= min(3, len(images))
        if often.any() and spread[often].mean() > MOVED:
            return None
        if not known.all():
            picture = to_tensor(np.nan_to_num(plate))
            try:
                filled = fill_background(picture, torch.from_numpy(~known))
            except ValueError:  # what is known lies too scattered
                return None
            plate = ((filled + 1) * 127.5).permute(1, 2, 0).numpy()
        return (plate + 0.5).clip(0, 255).astype(np.uint8)
