"""Learning a denoiser: the loss and the loop."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from course_lib.denoisers import Denoiser


def denoising_loss(
    denoiser: Denoiser, x0: Tensor, sigma: Tensor, eps: Tensor, sigma_data: float | None = None
) -> Tensor:
    """Mean of lambda(sigma) |D(x0 + sigma eps, sigma) - x0|**2 over the batch (2.1).

    Shapes: (N, *shape), (N, 1, ..), (N, *shape) -> (). lambda is (sigma**2 + sigma_data**2) / (sigma sigma_data)**2,
    which weighs all levels alike, or 1 if sigma_data is None. Source: Vincent (2011); the weight by Karras et al.
    (2022), table 1.
    """
    error = (denoiser(x0 + sigma * eps, sigma) - x0).square()
    if sigma_data is not None:
        error = error * (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return error.mean()


def train(
    loss_of: Callable[[object], Tensor], parameters: Iterable[Tensor], batches: Iterable[object], lr: float = 1e-3
) -> Iterator[float]:
    """Adam on loss_of(batch), one step per batch; yields each loss.

    Raises FloatingPointError when the loss is not finite.
    """
    optimiser = torch.optim.Adam(list(parameters), lr=lr)
    for batch in batches:
        loss = loss_of(batch)
        if not loss.isfinite():
            raise FloatingPointError(f"train: the loss became {loss.item()}; lower the learning rate {lr:g}.")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()
