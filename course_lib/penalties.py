"""How far from the data? Differentiable penalties in units of squared distance, and how each can fail."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib import checks
from course_lib.checks import finite, number, shaped, typed, whole
from course_lib.denoisers import Denoiser

EXACT = "donot_use_mm_for_euclid_dist"  # torch.cdist's name for distances that do not cancel


def _nearest(name: str, x: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances to the k nearest points, ascending, and their indices, (N, d), (n, d) -> (N, k), (N, k)."""
    if x.ndim != 2 or points.ndim != 2 or x.shape[1] != points.shape[1]:
        raise ValueError(f"{name}: needs x (N, d) and points (n, d), got {tuple(x.shape)} and {tuple(points.shape)}.")
    checks.points(x, f"{name}: x")
    checks.points(points, f"{name}: points")
    if x.dtype != points.dtype:
        raise ValueError(f"{name}: x and points need one dtype, got {x.dtype} and {points.dtype}.")
    if not 1 <= k <= len(points):
        raise ValueError(f"{name}: k must be between 1 and the {len(points)} points, got {k}.")
    with torch.no_grad():
        index = torch.cdist(x, points, compute_mode=EXACT).topk(k, largest=False).indices
    return (x[:, None] - points[index]).square().sum(-1), index


@typed
def nearest_neighbours(x: Tensor, points: Tensor, k: int = 5) -> Tensor:
    """Mean squared distance to the k nearest data points (5.12), (N, d), (n, d) -> (N,).

    On the manifold it is not 0 but of the size of the spacing between points.
    """
    return _nearest("nearest_neighbours", x, points, k)[0].mean(1)


@typed
def local_pca(x: Tensor, points: Tensor, k: int = 10, dimension: int = 1) -> Tensor:
    """Squared distance to the plane of the given dimension through the k nearest points (5.13), (N, d), (n, d) -> (N,).

    The plane is that of their principal components and is held fixed in the gradient. With too high a dimension it
    contains x and the penalty is 0. Raises ValueError unless dimension < min(k, d).
    """
    shaped(x, "local_pca: x", "(N, d)", 2)
    if not 0 <= dimension < min(k, x.shape[1]):
        raise ValueError(f"local_pca: dimension must be below k = {k} and d = {x.shape[1]}, got {dimension}.")
    _, index = _nearest("local_pca", x, points, k)
    near = points[index]  # (N, k, d)
    mean = near.mean(1)
    basis = torch.linalg.svd(near - mean[:, None], full_matrices=False)[2][:, :dimension]  # (N, dimension, d)
    away = x - mean
    along = (basis.mT @ (basis @ away[..., None]))[..., 0]
    return (away - along).square().sum(1)


@typed
def kernel_density(x: Tensor, points: Tensor, h: float = 0.05) -> Tensor:
    """A soft minimum of the squared distances, -2 h**2 log mean_j exp(-|x - p_j|**2 / (2 h**2)) (5.14), -> (N,).

    Minus the log of a kernel density estimate up to a constant; it can be lowered by going where points are dense.
    """
    if not h > 0:
        raise ValueError(f"kernel_density: h must be positive, got {h:g}.")
    number(h, "kernel_density: h", above=0)
    _nearest("kernel_density", x, points, 1)
    d2 = (x[:, None] - points).square().sum(-1)
    return -2 * h**2 * (torch.logsumexp(-d2 / (2 * h**2), 1) - torch.tensor(float(len(points))).log())


def _particles(x: Tensor, name: str) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name} must be particles (N, *shape), got {tuple(x.shape)}.")
    finite(x, name)


@typed
def denoiser_residual(x: Tensor, denoiser: Denoiser, sigma: float) -> Tensor:
    """|x - D(x, sigma)|**2 with D held fixed in the gradient (5.15), (N, d) -> (N,): the denoiser as a projector.

    Good while sigma is small beside the curvature; D of a curved manifold falls inside it by about sigma**2 / 2.
    """
    _particles(x, "denoiser_residual: x")
    number(sigma, "denoiser_residual: sigma", 0)
    with torch.no_grad():
        x0 = denoiser(x, sigma)
    return (x - x0).flatten(1).square().sum(1)


@typed
def autoencoder_residual(x: Tensor, autoencoder: Callable[[Tensor], Tensor]) -> Tensor:
    """|x - Dec(E(x))|**2 (5.16), (N, d) -> (N,).

    Measures distance only if the autoencoder was trained to remove noise: one that was not learns a space that contains
    the data and is 0 on all of it.
    """
    _particles(x, "autoencoder_residual: x")
    return (x - autoencoder(x)).flatten(1).square().sum(1)


class Autoencoder(nn.Module):
    """A small autoencoder of points, (N, d) -> (N, d), through a bottleneck; `encode` and `decode` are its halves."""

    def __init__(self, d: int, bottleneck: int, width: int = 64):
        super().__init__()
        for name, value in (("d", d), ("bottleneck", bottleneck), ("width", width)):
            if whole(value, f"Autoencoder: {name}") < 1:
                raise ValueError(f"Autoencoder: {name} must be at least 1, got {value}.")
        self.encode = nn.Sequential(
            nn.Linear(d, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, bottleneck)
        )
        self.decode = nn.Sequential(
            nn.Linear(bottleneck, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, d)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))
