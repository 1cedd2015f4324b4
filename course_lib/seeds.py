"""Where sampling starts: one generator per particle, coupled noise, choosing among many, the length of a seed."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from course_lib.checks import finite, numeric, shaped, shown, typed, whole


class Noise:
    """Standard normal noise with one generator per particle, so that a seed belongs to a particle, not to a batch.

    seeds: one integer per particle. The i-th particle's draws depend on its own seed alone, bit for bit, whatever N.
    Drawn on the CPU and moved, so that a seed means the same on every device.
    """

    def __init__(self, seeds: Iterable[int], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float64):
        if isinstance(seeds, str | int) or not isinstance(seeds, Iterable):
            raise ValueError(f"Noise: seeds must name the particles one by one, as range(4) does, got {seeds!r}.")
        self.device, self.dtype = torch.device(device), dtype
        self.generators = [
            torch.Generator().manual_seed(whole(seed, "Noise: a seed", -(2**63), 2**64 - 1)) for seed in seeds
        ]
        if not self.generators:
            raise ValueError("Noise: seeds must name at least one particle, got none.")

    def randn(self, *shape: int) -> Tensor:
        """Noise for every particle, -> (N, *shape)."""
        shape = tuple(whole(size, "Noise: shape", 1) for size in shape)
        draws = [torch.randn(shape, generator=g, dtype=self.dtype) for g in self.generators]
        return torch.stack(draws).to(self.device)

    def randn_like(self, x: Tensor) -> Tensor:
        """Noise of the shape of x (N, *shape), for the samplers' `randn_like`; raises ValueError for another N."""
        if not isinstance(x, Tensor) or not x.is_floating_point() or not x.ndim:
            raise ValueError(f"Noise: x must be a tensor (N, *shape) of floating-point numbers, got {shown(x)}.")
        if len(x) != len(self.generators):
            raise ValueError(f"Noise: made for {len(self.generators)} particles, got {len(x)}; pass one seed each.")
        return self.randn(*x.shape[1:]).to(x)


def _seeds(z: Tensor, name: str, least: int = 1) -> Tensor:
    """Particles (N, *shape); raises ValueError for none, or one number in all."""
    if z.ndim < 2 or len(z) < least or 0 in z.shape[1:]:
        raise ValueError(f"{name} must be seeds (N, *shape), got {shown(z)}.")
    return z


@typed
def coupled(eps: Tensor) -> Tensor:
    """Noise that repels itself: sqrt(N / (N - 1)) (eps_i - mean eps) (4.13), (N, *shape) -> (N, *shape).

    Each row is still standard normal, and every pair has correlation -1 / (N - 1), the lowest N variables can share.
    Raises ValueError at N = 1. Source: Couple to Control (2026).
    """
    N = len(_seeds(eps, "coupled: eps", least=0))
    if N < 2:
        raise ValueError(f"coupled: needs at least 2 particles, got {N}; a single one has nothing to be coupled to.")
    return (N / (N - 1)) ** 0.5 * (eps - eps.mean(0))


@typed
def spawned(x: Tensor, n: int) -> Tensor:
    """n particles that start from each latent, siblings side by side as `Groups` wants them, (M, *shape) -> (M n, ..).

    Equal at first, at any level, they part by the noise that each draws for itself, in `ddpm` or in corrections, with a
    seed for each in `Noise`; `ddim` alone never parts them, and neither does a force, which is 0 between equals. Raises
    ValueError for n < 1. Source: Pondaven's (2023) public code.
    """
    whole(n, "spawned: n", 1)
    _seeds(x, "spawned: x")
    return x.repeat_interleave(n, 0)


@typed
def select_from_many(phi: Tensor, n: int, first: int = 0) -> Tensor:
    """Indices of n of M candidates, each the farthest from those taken before (4.14), (M, d) -> (n,).

    Greedy, deterministic, starting from `first`; ties go to the lowest index. Raises ValueError unless 1 <= n <= M and
    0 <= first < M. Source: Gonzalez (1985); as a baseline for samplers Parmar et al. (2026).
    """
    finite(shaped(phi, "select_from_many: phi", "(M, d)", 2, least=0), "select_from_many: phi")
    if not 1 <= n <= len(phi) or not 0 <= first < len(phi):
        raise ValueError(f"select_from_many: needs 1 <= n <= M and 0 <= first < M = {len(phi)}, got {n=}, {first=}.")
    phi = phi.to(torch.promote_types(phi.dtype, torch.float32))  # squares of a half may overflow
    chosen, distance = [first], (phi - phi[first]).square().sum(1)
    distance[first] = -1
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (phi - phi[chosen[-1]]).square().sum(1))
        distance[chosen] = -1  # a taken one is never taken again, even among coinciding candidates
    return torch.tensor(chosen, device=phi.device)


@typed
def chi_nll(z: Tensor) -> Tensor:
    """|z|**2 / 2 - (d - 1) log |z|: minus the log density of a seed's length, but for a constant (6.5), -> (N,).

    Its minimum is at |z| = sqrt(d - 1). In float64 on the CPU: in float32 its terms cancel to about .01 at d = 16,384.
    """
    finite(_seeds(z, "chi_nll: z"), "chi_nll: z")
    d, r2 = z[0].numel(), z.flatten(1).cpu().double().square().sum(1)
    if not (r2 > 0).all():
        raise ValueError("chi_nll: a seed of length 0 has no logarithm; draw another one.")
    return r2 / 2 - (d - 1) / 2 * r2.log()


@typed
def chi_score(z: Tensor) -> Tensor:
    """How many standard deviations a seed's length is off its mean, (|z| - E|z|) / sd (6.4), (N, *shape) -> (N,).

    E|z| = sqrt(2) Gamma((d + 1) / 2) / Gamma(d / 2), about sqrt(d - 1/2), with standard deviation about .707.
    In float64 and on the CPU.
    """
    d = finite(_seeds(z, "chi_score: z"), "chi_score: z")[0].numel()
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return (z.flatten(1).cpu().double().norm(dim=1) - mean) / math.sqrt(d - mean**2)


@typed
def gaussian_kl(z: Tensor) -> Tensor:
    """d KL(N(z_bar, s_z**2) | N(0, 1)), by a seed's coordinates (6.12), (N, *shape) -> (N,)."""
    flat = (
        finite(_seeds(z, "gaussian_kl: z"), "gaussian_kl: z").flatten(1).to(torch.promote_types(z.dtype, torch.float32))
    )
    mean, variance = flat.mean(1), flat.var(1, unbiased=False)
    if not (variance > 0).all():
        raise ValueError("gaussian_kl: a seed whose coordinates are all equal is infinitely far; draw another one.")
    return flat.shape[1] / 2 * (mean**2 + variance - 1 - variance.log())


@typed
def combined(z: Tensor, weights: Tensor | Sequence[float] | None = None) -> Tensor:
    """A seed made of several, sum_k w_k z_k / sqrt(sum_k w_k**2) (6.14), (K, *shape) -> (*shape).

    Again standard normal for independent seeds; their mean is too short by sqrt(K). Source: Bodin et al. (2024).
    """
    finite(_seeds(z, "combined: z"), "combined: z")
    w = torch.ones(len(z)) if weights is None else numeric(weights, "combined: weights").cpu()
    if w.ndim != 1 or len(w) != len(z) or not 0 < w.square().sum() < torch.inf:
        raise ValueError(f"combined: needs one weight for each of the {len(z)} seeds, not all 0, got {tuple(w.shape)}.")
    return torch.tensordot(w.to(z) / w.to(z).norm(), z, dims=1)
