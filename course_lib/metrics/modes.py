"""Counting modes: which were hit, and how many samples lie on a mode at all. Report the first only with the second."""

import math

import torch
from torch import Tensor

from course_lib.checks import number, numeric, whole
from course_lib.metrics.checks import checked_pair
from course_lib.metrics.distances import exact_squares


def nearest_mode(x: Tensor, centres: Tensor) -> Tensor:
    """Index of the nearest centre, (N, d), (M, d) -> (N,)."""
    return exact_squares(*checked_pair(x, centres, "nearest_mode", ("x", "centres"), least=1))[0].argmin(1)


def on_mode(x: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Whether each sample lies within `radius` of some centre (3.2), (N, d), (M, d) -> (N,) bool.

    Its mean is the share on a mode. Raises ValueError for a radius that is not positive.
    """
    number(radius, "on_mode: radius", above=0)
    x, centres = checked_pair(x, centres, "on_mode", ("x", "centres"), least=1)
    return exact_squares(x, centres)[0].min(1).values <= radius**2


def modes_hit(x: Tensor, centres: Tensor, radius: float | None = None) -> int:
    """Number of centres that are nearest to some sample, within `radius` if it is given (3.2), (N, d), (M, d) -> int.

    Without a radius garbage between the modes counts too.
    """
    nearest = nearest_mode(x, centres)
    if radius is not None:
        nearest = nearest[on_mode(x, centres, radius)]
    return len(nearest.unique())


def modes_covered(counts: Tensor, N: int, least: float = 0.01) -> Tensor:
    """Number of modes that hold at least a share `least` of N samples, their counts (.., M) -> (..,).

    A single sample covers nothing, since garbage hits modes too. Raises ValueError for counts that cannot be of N.
    """
    counts = numeric(counts, "modes_covered: counts", torch.float64)
    whole(N, "modes_covered: N", 1)
    number(least, "modes_covered: least", above=0)
    if counts.ndim < 1 or not (counts >= 0).all() or not (counts.sum(-1) <= N).all():
        raise ValueError(f"modes_covered: counts (.., M) must be >= 0 and sum to at most N = {N}.")
    return (counts >= least * N).sum(-1)


def expected_modes(weights: Tensor, N: int) -> float:
    """Modes that N independent draws hit on average, sum_m 1 - (1 - w_m)**N (3.1), (M,) -> float.

    Raises ValueError unless the weights are shares that sum to one and N >= 0.
    """
    weights = numeric(weights, "expected_modes: weights", torch.float64)
    if whole(N, "expected_modes: N", -math.inf) < 0:
        raise ValueError(f"expected_modes: needs N >= 0, got N = {N}.")
    if weights.ndim != 1 or not (weights >= 0).all() or not abs(weights.sum().item() - 1) <= 1e-6:
        raise ValueError(
            f"expected_modes: needs shares that sum to 1 and N >= 0, got the sum {weights.sum():g} and {N=}."
        )
    return (1 - (1 - weights) ** N).sum().item()
