"""Distances between points that build nothing of size N**2 d."""

import torch
from torch import Tensor

from course_lib.checks import typed
from course_lib.metrics.checks import precise

NEAR = 1e-3  # of the two squared norms: below it a distance has lost more than three digits to cancellation
CHUNK = 2**22  # numbers that the differences of close pairs may take at once


@typed
def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """All |a_i - b_j|**2, (N, d), (M, d) -> (N, M); b = a if None, with an exact zero diagonal.

    Expanded as |a|**2 + |b|**2 - 2 a b' around the mean of a, clamped at 0: memory O(N M + (N + M) d), and the gradient
    is 0, not NaN, where points coincide. In float32 or better, halves too. Raises ValueError for shapes that do not fit
    or numbers that are not real and floating.
    """
    other = a if b is None else b
    if a.dtype != other.dtype:
        raise ValueError(f"squared_distances: a and b need one dtype, got {a.dtype} and {other.dtype}.")
    if a.ndim != 2 or other.ndim != 2 or a.shape[1] != other.shape[1]:
        raise ValueError(f"squared_distances: needs (N, d) and (M, d), got {tuple(a.shape)} and {tuple(other.shape)}.")
    a, b = (x if x is None else precise(x, "squared_distances: points") for x in (a, b))
    centre = a.mean(0).detach()
    a_c = a - centre
    b_c = a_c if b is None else b - centre
    d2 = a_c.square().sum(1)[:, None] + b_c.square().sum(1) - 2 * a_c @ b_c.T
    d2 = d2.clamp(min=0)
    if b is None:
        d2 = d2 * (1 - torch.eye(len(a), dtype=a.dtype, device=a.device))
    return d2


def exact_squares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """All |a_i - b_j|**2 whatever lies far away, and the size of what each has lost, (N, d), (M, d) -> (N, M), (N, M).

    Expanded first; where that cancels, because two points are close beside their distance to the mean, taken again from
    differences. The second answer times the machine's precision bounds the error. No gradient.
    """
    centre = a.mean(0)
    norms = (a - centre).square().sum(1)[:, None] + (b - centre).square().sum(1)
    d2 = norms - 2 * (a - centre) @ (b - centre).T
    close = (d2 < NEAR * norms).nonzero()
    for i, j in (pairs.T for pairs in close.split(max(1, CHUNK // a.shape[1]))):
        d2[i, j] = norms[i, j] = (a[i] - b[j]).square().sum(1)
    return d2, norms
