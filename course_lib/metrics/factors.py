"""Diversity where the truth is known: effective number of kinds, and share of kinds that occur."""

import torch
from torch import Tensor

from course_lib.checks import numeric, whole


def _labels(labels: Tensor, name: str) -> Tensor:
    labels = numeric(labels, f"{name}: labels").cpu()
    if labels.is_floating_point() or labels.numel() == 0:
        raise ValueError(f"{name}: needs whole-number labels, got {tuple(labels.shape)} of {labels.dtype}.")
    return labels.long()


def factor_entropy(*factors: Tensor, corrected: bool = True) -> float:
    """Effective number of kinds exp(H) of a known factor, or of several jointly (9.15), (N,), ... -> float.

    H = -sum_m p_m log p_m of the observed shares, plus (kinds seen - 1) / (2 N) if `corrected` (Miller and Madow):
    that takes off most of the bias and may pass the number of kinds by a little. Raises ValueError unless every factor
    is (N,) whole numbers with N >= 1. Source: Miller (1955).
    """
    labels = [_labels(one, "factor_entropy") for one in factors]
    if not labels or any(one.ndim != 1 or len(one) != len(labels[0]) for one in labels):
        raise ValueError(
            f"factor_entropy: needs one label a sample and factor, (N,), got {[tuple(one.shape) for one in labels]}."
        )
    counts = torch.stack(labels, 1).unique(dim=0, return_counts=True)[1].double()
    p = counts / counts.sum()
    entropy = -(p * p.log()).sum() + (len(p) - 1) / (2 * counts.sum()) * corrected
    return entropy.exp().item()


def factor_coverage(labels: Tensor, kinds: int) -> Tensor:
    """Share of the kinds 0, ..., kinds - 1 that occur, (..., N) -> (...), one number a set; (N,) gives ().

    What chance gives is expected_modes(shares, N) / kinds (3.1). Raises ValueError for labels that are no whole numbers
    or outside the kinds.
    """
    labels = _labels(labels, "factor_coverage")
    whole(kinds, "factor_coverage: kinds", 1)
    if labels.ndim < 1 or labels.min() < 0 or labels.max() >= kinds:
        raise ValueError(
            f"factor_coverage: labels must be (..., N) from 0 to {kinds - 1}, got {tuple(labels.shape)} from "
            f"{labels.min()} to {labels.max()}."
        )
    seen = torch.zeros(*labels.shape[:-1], kinds, dtype=torch.float64)
    return seen.scatter_(-1, labels, 1.0).mean(-1)
