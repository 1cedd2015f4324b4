"""The Frechet distance between two sets of features, each summed up by its mean and covariance."""

import torch
from torch import Tensor


def _factor(x: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Mean and a factor A with A' A = the covariance (divided by N - 1), at most d rows, (N, d) -> (d,), (<=N, d)."""
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"frechet: {name} must have shape (N, d) with N >= 2, got {tuple(x.shape)}.")
    x = x.double()
    if not x.isfinite().all():
        raise ValueError(f"frechet: {name} holds values that are not finite; look at the samples behind them.")
    mean = x.mean(0)
    A = (x - mean) / (len(x) - 1) ** 0.5
    return mean, torch.linalg.qr(A, mode="r")[1] if len(A) > A.shape[1] else A


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """Frechet distance |mu_a - mu_b|**2 + tr(S_a + S_b - 2 (S_a S_b)**(1/2)) (3.6), (N, d), (M, d) -> () float64.

    The trace of the root is the nuclear norm of A B' for factors A' A = S_a, B' B = S_b (3.7): exact at any rank, never
    complex, no matrix root. Squared units of the features. Raises ValueError for shapes that do not fit or values that
    are not finite. Source: Heusel et al. (2017); the factor form follows from Dowson and Landau (1982).
    """
    (mean_a, A), (mean_b, B) = _factor(a, "a"), _factor(b, "b")
    if A.shape[1] != B.shape[1]:
        raise ValueError(f"frechet: both sets need the same features, got d = {A.shape[1]} and {B.shape[1]}.")
    cross = torch.linalg.svdvals(A @ B.T).sum()
    distance = (mean_a - mean_b).square().sum() + A.square().sum() + B.square().sum() - 2 * cross
    return distance.clamp(min=0)
