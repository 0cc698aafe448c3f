"""The person's edge: a soft mask becomes an alpha that follows the picture, and the layers' colours are told apart.

Everything here is solved from the one picture; nothing is learned.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree
from torch import Tensor

from warpkit.models import layers

WORKING_HEIGHT = 900  # pixels the person is tall where the equations are solved; full size follows by its colours
SURE = 0.98  # mask values above it, and below 1 - it, count as known once they are also far enough from the edge
NEIGHBOURS = 3  # known pixels compared with each unknown one, of either side
SAMPLES = 12000  # known pixels kept of either side for that comparison
POSITION_WEIGHT = 0.5  # a distance of the person's whole height weighs half as much as black against white
COLOUR_NOISE = 0.02  # colour distances below it say nothing
COLOUR_WEIGHT = 2.0  # of the colours' log odds,
MASK_WEIGHT = 1.0  # and of the mask's
FIT_NOISE = 1e-6  # colour variance (colours in [0, 1]) that counts as flat in a 3x3 window
DATA_WEIGHT = 0.1  # of an undecided to a decided pixel's odds against the smoothness
KNOWN_WEIGHT = 100.0
CORE_FROM = 0.8  # alpha from which on a pixel's colour counts as the layer's own
CORE_MARGIN = 1  # pixels round the edge whose colours are mixed whatever alpha says
LAYER_PRIOR = 2.0  # how far the layers' continued colours, rather than the pixel's, decide where alpha is small


def refine_alpha(image: Tensor, soft_mask: Tensor, *, band: float = 0.012) -> Tensor:
    """Make a coarse person mask follow the picture's real edges, down to hair and fingers.

    A band round the mask's edge is unknown. In it the colours known on either side, near in colour and place, vote; the
    vote and the mask are the data term of a closed-form matting solve (Levin et al., "A Closed-Form Solution to Natural
    Image Matting", 2008) at a working size, and the picture's own colours carry the answer to full size (guided filter,
    He et al., 2013).

    Args:
        image: [3, H, W] float32, colours in [-1, 1].
        soft_mask: [H, W] float32 in [0, 1], 1 = person.
        band: how far from the mask's edge the true edge may lie, as a fraction of the person's height.

    Returns:
        [H, W] float32 in [0, 1], 1 = person. Not differentiable.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    _check(image, soft_mask, "soft_mask")
    height, width = soft_mask.shape
    rows, columns = torch.nonzero(soft_mask > 0.5, as_tuple=True)
    if len(rows) == 0:
        return torch.zeros_like(soft_mask)
    tall = float(max(rows.max() - rows.min(), columns.max() - columns.min()) + 1)
    reach = max(3.0, band * tall)
    top, bottom = _span(rows, 3 * reach, height)
    left, right = _span(columns, 3 * reach, width)
    crop = (image[:, top:bottom, left:right].detach().float() + 1) / 2
    mask = soft_mask[top:bottom, left:right].detach().float()

    shrink = min(1.0, WORKING_HEIGHT / tall)
    size = (max(8, round(crop.shape[1] * shrink)), max(8, round(crop.shape[2] * shrink)))
    small = F.interpolate(crop[None], size=size, mode="area")[0]
    small_mask = F.interpolate(mask[None, None], size=size, mode="area")[0, 0]
    colours = small.permute(1, 2, 0).double().numpy()
    alpha = torch.from_numpy(_solve(colours, small_mask.double().numpy(), reach * shrink))
    if shrink < 1:
        alpha = _enlarge(small, alpha, crop)
    result = torch.zeros_like(soft_mask)
    result[top:bottom, left:right] = alpha
    return result


def _check(image: Tensor, mask: Tensor, name: str) -> None:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image must be [3, H, W], got {tuple(image.shape)}")
    if mask.shape != image.shape[1:]:
        raise ValueError(f"{name} must be [H, W] = {tuple(image.shape[1:])} like the image, got {tuple(mask.shape)}")


def _span(positions: Tensor, margin: float, length: int) -> tuple[int, int]:
    return max(0, int(positions.min() - margin)), min(length, int(positions.max() + margin) + 2)


def _solve(colours: np.ndarray, mask: np.ndarray, reach: float) -> np.ndarray:
    """Alpha [H, W] at the working size, from colours [H, W, 3] in [0, 1] and the soft mask [H, W]."""
    inside = ndi.distance_transform_edt(mask > 0.5)
    outside = ndi.distance_transform_edt(mask <= 0.5)
    foreground = (mask > SURE) & (inside > reach / 2)
    background = (mask < 1 - SURE) & (outside > reach)
    unknown = ~(foreground | background)
    if not foreground.any() or not background.any() or not unknown.any():
        return mask.astype(np.float32)

    odds = COLOUR_WEIGHT * _colour_odds(colours, foreground, background, unknown, reach)
    prior = np.clip(mask[unknown], 0.02, 0.98)
    odds += MASK_WEIGHT * np.log(prior / (1 - prior))
    guess = 1 / (1 + np.exp(-odds))

    target = foreground.astype(np.float64)
    target[unknown] = guess
    weight = np.full(mask.shape, KNOWN_WEIGHT)
    weight[unknown] = DATA_WEIGHT * (2 * guess - 1) ** 2 + 1e-4
    alpha = _matting(colours, unknown, target, weight)
    return _connected(alpha, foreground).astype(np.float32)


def _colour_odds(
    colours: np.ndarray, foreground: np.ndarray, background: np.ndarray, unknown: np.ndarray, reach: float
) -> np.ndarray:
    """Log odds of being person for each unknown pixel: how near the known colours of either side are."""
    near = ndi.distance_transform_edt(~unknown) < 6 * reach
    place = POSITION_WEIGHT / colours.shape[0]

    def features(where: np.ndarray, limit: int | None) -> np.ndarray:
        rows, columns = np.nonzero(where)
        if limit is not None and len(rows) > limit:
            chosen = np.linspace(0, len(rows) - 1, limit).astype(int)
            rows, columns = rows[chosen], columns[chosen]
        return np.concatenate([colours[rows, columns], rows[:, None] * place, columns[:, None] * place], 1)

    asked = features(unknown, None)
    squares = []
    for side in (foreground, background):
        tree = cKDTree(features(side & near, SAMPLES))
        distance, _ = tree.query(asked, k=min(NEIGHBOURS, tree.n))
        squares.append((distance.reshape(len(asked), -1) ** 2).mean(1) + COLOUR_NOISE**2)
    return np.log(squares[1] / squares[0])


def _matting(colours: np.ndarray, unknown: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Solve (L + diag(weight)) alpha = weight * target, L the matting Laplacian of 3x3 windows with an unknown."""
    height, width = unknown.shape
    centres = ndi.binary_dilation(unknown, np.ones((3, 3)))
    centres[[0, -1]] = False
    centres[:, [0, -1]] = False
    middle = np.flatnonzero(centres)
    steps = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    window = middle[:, None] + steps  # [K, 9]
    flat = colours.reshape(-1, 3)
    values = flat[window] - flat[window].mean(1, keepdims=True)  # [K, 9, 3]
    covariance = values.transpose(0, 2, 1) @ values / 9 + FIT_NOISE / 9 * np.eye(3)
    affinity = (1 + values @ np.linalg.solve(covariance, values.transpose(0, 2, 1))) / 9  # [K, 9, 9]

    # Two pixels of a window differ by one of 25 steps; for one pair of places every row is met once, so += is safe.
    stencil = np.array([dy * width + dx for dy in range(-2, 3) for dx in range(-2, 3)])
    laplacian = np.zeros((height * width, 25))
    for i in range(9):
        for j in range(9):
            step = (j // 3 - i // 3 + 2) * 5 + (j % 3 - i % 3 + 2)
            laplacian[window[:, i], step] += float(i == j) - affinity[:, i, j]

    used = np.unique(window)
    number = np.full(height * width, -1)
    number[used] = np.arange(len(used))
    entries = laplacian[used]
    entries[:, 12] += weight.reshape(-1)[used]
    columns = number[np.clip(used[:, None] + stencil, 0, height * width - 1)]
    filled = (entries != 0) & (columns >= 0)
    starts = np.concatenate([[0], np.cumsum(filled.sum(1))])
    matrix = sparse.csr_matrix((entries[filled], columns[filled], starts), shape=(len(used), len(used)))
    wanted = target.reshape(-1)[used]
    precondition = sparse.diags(1 / matrix.diagonal())
    solved, _ = cg(matrix, weight.reshape(-1)[used] * wanted, x0=wanted, rtol=1e-4, maxiter=150, M=precondition)
    alpha = target.copy()
    alpha.reshape(-1)[used] = solved
    return np.where(unknown, alpha.clip(0, 1), target)


def _connected(alpha: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Drop what hangs together with no known foreground: pieces of background of the person's colour."""
    labels, _ = ndi.label(alpha > 0.15)
    kept = np.unique(labels[foreground])
    return np.where(np.isin(labels, kept[kept > 0]), alpha, np.minimum(alpha, 0.15) * (labels == 0))


def _enlarge(small: Tensor, alpha: Tensor, crop: Tensor, *, radius: int = 2, noise: float = 1e-4) -> Tensor:
    """The working alpha [h, w] at the full size of crop [3, H, W]: alpha = a . colour + b, a and b from the small."""

    def mean(x: Tensor) -> Tensor:
        padded = F.pad(x[None], (radius,) * 4, mode="replicate")
        return F.avg_pool2d(padded, 2 * radius + 1, stride=1)[0]

    colour = small
    average, level = mean(colour), mean(alpha[None])
    products = torch.stack([colour[i] * colour[j] for i in range(3) for j in range(3)])
    covariance = mean(products) - torch.stack([average[i] * average[j] for i in range(3) for j in range(3)])
    cross = mean(colour * alpha) - average * level
    matrix = covariance.reshape(3, 3, -1).permute(2, 0, 1) + noise * torch.eye(3)
    slope = torch.linalg.solve(matrix, cross.reshape(3, -1).T).T.reshape(cross.shape)
    offset = level - (slope * average).sum(0, keepdim=True)
    line = mean(torch.cat([slope, offset]))
    line = F.interpolate(line[None], size=crop.shape[1:], mode="bilinear", align_corners=False)[0]
    return ((line[:3] * crop).sum(0) + line[3]).clamp(0, 1)


def estimate_foreground(image: Tensor, alpha: Tensor, background: Tensor | None = None) -> Tensor:
    """The person's own colours at every pixel: image = alpha * foreground + (1 - alpha) * background, taken apart.

    Where alpha is 0 the colours of the nearest part of the person are continued smoothly, so that a sample taken
    outside the edge still carries no background. Either layer's sure colours are continued from coarse to fine; between
    them the equation above is solved for each pixel with these as its prior, the more so the smaller alpha is: alpha is
    never exact, and an exact solution would put its errors into the colours.

    Args:
        image: [3, H, W] float32, colours in [-1, 1].
        alpha: [H, W] float32 in [0, 1], 1 = person.
        background: [3, H, W], the picture without the person, if it is known; otherwise it is estimated too.

    Returns:
        [3, H, W] float32 in [-1, 1]. The image itself when alpha is 0 everywhere. Not differentiable.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    _check(image, alpha, "alpha")
    if background is not None and background.shape != image.shape:
        raise ValueError(f"background must be {tuple(image.shape)} like the image, got {tuple(background.shape)}")
    image, alpha = image.detach().float(), alpha.detach().float()
    height, width = alpha.shape
    rows, columns = torch.nonzero(alpha > 0.01, as_tuple=True)
    if len(rows) == 0:
        return image.clone()
    tall = float(max(rows.max() - rows.min(), columns.max() - columns.min()) + 1)
    top, bottom = _span(rows, 0.05 * tall, height)
    left, right = _span(columns, 0.05 * tall, width)
    window = (slice(None), slice(top, bottom), slice(left, right))
    known = None if background is None else background[window].detach().float()
    crop = _layers(image[window], alpha[window[1:]], known)
    return F.pad(crop[None], (left, width - right, top, height - bottom), mode="replicate")[0]


def spread(image: Tensor, weight: Tensor) -> Tensor:
    """Colours [C, h, w] continued from where weight [h, w] in [0, 1] is 1 to where it is 0, smoothly (push-pull)."""
    return layers.spread(image[None], weight[None, None])[0]


def _core(alpha: Tensor) -> Tensor:
    """How safely each pixel's colour belongs to the layer whose alpha [h, w] this is; 0 within a pixel of the edge."""
    least = -F.max_pool2d(-alpha[None], 2 * CORE_MARGIN + 1, stride=1, padding=CORE_MARGIN)[0]
    return ((least - CORE_FROM) / (1 - CORE_FROM)).clamp(0, 1) ** 2


def _layers(image: Tensor, alpha: Tensor, background: Tensor | None) -> Tensor:
    """The foreground [3, h, w] of a picture [3, h, w] with alpha [h, w]."""
    front = spread(image, _core(alpha))
    clear = 1 - alpha
    back = spread(image, _core(clear)) if background is None else background
    rest = image - alpha * front - clear * back
    return (front + alpha * rest / (alpha**2 + LAYER_PRIOR * clear + 1e-6)).clamp(-1, 1)
