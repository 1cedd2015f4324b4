"""What a seed is chosen by: distances of samples to references, by meaning, by appearance, over the last steps."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.seedselect.sampling import checkpointed

Loss = Callable[[Tensor], Tensor]  # samples (N, *shape) -> one number per particle (N,)


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def semantic(
    encode: Callable[[Tensor], Tensor],
    centroid: Tensor,
    distance: str = "euclidean",
    half: torch.dtype | None = None,
) -> Loss:
    """Distance of each sample's features to a centroid (d,), |mu_v - v| or 1 - cos (6.6), (N, *shape) -> (N,).

    `encode`, a decoder and an image encoder say, is checkpointed: its graph is built after the sampler's run and gone
    before the first step is run again, in `half` where there is one (see `checkpointed`). Distances are in float32 or
    better. Source: Samuel et al. (2024) use the Euclidean distance, their code the cosine.
    """
    if distance not in ("euclidean", "cosine"):
        raise ValueError(f"semantic: distance must be euclidean or cosine, got {distance!r}.")
    encode, centroid = checkpointed(encode, half), wide(centroid)

    def loss(x: Tensor) -> Tensor:
        v = wide(encode(x))
        if distance == "cosine":
            return 1 - torch.cosine_similarity(v, centroid.to(v.device).expand_as(v), dim=-1)
        return (v - centroid.to(v.device)).square().sum(-1).clamp(min=1e-24).sqrt()

    return loss


def appearance(centroid: Tensor) -> Loss:
    """Distance of each sample to the mean of the references in the sampled space (6.7), (N, *shape) -> (N,)."""
    return lambda x: (wide(x) - centroid.to(x.device)).flatten(1).square().sum(1).clamp(min=1e-24).sqrt()


def contrastive(
    encode: Callable[[Tensor], Tensor], centroids: Tensor, own: int, half: torch.dtype | None = None
) -> Loss:
    """Minus the log probability of the own class under a softmax of minus the distances (6.10), centroids (C, d).

    Pulls towards one concept and away from the others. `half` is that of `checkpointed`. Source: Samuel et al. (2024),
    eq. for several classes.
    """
    if not 0 <= own < len(centroids):
        raise ValueError(f"contrastive: own must be one of the {len(centroids)} classes, got {own}.")
    encode, centroids = checkpointed(encode, half), wide(centroids)

    def loss(x: Tensor) -> Tensor:
        v = wide(encode(x))
        return -(-torch.cdist(v, centroids.to(v.device))).log_softmax(1)[:, own]

    return loss


def over_last(loss: Loss, weights: Sequence[float]) -> Loss:
    """Weighted sum of a loss over the last steps of a trajectory (6.9), (k, N, *shape) -> (N,)."""

    def total(xs: Tensor) -> Tensor:
        if len(xs) != len(weights):
            raise ValueError(f"over_last: needs one weight for each of the {len(xs)} kept steps, got {len(weights)}.")
        return sum(weight * loss(x) for weight, x in zip(weights, xs))

    return total


def as_released(
    encode: Callable[[Tensor], Tensor],
    features: Tensor,
    latents: Tensor,
    lam: float = 10.0,
    weights: Sequence[float] = (0.05, 0.25, 0.7),
    half: torch.dtype | None = None,
) -> Loss:
    """lam times the semantic loss by cosine over the last steps (6.9), plus the mean squared error of latents (11.8).

    features (d,) and latents (*shape) are the references' means, (k, N, *shape) -> (N,). Take for `latents` references
    with the thing in one place: the mean of others is a blur. `half` is that of `checkpointed`. Raises ValueError for
    lam < 0, or steps without a weight.
    Source: the released code of Samuel et al. (2024); the paper weighs the two by lambda and 1 - lambda, and does not
    say which lambda.
    """
    if not 0 <= lam < math.inf:
        raise ValueError(f"as_released: lam must be finite and not negative, got {lam}.")
    meaning, latents = over_last(semantic(encode, features, "cosine", half), weights), wide(latents)

    def total(xs: Tensor) -> Tensor:
        if xs.ndim != latents.ndim + 2:
            raise ValueError(f"as_released: needs samples of the last steps, sampler(keep=..), got {tuple(xs.shape)}.")
        return lam * meaning(xs) + (wide(xs[-1]) - latents.to(xs.device)).flatten(1).square().mean(1)

    return total


def bootstrap_centroid(references: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Mean of `size` references drawn with replacement (6.11), (n, *shape) -> (*shape)."""
    if size < 1:
        raise ValueError(f"bootstrap_centroid: size must be at least 1, got {size}.")
    return references[torch.randint(len(references), (size,), generator=generator)].mean(0)
