"""Flow matching as a denoiser: x_t = (1 - t) x0 + t eps is x = x0 + sigma eps at sigma = t / (1 - t), seen at a scale.

Time runs from 0 (data) to 1 (noise). A network that predicts the velocity v = eps - x0 becomes D(x, sigma), and from
there on nothing in the library knows that it was one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.checks import number, numeric, shown, typed, whole
from course_lib.denoisers import Denoiser

Velocity = Callable[[Tensor, Tensor], Tensor]  # v(x_t, t) -> mean of eps - x0

NO_SIGNAL = 2.0**20  # stands for the infinite noise level of t = 1, where x_t is noise alone
ROUNDING = 1e-12  # by which a computed time may pass 1


@typed
def level_of(t: Tensor | float) -> Tensor:
    """Noise level of a time, sigma = t / (1 - t) (18.2), shapes kept, float64; t = 1 gives 2**20 for infinity.

    Raises ValueError for times outside 0 to 1.
    """
    t = numeric(t, "level_of: t", torch.float64)
    if not ((t >= 0) & (t <= 1 + ROUNDING)).all():
        raise ValueError(f"level_of: t must be times from 0 (data) to 1 (noise), got {t.tolist()}.")
    t = t.clamp(max=1)
    return (t / (1 - t)).clamp(max=NO_SIGNAL)


@typed
def time_of(sigma: Tensor | float) -> Tensor:
    """Time of a noise level, t = sigma / (1 + sigma), the inverse of (18.2); shapes kept, float64.

    Raises ValueError for a level that is negative or not finite.
    """
    sigma = numeric(sigma, "time_of: sigma", torch.float64)
    if not ((sigma >= 0) & (sigma < torch.inf)).all():
        raise ValueError(f"time_of: sigma must be finite and not negative, got {sigma.tolist()}.")
    return sigma / (1 + sigma)


@typed
def denoiser_of(velocity: Velocity) -> Denoiser:
    """The denoiser of a velocity, D(x, sigma) = x_t - t v(x_t, t) (18.4).

    x_t = x / (1 + sigma) and t = sigma / (1 + sigma); velocity(x_t, t) -> (N, *shape), t with sigma's shape.
    Source: Lipman et al. (2023), in these coordinates.
    """

    def denoiser(x: Tensor, sigma: Tensor | float) -> Tensor:
        sigma = _level(x, sigma, "denoiser_of")
        x_t, t = x / (1 + sigma), sigma / (1 + sigma)
        return x_t - t * velocity(x_t, t)

    return denoiser


@typed
def velocity_of(denoiser: Denoiser) -> Velocity:
    """The velocity of a denoiser, v(x_t, t) = (x_t - D(x_t / (1 - t), t / (1 - t))) / t, the inverse of (18.4).

    Raises ValueError at t = 0, where the formula divides by zero, and at t = 1, where the noise level is infinite.
    """

    def velocity(x_t: Tensor, t: Tensor | float) -> Tensor:
        t = _level(x_t, t, "velocity_of")
        if not ((t > 0) & (t < 1)).all():
            raise ValueError("velocity_of: t must be times between 0 and 1, without the two ends.")
        return (x_t - denoiser(x_t / (1 - t), t / (1 - t))) / t

    return velocity


def _level(x: Tensor, level: Tensor | float, name: str) -> Tensor:
    """A level or time for all particles or one each, in x's dtype, where x is unless it is one number."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or not x.ndim:
        raise ValueError(f"{name}: x must be a tensor (N, *shape) of floating-point numbers, got {shown(x)}.")
    level = numeric(level, f"{name}: sigma or t", x.dtype)
    if not ((level >= 0) & (level < torch.inf)).all():
        raise ValueError(f"{name}: sigma or t must be finite and not negative.")
    if level.ndim and level.shape != (len(x), *[1] * (x.ndim - 1)):
        raise ValueError(f"{name}: sigma or t must be one number, or one for each particle, got {shown(level)}.")
    return level.to(x.device) if level.ndim else level


@typed
def flow_levels(T: int, shift: float = 1.0) -> Tensor:
    """T levels evenly spaced in time from t = 1, each times the shift, then 0 (18.6), -> (T + 1,) float64.

    The first is 2**20 for infinity, whatever the shift. Source: Esser et al. (2024), eq. (23), whose shift of the time
    is a factor of the noise level.
    """
    whole(T, "flow_levels: T", 1)
    number(shift, "flow_levels: shift", above=0)
    t = 1 - torch.arange(T + 1, dtype=torch.float64) / T
    return torch.cat([level_of(t[:1]), shift * level_of(t[1:])])


@typed
def flow_weight(sigma: Tensor) -> Tensor:
    """lambda = (1 + 1 / sigma)**2 for `denoising_loss`: the loss is then |v - (eps - x0)|**2 (18.3); shapes kept.

    Raises ValueError for a level that is not positive.
    """
    if not (sigma > 0).all():
        raise ValueError("flow_weight: sigma must be positive; without noise the weight is infinite.")
    return (1 + 1 / sigma) ** 2
