"""The Frechet distance between two sets, each summed up by its mean and covariance, and what is made of it."""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.metrics.checks import checked
from course_lib.metrics.linear import congruence, gram, nuclear, root_trace, triangle
from course_lib.metrics.statistics import GaussianStatistics, same_embedding

Set = Tensor | GaussianStatistics


class FrechetParts(NamedTuple):
    """A Frechet distance and where it comes from: distance = mean + bures, all in squared units of the features."""

    distance: float
    mean: float
    bures: float
    trace_ratio: float


class MaxDiversity(NamedTuple):
    """Distance to the maximum diversity set, its parts, the floor, and the share of the gap that is closed."""

    distance: float
    mean: float
    bures: float
    trace_ratio: float
    floor: float | None
    gap_closed: float | None


class _Side:
    """What the distance needs of one set: its mean, covariance S, and a factor A with A' A = S."""

    def __init__(self, x: Set, name: str):
        if isinstance(x, GaussianStatistics):
            self.statistics, self.rows, self.few = x, None, False
            self.mean, self.trace = x.mean, x.trace
            return
        x = checked(x, name)
        self.statistics, self.mean, self.few = None, x.mean(0), len(x) <= x.shape[1] + 1
        self.rows = x - self.mean
        if self.few:
            A = self.rows / (len(x) - 1) ** 0.5
            self.rows = A[1:] + A[0] / (len(x) ** 0.5 - 1)  # turned so that the first row is 0 and can go
            self.trace = self.rows.square().sum()
        else:
            self._S = gram(self.rows).div_(len(x) - 1)
            self.trace = self._S.trace()

    @property
    def S(self) -> Tensor:
        """The covariance, unless the set has `few` rows."""
        return self._S if self.statistics is None else self.statistics.covariance

    @property
    def work(self) -> int:
        """What a factor costs: 0 the rows are one, 1 it is kept, 2 Cholesky's, 3 the covariance and Cholesky's."""
        return 0 if self.few else 3 if self.statistics is None else 2 - self.statistics.has_factor

    def quick(self) -> Tensor | None:
        """A factor that costs little, a triangle unless it is `few` rows; None for a singular covariance of rows."""
        if self.few:
            return self.rows
        return triangle(self.S) if self.statistics is None else self.statistics.factor

    def exact(self) -> Tensor:
        """A factor that loses no digits at any rank, with at most d rows."""
        if self.few or self.statistics is not None:
            return self.quick()
        return torch.linalg.qr(self.rows / (len(self.rows) - 1) ** 0.5, mode="r")[1]


def _cross(a: _Side, b: _Side) -> Tensor:
    """tr (S_a S_b)**(1/2): from the eigenvalues of A S_b A' where these are sure, else as the nuclear norm of A B'."""
    if a.few and b.few:
        return nuclear(a.rows, b.rows)
    a, b = sorted((a, b), key=lambda side: side.work)
    A = a.quick()
    if A is not None:
        found = root_trace(A @ b.S @ A.T if a.few else congruence(A, b.S), a.trace + b.trace)
        if found is not None:
            return found
    return nuclear(a.exact(), b.exact())


def _parts(a: Set, b: Set, name: str = "frechet", names: tuple[str, str] = ("a", "b")) -> tuple[Tensor, ...]:
    """The two terms of the distance and the two traces, each () float64."""
    if isinstance(a, GaussianStatistics) and isinstance(b, GaussianStatistics):
        same_embedding(a, b, name)
    a, b = (_Side(x, f"{name}: {which}") for x, which in zip((a, b), names, strict=True))
    if len(a.mean) != len(b.mean):
        raise ValueError(f"{name}: both sets need the same features, got d = {len(a.mean)} and {len(b.mean)}.")
    bures = a.trace + b.trace - 2 * _cross(a, b)
    return (a.mean - b.mean).square().sum(), bures.clamp(min=0), a.trace, b.trace


def frechet(a: Set, b: Set) -> Tensor:
    """Frechet distance |mu_a - mu_b|**2 + tr(S_a + S_b - 2 (S_a S_b)**(1/2)) (3.6), (N, d), (M, d) -> () float64.

    Either may be features or GaussianStatistics. The trace of the root is the nuclear norm of A B' for factors
    A' A = S_a, B' B = S_b (3.7): exact at any rank, never complex, no matrix root. Squared units of the features.
    Raises ValueError for shapes that do not fit, N < 2, values that are not finite, or two embeddings. Source: Heusel
    et al. (2017); the factor form follows from Dowson and Landau (1982).
    """
    mean, bures, _, _ = _parts(a, b)
    return mean + bures


def frechet_parts(a: Set, b: Set) -> FrechetParts:
    """The Frechet distance split into |mu_a - mu_b|**2, the Bures term and tr S_a / tr S_b (9.1), -> FrechetParts.

    A trace ratio under 1 says that a spreads less than b. Raises ValueError as `frechet`, and if b does not vary.
    """
    return _split(a, b, "frechet_parts", ("a", "b"))


def _split(a: Set, b: Set, name: str, names: tuple[str, str]) -> FrechetParts:
    mean, bures, trace_a, trace_b = (part.item() for part in _parts(a, b, name, names))
    if not trace_b > 0:
        raise ValueError(f"{name}: {names[1]} does not vary at all, so no ratio of traces exists.")
    return FrechetParts(mean + bures, mean, bures, trace_a / trace_b)


def max_diversity_distance(x: Set, maximum: Set, minimum: Set | None = None, floor: Set | None = None) -> MaxDiversity:
    """Frechet distance of a set to the maximum diversity set, and the share of the gap that it closes (9.7).

    gap_closed = (FD(minimum) - FD(x)) / (FD(minimum) - FD(floor)), all to `maximum`: 0 for the plain sampler's set
    `minimum`, 1 for `floor`, a second sample of the maximum set; below 0 if x is worse than plain. Squared units of the
    features; lower is closer. Each set is features (N, d) or GaussianStatistics. Raises ValueError as `frechet`; if
    the gap is asked for without a floor, or x, minimum and floor differ in N (the bias (9.2) would differ too); or if
    there is no gap. Source: the distance is Pondaven's (2023).
    """
    name = "max_diversity_distance"
    parts = _split(x, maximum, name, ("x", "maximum"))
    low = None if floor is None else _split(floor, maximum, name, ("floor", "maximum")).distance
    if minimum is None:
        return MaxDiversity(*parts, low, None)
    if floor is None:
        raise ValueError(f"{name}: the share of the gap needs floor, a second sample of the maximum set.")
    if not len(x) == len(minimum) == len(floor):
        raise ValueError(
            f"{name}: the share of the gap needs equal N, got {len(x)} in x, {len(minimum)} in minimum and "
            f"{len(floor)} in floor."
        )
    high = _split(minimum, maximum, name, ("minimum", "maximum")).distance
    if not high > low:
        raise ValueError(f"{name}: minimum is as near to maximum as floor ({high:.3g}, {low:.3g}): there is no gap.")
    return MaxDiversity(*parts, low, (high - parts.distance) / (high - low))
