"""Counting modes: which were hit, and how many samples lie on a mode at all. Report the first only with the second."""

from torch import Tensor

from course_lib.metrics.checks import in_float64
from course_lib.metrics.distances import squared_distances


def nearest_mode(x: Tensor, centres: Tensor) -> Tensor:
    """Index of the nearest centre, (N, d), (M, d) -> (N,)."""
    return squared_distances(x, centres).argmin(1)


def on_mode(x: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Whether each sample lies within `radius` of some centre (3.2), (N, d), (M, d) -> (N,) bool.

    Its mean is the share on a mode. Raises ValueError for a radius that is not positive.
    """
    if not radius > 0:
        raise ValueError(f"on_mode: radius must be positive, got {radius}.")
    return squared_distances(x, centres).min(1).values <= radius**2


def modes_hit(x: Tensor, centres: Tensor, radius: float | None = None) -> int:
    """Number of centres that are nearest to some sample, within `radius` if it is given (3.2), (N, d), (M, d) -> int.

    Without a radius garbage between the modes counts too.
    """
    nearest = nearest_mode(x, centres)
    if radius is not None:
        nearest = nearest[on_mode(x, centres, radius)]
    return len(nearest.unique())


def expected_modes(weights: Tensor, N: int) -> float:
    """Modes that N independent draws hit on average, sum_m 1 - (1 - w_m)**N (3.1), (M,) -> float.

    Raises ValueError unless the weights are shares that sum to one and N >= 0.
    """
    weights = in_float64(weights)
    if (weights < 0).any() or abs(weights.sum().item() - 1) > 1e-6 or N < 0:
        raise ValueError(
            f"expected_modes: needs shares that sum to 1 and N >= 0, got the sum {weights.sum():g} and {N=}."
        )
    return (1 - (1 - weights) ** N).sum().item()
