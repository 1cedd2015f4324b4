"""SeedSelect: gradients through the sampler choose a seed, and nothing else of the model changes.

In half precision (`benchmarks/half_gradients.py`: `tiny`, 12 steps, weight 3, eight seeds, four prompts, two losses). A
network of float16, which `StableDiffusion.load` takes on a GPU, gives gradients whose pooled cosine to float32's is
.9996 and more. A network of bfloat16 gives .78 to 1.00: its three digits move the samples, and a seed at the border of
two outcomes may be turned round (-.99 was seen on another processor). What may be computed in three digits is the way
back: with `half=torch.bfloat16` in `sampler` and in the loss, and a network of float32, the samples stay float32's, and
the cosine is .999 and more. Of Stable Diffusion 2 on 512 pixels a level's activations fall from 2.9 to 1.5 GB a picture
with guidance, the decoder's from 6.0 to 3.0, and autocast's copies of the weights need 1.6 GB once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.seedselect.losses import Loss, wide

LARGEST_SCALE = 2.0**16  # what a loss is multiplied by before its gradient is taken


class Selected(NamedTuple):
    """What SeedSelect found: the best seeds (N, *shape), their losses (N,), and the losses of all iterations (T, N)."""

    z: Tensor
    loss: Tensor
    history: Tensor
    iterations: Tensor  # (N,) iterations until a particle stopped


def seedselect(
    run: Callable[[Tensor], Tensor],
    z: Tensor,
    loss: Loss,
    iterations: int = 30,
    lr: float | Sequence[float] = 0.1,
    prior: Loss | None = None,
    weight: float = 0.1,
    renormalise: bool = False,
    stop: Callable[[Tensor], Tensor] | None = None,
    chunk: int | None = None,
    decay: float = 0.0,
) -> Selected:
    """Adam on the seeds z alone, minimising loss(run(z)) + weight prior(z); keeps each particle's best seed (6.8).

    `run` maps seeds to samples (see `sampler`); the network's weights stay as they are. `lr` is one rate or one for
    each iteration, and `decay` AdamW's: a step first shrinks the seeds by lr decay. `prior` (chi_nll, gaussian_kl) or
    `renormalise` (back to the first length after every step) keeps seeds on the shell. A particle at which
    stop(samples) (N,) is true keeps that seed; of several kept steps it sees the last. Losses are summed over
    particles, so that none sees the others' number, and at most `chunk` particles at a time need memory. Seeds and
    losses are float32 or better, the network may be a half: each particle's loss is multiplied by a power of two, which
    changes no other number but keeps a float16 network's gradient from vanishing, and again by a smaller one where it
    overflows. Raises FloatingPointError for a loss or gradient that is not finite. Source: Samuel et al. (2024); their
    code has three rates of .1, then .01, and AdamW's decay .01.
    """
    rates = _checked(z, iterations, lr, chunk, decay)
    z = wide(z.detach()).clone().requires_grad_()
    length, columns = _length(z), (-1, *[1] * (z.ndim - 1))
    optimiser, best, history = torch.optim.AdamW([z], weight_decay=decay), _Best(z), []
    objective = _Objective(run, loss, prior, weight, stop)
    scale = torch.full((len(z),), LARGEST_SCALE, device=z.device)
    for iteration, rate in enumerate(rates):
        optimiser.param_groups[0]["lr"] = rate
        parts = zip(z.detach().split(chunk or len(z)), scale.split(chunk or len(z)))
        found = [objective(part, own, iteration, rate) for part, own in parts]
        values, total, arrived, z.grad, scale = (torch.cat(pieces) for pieces in zip(*found))
        history.append(values)
        best.update(z.detach(), values, total, arrived)
        if best.stopped.all():
            break
        optimiser.step()
        if renormalise:
            with torch.no_grad():
                z.mul_((length / _length(z)).reshape(columns))
    return Selected(best.z, best.loss, torch.stack(history), best.iterations)


def _checked(z: Tensor, iterations: int, lr: float | Sequence[float], chunk: int | None, decay: float) -> list[float]:
    """The rate of each iteration, after the arguments have been looked at."""
    rates = [float(rate) for rate in lr] if isinstance(lr, Sequence) else [float(lr)] * iterations
    if iterations < 1 or len(rates) != iterations or not all(0 < rate < math.inf for rate in rates):
        raise ValueError(
            f"seedselect: needs iterations >= 1 and lr > 0, got {iterations} and {lr}; of rates one an iteration."
        )
    if not 0 <= decay < math.inf:
        raise ValueError(f"seedselect: decay must be finite and not negative, got {decay}.")
    if not z.is_floating_point() or z.ndim < 2 or len(z) < 1:
        raise ValueError(f"seedselect: z must be real seeds (N, *shape), N >= 1, got {tuple(z.shape)} of {z.dtype}.")
    if chunk is not None and chunk < 1:
        raise ValueError(f"seedselect: chunk must be at least 1, got {chunk}; None is everything at once.")
    return rates


def _length(z: Tensor) -> Tensor:
    """Length of each seed, (N, *shape) -> (N,)."""
    return z.detach().flatten(1).norm(dim=1)


@dataclass(frozen=True)
class _Objective:
    """What is minimised for some particles, and its gradient with respect to their seeds."""

    run: Callable[[Tensor], Tensor]
    loss: Loss
    prior: Loss | None
    weight: float
    stop: Callable[[Tensor], Tensor] | None

    def __call__(self, z: Tensor, scale: Tensor, iteration: int, lr: float) -> tuple[Tensor, ...]:
        """Losses, totals, whether they arrived, gradients, and the scales that gave them; each (N,) but (N, *shape)."""
        advice = (
            f"lower lr = {lr:g}" if iteration else "no step has been taken yet, so look at the samples and the loss"
        )
        while True:
            values, total, arrived, slope = self._scaled(z, scale)
            if not total.isfinite().all():
                raise FloatingPointError(f"seedselect: the loss became {total.tolist()}; {advice}.")
            overflown = ~slope.flatten(1).isfinite().all(1)
            if not overflown.any():
                return values, total, arrived, slope, scale
            scale = torch.where(overflown, scale / 16, scale)
            if scale.min() < 1:
                raise FloatingPointError(f"seedselect: the gradient is not finite; {advice}.")

    def _scaled(self, z: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Losses, totals, arrivals and gradients, these taken of scale times the total and divided by it again."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            x = self.run(z)
            values = wide(self.loss(x)).to(z.device)
            if values.shape != (len(z),):
                raise ValueError(
                    f"seedselect: the loss must give one number for each of the {len(z)} particles, got "
                    f"{tuple(values.shape)}; losses of several kept steps need over_last."
                )
            total = values
            if self.prior is not None:
                prior = self.prior(z)  # its terms cancel, and so it may be in float64 and on the CPU
                total = values.to(prior) + self.weight * prior
            (slope,) = torch.autograd.grad((scale.to(total) * total).sum(), z)
        slope = slope / scale.to(slope).reshape(-1, *[1] * (z.ndim - 1))
        return values.detach(), total.detach(), self._arrived(x.detach(), z), slope

    def _arrived(self, x: Tensor, z: Tensor) -> Tensor:
        """Whether each particle may stop, by its last sample, (N, *shape) or (keep, N, *shape) -> (N,) bool."""
        if self.stop is None:
            return torch.zeros(len(z), dtype=torch.bool, device=z.device)
        arrived = torch.as_tensor(self.stop(x[-1] if x.shape[1:] == z.shape else x), device=z.device)
        if arrived.shape != (len(z),):
            raise ValueError(f"seedselect: stop must give one answer for each of {len(z)}, got {tuple(arrived.shape)}.")
        return arrived.bool()


class _Best:
    """Each particle's seed of the lowest total so far, or the one at which it stopped."""

    def __init__(self, z: Tensor):
        self.z = z.detach().clone()
        self.loss = torch.full((len(z),), torch.inf, device=z.device)
        self.total = torch.full((len(z),), torch.inf, dtype=torch.float64)  # on the CPU, see `_scaled`
        self.stopped = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        self.iterations = torch.zeros(len(z), dtype=torch.long, device=z.device)  # until it stopped

    def update(self, z: Tensor, loss: Tensor, total: Tensor, arrived: Tensor) -> None:
        """Takes the seeds that are better than before, and those that have arrived, of particles still running."""
        running = ~self.stopped
        total = torch.where(running.cpu(), total.cpu().double(), torch.inf)
        taken = running & (arrived | (total < self.total).to(z.device))
        self.z = torch.where(taken.reshape(-1, *[1] * (z.ndim - 1)), z, self.z)
        self.loss = torch.where(taken, loss, self.loss.to(loss))
        self.total = torch.minimum(total, self.total)
        self.iterations += running
        self.stopped = self.stopped | arrived
