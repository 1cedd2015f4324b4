"""Kernels: how alike two particles are, 1 where they coincide; computed in float32 or better, halves too."""

import math

import torch
from torch import Tensor

from course_lib.checks import shaped, typed
from course_lib.metrics import squared_distances
from course_lib.metrics.checks import precise


@typed
def flatten(x: Tensor) -> Tensor:
    """The particle itself as its feature, (N, *shape) -> (N, d)."""
    if x.ndim < 2:
        raise ValueError(f"flatten: x must be particles (N, *shape), got {tuple(x.shape)}.")
    return x.flatten(1)


@typed
def median_bandwidth(d2: Tensor) -> Tensor:
    """Median rule h = median_{i<j} d_ij**2 / ln N (4.5), detached, (N, N) -> ().

    Where the median is 0 (most particles coincide) the mean takes its place, and 1 where that is 0 too, so that the
    kernel stays finite. Raises ValueError at N = 1. Source: Liu and Wang (2016), section 5.
    """
    shaped(d2, "median_bandwidth: d2", "(N, N)", 2, d2.shape[0] if d2.ndim else None)
    d2 = precise(d2, "median_bandwidth: d2")
    N = len(d2)
    if N < 2:
        raise ValueError(f"median_bandwidth: the median rule needs at least 2 particles, got {N}; raise N or pass h.")
    i, j = torch.triu_indices(N, N, 1, device=d2.device)
    pairs = d2.detach()[i, j]
    spread = pairs.median()
    spread = spread.where(spread > 0, pairs.mean())
    return spread.where(spread > 0, torch.ones_like(spread)) / math.log(N)


@typed
def rbf(phi: Tensor, h: Tensor | float | None = None) -> Tensor:
    """Kernel exp(-|phi_i - phi_j|**2 / h) (4.3), h by the median rule (4.5) if None, (N, d) -> (N, N).

    h is a squared length. Raises ValueError for h <= 0.
    """
    return _gaussian(squared_distances(phi), h)


@typed
def radial(phi: Tensor, h: Tensor | float | None = None) -> Tensor:
    """The kernel that knows the circle: (4.3) on the angle between two points of the plane (4.9), (N, 2) -> (N, N).

    h is in squared radians. Raises ValueError unless d = 2. Source: Corso et al. (2024), section 4.
    """
    if phi.ndim != 2 or phi.shape[1] != 2:
        raise ValueError(f"radial: points of the plane have shape (N, 2), got {tuple(phi.shape)}.")
    phi = precise(phi, "radial: phi")
    return _gaussian(_squared_angles(torch.atan2(phi[:, 1], phi[:, 0])), h)


def _squared_angles(theta: Tensor) -> Tensor:
    """Squared differences of angles, wrapped into (-pi, pi], (N,) -> (N, N)."""
    return torch.remainder(theta[:, None] - theta + torch.pi, 2 * torch.pi).sub(torch.pi).square()


def _gaussian(d2: Tensor, h: Tensor | float | None) -> Tensor:
    """exp(-d2 / h), h by the median rule if None, (N, N) -> (N, N)."""
    if h is None:
        return torch.exp(-d2 / median_bandwidth(d2))
    if isinstance(h, Tensor) and h.numel() != 1:
        raise ValueError(f"kernel: the bandwidth h must be one number, got {tuple(h.shape)}.")
    if not h > 0:
        raise ValueError(f"kernel: the bandwidth h must be positive, got {float(h):g}.")
    return torch.exp(-d2 / h)
