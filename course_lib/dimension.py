"""Intrinsic dimension, from points or from a denoiser, and the coding rate of a set."""

import torch
from torch import Tensor

from course_lib import checks
from course_lib.checks import number, typed
from course_lib.denoisers import Denoiser, jacobian, score


@typed
def local_pca_dimension(x: Tensor, points: Tensor, k: int = 20, share: float = 0.95) -> Tensor:
    """Principal components that the k nearest points need to explain `share` of their variance, (N, d), (M, d) -> (N,).

    Source: Fukunaga and Olsen (1971).
    """
    for name, one in (("x", x), ("points", points)):
        checks.points(one, f"local_pca_dimension: {name}")
    if (x.shape[1], x.dtype) != (points.shape[1], points.dtype):
        raise ValueError(
            f"local_pca_dimension: x and points need one d and dtype, got {tuple(x.shape)} of {x.dtype} and "
            f"{tuple(points.shape)} of {points.dtype}."
        )
    if not 2 <= k <= len(points) or not 0 < share < 1:
        raise ValueError(f"local_pca_dimension: needs 2 <= k <= {len(points)} and 0 < share < 1, got {k=}, {share=}.")
    near = points[
        torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False).indices
    ]  # (N, k, d)
    variance = torch.linalg.svdvals(near - near.mean(1, keepdim=True)).square()
    explained = variance.cumsum(1) / variance.sum(1, keepdim=True)
    return (explained < share).sum(1) + 1


def _checked(x: Tensor, sigma: float, name: str) -> Tensor:
    """Points (N, d) of finite numbers; raises ValueError for others, and at sigma <= 0."""
    number(sigma, f"{name}: sigma", above=0)
    return checks.points(x, f"{name}: x")


@typed
def normal_bundle(
    denoiser: Denoiser,
    x: Tensor,
    sigma: float,
    generator: torch.Generator | None = None,
    scores: int | None = None,
    centred: bool = True,
) -> Tensor:
    """d minus the rank of the scores around each x (5.17), (N, d) -> (N,).

    The rank is where their singular values drop most. `scores` (4 d of them) are taken at x + sigma xi; near the data
    they point across it. `centred` subtracts their mean. Source: Stanczuk et al. (2024).
    """
    N, d = _checked(x, sigma, "normal_bundle").shape
    if d < 2:
        raise ValueError(f"normal_bundle: needs at least 2 coordinates, got {d}.")
    K = 4 * d if scores is None else scores
    if K < 2:
        raise ValueError(f"normal_bundle: needs at least 2 scores, got {K}.")
    xi = torch.randn(N, K, d, generator=generator, dtype=x.dtype).to(x.device)
    with torch.no_grad():
        s = score(denoiser, (x[:, None] + sigma * xi).reshape(N * K, d), sigma).reshape(N, K, d)
    s = s - s.mean(1, keepdim=True) if centred else s
    values = torch.linalg.svdvals(s)  # (N, min(K, d)), descending
    return d - ((values[:, :-1] - values[:, 1:]).argmax(1) + 1)


@typed
def flipd(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """FLIPD, tr J + |x - D(x, sigma)|**2 / sigma**2 with J the Jacobian of D (5.18), (N, d) -> (N,).

    It is d + sigma**2 (tr grad s + |s|**2) for the score s, in these coordinates; exact as sigma goes to 0 at points of
    the manifold. Source: Kamkari et al. (2024).
    """
    J = jacobian(denoiser, _checked(x, sigma, "flipd"), sigma)
    with torch.no_grad():
        away = (x - denoiser(x, sigma)).square().sum(1)
    return J.diagonal(dim1=1, dim2=2).sum(1) + away / torch.as_tensor(sigma, dtype=x.dtype) ** 2


@typed
def spectrum(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """Eigenvalues of the denoiser's Jacobian, descending (5.19), (N, d) -> (N, d): near 1 along the data, 0 across."""
    J = jacobian(denoiser, _checked(x, sigma, "spectrum"), sigma)
    return torch.linalg.eigvalsh((J + J.mT) / 2).flip(1)


@typed
def coding_rate(z: Tensor, eps: float = 0.5) -> Tensor:
    """Nats that code a set up to error eps, 1/2 log det(I + d / (N eps**2) Z' Z) (5.20), (N, d) -> ().

    Differentiable; grows as the rows of Z spread over more directions. Source: Yu et al. (2020).
    """
    if z.ndim != 2 or not eps > 0:
        raise ValueError(f"coding_rate: needs z of shape (N, d) and eps > 0, got {tuple(z.shape)} and {eps:g}.")
    checks.points(z, "coding_rate: z")
    number(eps, "coding_rate: eps", above=0)
    N, d = z.shape
    gram = z.T @ z if d <= N else z @ z.T
    return 0.5 * torch.logdet(torch.eye(len(gram), dtype=z.dtype, device=z.device) + d / (N * eps**2) * gram)
