"""Mean and covariance of features, gathered batch by batch; what a Frechet distance needs of a set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from course_lib.metrics.checks import checked
from course_lib.metrics.linear import factor, gram


class GaussianStatistics:
    """Number, mean and centred second moment of a stream of features, and the name of their embedding.

    In float64, around the running mean (Chan, Golub and LeVeque, 1979), so that any split into batches gives the same
    covariance and a large mean costs no digits. Memory O(d**2), whatever N. Two statistics with different names are
    never compared or merged.
    """

    def __init__(self, name: str = ""):
        self.name, self.n = str(name), 0
        self._mean = self._m2 = self._factor = None

    @classmethod
    def from_features(cls, x: Tensor, name: str = "") -> GaussianStatistics:
        """Statistics of one set, (N, d) -> GaussianStatistics. Raises ValueError as `update`."""
        return cls(name).update(x)

    def update(self, x: Tensor) -> GaussianStatistics:
        """Takes a batch in, (B, d) with B >= 1, and returns these statistics.

        Raises ValueError for features that are not finite or of another dimension than before.
        """
        x = checked(x, "GaussianStatistics: the batch", least=1)
        self._agree(x.shape[1], "update")
        mean = x.mean(0)
        return self._take(len(x), mean, gram(x - mean))

    def merge(self, other: GaussianStatistics) -> GaussianStatistics:
        """New statistics of both sets together, as if one had seen all the features.

        Raises ValueError if names or dimensions differ.
        """
        same_embedding(self, other, "merge")
        both = GaussianStatistics(self.name or other.name)
        for one in (self, other):
            if one.n:
                both._agree(one.d, "merge")
                both._take(one.n, one._mean, one._m2)
        return both

    def _agree(self, d: int, function: str) -> None:
        if self.n and d != self.d:
            raise ValueError(f"{function}: these statistics have d = {self.d} features, got {d}.")

    def _take(self, n: int, mean: Tensor, m2: Tensor) -> GaussianStatistics:
        """Chan's formula: the two second moments, and what the two means lie apart."""
        if self.n:
            apart, total = mean - self._mean, self.n + n
            m2 = self._m2 + m2 + apart.outer(apart) * (self.n * n / total)
            mean, n = self._mean + apart * (n / total), total
        self.n, self._mean, self._m2, self._factor = n, mean, m2, None
        return self

    @property
    def d(self) -> int:
        """Number of features; 0 before the first batch."""
        return 0 if self._mean is None else len(self._mean)

    @property
    def mean(self) -> Tensor:
        """Mean, (d,). Raises ValueError before the first batch."""
        self._need(1)
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """Covariance divided by n - 1, (d, d). Raises ValueError for n < 2."""
        self._need(2)
        return self._m2 / (self.n - 1)

    @property
    def trace(self) -> Tensor:
        """Trace of the covariance, (). Raises ValueError for n < 2."""
        self._need(2)
        return self._m2.trace() / (self.n - 1)

    @property
    def factor(self) -> Tensor:
        """A with A' A = covariance, (r, d) with r <= d; computed once and kept until the next batch.

        Raises ValueError for n < 2.
        """
        if self._factor is None:
            self._factor = factor(self.covariance)
        return self._factor

    @property
    def has_factor(self) -> bool:
        """Whether the factor is there already."""
        return self._factor is not None

    def __len__(self) -> int:
        return self.n

    def _need(self, n: int) -> None:
        if self.n < n:
            raise ValueError(f"GaussianStatistics: needs n >= {n} features, has seen {self.n}; update it first.")

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs, ready for numpy.savez. Raises ValueError before the first batch."""
        self._need(1)
        mean, m2 = (z.detach().cpu().numpy().copy() for z in (self._mean, self._m2))
        return {"n": np.int64(self.n), "mean": mean, "m2": m2, "name": np.str_(self.name)}

    @classmethod
    def from_arrays(cls, arrays) -> GaussianStatistics:
        """The statistics that `arrays` wrote, from a dict or an open npz file.

        Raises ValueError if one is missing, has another shape, or is not finite.
        """
        if missing := {"n", "mean", "m2", "name"} - set(arrays):
            raise ValueError(f"from_arrays: misses {', '.join(sorted(missing))}; give it what arrays() wrote.")
        n, mean, m2 = int(arrays["n"]), *(torch.tensor(np.asarray(arrays[z], np.float64)) for z in ("mean", "m2"))
        if n < 1 or mean.ndim != 1 or m2.shape != (len(mean), len(mean)):
            raise ValueError(
                f"from_arrays: needs n >= 1, mean (d,) and m2 (d, d), got {n}, {tuple(mean.shape)}, {tuple(m2.shape)}."
            )
        if not (mean.isfinite().all() and m2.isfinite().all()):
            raise ValueError("from_arrays: the stored mean or m2 is not finite; compute the statistics again.")
        return cls(str(arrays["name"]))._take(n, mean, m2)


def same_embedding(a: GaussianStatistics, b: GaussianStatistics, function: str) -> None:
    """Raises ValueError if both statistics carry a name and the names differ."""
    if a.name and b.name and a.name != b.name:
        raise ValueError(f'{function}: statistics of two embeddings, "{a.name}" and "{b.name}", cannot be compared.')
