"""Noise levels, step formulas and the one loop.

A step is a formula without a model in it: step(x, x0, sigma, sigma_next, randn_like) -> x at sigma_next.
Guidance never appears here: it is inside the denoiser.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.checks import number, numeric, shown, typed, whole
from course_lib.denoisers import Denoiser

Step = Callable[[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
Corrections = int | Sequence[int] | Callable[[Tensor], int]  # how many: of all levels, of each, or a function
Tau = float | Sequence[float] | Callable[[Tensor], float]


def _check_range(name: str, high: float, low: float, T: int) -> None:
    if not (math.inf > high > low > 0 and T >= 1):
        raise ValueError(f"{name}: needs high > low > 0 and T >= 1, got high={high:g}, low={low:g}, T={T}.")


@typed
def geometric(high: float, low: float, T: int) -> Tensor:
    """T levels in constant ratio from high to low, then 0 (1.11), -> (T + 1,) float64."""
    return karras(high, low, T, rho=float("inf"))


@typed
def karras(high: float, low: float, T: int, rho: float = 7.0) -> Tensor:
    """T levels from high to low, evenly spaced in sigma**(1 / rho), then 0 (1.11), -> (T + 1,) float64.

    rho = inf gives constant ratios. Source: Karras et al. (2022), eq. (5).
    """
    _check_range("karras" if rho < float("inf") else "geometric", high, low, T)
    if not rho > 0:
        raise ValueError(f"karras: rho must be positive, got {rho:g}.")
    u = torch.linspace(0, 1, T, dtype=torch.float64)
    if rho == float("inf"):
        levels = high * (low / high) ** u
    else:
        levels = (high ** (1 / rho) + u * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


@typed
def scaled_linear(T: int, beta_start: float = 0.00085, beta_end: float = 0.012) -> Tensor:
    """Stable Diffusion's levels sqrt((1 - abar_t) / abar_t) at T of its 1000 timesteps (1.10), -> (T + 1,) float64.

    sqrt(beta) is linear in t. As in diffusers' DDIM ("leading" spacing, offset 1) the timesteps are 1 + i (1000 // T),
    and the last level is that of t = 0, .0292, not 0. Raises ValueError unless 1 <= T <= 999 and
    0 < beta_start <= beta_end < 1.
    Source: Rombach et al. (2022).
    """
    if not 1 <= T <= 999:
        raise ValueError(f"scaled_linear: T must be between 1 and 999, got {T}.")
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"scaled_linear: needs 0 < beta_start <= beta_end < 1, got {beta_start:g} and {beta_end:g}.")
    beta = torch.linspace(beta_start**0.5, beta_end**0.5, 1000, dtype=torch.float64) ** 2
    abar = (1 - beta).cumprod(0)
    sigma = ((1 - abar) / abar).sqrt()
    t = (torch.arange(T) * (1000 // T) + 1).flip(0)
    return torch.cat([sigma[t], sigma[:1]])


def _alike(x: Tensor, x0: Tensor, name: str) -> None:
    if x.shape != x0.shape:
        raise ValueError(f"{name}: x and x0 must have one shape, got {tuple(x.shape)} and {tuple(x0.shape)}.")


@typed
def ddim(x: Tensor, x0: Tensor, sigma: Tensor | float, sigma_next: Tensor | float, randn_like=None) -> Tensor:
    """Prediction step x + (sigma_next - sigma) (x - x0) / sigma (1.6).

    One Euler step of the probability-flow ODE (1.5). Source: Song, Meng and Ermon (2021), eq. (12) with eta = 0, in
    these coordinates.
    """
    _alike(x, x0, "ddim")
    return x0 + sigma_next / sigma * (x - x0)


@typed
def ddpm(
    x: Tensor, x0: Tensor, sigma: Tensor | float, sigma_next: Tensor | float, randn_like=torch.randn_like
) -> Tensor:
    """Ancestral step: a draw of x at sigma_next given x and x0 (1.8).

    Mean x0 + (sigma_next / sigma)**2 (x - x0), variance sigma_next**2 (1 - (sigma_next / sigma)**2).
    Source: Ho et al. (2020), eqs. (6) and (7), in these coordinates.
    """
    _alike(x, x0, "ddpm")
    ratio = (sigma_next / sigma) ** 2
    return x0 + ratio * (x - x0) + sigma_next * (1 - ratio).sqrt() * randn_like(x)


@typed
def euler_maruyama(
    x: Tensor, x0: Tensor, sigma: Tensor | float, sigma_next: Tensor | float, randn_like=torch.randn_like
) -> Tensor:
    """Step of the reverse stochastic equation, x + c (x0 - x) / sigma**2 + sqrt(c) xi (4.7).

    c = sigma**2 - sigma_next**2. Source: Song et al. (2021), as used by Corso et al. (2024) in the plane.
    """
    _alike(x, x0, "euler_maruyama")
    c = sigma**2 - sigma_next**2
    return x + c / sigma**2 * (x0 - x) + c.sqrt() * randn_like(x)


@typed
def langevin(x: Tensor, x0: Tensor, sigma: Tensor | float, tau: Tensor | float, randn_like=torch.randn_like) -> Tensor:
    """Correction step x + tau (x0 - x) + sqrt(2 tau) sigma xi (1.7), which stays at sigma; tau has no unit.

    Unadjusted: on a Gaussian it leaves the variance too large by a share of about tau / 2. Source: Song et al. (2021),
    alg. 4.
    """
    _alike(x, x0, "langevin")
    number(tau, "langevin: tau", 0)
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


def _per_level(values: Corrections | Tau, sigmas: Tensor, check: Callable, name: str) -> list:
    """One number for each level, from one number for all, a list of T, or a function of the level."""
    levels = sigmas[:-1]
    if callable(values):
        values = [values(sigma) for sigma in levels]
    elif isinstance(values, str) or not (isinstance(values, Sequence) or getattr(values, "ndim", 0)):
        values = [values] * len(levels)
    if len(values) != len(levels):
        raise ValueError(f"{name} must be one number, or one for each of the {len(levels)} levels, got {len(values)}.")
    values = values.tolist() if isinstance(values, Tensor) else values
    return [check(value, name, 0) for value in values]


def _levels(sigmas: Tensor, x: Tensor) -> Tensor:
    """The levels (T + 1,) on the CPU in the particles' dtype; raises ValueError where they do not decrease."""
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.ndim and len(x)):
        raise ValueError(f"trajectory: x must be a tensor (N, *shape) of floating-point numbers, got {shown(x)}.")
    sigmas = numeric(sigmas, "trajectory: sigmas").to(device="cpu", dtype=x.dtype)
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (sigmas[1:] < sigmas[:-1]).all() or sigmas[-1] < 0:
        raise ValueError("trajectory: sigmas must be at least two levels, strictly decreasing and not negative.")
    if sigmas[0].isinf():
        raise ValueError(f"trajectory: sigmas must be finite in the particles' {x.dtype}, got inf as the first.")
    return sigmas


@typed
def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    step: Step = ddim,
    corrections: Corrections = 0,
    tau: Tau = 0.05,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Iterator[State]:
    """The loop: at each level `corrections` Langevin steps (1.7), then a prediction step; yields a State per level.

    x (N, *shape) at sigmas[0]; sigmas (T + 1,) decreasing -> T states. corrections and tau are a number, T of them, or
    a function of the level. Levels stay on the CPU, where asking for one waits for no device. It obeys the caller's
    gradient mode. Raises ValueError for levels that do not decrease and FloatingPointError as soon as a particle is no
    longer finite: the one answer a level that the host waits for, so that the sentence names the level where it was.
    """
    sigmas = _levels(sigmas, x)
    counts = _per_level(corrections, sigmas, whole, "trajectory: corrections")
    taus = _per_level(tau, sigmas, number, "trajectory: tau")
    for sigma, sigma_next, count, own_tau in zip(sigmas[:-1], sigmas[1:], counts, taus, strict=True):
        for _ in range(count):
            x = langevin(x, denoiser(x, sigma), sigma, own_tau, randn_like)
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
    sigmas: Tensor | Sequence[float],
    step: Step = ddim,
    corrections: Corrections = 0,
    tau: Tau = 0.05,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
) -> Tensor:
    """The particles at the end of `trajectory`, without gradients, (N, *shape) -> (N, *shape)."""
    for state in trajectory(denoiser, x, sigmas, step, corrections, tau, randn_like):
        x = state.x
    return x


def first_half(sigmas: Tensor) -> tuple[list[int], Tensor]:
    """The thesis' Langevin sampler: `corrections` and `tau` by level, for levels (T + 1,) -> T numbers, (T,) float64.

    One correction at each of the first T // 2 levels, tau = 1 - sigma_next / sigma: a step sigma (sigma - sigma_next),
    as long as the prediction's. Unlike a small constant tau it adds noise that the model does not know of. Source:
    Pondaven (2023), with T = 20.
    """
    sigmas = numeric(sigmas, "first_half: sigmas").double()
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (sigmas[1:] < sigmas[:-1]).all() or not 0 <= sigmas[-1] < torch.inf:
        raise ValueError("first_half: sigmas must be at least two levels, strictly decreasing and not negative.")
    T = len(sigmas) - 1
    return [1] * (T // 2) + [0] * (T - T // 2), 1 - sigmas[1:] / sigmas[:-1]
