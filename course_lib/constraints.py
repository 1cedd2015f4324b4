"""Sampling that is told where to go and should stay on the manifold: steps made from steps, and CFG++ as a weight."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.checks import finite, gradients_allowed, number, numeric, shown, typed, whole
from course_lib.denoisers import Denoiser, jacobian
from course_lib.samplers import Step, ddpm

Loss = Callable[[Tensor], Tensor]  # x0 (N, *shape) -> one number per particle (N,)
Scale = float | Callable[[Tensor], float]


def _at(scale: Scale, sigma: Tensor) -> float:
    return scale(sigma) if callable(scale) else scale


def _gradient(loss: Loss, x0: Tensor) -> Tensor:
    """Gradient of each particle's loss at x0, which is taken as given, (N, *shape) -> (N, *shape)."""
    gradients_allowed("constraints", x0)
    with torch.enable_grad():
        x0 = x0.detach().requires_grad_()
        values = loss(x0)
        if not isinstance(values, Tensor) or values.shape != x0.shape[:1] or not values.requires_grad:
            raise ValueError(
                f"constraints: the loss must give one number per particle ({len(x0)},), computed from x0, got "
                f"{shown(values)}."
            )
        return torch.autograd.grad(values.sum(), x0)[0]


def _checked_scale(scale: Scale, name: str) -> None:
    if not callable(scale):
        number(scale, f"{name}: scale")


def _known(y: Tensor, mask: Tensor, name: str, **functions: Callable) -> None:
    """Raises ValueError unless y are finite numbers and the mask is of true and false, of the shape of one particle."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise ValueError(f"{name}: mask must be a tensor of true and false, got {shown(mask)}.")
    y = finite(numeric(y, f"{name}: y"), f"{name}: y")
    for which, function in functions.items():
        if not callable(function):
            raise ValueError(f"{name}: {which} must be a function, got {shown(function)}.")
    try:
        torch.broadcast_shapes(y.shape, mask.shape)
    except RuntimeError:
        shapes = f"{tuple(mask.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{name}: mask and y must have the shape of one particle, got {shapes}.") from None


@typed
def cfgpp_weight(lam: float, sigmas: Tensor | Sequence[float]) -> Callable[[Tensor], float]:
    """CFG++ as a weight for `cfg`: w(sigma) = lam / (1 - sigma_next / sigma) (5.6), for `ddim` on these levels.

    CFG++ takes x0 from D_u + lam (D_c - D_u) and its noise from D_u (5.5); on the ddim step that is guidance with this
    weight, so its strength changes with the number of steps. Raises ValueError outside the first T levels, and unless
    0 <= lam <= 1. Source: Chung et al. (2025); the weight is derived in chapter 5.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"cfgpp_weight: lam must be between 0 and 1, got {lam:g}.")
    sigmas = numeric(sigmas, "cfgpp_weight: sigmas").double().cpu()
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (sigmas[1:] < sigmas[:-1]).all() or not sigmas[-1] >= 0:
        raise ValueError("cfgpp_weight: sigmas must be at least two levels, strictly decreasing and not negative.")

    def weight(sigma: Tensor) -> float:
        i = (sigmas[:-1] - float(sigma)).abs().argmin()
        if abs(sigmas[i] - float(sigma)) > 1e-5 * sigmas[i]:
            raise ValueError(f"cfgpp_weight: {float(sigma):g} is none of its levels; pass it those that are sampled.")
        return lam / (1 - sigmas[i + 1] / sigmas[i]).item()

    return weight


@typed
def mpgd(
    step: Step,
    loss: Loss,
    scale: Scale,
    along: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
) -> Step:
    """A step that also moves x0 down the loss, x0 <- x0 - scale grad L(x0), and keeps the noise it had (5.7).

    No gradient passes through the network. `along` turns the gradient (see `tangent`), `project` brings the moved x0
    back to the manifold; without either, x0 leaves the manifold by as much as it is moved. With an autoencoder, pass
    loss = lambda x0: L(decode(encode(x0))), or use `mpgd_latent`. Source: He et al. (2024).
    """
    _checked_scale(scale, "mpgd")

    def moved(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
        push = _at(scale, sigma) * _gradient(loss, x0)
        push = push if along is None else along(push, x, sigma)
        target = x0 - push if project is None else project(x0 - push)
        return step(x, x0, sigma, sigma_next, randn_like) + target - x0

    return moved


@typed
def mpgd_latent(
    step: Step, loss: Loss, scale: Scale, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]
) -> Step:
    """MPGD in the latents of an autoencoder: z = E(x0) moves down L(Dec(z)), and x0 by Dec(z') - Dec(z) (5.7).

    What the autoencoder cannot reconstruct stays as it was. Source: He et al. (2024), the variant MPGD-Z.
    """
    _checked_scale(scale, "mpgd_latent")

    def moved(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
        with torch.no_grad():
            z = encode(x0)
        push = _at(scale, sigma) * _gradient(lambda latent: loss(decode(latent)), z)
        with torch.no_grad():
            shift = decode(z - push) - decode(z)
        return step(x, x0, sigma, sigma_next, randn_like) + shift

    return moved


@typed
def tangent(denoiser: Denoiser, k: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Projects vectors on the k leading eigenvectors of the denoiser's Jacobian (5.10), for `along` of `mpgd`.

    Called as (vectors (N, d), x (N, d), sigma) -> (N, d). Needs no knowledge of the manifold but its dimension k.
    """

    whole(k, "tangent: k")

    def projected(vectors: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        if x.ndim != 2 or not 1 <= k <= x.shape[1]:
            raise ValueError(f"tangent: k must be between 1 and d = {x.shape[1]}, got {k}.")
        J = jacobian(denoiser, x, sigma)
        basis = torch.linalg.eigh((J + J.mT) / 2)[1][..., -k:]  # (N, d, k)
        return (basis @ (basis.mT @ vectors[..., None]))[..., 0]

    return projected


@typed
def dps(step: Step, denoiser: Denoiser, loss: Loss, scale: Scale) -> Step:
    """A step followed by x <- x - scale grad_x L(D(x, sigma)), the gradient taken through the denoiser (5.8).

    The Jacobian of an exact denoiser is the covariance of x0 given x over sigma**2, so the push lies along the data by
    itself. One more call of the network with a backward pass. Source: Chung et al. (2023).
    """
    _checked_scale(scale, "dps")

    def moved(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
        push = _gradient(lambda point: loss(denoiser(point, sigma)), x)
        return step(x, x0, sigma, sigma_next, randn_like) - _at(scale, sigma) * push

    return moved


def replaced(step: Step, y: Tensor, mask: Tensor) -> Step:
    """A step after which the known coordinates (mask, of the shape of one particle) are y + sigma_next xi (5.9).

    Source: Song et al. (2021), on inpainting.
    """
    _known(y, mask, "replaced", step=step)

    def imposed(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
        x_next = step(x, x0, sigma, sigma_next, randn_like)
        return torch.where(mask, y + sigma_next * randn_like(x_next), x_next)

    return imposed


def mcg(denoiser: Denoiser, y: Tensor, mask: Tensor, scale: Scale = 1.0, step: Step = ddpm) -> Step:
    """Manifold-constrained gradient: a DPS push of the residual on the unknown coordinates, then y imposed (5.9).

    The push is scale grad |mask (y - D(x))|**2, for each particle its own. Source: Chung et al. (2022).
    """

    _known(y, mask, "mcg", denoiser=denoiser, step=step)
    _checked_scale(scale, "mcg")

    def residual(x0: Tensor) -> Tensor:
        return torch.where(mask, y - x0, torch.zeros_like(x0)).flatten(1).square().sum(1)

    def pushed(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor, randn_like=torch.randn_like) -> Tensor:
        push = _at(scale, sigma) * _gradient(lambda point: residual(denoiser(point, sigma)), x)
        return step(x, x0, sigma, sigma_next, randn_like) - torch.where(mask, torch.zeros_like(push), push)

    return replaced(pushed, y, mask)


def edited(denoiser: Denoiser, y: Tensor, mask: Tensor) -> Denoiser:
    """A denoiser whose estimate is y where the mask is true, and D's elsewhere (13.9): inpainting, to edit a picture.

    Shapes: y (N, *shape) or one particle's, mask of one particle. Unlike `replaced` it needs no noise of its own: the
    step carries the known part down with the noise it had. Source: Lugmayr et al. (2022), in these coordinates.
    """
    _known(y, mask, "edited", denoiser=denoiser)
    return lambda x, sigma: torch.where(mask.to(x.device), y.to(x), denoiser(x, sigma))
