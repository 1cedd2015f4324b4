"""A frontier's volume, its error over groups, and when one method stands above another."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checks import finite, shaped, typed
from course_lib.metrics import Estimate


@typed
def volume(points: Tensor) -> float:
    """Area of [0, 1]**2 that some point is at least as far as in both numbers (16.6), (S, 2) -> a number.

    Raises ValueError for a point outside the square.
    """
    points = finite(shaped(points, "volume: points", "(S, 2)", 2, 2, least=1), "volume: points").cpu().double()
    if not ((points >= 0) & (points <= 1)).all():
        raise ValueError("volume: points must lie in [0, 1] x [0, 1]; they are shares.")
    area, height = 0.0, 0.0
    for x, y in sorted(points.tolist(), reverse=True):  # from the right: only a higher point adds
        area += x * max(0.0, y - height)
        height = max(height, y)
    return area


@typed
def pseudovalues(groups: Tensor, statistic: Callable[[Tensor], float]) -> Tensor:
    """G repeats of a statistic of a mean over G groups, G t(mean) - (G - 1) t(mean without g) (16.7), -> (G,) float64.

    Their mean and error are the jackknife's. Raises ValueError for fewer than two groups. Source: Tukey (1958).
    """
    if len(groups) < 2:
        raise ValueError(f"pseudovalues: needs at least 2 groups, got {len(groups)}.")
    G, total = len(groups), groups.cpu().double().sum(0)
    all_of_them = statistic(total / G)
    without = [statistic((total - one) / (G - 1)) for one in groups.cpu().double()]
    return torch.tensor([G * all_of_them - (G - 1) * one for one in without], dtype=torch.float64)


def volumes(groups: Tensor) -> Tensor:
    """Pseudovalues of the volume of spread and fit, scores (G, S, 3) -> (G,)."""
    return pseudovalues(groups, lambda mean: volume(mean[:, :2].clamp(0, 1)))


def limits(values: Tensor, level: float = 0.99) -> tuple[Estimate, float, float]:
    """Mean of G repeats, and where Student's t puts it at a one-sided level, from below and from above, (G,)."""
    from scipy.stats import t

    G = len(finite(values, "limits: values"))
    if G < 2:
        raise ValueError(f"limits: needs at least 2 repeats, got {G}.")
    mean, error = float(values.mean()), float(values.std()) / G**0.5
    reach = float(t.ppf(level, G - 1)) * error
    return Estimate(mean, error, G), mean - reach, mean + reach


class Comparison(NamedTuple):
    """A method against another on the same groups: paired differences, and the verdict."""

    gain: Estimate
    fit: Estimate
    quality: Estimate
    larger: bool  # the volume, whatever fit and quality are
    above: bool


@typed
def stands_above(entry: Tensor, base: Tensor) -> Comparison:
    """Whether scores (G, S, 3) beat others of the same groups: a larger volume, fit and quality not lower (16.8).

    Student's t on paired differences, one-sided 1 %. Raises ValueError for other shapes and fewer than eight groups.
    """
    shaped(entry, "stands_above: entry", "(groups, strengths, 3)", 3, 3)
    if entry.shape != base.shape or len(entry) < 8:
        raise ValueError(
            f"stands_above: needs two sets of scores of the same eight groups or more, got {tuple(entry.shape)} and "
            f"{tuple(base.shape)}."
        )
    gain, low, _ = limits(volumes(entry) - volumes(base))
    difference = (entry - base).cpu().double().mean(1)
    fit, _, fit_high = limits(difference[:, 1])
    quality, _, quality_high = limits(difference[:, 2])
    return Comparison(gain, fit, quality, low > 0, low > 0 and fit_high >= 0 and quality_high >= 0)
