"""Guidance: denoisers made from denoisers, and the potentials that push particles apart.

A potential is any callable (x, x0, sigma) -> scalar log w of the whole set of particles. `guided` turns potentials into
a denoiser; SVGD, SPELL and condition annealing are denoisers of their own. Strengths alpha are in units of the score.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser
from course_lib.metrics import squared_distances
from course_lib.metrics.entropy import spectrum_number

Potential = Callable[[Tensor, Tensor, Tensor], Tensor | float]
Kernel = Callable[[Tensor, Tensor | float | None], Tensor]
Bandwidth = float | Callable[[Tensor], float] | None


def guided(
    denoiser: Denoiser,
    *potentials: Potential,
    through_denoiser: bool = False,
    sigma_data: float = 1.0,
    relative: float | None = None,
    clip: float | None = None,
) -> Denoiser:
    """A denoiser pulled by potentials, D(x, sigma) + sigma**2 grad_x log w (4.1).

    x0 moves with x by its exact Jacobian if `through_denoiser`, else by the slope sigma_data**2 / (sigma**2 +
    sigma_data**2) (4.8), which needs no backward pass through the network. `relative` gives each particle's force that
    share of the length of its score, `clip` caps it at that share (4.15). Shapes as the denoiser's; gradients flow
    through it where x asks.
    """
    for name, share in (("relative", relative), ("clip", clip)):
        if share is not None and not share >= 0:
            raise ValueError(f"guided: {name} must be a share of the score's length, at least 0, got {share}.")

    def pulled(x: Tensor, sigma: Tensor) -> Tensor:
        outer = torch.is_grad_enabled() and x.requires_grad
        x0 = None if through_denoiser else denoiser(x, sigma)
        with torch.enable_grad():
            shift = torch.zeros_like(x, requires_grad=True)  # the force is the gradient with respect to a shift of x
            if through_denoiser:
                x0 = shifted = denoiser(x + shift, sigma)
            else:
                shifted = x0 + sigma_data**2 / (sigma**2 + sigma_data**2) * shift
            log_w = sum(potential(x + shift, shifted, sigma) for potential in potentials)
            if not isinstance(log_w, Tensor):  # no potential is active at this level
                return x0 if outer else x0.detach()
            (force,) = torch.autograd.grad(log_w, shift, create_graph=outer)
        x0 = x0 if outer else x0.detach()
        return x0 + sigma**2 * _limited(force, (x0 - x) / sigma**2, relative, clip)

    return pulled


def _limited(force: Tensor, score: Tensor, relative: float | None, clip: float | None) -> Tensor:
    """The force scaled per particle to a share of the score, or capped at one (4.15), (N, *shape) -> (N, *shape)."""
    if relative is None and clip is None:
        return force
    columns = (-1, *[1] * (force.ndim - 1))
    length = force.flatten(1).norm(dim=1)
    ratio = score.flatten(1).norm(dim=1) / length.where(length > 0, torch.ones_like(length))
    if relative is not None:
        force, ratio = force * (relative * ratio).reshape(columns), torch.full_like(ratio, 1 / max(relative, 1e-30))
    if clip is not None:
        force = force * (clip * ratio).clamp(max=1.0).reshape(columns)
    return force


def flatten(x: Tensor) -> Tensor:
    """The particle itself as its feature, (N, *shape) -> (N, d)."""
    return x.flatten(1)


def median_bandwidth(d2: Tensor) -> Tensor:
    """Median rule h = median_{i<j} d_ij**2 / ln N (4.5), detached, (N, N) -> ().

    Where the median is 0 (most particles coincide) the mean takes its place, and 1 where that is 0 too, so that the
    kernel stays finite. Raises ValueError at N = 1. Source: Liu and Wang (2016), section 5.
    """
    N = len(d2)
    if N < 2:
        raise ValueError(f"median_bandwidth: the median rule needs at least 2 particles, got {N}; raise N or pass h.")
    i, j = torch.triu_indices(N, N, 1, device=d2.device)
    pairs = d2.detach()[i, j]
    spread = pairs.median()
    spread = spread.where(spread > 0, pairs.mean())
    return spread.where(spread > 0, torch.ones_like(spread)) / math.log(N)


def rbf(phi: Tensor, h: Tensor | float | None = None) -> Tensor:
    """Kernel exp(-|phi_i - phi_j|**2 / h) (4.3), h by the median rule (4.5) if None, (N, d) -> (N, N).

    h is a squared length. Raises ValueError for h <= 0.
    """
    return _gaussian(squared_distances(phi), h)


def radial(phi: Tensor, h: Tensor | float | None = None) -> Tensor:
    """The kernel that knows the circle: (4.3) on the angle between two points of the plane (4.9), (N, 2) -> (N, N).

    h is in squared radians. Raises ValueError unless d = 2. Source: Corso et al. (2024), section 4.
    """
    if phi.ndim != 2 or phi.shape[1] != 2:
        raise ValueError(f"radial: points of the plane have shape (N, 2), got {tuple(phi.shape)}.")
    return _gaussian(_squared_angles(torch.atan2(phi[:, 1], phi[:, 0])), h)


def _squared_angles(theta: Tensor) -> Tensor:
    """Squared differences of angles, wrapped into (-pi, pi], (N,) -> (N, N)."""
    return torch.remainder(theta[:, None] - theta + torch.pi, 2 * torch.pi).sub(torch.pi).square()


def _gaussian(d2: Tensor, h: Tensor | float | None) -> Tensor:
    """exp(-d2 / h), h by the median rule if None, (N, N) -> (N, N)."""
    if h is None:
        return torch.exp(-d2 / median_bandwidth(d2))
    if not h > 0:
        raise ValueError(f"kernel: the bandwidth h must be positive, got {float(h):g}.")
    return torch.exp(-d2 / h)


@dataclass(frozen=True)
class _SetPotential:
    """What the potentials of a set share: a strength, a kernel on features of x or x0, and its bandwidth.

    h is None (median rule), a number, or a function of sigma.
    """

    alpha: float
    kernel: Kernel = rbf
    features: Callable[[Tensor], Tensor] = flatten
    on: str = "x"
    h: Bandwidth = None

    def __post_init__(self) -> None:
        if self.on not in ("x", "x0"):
            raise ValueError(f"{type(self).__name__}: on must be 'x' or 'x0', got {self.on!r}.")

    def similarity(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """Kernel matrix of the particles, (N, *shape) -> (N, N); raises ValueError at N = 1."""
        if len(x) < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 particles, got {len(x)}; raise N.")
        h = self.h(sigma) if callable(self.h) else self.h
        return self.kernel(self.features(x if self.on == "x" else x0), h)


@dataclass(frozen=True)
class Repulsion(_SetPotential):
    """Repulsive potential log w = -alpha / (2 N) sum_ij k_ij (4.2), whose gradient is the force (4.4).

    Source: Pondaven (2023); Corso et al. (2024), eq. (4).
    """

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        return -self.alpha / (2 * len(x)) * self.similarity(x, x0, sigma).sum()


@dataclass(frozen=True)
class Determinantal(_SetPotential):
    """Determinantal potential log w = alpha log(det L / det(L + I)), L = k + jitter I (4.11).

    The jitter keeps log det finite for coincident particles.
    Source: Kulesza and Taskar (2012); Morshed and Boddeti (2025).
    """

    on: str = "x0"
    jitter: float = 1e-4

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        k = self.similarity(x, x0, sigma)
        identity = torch.eye(len(k), dtype=k.dtype, device=k.device)
        L = k + self.jitter * identity
        return self.alpha * (torch.logdet(L) - torch.logdet(L + identity))


@dataclass(frozen=True)
class VendiPotential(_SetPotential):
    """Vendi potential log w = alpha log Vendi_q(k) (4.12), q = 1 or any other order.

    Source: Askari Hemmat et al. (2024) for q = 1, Jalali et al. (2025) for q = 2.
    """

    on: str = "x0"
    q: float = 1.0

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
        """(N, *shape), (N, *shape), () -> ()."""
        return self.alpha * spectrum_number(self.similarity(x, x0, sigma), self.q).log()


@dataclass(frozen=True)
class Above:
    """A potential that acts only while sigma > level, where the score can still pull particles back."""

    level: float
    potential: Potential

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor | float:
        """(N, *shape), (N, *shape), () -> (), or the number 0 where it is switched off."""
        return self.potential(x, x0, sigma) if float(sigma) > self.level else 0.0


@dataclass(frozen=True)
class Groups:
    """A potential within each block of `size` particles: independent sets side by side, say one per prompt."""

    size: int
    potential: Potential

    def __call__(self, x: Tensor, x0: Tensor, sigma: Tensor) -> Tensor | float:
        """(R * size, *shape), (R * size, *shape), () -> (), the sum over the R sets."""
        if isinstance(self.potential, Above) and not float(sigma) > self.potential.level:
            return 0.0
        each = torch.vmap(lambda a, b: self.potential(a, b, sigma))
        return each(_blocks(x, self.size), _blocks(x0, self.size)).sum()


def in_groups(denoiser: Denoiser, size: int) -> Denoiser:
    """A denoiser of sets (SPELL, say) applied to each block of `size` particles, (R * size, *shape) -> the same shape.

    Not for `guided` and `svgd`, which differentiate inside: give `guided` its potentials in `Groups` instead.
    """
    return lambda x, sigma: torch.vmap(lambda block: denoiser(block, sigma))(_blocks(x, size)).reshape(x.shape)


def _blocks(x: Tensor, size: int) -> Tensor:
    """(R * size, *shape) -> (R, size, *shape); raises ValueError where N is no multiple of size."""
    if size < 1 or len(x) % size:
        raise ValueError(f"Groups: the number of particles must be a multiple of size = {size}, got {len(x)}.")
    return x.unflatten(0, (-1, size))


def switch(level: float, above: Denoiser, below: Denoiser) -> Denoiser:
    """The denoiser `above` while sigma > level and `below` from there on: a window for any method."""
    return lambda x, sigma: (above if float(sigma) > level else below)(x, sigma)


def svgd(denoiser: Denoiser, kernel: Kernel = rbf, alpha: float = 1.0, h: Bandwidth = None) -> Denoiser:
    """Stein variational guidance: x + sigma**2 (sum_j k_ij score_j + alpha sum_j grad_j k_ij) / sum_j k_ij (4.6).

    Particles share their scores and repel; the division keeps the drift's size where k_ij is small. Raises ValueError
    at N = 1 with the median rule; with h given, one particle just climbs. Source: Liu and Wang (2016), eq. (8).
    """

    def steered(x: Tensor, sigma: Tensor) -> Tensor:
        s = (denoiser(x, sigma) - x) / sigma**2
        outer = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            shift = torch.zeros_like(x, requires_grad=True)
            k = kernel(flatten(x + shift), h(sigma) if callable(h) else h)
            # the gradient of the sum is 2 sum_j grad_i k_ij = -2 sum_j grad_j k_ij
            (grad,) = torch.autograd.grad(k.sum(), shift, create_graph=outer)
        k = k if outer else k.detach()
        total = k.sum(1).reshape(-1, *[1] * (x.ndim - 1))
        return x + sigma**2 * ((k @ flatten(s)).reshape(x.shape) - alpha / 2 * grad) / total

    return steered


def spell(denoiser: Denoiser, radius: float, lam: float = 1.6, memory: Tensor | None = None) -> Denoiser:
    """SPELL pushes x0 out of the balls around the others: x0 + lam sum_k relu(radius / d_ik - 1) (x0_i - z_k) (4.10).

    z_k are the other particles' x0 and the rows of `memory` (M, *shape), finished or protected samples. With lam = 1
    and one ball the result lies on its sphere. Coincident points have no direction and are left. Source: Kirchhof et
    al. (2025), eq. (5).
    """
    if not radius > 0:
        raise ValueError(f"spell: radius must be positive, got {radius}.")

    def shielded(x: Tensor, sigma: Tensor) -> Tensor:
        x0 = denoiser(x, sigma)
        z = x0 if memory is None else torch.cat([x0, memory.to(x0)])
        d2 = squared_distances(flatten(x0), flatten(z))  # (N, N + M)
        itself = torch.eye(*d2.shape, dtype=torch.bool, device=d2.device)
        distance = d2.masked_fill(itself | (d2 == 0), torch.inf).sqrt()
        weight = (radius / distance - 1).clamp(min=0)
        push = weight.sum(1, keepdim=True) * flatten(x0) - weight @ flatten(z)
        return x0 + lam * push.reshape(x0.shape)

    return shielded


def cads(
    denoiser_of: Callable[[Tensor], Denoiser],
    y: Tensor,
    sigmas: Tensor,
    tau1: float = 0.6,
    tau2: float = 0.9,
    scale: float = 0.25,
    psi: float = 1.0,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Denoiser:
    """Condition-annealed denoiser: the condition y (N, *shape) is noised early and clean late (3.8), (3.9).

    With t from 1 at the first of `sigmas` to 0 at the last, gamma(t) is 1 up to tau1, 0 from tau2, linear between; the
    noised condition sqrt(gamma) y + scale sqrt(1 - gamma) n is rescaled to each row's own mean and spread, by a share
    psi. Raises ValueError for taus out of order, or for rows of one number unless psi = 0. Source: Sadat et al. (2024),
    algorithm 1 (statistics per particle, so that they do not depend on the batch).
    """
    if not 0 <= tau1 < tau2 <= 1:
        raise ValueError(f"cads: needs 0 <= tau1 < tau2 <= 1, got tau1={tau1}, tau2={tau2}.")
    if psi > 0 and y[:1].numel() < 2:
        raise ValueError("cads: a condition of one number per particle has no spread to be rescaled to; pass psi=0.")
    levels = torch.as_tensor(sigmas)
    dims = tuple(range(1, y.ndim))

    def annealed(x: Tensor, sigma: Tensor) -> Tensor:
        done = int((levels.to(torch.as_tensor(sigma)) > sigma).sum())  # levels already left
        t = 1 - done / (len(levels) - 1)
        gamma = min(max((tau2 - t) / (tau2 - tau1), 0.0), 1.0)
        if gamma == 1:
            return denoiser_of(y)(x, sigma)
        noised = gamma**0.5 * y + scale * (1 - gamma) ** 0.5 * randn_like(y)
        if psi > 0:
            standard = (noised - noised.mean(dims, keepdim=True)) / noised.std(dims, keepdim=True).clamp(min=1e-12)
            rescaled = standard * y.std(dims, keepdim=True) + y.mean(dims, keepdim=True)
            noised = psi * rescaled + (1 - psi) * noised
        return denoiser_of(noised)(x, sigma)

    return annealed


def turned(step: Callable, potential: Potential) -> Callable:
    """A step followed by a rotation: each particle of the plane turns about the origin as the potential pulls it (4.9).

    The angle is c = sigma**2 - sigma_next**2 times the slope of log w along the rotation. Moving along the symmetry
    keeps the radius, where a straight push leaves the circle. The potential sees x at sigma and x0. Raises ValueError
    unless x is (N, 2). Source: Corso et al. (2024), section 4.
    """

    def turning(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like) -> Tensor:
        if x.shape[1:] != (2,):
            raise ValueError(f"turned: points of the plane have shape (N, 2), got {tuple(x.shape)}.")
        with torch.enable_grad():
            angle = torch.zeros_like(x[:, 0], requires_grad=True)
            log_w = potential(_rotate(x.detach(), angle), _rotate(x0.detach(), angle), sigma)
            slope = torch.autograd.grad(log_w, angle)[0] if isinstance(log_w, Tensor) else torch.zeros_like(x[:, 0])
        return _rotate(step(x, x0, sigma, sigma_next, randn_like), (sigma**2 - sigma_next**2) * slope)

    return turning


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Points turned about the origin by an angle each, (N, 2), (N,) -> (N, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], 1)
