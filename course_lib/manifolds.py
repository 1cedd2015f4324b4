"""Manifolds with exact sampler, distance, projection and denoiser: circle, sphere, swiss roll.

Each is a denoiser of its own law, so that what happens off the manifold is the method's doing and no network's.
"""

import math

import torch
from torch import Tensor

from course_lib.checks import finite, number, numeric, shown, typed, whole
from course_lib.denoisers import GaussianMixture


def _check_points(name: str, x: Tensor, d: int) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ValueError(f"{name}: points must be a tensor of floating-point numbers, got {shown(x)}.")
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"{name}: points must have shape (N, {d}), got {tuple(x.shape)}.")


def _positive(name: str, sigma: Tensor | float, x: Tensor) -> Tensor:
    sigma = numeric(sigma, f"{name}: sigma", x.dtype)
    if sigma.numel() not in (1, len(x)):
        raise ValueError(
            f"{name}: sigma must be one level, or one for each of the {len(x)} points, got {shown(sigma)}."
        )
    if not (sigma > 0).all():
        raise ValueError(f"{name}: sigma must be positive, got {sigma.min().item():g}; its law has no density without.")
    return sigma.to(x.device).reshape(-1, 1)


class Circle:
    """A mixture of von Mises laws on the circle of radius r in the first two of d coordinates; the others are 0.

    Density over the angle sum_j w_j exp(kappa_j cos(t - mu_j)) / (2 pi I0(kappa_j)) (5.1); kappa = 0, the default, is
    uniform. mu, kappa and weights are numbers or (J,). Raises ValueError for a negative kappa or weight, r or d too
    small.
    """

    dimension = 1

    def __init__(self, mu=0.0, kappa=0.0, weights=None, radius: float = 1.0, d: int = 2):
        given = {"mu": mu, "kappa": kappa, "weights": [1.0] if weights is None else weights}
        for name, one in given.items():
            finite(numeric(one, f"Circle: {name}"), f"Circle: {name}")
        mu, kappa = (torch.atleast_1d(torch.as_tensor(value, dtype=torch.float64)) for value in (mu, kappa))
        weights = torch.ones(len(mu)) if weights is None else torch.atleast_1d(torch.as_tensor(weights))
        number(radius, "Circle: radius")
        if not (len(mu) == len(kappa) == len(weights)) or (kappa < 0).any() or (weights < 0).any() or radius <= 0:
            raise ValueError("Circle: mu, kappa and weights need one length, kappa and weights >= 0, radius > 0.")
        if whole(d, "Circle: d") < 2 or not weights.sum() > 0:
            raise ValueError(f"Circle: needs at least 2 coordinates and one positive weight, got d = {d}.")
        self.mu, self.kappa, self.weights = mu, kappa, weights.double() / weights.sum()
        self.radius, self.d = radius, d

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Exact denoiser r sum_j q_j A(|v_j|) v_j / |v_j| with v_j = kappa_j u(mu_j) + r x / sigma**2 (5.2).

        A = I1 / I0, and q_j is proportional to w_j I0(|v_j|) / I0(kappa_j). (N, d) -> (N, d).
        """
        _check_points("Circle", x, self.d)
        sigma = _positive("Circle", sigma, x)
        mu, kappa, weights = (value.to(x) for value in (self.mu, self.kappa, self.weights))
        pull = kappa[:, None] * torch.stack([mu.cos(), mu.sin()], 1)  # (J, 2)
        v = pull + (self.radius * x[:, :2] / sigma**2)[:, None]  # (N, J, 2)
        length = v.square().sum(-1).clamp(min=1e-30).sqrt()
        log_q = weights.log() + _log_i0(length) - _log_i0(kappa)
        direction = (torch.special.i1e(length) / torch.special.i0e(length) / length)[..., None] * v
        mean = self.radius * (log_q.softmax(1)[..., None] * direction).sum(1)
        return torch.cat([mean, torch.zeros_like(x[:, 2:])], 1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent points, -> (n, d) float64; the angle by inverting its distribution function on a fine grid."""
        t = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)
        density = (self.weights * torch.exp(self.kappa * ((t[:, None] - self.mu).cos() - 1)) / _i0e(self.kappa)).sum(1)
        cdf = torch.cat([density.new_zeros(1), torch.cumulative_trapezoid(density, t)])
        u = torch.rand(whole(n, "Circle.sample: n", 1), generator=generator, dtype=torch.float64) * cdf[-1]
        i = torch.searchsorted(cdf, u).clamp(1, len(t) - 1)
        angle = t[i - 1] + (u - cdf[i - 1]) / (cdf[i] - cdf[i - 1]) * (t[i] - t[i - 1])
        return self.point(angle)

    def point(self, angle: Tensor) -> Tensor:
        """The points of the circle at angles (n,), -> (n, d)."""
        angle = numeric(angle, "Circle.point: angle")
        if angle.ndim != 1:
            raise ValueError(f"Circle.point: angle must have shape (n,), got {tuple(angle.shape)}.")
        flat = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        return torch.cat([flat, flat.new_zeros(len(flat), self.d - 2)], 1)

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the circle, (N, d) -> (N, d); at its axis, where none is nearest, that of angle 0."""
        _check_points("Circle.project", x, self.d)
        return self.point(torch.atan2(x[:, 1], x[:, 0]))

    def distance(self, x: Tensor) -> Tensor:
        """Exact distance to the circle, (N, d) -> (N,)."""
        _check_points("Circle.distance", x, self.d)
        away = x[:, :2].norm(dim=1) - self.radius
        return torch.hypot(away, x[:, 2:].norm(dim=1)) if self.d > 2 else away.abs()


def _i0e(z: Tensor) -> Tensor:
    return torch.special.i0e(z)


def _log_i0(z: Tensor) -> Tensor:
    return torch.special.i0e(z).log() + z


class Sphere:
    """The uniform law on the sphere of dimension k and radius r in the first k + 1 of d coordinates."""

    def __init__(self, k: int = 2, d: int | None = None, radius: float = 1.0):
        self.dimension, self.d, self.radius = k, k + 1 if d is None else d, radius
        whole(k, "Sphere: k")
        whole(self.d, "Sphere: d, unless it is None,")
        number(radius, "Sphere: radius")
        if k < 1 or self.d < k + 1 or radius <= 0:
            raise ValueError(
                f"Sphere: needs k >= 1, d >= k + 1 and radius > 0, got k={k}, d={self.d}, radius={radius}."
            )

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Exact denoiser r A(r |x| / sigma**2) x / |x|, A = I_{(k+1)/2} / I_{(k-1)/2} (5.3), (N, d) -> same."""
        _check_points("Sphere", x, self.d)
        sigma, own = _positive("Sphere", sigma, x), self.dimension + 1
        length = x[:, :own].square().sum(1, keepdim=True).clamp(min=1e-30).sqrt()
        ratio = bessel_ratio(own / 2 - 1, self.radius * length / sigma**2)
        return torch.cat([self.radius * ratio / length * x[:, :own], torch.zeros_like(x[:, own:])], 1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent uniform points, -> (n, d) float64."""
        return self.project(
            torch.randn(whole(n, "Sphere.sample: n", 1), self.d, generator=generator, dtype=torch.float64)
        )

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the sphere, (N, d) -> (N, d); raises ValueError at its axis, where none is nearest."""
        _check_points("Sphere.project", x, self.d)
        own = x[:, : self.dimension + 1]
        length = own.norm(dim=1, keepdim=True)
        if not (length > 0).all():
            raise ValueError("Sphere.project: a point lies on the axis of the sphere, where no point of it is nearest.")
        return torch.cat([self.radius * own / length, torch.zeros_like(x[:, self.dimension + 1 :])], 1)

    def distance(self, x: Tensor) -> Tensor:
        """Exact distance to the sphere, (N, d) -> (N,)."""
        _check_points("Sphere.distance", x, self.d)
        away = x[:, : self.dimension + 1].norm(dim=1) - self.radius
        return torch.hypot(away, x[:, self.dimension + 1 :].norm(dim=1))


@typed
def bessel_ratio(order: float, z: Tensor, depth: int = 200) -> Tensor:
    """Ratio I_{order + 1}(z) / I_order(z) of modified Bessel functions for order >= 0, z >= 0; differentiable in z.

    By the recurrence R_v = 1 / (2 (v + 1) / z + R_{v + 1}), downwards from `depth` orders above, where Amos' bound
    stands in for R. Source: Amos (1974).
    """
    number(order, "bessel_ratio: order", 0)
    top = order + whole(depth, "bessel_ratio: depth", 1)
    ratio = z / (top + 0.5 + ((top + 1.5) ** 2 + z**2).sqrt())
    for v in range(depth - 1, -1, -1):
        ratio = z / (2 * (order + v + 1) + z * ratio)
    return ratio


class SwissRoll:
    """The spiral (t cos t, t sin t) / r, t from 1.5 pi to 4.5 pi, as `points` round Gaussians of spread s (5.4).

    Equally spaced in arc length, so that the law along the curve is uniform; the outermost point is at distance 1.
    """

    dimension, d = 1, 2

    def __init__(self, points: int = 600, s: float = 0.005):
        if whole(points, "SwissRoll: points") < 2 or number(s, "SwissRoll: s") < 0:
            raise ValueError(f"SwissRoll: needs at least 2 points and s >= 0, got points={points}, s={s}.")
        self._law = GaussianMixture(self.point(torch.linspace(0, 1, points, dtype=torch.float64)), s)
        self._fine = torch.linspace(0, 1, 6000, dtype=torch.float64)
        self._curve = self.point(self._fine)

    def point(self, share: Tensor) -> Tensor:
        """The points of the curve at shares (n,) in [0, 1] of its length, -> (n, 2)."""
        share = numeric(share, "SwissRoll.point: share")
        if share.ndim != 1 or not ((share >= 0) & (share <= 1)).all():
            raise ValueError(f"SwissRoll.point: share must be (n,) numbers in [0, 1], got {shown(share)}.")
        t = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 20_001, dtype=torch.float64)
        length = (t * (1 + t**2).sqrt() + torch.asinh(t)) / 2
        wanted = length[0] + share.cpu().double() * (length[-1] - length[0])
        i = torch.searchsorted(length, wanted).clamp(1, len(t) - 1)
        t = t[i - 1] + (wanted - length[i - 1]) / (length[i] - length[i - 1]) * (t[i] - t[i - 1])
        return torch.stack([t * t.cos(), t * t.sin()], 1) / (4.5 * math.pi)

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Exact denoiser of the mixture, (N, 2) -> (N, 2)."""
        return self._law(x, sigma)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws, -> (n, 2) float64."""
        return self._law.sample(n, generator)

    def share(self, x: Tensor) -> Tensor:
        """Where along the curve the nearest of 6000 points lies, as a share of its length, (N, 2) -> (N,)."""
        _check_points("SwissRoll.share", x, 2)
        return self._fine.to(x)[torch.cdist(x, self._curve.to(x)).argmin(1)]

    def turn(self, x: Tensor) -> Tensor:
        """The turn of the spiral, 0 to 2 from the inside, on which the nearest point lies, (N, 2) -> (N,) integers."""
        t = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 4, dtype=torch.float64)[1:3]
        radius = self.project(x).norm(dim=1) * 4.5 * math.pi
        return torch.bucketize(radius.cpu().double(), t)

    def project(self, x: Tensor) -> Tensor:
        """The nearest of 6000 points of the curve, (N, 2) -> (N, 2)."""
        return self.point(self.share(x)).to(x)

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the polygon through 6000 points of the curve, (N, 2) -> (N,)."""
        _check_points("SwissRoll.distance", x, 2)
        a, b = self._curve[:-1].to(x), self._curve[1:].to(x)
        along = ((x[:, None] - a) * (b - a)).sum(-1) / (b - a).square().sum(-1)  # (N, 5999)
        foot = a + along.clamp(0, 1)[..., None] * (b - a)
        return (x[:, None] - foot).square().sum(-1).amin(1).sqrt()
