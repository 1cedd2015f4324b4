"""The linear algebra behind a Frechet distance: no matrix root, and no product that symmetry makes superfluous."""

import torch
from torch import Tensor

SMALL = 256  # matrices up to this size are multiplied as they are
CERTAIN = 1e-10  # eigenvalues are taken where they are known to give the sum of roots to this share of the trace


def _times(a: Tensor, b: Tensor) -> Tensor:
    """a b; on a CPU without gradients by numpy, whose BLAS is the faster one here and halves the work of a' a."""
    if a.device.type != "cpu" or a.requires_grad or b.requires_grad:
        return a @ b
    return torch.from_numpy(a.numpy() @ b.numpy())


def gram(x: Tensor) -> Tensor:
    """x' x, (N, d) -> (d, d)."""
    return _times(x.T, x)


def _triangle_times(R: Tensor, x: Tensor) -> Tensor:
    """R x for a triangle R, without most of the products with its zeros, (r, d), (d, m) -> (r, m)."""
    h = R.shape[1] // 2
    if min(R.shape) <= SMALL:
        return _times(R, x)
    return torch.cat([_times(R[:h], x), _triangle_times(R[h:, h:], x[h:])])


def congruence(R: Tensor, S: Tensor) -> Tensor:
    """R S R' for a triangle R (zeros below the diagonal) and a symmetric S, by halves, (r, d), (d, d) -> (r, r).

    Less than a third of the products that two full ones take.
    """
    h = len(S) // 2
    if len(S) <= SMALL:
        return _times(_times(R, S), R.T)
    R1, R12, R2, S12, S2 = R[:h, :h], R[:h, h:], R[h:, h:], S[:h, h:], S[h:, h:]
    U, V = _triangle_times(R1, S12), _times(R12, S2)
    Y = _times(U + V / 2, R12.T)
    P = S.new_empty(len(R), len(R))
    P[:h, :h], P[h:, h:] = congruence(R1, S[:h, :h]) + Y + Y.T, congruence(R2, S2)
    P[h:, :h] = _triangle_times(R2, (U + V).T)
    P[:h, h:] = P[h:, :h].T
    return P


def triangle(S: Tensor) -> Tensor | None:
    """The triangle R with R' R = S, or None unless S is clearly of full rank, (d, d) -> (d, d)."""
    L, failed = torch.linalg.cholesky_ex(S)
    pivots = L.detach().diagonal()
    return None if failed or pivots.min() < 1e-6 * pivots.max() else L.T


def factor(S: Tensor) -> Tensor:
    """A triangle A with A' A = S, of fewer rows than columns where S is singular, (d, d) -> (r, d), r <= d."""
    R = triangle(S)
    if R is not None:
        return R
    values, vectors = torch.linalg.eigh(S)
    there = values > values[-1].clamp(min=0) * len(S) * torch.finfo(S.dtype).eps
    return torch.linalg.qr(values[there].sqrt()[:, None] * vectors[:, there].T, mode="r")[1]


def root_trace(P: Tensor, trace: Tensor) -> Tensor | None:
    """Sum of the roots of the eigenvalues of P, or None if rounding could cost more than CERTAIN of `trace`.

    (r, r), () -> (). An eigenvalue p is known to eps times the largest, so its root to that over 2 sqrt(p): little
    for a well-conditioned P, half of all digits for a singular one.
    """
    if not len(P):
        return P.sum()  # a set that does not vary
    values = torch.linalg.eigvalsh(P)
    error = torch.finfo(P.dtype).eps * values.detach()[-1]
    if not values.detach()[0] > error or (error / values.detach().sqrt()).sum() / 2 > CERTAIN * trace:
        return None
    return values.sqrt().sum()


def nuclear(A: Tensor, B: Tensor) -> Tensor:
    """Nuclear norm of A B', the sum of its singular values, exact at any rank, (n, d), (m, d) -> ()."""
    return torch.linalg.svdvals(A @ B.T).sum()
