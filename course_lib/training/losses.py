"""What training minimises: the denoising loss and its weights, prior preservation, a distance to the manifold."""

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser

Weight = Callable[[Tensor], Tensor]  # lambda(sigma), the weight of a level


def denoising_loss(
    denoiser: Denoiser,
    x0: Tensor,
    sigma: Tensor,
    eps: Tensor,
    sigma_data: float | None = None,
    weight: Weight | None = None,
) -> Tensor:
    """Mean of lambda(sigma) |D(x0 + sigma eps, sigma) - x0|**2 over the batch (2.1).

    Shapes: (N, *shape), (N, 1, ..), (N, *shape) -> (), in float32 or better whatever the network's dtype. lambda is
    `weight`, or (sigma**2 + sigma_data**2) / (sigma sigma_data)**2, which weighs all levels alike, or 1 if neither is
    given. What a model was trained with: `epsilon_weight` for an epsilon model, sigma_data = 1 for a v model, `min_snr`
    for tiny. Raises ValueError for both at once. Source: Vincent (2011); the weight by Karras et al. (2022), table 1.
    """
    if weight is not None and sigma_data is not None:
        raise ValueError("denoising_loss: give weight or sigma_data, not both; each is a whole lambda(sigma).")
    error = (_wide(denoiser(x0 + sigma * eps, sigma)) - _wide(x0)).square()
    sigma = torch.as_tensor(sigma).to(error)
    if sigma_data is not None:
        error = error * (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    if weight is not None:
        error = error * weight(sigma)
    return error.mean()


def epsilon_weight(sigma: Tensor) -> Tensor:
    """lambda = 1 / sigma**2: the loss is then |eps_hat - eps|**2, as Stable Diffusion 2's epsilon model was trained.

    sigma_data = 1 weighs 1 + sigma**2 times as much, as for v. Shapes kept. Source: Ho et al. (2020), eq. (14).
    """
    return sigma**-2.0


def min_snr(gamma: float = 5.0) -> Weight:
    """lambda = min(1 / sigma**2, gamma): that of epsilon, cut off at low noise; tiny was trained with gamma = 5.

    1 / sigma**2 is the signal-to-noise ratio. Raises ValueError for gamma <= 0. Source: Hang et al. (2023), eq. (5).
    """
    if not gamma > 0:
        raise ValueError(f"min_snr: gamma must be positive, got {gamma}.")
    return lambda sigma: epsilon_weight(sigma).clamp(max=gamma)


def preserving(loss_of: Callable[[object], Tensor], prior_of: Callable[[object], Tensor], lam: float = 1.0) -> Callable:
    """Prior preservation: the loss on the new pictures plus lam times the loss on what the model drew before (7.4).

    Called with a pair (batch of the subject, batch of the class). Source: Ruiz et al. (2023), eq. (2).
    """
    if not lam >= 0:
        raise ValueError(f"preserving: lam must not be negative, got {lam:g}.")
    return lambda pair: loss_of(pair[0]) + lam * prior_of(pair[1])


def manifold_loss(
    denoiser: Denoiser, x0: Tensor, sigma: Tensor, eps: Tensor, distance2: Callable[[Tensor], Tensor], lam: float,
    gate: float = float("inf"),
) -> Tensor:  # fmt: skip
    """Mean of |D - x0|**2 + lam 1[sigma < gate] distance2(D) (5.11), x0 (N, *shape), sigma (N, 1, ..) -> ().

    Ungated it moves the minimum: at high noise D is a mean of many points and must lie off the manifold.
    """
    estimate, x0 = _wide(denoiser(x0 + sigma * eps, sigma)), _wide(x0)
    is_open = (sigma.reshape(len(x0)) < gate).to(x0.dtype)
    return ((estimate - x0).flatten(1).square().sum(1) + lam * is_open * distance2(estimate)).mean()


def _wide(x: Tensor) -> Tensor:
    """The same numbers in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
