"""Kernel inception distance: a distance of two sets that is unbiased at any number of samples."""

import torch
from torch import Tensor

from course_lib.checks import whole
from course_lib.metrics.checks import checked_pair

BLOCK = 1024  # rows of the kernel matrix that are held at once


def _kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    """Sum of (x_i . y_j / d + 1)**3 over all pairs, (N, d), (M, d) -> ()."""
    return sum(((rows @ y.T / x.shape[1] + 1) ** 3).sum() for rows in x.split(BLOCK))


def _within(x: Tensor) -> Tensor:
    """Mean of the kernel over pairs of two different rows, (N, d) -> ()."""
    diagonal = ((x.square().sum(1) / x.shape[1] + 1) ** 3).sum()
    return (_kernel_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _mmd(x: Tensor, y: Tensor) -> Tensor:
    return _within(x) + _within(y) - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def kid(x: Tensor, y: Tensor) -> Tensor:
    """Kernel inception distance: the unbiased squared MMD with kernel (x . y / d + 1)**3 (9.8), (N, d), (M, d) -> ().

    All pairs are used, in blocks of rows, so there is no random subset; two samples of one law give 0 on average and
    may fall below 0. float64; no unit. Raises ValueError for shapes that do not fit, N < 2, or values that are not
    finite. Source: Binkowski et al. (2018).
    """
    return _mmd(*checked_pair(x, y, "kid"))


def kid_subsets(
    x: Tensor, y: Tensor, subsets: int = 100, size: int = 1000, generator: torch.Generator | None = None
) -> Tensor:
    """KID of `subsets` pairs of random subsets of `size` samples (9.8), (N, d), (M, d) -> (subsets,).

    What other packages report the mean and standard deviation of; prefer `kid`, which has no subsets to draw. Raises
    ValueError as `kid`, for no subset, or a size that is not in [2, min(N, M)].
    """
    x, y = checked_pair(x, y, "kid_subsets")
    if whole(subsets, "kid_subsets: subsets") < 1 or not 2 <= whole(size, "kid_subsets: size") <= min(len(x), len(y)):
        raise ValueError(
            f"kid_subsets: needs subsets >= 1 and size from 2 to {min(len(x), len(y))}, got {subsets} and {size}."
        )
    draw = lambda z: z[torch.randperm(len(z), generator=generator)[:size].to(z.device)]  # noqa: E731
    return torch.stack([_mmd(draw(x), draw(y)) for _ in range(subsets)])
