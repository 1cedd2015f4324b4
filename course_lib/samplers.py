"""Noise levels, step formulas and the one loop.

A step is a formula without a model in it: step(x, x0, sigma, sigma_next, randn_like) -> x at sigma_next.
Guidance never appears here: it is inside the denoiser.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]


def _check_range(name: str, high: float, low: float, T: int) -> None:
    if not (high > low > 0 and T >= 1):
        raise ValueError(f"{name}: needs high > low > 0 and T >= 1, got high={high:g}, low={low:g}, T={T}.")


def geometric(high: float, low: float, T: int) -> Tensor:
    """T levels in constant ratio from high to low, then 0 (1.11), -> (T + 1,) float64."""
    return karras(high, low, T, rho=float("inf"))


def karras(high: float, low: float, T: int, rho: float = 7.0) -> Tensor:
    """T levels from high to low, evenly spaced in sigma**(1 / rho), then 0 (1.11), -> (T + 1,) float64.

    rho = inf gives constant ratios. Source: Karras et al. (2022), eq. (5).
    """
    _check_range("karras" if rho < float("inf") else "geometric", high, low, T)
    u = torch.linspace(0, 1, T, dtype=torch.float64)
    if rho == float("inf"):
        levels = high * (low / high) ** u
    else:
        levels = (high ** (1 / rho) + u * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def scaled_linear(T: int, beta_start: float = 0.00085, beta_end: float = 0.012) -> Tensor:
    """Stable Diffusion's levels sqrt((1 - abar_t) / abar_t) at T of its 1000 timesteps (1.10), -> (T + 1,) float64.

    sqrt(beta) is linear in t. As in diffusers' DDIM ("leading" spacing, offset 1) the timesteps are 1 + i (1000 // T),
    and the last level is that of t = 0, .0292, not 0. Raises ValueError unless 1 <= T <= 999.
    Source: Rombach et al. (2022).
    """
    if not 1 <= T <= 999:
        raise ValueError(f"scaled_linear: T must be between 1 and 999, got {T}.")
    beta = torch.linspace(beta_start**0.5, beta_end**0.5, 1000, dtype=torch.float64) ** 2
    abar = (1 - beta).cumprod(0)
    sigma = ((1 - abar) / abar).sqrt()
    t = (torch.arange(T) * (1000 // T) + 1).flip(0)
    return torch.cat([sigma[t], sigma[:1]])


def ddim(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=None) -> Tensor:
    """Prediction step x + (sigma_next - sigma) (x - x0) / sigma (1.6).

    One Euler step of the probability-flow ODE (1.5). Source: Song, Meng and Ermon (2021), eq. (12) with eta = 0, in
    these coordinates.
    """
    return x0 + sigma_next / sigma * (x - x0)


def ddpm(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
    """Ancestral step: a draw of x at sigma_next given x and x0 (1.8).

    Mean x0 + (sigma_next / sigma)**2 (x - x0), variance sigma_next**2 (1 - (sigma_next / sigma)**2).
    Source: Ho et al. (2020), eqs. (6) and (7), in these coordinates.
    """
    ratio = (sigma_next / sigma) ** 2
    return x0 + ratio * (x - x0) + sigma_next * (1 - ratio).sqrt() * randn_like(x)


def euler_maruyama(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
    """Step of the reverse stochastic equation, x + c (x0 - x) / sigma**2 + sqrt(c) xi (4.7).

    c = sigma**2 - sigma_next**2. Source: Song et al. (2021), as used by Corso et al. (2024) in the plane.
    """
    c = sigma**2 - sigma_next**2
    return x + c / sigma**2 * (x0 - x) + c.sqrt() * randn_like(x)


def langevin(x: Tensor, x0: Tensor, sigma: Tensor, tau: float, randn_like=torch.randn_like) -> Tensor:
    """Correction step x + tau (x0 - x) + sqrt(2 tau) sigma xi (1.7), which stays at sigma; tau has no unit.

    Unadjusted: on a Gaussian it leaves the variance too large by a share of about tau / 2. Source: Song et al. (2021),
    alg. 4.
    """
    return x + tau * (x0 - x) + (2 * tau) ** 0.5 * sigma * randn_like(x)


def dpmpp_2m() -> Step:
    """A fresh DPM-Solver++(2M) step (1.12), which remembers the last x0; make one per run.

    With lambda = -log sigma, h = lambda_next - lambda and r = h_last / h: x = (sigma_next / sigma) x + (1 - exp(-h))
    ((1 + 1 / (2 r)) x0 - x0_last / (2 r)); first order at the first step and where sigma_next = 0. Raises ValueError
    when it is used for a second run. Source: Lu et al. (2022), algorithm 2.
    """
    last = {}

    def step(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=None) -> Tensor:
        if last and (last["sigma_next"] != sigma or last["x0"].shape != x0.shape):
            raise ValueError("dpmpp_2m: this step has already been used in another run; call dpmpp_2m() for a new one.")
        direction = x0
        if last and sigma_next > 0:
            r = (last["sigma"] / sigma).log() / (sigma / sigma_next).log()
            direction = x0 + (x0 - last["x0"]) / (2 * r)
        last.update(sigma=sigma, sigma_next=sigma_next, x0=x0)
        return direction + sigma_next / sigma * (x - direction)  # 1 - exp(-h) = 1 - sigma_next / sigma

    return step


class State(NamedTuple):
    """One step's result: the level reached, the particles there, and the estimate x0 that led to it."""

    sigma: Tensor
    x: Tensor
    x0: Tensor


def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    step: Step = ddim,
    corrections: int = 0,
    tau: float = 0.05,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Iterator[State]:
    """The loop: at each level `corrections` Langevin steps (1.7), then a prediction step; yields a State per level.

    x (N, *shape) at sigmas[0]; sigmas (T + 1,) decreasing -> T states. Levels stay on the CPU, where asking for one
    waits for no device. It obeys the caller's gradient mode. Raises ValueError for levels that do not decrease and
    FloatingPointError as soon as a particle is no longer finite: the one answer a level that the host waits for, so
    that the sentence names the level where it happened.
    """
    sigmas = torch.as_tensor(sigmas).to(device="cpu", dtype=x.dtype)
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (sigmas[1:] < sigmas[:-1]).all() or sigmas[-1] < 0:
        raise ValueError("trajectory: sigmas must be at least two levels, strictly decreasing and not negative.")
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:], strict=True):
        for _ in range(corrections):
            x = langevin(x, denoiser(x, sigma), sigma, tau, randn_like)
        x0 = denoiser(x, sigma)
        x = step(x, x0, sigma, sigma_next, randn_like)
        if not x.isfinite().all():
            raise FloatingPointError(
                f"trajectory: particles are not finite after sigma = {sigma:.3g}; lower the strength of the guidance "
                "or check that the start and the denoiser are finite."
            )
        yield State(sigma_next, x, x0)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    step: Step = ddim,
    corrections: int = 0,
    tau: float = 0.05,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Tensor:
    """The particles at the end of `trajectory`, without gradients, (N, *shape) -> (N, *shape)."""
    for state in trajectory(denoiser, x, sigmas, step, corrections, tau, randn_like):
        x = state.x
    return x
