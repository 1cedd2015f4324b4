"""What a finite number of samples adds to a Frechet distance, and how to take it off again."""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checks import numeric, whole
from course_lib.metrics.checks import checked
from course_lib.metrics.gaussian import Set, frechet
from course_lib.metrics.statistics import GaussianStatistics


class Extrapolation(NamedTuple):
    """The distance at N -> infinity, the slope in 1/N, and the sizes and distances the line was fitted to."""

    distance: float
    slope: float
    sizes: list[int]
    distances: list[float]


def frechet_bias(eigenvalues: Tensor, n: int, m: int | None = None) -> float:
    """What n samples add on average to the Frechet distance of a Gaussian from its own law (9.2), (d,) -> float.

    (1/n) (3/2 sum_i l_i + sum_{i<j} l_i l_j / (l_i + l_j)) to first order in 1/n for eigenvalues l of the covariance;
    with m, both sides are samples and 1/n becomes 1/n + 1/m. Squared units of the features. Raises ValueError for
    eigenvalues that are negative or not finite, or fewer than 2 samples.
    """
    values = numeric(eigenvalues, "frechet_bias: eigenvalues", torch.float64)
    n, m = whole(n, "frechet_bias: n"), None if m is None else whole(m, "frechet_bias: m")
    rounding = 1e-9 * values.abs().max() if values.numel() else 0
    if values.ndim != 1 or not values.isfinite().all() or (values < -rounding).any():
        raise ValueError("frechet_bias: the eigenvalues must be a list (d,) of finite numbers that are not negative.")
    if n < 2 or (m is not None and m < 2):
        raise ValueError(f"frechet_bias: needs at least 2 samples a side, got n = {n} and m = {m}.")
    values = values[values > 0]
    pairs = (values[:, None] * (values / (values[:, None] + values))).triu(1).sum()
    return ((1.5 * values.sum() + pairs) * (1 / n + (1 / m if m else 0))).item()


def frechet_infinity(
    x: Tensor, reference: Set, points: int = 15, smallest: int | None = None, generator: torch.Generator | None = None
) -> Extrapolation:
    """Frechet distance of x from a reference at N -> infinity, by a line in 1/N (9.3), (N, d), (M, d) -> Extrapolation.

    Takes `points` sizes evenly from `smallest` (a tenth of N if None) to N, a random subset of x of each, and the
    intercept of the least-squares line through their distances. Removes the bias of x only: the reference's stays. May
    fall below 0 by noise. Raises ValueError as `frechet`, for fewer than 2 points, or if smallest is not in [2, N).
    Source: Chong and Forsyth (2020).
    """
    x = checked(x, "frechet_infinity: x")
    smallest = max(2, len(x) // 10) if smallest is None else whole(smallest, "frechet_infinity: smallest")
    whole(points, "frechet_infinity: points")
    if points < 2 or not 2 <= smallest <= len(x) - points + 1:
        raise ValueError(
            f"frechet_infinity: needs 2 points or more of different sizes from at least 2 to N = {len(x)}, "
            f"got {points} from {smallest}."
        )
    if not isinstance(reference, GaussianStatistics):
        reference = checked(reference, "frechet_infinity: reference")
        if len(reference) > reference.shape[1]:
            reference = GaussianStatistics.from_features(reference)  # its factor is computed once
    sizes = torch.linspace(smallest, len(x), points, dtype=torch.float64).round().long().tolist()
    subsets = (torch.randperm(len(x), generator=generator)[:n] for n in sizes)
    distances = torch.stack([frechet(x[index], reference) for index in subsets]).cpu()
    u = 1 / torch.tensor(sizes, dtype=torch.float64)
    slope = ((u - u.mean()) * (distances - distances.mean())).sum() / (u - u.mean()).square().sum()
    return Extrapolation((distances.mean() - slope * u.mean()).item(), slope.item(), sizes, distances.tolist())
