"""What every set of features must be before a metric looks at it."""

import torch
from torch import Tensor

from course_lib.checks import numeric

LARGEST = 1e50  # sixth powers, which KID takes, are still finite


def precise(x: Tensor, name: str) -> Tensor:
    """The same numbers in float32 or better, whose squares at sigma = 14.6 float16 cannot hold nor bfloat16 tell apart.

    Raises ValueError for numbers that are not real and floating, or of eight bits.
    """
    if x.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}; convert it first.")
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_float64(values) -> Tensor:
    """Numbers in float64 on the CPU, with their gradient: not every device has float64."""
    return torch.as_tensor(values.cpu() if isinstance(values, Tensor) else values, dtype=torch.float64)


def checked(x: Tensor, name: str, least: int = 2) -> Tensor:
    """The features in float64 on the CPU, (N, d) -> (N, d).

    `name` is the function and its argument, as in "kid: x". Raises ValueError unless they are real numbers of shape
    (N, d) with N >= least and d >= 1, all finite and none beyond 1e50.
    """
    x = numeric(x, name)
    if x.ndim != 2 or len(x) < least or x.shape[1] < 1:
        raise ValueError(f"{name} must have shape (N, d) with N >= {least}, got {tuple(x.shape)}.")
    if x.is_complex():
        raise ValueError(f"{name} must be real, got {x.dtype}; take the real part or the absolute value.")
    x = in_float64(x)
    low, high = x.detach().aminmax()
    if not (low >= -LARGEST and high <= LARGEST):  # so is every comparison with NaN
        if not x.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite; look at the samples behind them.")
        raise ValueError(f"{name} holds values beyond {LARGEST:g}, whose powers overflow; scale the features down.")
    return x


def checked_pair(x: Tensor, y: Tensor, function: str, names: tuple[str, str] = ("x", "y"), least: int = 2):
    """Two sets of the same features in float64 on the CPU, (N, d), (M, d) -> (N, d), (M, d).

    Raises ValueError as `checked`, and if the two have not the same number of features.
    """
    x, y = (checked(z, f"{function}: {name}", least) for z, name in zip((x, y), names, strict=True))
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{function}: both sets need the same features, got d = {x.shape[1]} and {y.shape[1]}.")
    return x, y


def unit(x: Tensor, name: str) -> Tensor:
    """Each row divided by its length, (N, d) -> (N, d).

    Raises ValueError for a row of length 0.
    """
    x = x / x.abs().amax(1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)  # no overflow in the squares
    length = x.norm(dim=1, keepdim=True)
    if not (length > 0).all():
        raise ValueError(f"{name}: a feature vector of length 0 has no direction; remove it.")
    return x / length
