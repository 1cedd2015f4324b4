"""Where sampling starts: one generator per particle, coupled noise, and choosing among many."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Noise:
    """Standard normal noise with one generator per particle, so that a seed belongs to a particle, not to a batch.

    seeds: one integer per particle. The i-th particle's draws depend on its own seed alone, bit for bit, whatever N.
    Drawn on the CPU and moved, so that a seed means the same on every device.
    """

    def __init__(self, seeds: Iterable[int], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float64):
        self.device, self.dtype = torch.device(device), dtype
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        if not self.generators:
            raise ValueError("Noise: seeds must name at least one particle, got none.")

    def randn(self, *shape: int) -> Tensor:
        """Noise for every particle, -> (N, *shape)."""
        draws = [torch.randn(shape, generator=g, dtype=self.dtype) for g in self.generators]
        return torch.stack(draws).to(self.device)

    def randn_like(self, x: Tensor) -> Tensor:
        """Noise of the shape of x (N, *shape), for the samplers' `randn_like`; raises ValueError for another N."""
        if len(x) != len(self.generators):
            raise ValueError(f"Noise: made for {len(self.generators)} particles, got {len(x)}; pass one seed each.")
        return self.randn(*x.shape[1:]).to(x)


def coupled(eps: Tensor) -> Tensor:
    """Noise that repels itself: sqrt(N / (N - 1)) (eps_i - mean eps) (4.13), (N, *shape) -> (N, *shape).

    Each row is still standard normal, and every pair has correlation -1 / (N - 1), the lowest N variables can share.
    Raises ValueError at N = 1. Source: Couple to Control (2026).
    """
    N = len(eps)
    if N < 2:
        raise ValueError(f"coupled: needs at least 2 particles, got {N}; a single one has nothing to be coupled to.")
    return (N / (N - 1)) ** 0.5 * (eps - eps.mean(0))


def select_from_many(phi: Tensor, n: int, first: int = 0) -> Tensor:
    """Indices of n of M candidates, each the farthest from those taken before (4.14), (M, d) -> (n,).

    Greedy, deterministic, starting from `first`; ties go to the lowest index. Raises ValueError unless 1 <= n <= M and
    0 <= first < M. Source: Gonzalez (1985); as a baseline for samplers Parmar et al. (2026).
    """
    if not 1 <= n <= len(phi) or not 0 <= first < len(phi):
        raise ValueError(f"select_from_many: needs 1 <= n <= M and 0 <= first < M = {len(phi)}, got {n=}, {first=}.")
    chosen, distance = [first], (phi - phi[first]).square().sum(1)
    distance[first] = -1
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (phi - phi[chosen[-1]]).square().sum(1))
        distance[chosen] = -1  # a taken one is never taken again, even among coinciding candidates
    return torch.tensor(chosen, device=phi.device)
