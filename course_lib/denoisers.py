"""Denoisers: everything that samples is a function D(x, sigma) -> x0.

Coordinates are x = x0 + sigma * eps (1.1) everywhere, for a dot in the plane and for the latents of Stable Diffusion.
Units are those of the data; sigma is a standard deviation in the same units.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Denoiser(Protocol):
    """The mean of the clean point given the noisy one, D(x, sigma) = E[x0 | x]."""

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """(N, *shape), () or (N, 1, .., 1) -> (N, *shape)."""
        ...


def score(denoiser: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """Score of the noisy law by Tweedie's formula, (D(x, sigma) - x) / sigma**2 (1.4).

    Shapes: x (N, *shape) -> (N, *shape). Raises ValueError at sigma <= 0, where the formula divides by zero.
    Source: Efron (2011), eq. (1.4).
    """
    sigma = torch.as_tensor(sigma, dtype=x.dtype)
    if not (sigma > 0).all():
        raise ValueError(f"score: sigma must be positive, got {sigma.min().item():g}; the score needs some noise.")
    return (denoiser(x, sigma) - x) / sigma.to(x.device) ** 2


def jacobian(denoiser: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """Jacobian of D with respect to x, one matrix per particle, (N, d) -> (N, d, d).

    For an exact denoiser it is the covariance of x0 given x over sigma**2 (5.10): near 1 along the data, near 0 across.
    d backward passes; particles must not see each other. Source: Efron (2011) for the exact case.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        x0 = denoiser(x, sigma)
        rows = [torch.autograd.grad(x0[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.stack(rows, 1)


class GaussianMixture:
    """A mixture of M round Gaussians whose noisy density (1.2), score (1.3) and denoiser are exact.

    p_sigma(x) = sum_m w_m N(x; mu_m, (s_m**2 + sigma**2) I). Means (M, d); s a number or (M,); weights (M,), made to
    sum to one. Calling it denoises. Raises ValueError for a negative s or weight, or shapes that do not fit.
    """

    def __init__(self, means: Tensor, s: Tensor | float, weights: Tensor | None = None):
        means = torch.as_tensor(means)
        means = means if means.is_floating_point() else means.double()
        if means.ndim != 2:
            raise ValueError(f"GaussianMixture: means must have shape (M, d), got {tuple(means.shape)}.")
        s = torch.as_tensor(s, dtype=means.dtype).expand(len(means))
        weights = torch.as_tensor([1.0] * len(means) if weights is None else weights, dtype=means.dtype)
        if weights.shape != (len(means),):
            raise ValueError(f"GaussianMixture: weights must have shape ({len(means)},), got {tuple(weights.shape)}.")
        if (s < 0).any() or (weights < 0).any() or weights.sum() <= 0:
            raise ValueError("GaussianMixture: s and weights must not be negative, and some weight must be positive.")
        self.means, self.s, self.weights = means, s, weights / weights.sum()
        self._least = float(s.min())  # asked for once, so that no call waits for a device

    def _components(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, variances (.., M), differences (N, M, d) and log w_m N(x; mu_m, v_m) (N, M) in x's dtype."""
        if x.ndim != 2 or x.shape[1] != self.means.shape[1]:
            raise ValueError(f"GaussianMixture: x must have shape (N, {self.means.shape[1]}), got {tuple(x.shape)}.")
        means, s, weights = (a.to(x) for a in (self.means, self.s, self.weights))
        sigma = torch.as_tensor(sigma, dtype=x.dtype)
        if not (sigma**2 + self._least**2 > 0).all():
            raise ValueError("GaussianMixture: s = 0 and sigma = 0 leave points without a density; pass sigma > 0.")
        variance = s**2 + sigma.to(x.device).reshape(-1, 1) ** 2  # (1 or N, M)
        difference = means - x[:, None]  # (N, M, d)
        log_normal = -difference.square().sum(-1) / (2 * variance) - x.shape[1] / 2 * (2 * torch.pi * variance).log()
        return means, variance, difference, weights.log() + log_normal

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Log density of the noisy mixture, log p_sigma(x) (1.2), (N, d) -> (N,)."""
        return self._components(x, sigma)[-1].logsumexp(-1)

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Exact denoiser: x + sigma**2 times the exact score sum_m r_m (mu_m - x) / v_m (1.3), (N, d) -> (N, d).

        Written as sum_m r_m (v_m mu_m - s_m**2 (mu_m - x)) / v_m so that it stays exact at sigma = 0 and at s = 0.
        """
        means, variance, difference, log_joint = self._components(x, sigma)
        shrink = (self.s.to(x) ** 2 / variance)[..., None]  # share of the distance that is no noise
        return (log_joint.softmax(-1)[..., None] * (means - shrink * difference)).sum(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws without noise, -> (n, d)."""
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        eps = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[mode] + self.s[mode, None] * eps


def ring(modes: int = 10, radius: float = 1.0, s: float = 0.005**0.5, weights: Tensor | None = None) -> GaussianMixture:
    """The circle of equally spaced modes that the field tests on, in float64.

    Source: Corso et al. (2024), with 10 modes and s**2 = .005.
    """
    angle = 2 * torch.pi * torch.arange(modes, dtype=torch.float64) / modes
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], 1), s, weights)


class IdealDenoiser:
    """The best denoiser for points (n, *shape): their mean weighted by exp(-|x - p|**2 / (2 sigma**2)) (2.4).

    A network with infinite capacity trained on these points learns it, and then it can only repeat them.
    """

    def __init__(self, points: Tensor):
        self.shape, self._mixture = points.shape[1:], GaussianMixture(points.flatten(1), 0.0)

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """(N, *shape) -> (N, *shape); raises ValueError at sigma = 0, where there is nothing to remove."""
        return self._mixture(x.flatten(1), sigma).reshape(x.shape)


class MLPDenoiser(nn.Module):
    """A small network with the preconditioning D = c_skip x + c_out F(c_in x, log(sigma) / 4) (2.2), (2.3).

    `labels` > 0 makes it conditional: it holds one embedding per label and one for "no label". Call it as a denoiser
    for the unconditional answer, or `given(label)` for a conditional one. Source: Karras et al. (2022), table 1.
    """

    def __init__(self, d: int = 2, width: int = 64, depth: int = 3, labels: int = 0, sigma_data: float = 0.5):
        super().__init__()
        self.sigma_data, self.labels = sigma_data, labels
        self.embedding = nn.Embedding(labels + 1, width)  # the last row means "no label"
        self.first = nn.Linear(d + 1, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.last = nn.Linear(width, d)

    def forward(self, x: Tensor, sigma: Tensor | float, label: Tensor | None = None) -> Tensor:
        """x (N, d), sigma () or (N, 1), label (N,) integers or None -> (N, d), where the network is."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype)
        if not (sigma > 0).all():
            raise ValueError("MLPDenoiser: sigma must be positive; the network sees its logarithm.")
        x = x.to(self.last.weight.device)
        sigma = sigma.to(x.device).expand(len(x), 1)
        total = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / total, sigma * self.sigma_data / total.sqrt(), 1 / total.sqrt()
        if label is None:
            label = torch.full((len(x),), self.labels)
        h = self.first(torch.cat([c_in * x, sigma.log() / 4], 1)) + self.embedding(label.to(x.device))
        for layer in self.hidden:
            h = layer(nn.functional.silu(h))
        return c_skip * x + c_out * self.last(nn.functional.silu(h))

    def given(self, label: int) -> Denoiser:
        """The denoiser conditioned on one label for all particles; raises ValueError for a label it does not have."""
        if not 0 <= label < self.labels:
            raise ValueError(f"MLPDenoiser.given: label must be in 0..{self.labels - 1}, got {label}.")
        return lambda x, sigma: self(x, sigma, torch.full((len(x),), label))


def cfg(conditional: Denoiser, unconditional: Denoiser, w: float | Callable[[Tensor], float]) -> Denoiser:
    """Classifier-free guidance D_u + w (D_c - D_u) (2.5); w = 1 is none, w a number or a function of sigma (2.6).

    Where w is 1 the unconditional denoiser is not called. Source: Ho and Salimans (2022), in diffusers' convention.
    """

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        weight = w(sigma) if callable(w) else w
        x0 = conditional(x, sigma)
        if weight == 1:
            return x0
        x0_u = unconditional(x, sigma)
        return x0_u + weight * (x0 - x0_u)

    return guided


def interval(w: float, low: float, high: float) -> Callable[[Tensor], float]:
    """Guidance weight w for low < sigma <= high and 1, no guidance, elsewhere (2.6), for `cfg`.

    Raises ValueError for an empty interval. Source: Kynkaanniemi et al. (2024), eq. (4).
    """
    if not low < high:
        raise ValueError(f"interval: low must be below high, got ({low:g}, {high:g}].")
    return lambda sigma: w if low < float(sigma) <= high else 1.0
