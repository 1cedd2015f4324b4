"""Effective numbers: Hill numbers of shares, Vendi scores of a kernel, and similarity within a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.checks import numeric, typed
from course_lib.metrics.checks import checked, precise, unit


@typed
def hill(p: Tensor | Sequence[float], q: float = 1.0) -> Tensor:
    """Hill number of order q, the effective number of kinds (sum_m p_m**q)**(1 / (1 - q)) (3.3), (M,) -> ().

    q = 0 counts kinds, q = 1 is exp(entropy), q = inf is 1 / max p. Raises ValueError unless p are shares that sum to
    one and q >= 0. Source: Hill (1973).
    """
    p = numeric(p, "hill: p")
    p = precise(p, "hill: p") if p.is_floating_point() else p.double()
    total = p.detach().sum().item()
    if p.ndim != 1 or not (p.detach() >= -1e-9).all() or not abs(total - 1) <= 1e-4:
        raise ValueError(f"hill: p must be shares, not negative and summing to 1, got a sum of {total:g}.")
    if not q >= 0:
        raise ValueError(f"hill: the order q must be at least 0, got {q}.")
    return _order(p, q)


def _order(p: Tensor, q: float) -> Tensor:
    """Equation (3.3) for shares that are known to be good, (M,) -> (); a share of 0 is no kind and has no gradient."""
    there = p > 0
    log_p = p.where(there, torch.ones_like(p)).log()
    if q == 0:
        return there.sum().to(p.dtype)
    if q == 1:
        return torch.exp(-(p * log_p).sum())
    if q == float("inf"):
        return 1 / p.max()
    return torch.exp(torch.logsumexp((q * log_p).masked_fill(~there, -torch.inf), 0) / (1 - q))


def _checked_kernel(k: Tensor, name: str) -> Tensor:
    """The kernel matrix, of float16 and bfloat16 in float32, which eigenvalues need."""
    k = numeric(k, f"{name}: k")
    if k.ndim != 2 or len(k) != k.shape[1] or len(k) == 0:
        raise ValueError(f"{name}: the kernel matrix must be square, got shape {tuple(k.shape)}.")
    k = k.to(torch.promote_types(k.dtype, torch.float32))
    entries = k.detach()
    off = (entries - entries.T).abs().max(), (entries.diagonal() - 1).abs().max(), entries.abs().max() - 1
    if not entries.isfinite().all() or not max(off) <= 1e-5:
        raise ValueError(
            f"{name}: the kernel matrix must be finite and symmetric with ones on its diagonal and none beyond."
        )
    return k


def _check_positive(k: Tensor, name: str, rounding: float) -> None:
    """Raises ValueError for a kernel matrix with a negative eigenvalue, which no set of features has."""
    lifted = k.detach() + (1e-5 + len(k) * rounding) * torch.eye(len(k), dtype=k.dtype, device=k.device)
    if torch.linalg.cholesky_ex(lifted)[1]:
        raise ValueError(
            f"{name}: the kernel matrix must have no negative eigenvalue; this one belongs to no features."
        )


@typed
def vendi(k: Tensor, q: float = 1.0) -> Tensor:
    """Vendi score of order q: the Hill number of the eigenvalues of k / N (3.4), (N, N) -> ().

    From 1 (all alike) to N (nothing alike). Differentiable. Raises ValueError unless k is a symmetric kernel matrix
    with ones on its diagonal and no negative eigenvalue. Source: Friedman and Dieng (2023); orders q by Pasarkar and
    Dieng (2024).
    """
    rounding = torch.finfo(k.dtype).eps if isinstance(k, Tensor) and k.is_floating_point() else 0.0
    k = _checked_kernel(k, "vendi")
    _check_positive(k, "vendi", rounding)
    if not q >= 0:
        raise ValueError(f"vendi: the order q must be at least 0, got {q}.")
    return spectrum_number(k, q)


def rke(k: Tensor) -> Tensor:
    """Vendi score of order 2 without eigenvalues, N**2 / sum_ij k_ij**2 (3.4), (N, N) -> ().

    Source: Jalali, Li and Farnia (2023), eq. (6).
    """
    return spectrum_number(_checked_kernel(k, "rke"), 2)


@typed
def vendi_features(phi: Tensor | Sequence, q: float = 1.0) -> Tensor:
    """Vendi score of order q of features with the cosine kernel (3.4), (N, d) -> ().

    From the eigenvalues of Z' Z instead of Z Z' where d < N, for features Z of length 1: O(N d min(N, d)). At most d.
    Differentiable. Raises ValueError for shapes that do not fit, values that are not finite, a feature vector of length
    0, or q < 0. Sources as `vendi`.
    """
    Z = unit(checked(phi, "vendi_features: phi", least=1), "vendi_features")
    if not q >= 0:
        raise ValueError(f"vendi_features: the order q must be at least 0, got {q}.")
    N, d = Z.shape
    return spectrum_number(Z.T @ Z if d < N else Z @ Z.T, q, N)


def spectrum_number(k: Tensor, q: float, N: int | None = None) -> Tensor:
    """Equation (3.4) for a kernel matrix that is known to be good, (N, N) -> (); order 2 needs no eigenvalues.

    Any matrix with the same eigenvalues but zeros will do, if N is given.
    """
    N = len(k) if N is None else N
    if q == 2:
        return N**2 / k.square().sum()
    p = torch.linalg.eigvalsh(k / N)
    rounding = p.max() * len(p) * torch.finfo(p.dtype).eps
    return _order(p.where(p > rounding, torch.zeros_like(p)), q)


def in_batch_similarity(phi: Tensor) -> Tensor:
    """Mean cosine of two different members of a batch (3.5), (N, d) -> ().

    Computed in O(N d). Raises ValueError at N = 1, or for a feature vector of length 0 or not finite. Source: Corso et
    al. (2024).
    """
    phi = numeric(phi, "in_batch_similarity: phi")
    phi = phi if phi.is_floating_point() else phi.double()
    if phi.ndim != 2 or len(phi) < 2:
        raise ValueError(f"in_batch_similarity: needs (N, d) with N >= 2, got {tuple(phi.shape)}.")
    N = len(phi)
    phi = precise(phi, "in_batch_similarity: phi")
    length = phi.norm(dim=1, keepdim=True)
    if not length.isfinite().all():
        raise ValueError("in_batch_similarity: phi holds vectors of no finite length; look at the samples behind them.")
    if not (length > 0).all():
        raise ValueError("in_batch_similarity: a feature vector of length 0 has no direction; remove it.")
    return ((phi / length).sum(0).square().sum() - N) / (N * (N - 1))
