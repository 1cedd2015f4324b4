"""SeedSelect: gradients through the sampler choose a seed, and nothing else of the model changes."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from course_lib.denoisers import Denoiser
from course_lib.samplers import Step, ddim, trajectory

Loss = Callable[[Tensor], Tensor]  # samples (N, *shape) -> one number per particle (N,)


def checkpointed(denoiser: Denoiser) -> Denoiser:
    """The same denoiser, whose activations are computed again in the backward pass instead of being kept.

    Gradients are equal bit for bit, and the memory of a run no longer grows with the network's activations times the
    number of steps; each step costs one more forward pass. Source: Chen et al. (2016).
    """
    return lambda x, sigma: checkpoint(denoiser, x, sigma, use_reentrant=False)


def sampler(
    denoiser: Denoiser,
    sigmas: Tensor,
    start: Callable[[Tensor], Tensor] | None = None,
    step: Step = ddim,
    keep: int = 1,
) -> Callable[[Tensor], Tensor]:
    """The map from seeds to samples z -> x (6.1), differentiable, each step checkpointed; (N, *shape) -> the same.

    `start` makes the first particles of a seed, sigmas[0] z if None. With keep > 1 it gives the last `keep` particles
    of the trajectory, (keep, N, *shape), for a loss over the last steps (6.9).
    """
    if not 1 <= keep < len(sigmas):
        raise ValueError(f"sampler: keep must be between 1 and the {len(sigmas) - 1} steps, got {keep}.")
    replayed = checkpointed(denoiser)

    def run(z: Tensor) -> Tensor:
        x = sigmas[0].to(z) * z if start is None else start(z)
        last = deque((state.x for state in trajectory(replayed, x, sigmas, step)), maxlen=keep)
        return last[-1] if keep == 1 else torch.stack(tuple(last))

    return run


def semantic(encode: Callable[[Tensor], Tensor], centroid: Tensor, distance: str = "euclidean") -> Loss:
    """Distance of each sample's features to a centroid (d,), |mu_v - v| or 1 - cos (6.6), (N, *shape) -> (N,).

    Source: Samuel et al. (2024) use the Euclidean one, their code the cosine.
    """
    if distance not in ("euclidean", "cosine"):
        raise ValueError(f"semantic: distance must be euclidean or cosine, got {distance!r}.")

    def loss(x: Tensor) -> Tensor:
        v = encode(x)
        if distance == "cosine":
            return 1 - torch.cosine_similarity(v, centroid.expand_as(v), dim=-1)
        return (v - centroid).square().sum(-1).clamp(min=1e-24).sqrt()

    return loss


def appearance(centroid: Tensor) -> Loss:
    """Distance of each sample to the mean of the references in the sampled space (6.7), (N, *shape) -> (N,)."""
    return lambda x: (x - centroid).flatten(1).square().sum(1).clamp(min=1e-24).sqrt()


def contrastive(encode: Callable[[Tensor], Tensor], centroids: Tensor, own: int) -> Loss:
    """Minus the log probability of the own class under a softmax of minus the distances (6.10), centroids (C, d).

    Pulls towards one concept and away from the others. Source: Samuel et al. (2024), eq. for several classes.
    """
    if not 0 <= own < len(centroids):
        raise ValueError(f"contrastive: own must be one of the {len(centroids)} classes, got {own}.")
    return lambda x: -(-torch.cdist(encode(x), centroids)).log_softmax(1)[:, own]


def over_last(loss: Loss, weights: Sequence[float]) -> Loss:
    """Weighted sum of a loss over the last steps of a trajectory (6.9), (k, N, *shape) -> (N,)."""

    def total(xs: Tensor) -> Tensor:
        if len(xs) != len(weights):
            raise ValueError(f"over_last: needs one weight for each of the {len(xs)} kept steps, got {len(weights)}.")
        return sum(weight * loss(x) for weight, x in zip(weights, xs))

    return total


def bootstrap_centroid(references: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Mean of `size` references drawn with replacement (6.11), (n, *shape) -> (*shape)."""
    if size < 1:
        raise ValueError(f"bootstrap_centroid: size must be at least 1, got {size}.")
    return references[torch.randint(len(references), (size,), generator=generator)].mean(0)


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
    lr: float = 0.1,
    prior: Loss | None = None,
    weight: float = 0.1,
    renormalise: bool = False,
    stop: Callable[[Tensor], Tensor] | None = None,
) -> Selected:
    """Adam on the seeds z alone, minimising loss(run(z)) + weight prior(z); keeps each particle's best seed (6.8).

    `run` maps seeds to samples (see `sampler`); the network's weights stay as they are. `prior` (chi_nll, gaussian_kl)
    or `renormalise` (back to the first length after every step) keeps seeds on the shell. A particle at which
    stop(samples) (N,) is true keeps that seed. Losses are summed over particles, so that none sees the others' number.
    Raises FloatingPointError for a loss that is not finite. Source: Samuel et al. (2024), without weight decay.
    """
    if iterations < 1 or not lr > 0:
        raise ValueError(f"seedselect: needs iterations >= 1 and lr > 0, got {iterations} and {lr:g}.")
    z = z.detach().clone().requires_grad_()
    column = (-1, *[1] * (z.ndim - 1))
    length = z.detach().flatten(1).norm(dim=1).reshape(column)
    optimiser, best = torch.optim.Adam([z], lr=lr), _Best(z)
    for _ in range(iterations):
        x = run(z)
        values = loss(x)
        if not values.isfinite().all():
            raise FloatingPointError(f"seedselect: the loss became {values.detach().tolist()}; lower lr = {lr:g}.")
        total = values if prior is None else values + weight * prior(z)
        best.offer(z, values, total, None if stop is None else stop(x.detach()))
        if best.stopped.all():
            break
        optimiser.zero_grad()
        total.sum().backward()
        optimiser.step()
        if renormalise:
            with torch.no_grad():
                z.mul_(length / z.flatten(1).norm(dim=1).reshape(column))
    return Selected(best.z, best.loss, torch.stack(best.history), torch.stack(best.running).sum(0))


class _Best:
    """Each particle's seed of the lowest total so far, or the one at which it stopped."""

    def __init__(self, z: Tensor):
        self.z, self.loss, self.total = z.detach().clone(), None, None
        self.stopped = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        self.history, self.running = [], []

    def offer(self, z: Tensor, loss: Tensor, total: Tensor, arrived: Tensor | None) -> None:
        """Take over the particles that are better than before; those that arrived are taken as they are, and stop."""
        loss, total = loss.detach(), total.detach()
        if self.total is None:
            self.loss, self.total = loss, torch.full_like(total, torch.inf)
        arrived = torch.zeros_like(self.stopped) if arrived is None else arrived & ~self.stopped
        better = ((total < self.total) | arrived) & ~self.stopped
        self.z = torch.where(better.reshape(-1, *[1] * (z.ndim - 1)), z.detach(), self.z)
        self.loss, self.total = torch.where(better, loss, self.loss), torch.where(better, total, self.total)
        self.history.append(loss)
        self.running.append(~self.stopped)
        self.stopped = self.stopped | arrived


@torch.no_grad()
def best_of(run: Callable[[Tensor], Tensor], loss: Loss, candidates: Tensor) -> Tensor:
    """The best seed of M for each particle, tried without gradients, (M, N, *shape) -> (N, *shape)."""
    values = torch.stack([loss(run(z)) for z in candidates])  # (M, N)
    return candidates[values.argmin(0), torch.arange(candidates.shape[1])]


def success_of_best(loss: Tensor, hit: Tensor, n: int) -> float:
    """Chance that the best of n candidates is a hit (11.7), candidates drawn from M without replacement.

    loss (M,) ranks the candidates, hit (M,) says which are hits. The k-th of all M in the order of the loss is the best
    of n in C(M - k, n - 1) of C(M, n) draws, so no draw has to be made. Raises ValueError unless 1 <= n <= M.
    """
    M = len(loss)
    if not 1 <= n <= M:
        raise ValueError(f"success_of_best: needs 1 <= n <= M = {M}, got {n}.")
    k = torch.arange(1, M - n + 2, dtype=torch.float64)  # places that the best of n can have
    log_ways = torch.lgamma(M - k + 1) - torch.lgamma(M - k - n + 2) - math.lgamma(n)
    log_all = math.lgamma(M + 1) - math.lgamma(M - n + 1) - math.lgamma(n + 1)
    ranked = hit[loss.argsort(stable=True)][: len(k)].double()
    return float(((log_ways - log_all).exp() * ranked).sum())
