"""How sure is a number? Standard errors over repeats, and by resampling them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checks import numeric, typed, whole
from course_lib.metrics.checks import in_float64


class Estimate(NamedTuple):
    """A number, its standard error, and how many repeats both come from."""

    mean: float
    error: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} +- {self.error:.2g} (n = {self.n})"


def _repeats(values: Tensor, name: str) -> Tensor:
    values = numeric(values, f"{name}: values", torch.float64)
    if values.ndim < 1 or len(values) < 2:
        raise ValueError(f"{name}: needs at least 2 repeats along the first axis, got shape {tuple(values.shape)}.")
    if not values.isfinite().all():
        raise ValueError(f"{name}: every repeat must be finite; look at the runs that are not before averaging.")
    return values


def mean_and_error(values: Tensor) -> Estimate:
    """Mean of R repeats and its standard error std / sqrt(R), (R,) -> Estimate.

    Raises ValueError for fewer than two repeats or one that is not finite.
    """
    values = _repeats(values, "mean_and_error").flatten()
    return Estimate(values.mean().item(), (values.std() / len(values) ** 0.5).item(), len(values))


@typed
def bootstrap(
    values: Tensor | Sequence[float],
    statistic: Callable[[Tensor], Tensor],
    draws: int = 200,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Standard error of any statistic of R batches, by drawing R of them again and again (3.10), (R, ...) -> Estimate.

    The first axis is what was independent (batches, seeds), so resample that, not single particles. Raises ValueError
    for fewer than two batches or draws, or a statistic that is not finite. Source: Efron (1979).
    """
    values = _repeats(values, "bootstrap")
    if whole(draws, "bootstrap: draws") < 2:
        raise ValueError(f"bootstrap: draws must be at least 2, got {draws}.")
    index = torch.randint(len(values), (draws, len(values)), generator=generator)
    resampled = torch.stack([in_float64(statistic(values[i])) for i in index])
    if resampled.ndim != 1:
        raise ValueError(f"bootstrap: the statistic must be one number, got {tuple(resampled.shape[1:])}.")
    estimate = Estimate(float(statistic(values)), resampled.std().item(), len(values))
    if not torch.tensor(estimate, dtype=torch.float64).isfinite().all():
        raise ValueError("bootstrap: the statistic must be finite for every draw; look at what it does with repeats.")
    return estimate
