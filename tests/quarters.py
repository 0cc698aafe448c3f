"""A picture of four colours, which compression hardly changes."""

import numpy as np


def quarters(height: int = 80, width: int = 120) -> np.ndarray:
    """uint8 [H, W, 3]: red, green, blue and grey, read like a page."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = (200, 30, 30), (30, 180, 40)
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = (40, 50, 190), (120, 120, 120)
    return image


def close(image: np.ndarray, expected: np.ndarray, tolerance: int = 6) -> bool:
    """Whether most pixels (edges of a lossy picture apart) have the expected colour."""
    assert image.shape == expected.shape
    return bool((np.abs(image.astype(int) - expected).max(-1) <= tolerance).mean() > 0.9)
