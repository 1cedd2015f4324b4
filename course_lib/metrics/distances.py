"""Distances between points that build nothing of size N**2 d."""

import torch
from torch import Tensor

from course_lib.metrics.checks import precise


def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """All |a_i - b_j|**2, (N, d), (M, d) -> (N, M); b = a if None, with an exact zero diagonal.

    Expanded as |a|**2 + |b|**2 - 2 a b' around the mean of a, clamped at 0: memory O(N M + (N + M) d), and the gradient
    is 0, not NaN, where points coincide. In float32 or better, halves too. Raises ValueError for shapes that do not fit
    or numbers that are not real and floating.
    """
    other = a if b is None else b
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
