"""The Fréchet distance of two sets of feature vectors, each taken for a Gaussian: FID's formula, for any network."""

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), in float64.

    The last trace is the sum of the singular values of F1 F2ᵀ where C = FᵀF, which needs no root of a matrix and is
    exact however few vectors there are.

    Args:
        first: `[N, D]`, N at least 2.
        second: `[M, D]`, M at least 2.

    Raises:
        ValueError: too few vectors, or lengths that differ.
    """
    for name, vectors in (("first", first), ("second", second)):
        if vectors.ndim != 2 or len(vectors) < 2:
            raise ValueError(f"{name}: expected [N, D] with N at least 2, got {tuple(vectors.shape)}")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"second: expected vectors of {first.shape[1]}, got {second.shape[1]}")
    means, roots = zip(*(_moments(vectors.double()) for vectors in (first, second)), strict=True)
    shared = torch.linalg.svdvals(roots[0] @ roots[1].mT).sum()
    spread = sum(root.square().sum() for root in roots)
    return float(((means[0] - means[1]).square().sum() + spread - 2 * shared).clamp(min=0))


def _moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `[D]`, and F with FᵀF the unbiased covariance and no more rows than columns."""
    mean = vectors.mean(0)
    centred = (vectors - mean) / (len(vectors) - 1) ** 0.5
    return mean, torch.linalg.qr(centred, mode="r").R if len(vectors) > vectors.shape[1] else centred
