"""The share that a mode of weight .01 gets from each sampler, over ten seeds of 100,000 samples (chapter 1).

A ring of eight modes of radius 4 and width .15, one of them of weight .01. About a quarter of an hour on one core.
"""

import torch
from torch import Tensor

from course_lib.denoisers import GaussianMixture, ring
from course_lib.metrics import nearest_mode
from course_lib.samplers import ddim, dpmpp_2m, karras, sample, scaled_linear
from course_lib.tools.precompute import save

SEEDS, N, CHUNK, STEPS = 10, 100_000, 4_000, (10, 20, 50, 200)
WEIGHTS = torch.tensor([0.01] + 7 * [0.99 / 7], dtype=torch.float64)
RING = ring(8, radius=4.0, s=0.15, weights=WEIGHTS)
PAIR = ring(2, radius=4.0, s=0.15, weights=torch.tensor([0.01, 0.99], dtype=torch.float64))
FINE = scaled_linear(200)


def trailing(T: int) -> Tensor:
    """Stable Diffusion's levels at evenly spaced timesteps counted down from the last one, then 0."""
    t = torch.arange(1000, 0, -1000 / T).round().long() - 1
    return torch.cat([scaled_linear(999).flip(0)[t], torch.zeros(1, dtype=torch.float64)])


def coarse_between(low: float, high: float) -> Tensor:
    """The 200 levels, but only those of the 10 between low and high."""
    coarse = scaled_linear(10)
    inside = coarse[(coarse >= low) & (coarse <= high)]
    outside = FINE[torch.logical_or(FINE.lt(low), FINE.gt(high))]
    return torch.cat([inside, outside]).unique().flip(0)


def shares(mixture: GaussianMixture, sigmas: Tensor, make_step=lambda: ddim, exact: bool = False, n: int = N) -> list:
    """Share of mode 0 and spread in the others, a row a seed; `exact` starts from noisy data, not from noise."""
    rows = []
    for seed in range(SEEDS):
        g, other = (torch.Generator().manual_seed(number) for number in (seed, 1000 + seed))
        hit, square, count = 0, 0.0, 0
        for _ in range(n // CHUNK):  # the same noise for both starts, so that their difference is measured well
            x = sigmas[0] * torch.randn(CHUNK, 2, generator=g, dtype=torch.float64)
            x = sample(mixture, x + mixture.sample(CHUNK, other) if exact else x, sigmas, make_step())
            mode = nearest_mode(x, mixture.means)
            rest = x[mode != 0] - mixture.means[mode[mode != 0]]
            hit, square, count = hit + (mode == 0).sum(), square + rest.square().sum(), count + rest.numel()
        rows.append([float(hit) / n, float(square / count) ** 0.5])
    return rows


def main() -> None:
    """Every cell of the table -> arrays (SEEDS, 2): share, spread."""
    torch.set_num_threads(1)
    results = {}
    for T in STEPS:
        for start in ("noise", "exact"):
            results[f"ddim_{T}_{start}"] = shares(RING, scaled_linear(T), exact=start == "exact")
            if T < 200:
                results[f"dpmpp_{T}_{start}"] = shares(RING, scaled_linear(T), dpmpp_2m, exact=start == "exact")
        results[f"trailing_{T}_noise"] = shares(RING, trailing(T))
        if T < 200:
            results[f"karras_{T}_noise"] = shares(RING, karras(float(FINE[0]), float(FINE[-1]), T))
            results[f"pair_{T}_exact"] = shares(PAIR, scaled_linear(T), exact=True)
    results["trailing_dpmpp_20_noise"] = shares(RING, trailing(20), dpmpp_2m)
    for low, high in ((3.0, 99.0), (0.7, 3.0), (0.0, 0.7)):
        results[f"band_{low:g}_{high:g}"] = shares(RING, coarse_between(low, high), exact=True, n=40_000)
    save("ch01_rare_mode", results)


if __name__ == "__main__":
    main()
