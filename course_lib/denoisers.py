"""Denoisers: everything that samples is a function D(x, sigma) -> x0.

Coordinates are x = x0 + sigma * eps (1.1) everywhere, for a dot in the plane and for the latents of Stable Diffusion.
Units are those of the data; sigma is a standard deviation in the same units.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from course_lib.checks import finite, gradients_allowed, number, numeric, shaped, shown, typed, whole


class Denoiser(Protocol):
    """The mean of the clean point given the noisy one, D(x, sigma) = E[x0 | x]."""

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """(N, *shape), () or (N, 1, .., 1) -> (N, *shape)."""
        ...


@typed
def score(denoiser: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """Score of the noisy law by Tweedie's formula, (D(x, sigma) - x) / sigma**2 (1.4).

    Shapes: x (N, *shape) -> (N, *shape). Raises ValueError at sigma <= 0, where the formula divides by zero.
    Source: Efron (2011), eq. (1.4).
    """
    sigma = torch.as_tensor(sigma, dtype=x.dtype)
    if not (sigma > 0).all():
        raise ValueError(f"score: sigma must be positive, got {sigma.min().item():g}; the score needs some noise.")
    return (denoiser(x, sigma) - x) / sigma.to(x.device) ** 2


@typed
def jacobian(denoiser: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """Jacobian of D with respect to x, one matrix per particle, (N, d) -> (N, d, d).

    For an exact denoiser it is the covariance of x0 given x over sigma**2 (5.10): near 1 along the data, near 0 across.
    d backward passes; particles must not see each other. Source: Efron (2011) for the exact case.
    """
    gradients_allowed("jacobian", x, sigma)
    shaped(x, "jacobian: x", "(N, d)", 2)
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
        means = finite(numeric(means, "GaussianMixture: means"), "GaussianMixture: means")
        means = means if means.is_floating_point() else means.double()
        if means.ndim != 2 or not means.numel():
            raise ValueError(f"GaussianMixture: means must have shape (M, d), got {tuple(means.shape)}.")
        s = numeric(s, "GaussianMixture: s", means.dtype)
        if s.shape not in ((), (len(means),)):
            raise ValueError(f"GaussianMixture: s must be a number or ({len(means)},), got {tuple(s.shape)}.")
        s = s.expand(len(means))
        weights = numeric([1.0] * len(means) if weights is None else weights, "GaussianMixture: weights", means.dtype)
        if weights.shape != (len(means),):
            raise ValueError(f"GaussianMixture: weights must have shape ({len(means)},), got {tuple(weights.shape)}.")
        if not ((s >= 0).all() and (weights >= 0).all() and 0 < weights.sum() < torch.inf and s.isfinite().all()):
            raise ValueError("GaussianMixture: s and weights must not be negative, and some weight must be positive.")
        self.means, self.s, self.weights = means, s, weights / weights.sum()
        self._least = float(s.min())  # asked for once, so that no call waits for a device

    def _components(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, variances (.., M), differences (N, M, d) and log w_m N(x; mu_m, v_m) (N, M) in x's dtype."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ValueError(f"GaussianMixture: x must be a tensor of floating-point numbers, got {shown(x)}.")
        if x.ndim != 2 or x.shape[1] != self.means.shape[1]:
            raise ValueError(f"GaussianMixture: x must have shape (N, {self.means.shape[1]}), got {tuple(x.shape)}.")
        means, s, weights = (a.to(x) for a in (self.means, self.s, self.weights))
        sigma = numeric(sigma, "GaussianMixture: sigma", x.dtype)
        if sigma.numel() not in (1, len(x)):
            raise ValueError(f"GaussianMixture: sigma must be one level, or {len(x)}, got {sigma.numel()}.")
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
        mode = torch.multinomial(
            self.weights, whole(n, "GaussianMixture.sample: n", 1), replacement=True, generator=generator
        )
        eps = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[mode] + self.s[mode, None] * eps


@typed
def ring(
    modes: int = 10, radius: float = 1.0, s: float = 0.005**0.5, weights: Tensor | Sequence[float] | None = None
) -> GaussianMixture:
    """The circle of equally spaced modes that the field tests on, in float64.

    Source: Corso et al. (2024), with 10 modes and s**2 = .005.
    """
    whole(modes, "ring: modes", 1)
    number(radius, "ring: radius", 0)
    angle = 2 * torch.pi * torch.arange(modes, dtype=torch.float64) / modes
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], 1), s, weights)


class IdealDenoiser:
    """The best denoiser for points (n, *shape): their mean weighted by exp(-|x - p|**2 / (2 sigma**2)) (2.4).

    A network with infinite capacity trained on these points learns it, and then it can only repeat them.
    """

    def __init__(self, points: Tensor):
        if not isinstance(points, Tensor) or points.is_complex() or points.ndim < 2 or not points.numel():
            raise ValueError(
                f"IdealDenoiser: points must be a tensor (n, *shape) of real numbers, got {shown(points)}."
            )
        finite(points, "IdealDenoiser: points")
        self.shape, self._mixture = points.shape[1:], GaussianMixture(points.flatten(1), 0.0)

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """(N, *shape) -> (N, *shape); raises ValueError at sigma = 0, where there is nothing to remove."""
        if not isinstance(x, Tensor) or x.shape[1:] != self.shape:
            raise ValueError(f"IdealDenoiser: x must have shape (N, *{tuple(self.shape)}), got {shown(x)}.")
        return self._mixture(x.flatten(1), sigma).reshape(x.shape)


class MLPDenoiser(nn.Module):
    """A small network with the preconditioning D = c_skip x + c_out F(c_in x, log(sigma) / 4) (2.2), (2.3).

    `labels` > 0 makes it conditional: it holds one embedding per label and one for "no label". Call it as a denoiser
    for the unconditional answer, or `given(label)` for a conditional one. Source: Karras et al. (2022), table 1.
    """

    def __init__(self, d: int = 2, width: int = 64, depth: int = 3, labels: int = 0, sigma_data: float = 0.5):
        super().__init__()
        for name, value, low in (("d", d, 1), ("width", width, 1), ("depth", depth, 1), ("labels", labels, 0)):
            whole(value, f"MLPDenoiser: {name}", low)
        number(sigma_data, "MLPDenoiser: sigma_data", above=0)
        self.d, self.sigma_data, self.labels = d, sigma_data, labels
        self.embedding = nn.Embedding(labels + 1, width)  # the last row means "no label"
        self.first = nn.Linear(d + 1, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.last = nn.Linear(width, d)

    def forward(self, x: Tensor, sigma: Tensor | float, label: Tensor | None = None) -> Tensor:
        """x (N, d), sigma () or (N, 1), label (N,) integers or None -> (N, d), where the network is."""
        shaped(x, "MLPDenoiser: x", f"(N, {self.d})", 2, self.d, least=0)
        if x.dtype != self.first.weight.dtype:
            raise ValueError(f"MLPDenoiser: x must be of the network's {self.first.weight.dtype}, got {shown(x)}.")
        sigma = numeric(sigma, "MLPDenoiser: sigma", x.dtype)
        if sigma.numel() != 1 and sigma.shape != (len(x), 1):
            raise ValueError(f"MLPDenoiser: sigma must be one level, or (N, 1), got {tuple(sigma.shape)}.")
        if not ((sigma > 0) & (sigma < torch.inf)).all():
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
        if not 0 <= whole(label, "MLPDenoiser.given: label", -1) < self.labels:
            raise ValueError(f"MLPDenoiser.given: label must be in 0..{self.labels - 1}, got {label}.")
        return lambda x, sigma: self(x, sigma, torch.full((len(x),), label))


@typed
def cfg(conditional: Denoiser, unconditional: Denoiser, w: float | Callable[[Tensor], float]) -> Denoiser:
    """Classifier-free guidance D_u + w (D_c - D_u) (2.5); w = 1 is none, w a number or a function of sigma (2.6).

    Where w is 1 the unconditional denoiser is not called. Source: Ho and Salimans (2022), in diffusers' convention.
    """
    if not callable(w):
        number(w, "cfg: w")

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        weight = w(sigma) if callable(w) else w
        x0 = conditional(x, sigma)
        if weight == 1:
            return x0
        x0_u = unconditional(x, sigma)
        return x0_u + weight * (x0 - x0_u)

    return guided


@typed
def interval(w: float, low: float, high: float) -> Callable[[Tensor], float]:
    """Guidance weight w for low < sigma <= high and 1, no guidance, elsewhere (2.6), for `cfg`.

    Raises ValueError for an empty interval. Source: Kynkaanniemi et al. (2024), eq. (4).
    """
    number(w, "interval: w")
    if not low < high:
        raise ValueError(f"interval: low must be below high, got ({low:g}, {high:g}].")
    return lambda sigma: w if low < float(sigma) <= high else 1.0
