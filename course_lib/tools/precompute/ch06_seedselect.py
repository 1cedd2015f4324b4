"""SeedSelect in the plane and in 256 dimensions: success, spread, length and cost over seeds (chapter 6).

A ring of eight modes of radius 4 and width .15, one of them rare; 20 DDIM steps on Stable Diffusion's levels. About
half an hour on one core.
"""

import torch
from torch import Tensor

from course_lib import seeds
from course_lib.denoisers import GaussianMixture, ring
from course_lib.metrics import nearest_mode, on_mode
from course_lib.samplers import ddim, sample, scaled_linear, trajectory
from course_lib.seedselect import appearance, best_of, contrastive, over_last, sampler, seedselect, semantic
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.tools.precompute.ch01_rare_mode import trailing

SEEDS, N, S, RADIUS, WEIGHTS = 8, 100, 0.15, 4.0, (0.01, 0.001, 0.0001)
SIGMAS = scaled_linear(20)


def world(weight: float = 0.01) -> GaussianMixture:
    """The ring whose mode 0 has this weight."""
    return ring(8, radius=RADIUS, s=S, weights=torch.tensor([weight] + 7 * [(1 - weight) / 7], dtype=torch.float64))


RING = world()
RARE = RING.means[:1]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def references(seed: int) -> Tensor:
    """Five exact draws from the rare mode, -> (5, 2)."""
    return RARE + S * torch.randn(5, 2, generator=generator(1000 + seed), dtype=torch.float64)


CENTRES = torch.stack([references(seed).mean(0) for seed in range(SEEDS)]).repeat_interleave(N, 0)  # (SEEDS * N, 2)
STARTS = torch.cat([torch.randn(N, 2, generator=generator(seed), dtype=torch.float64) for seed in range(SEEDS)])
LOSS = appearance(CENTRES)


def near(x: Tensor) -> Tensor:
    return on_mode(x, RARE, 3 * S)


def spread(x: Tensor) -> Tensor:
    """Standard deviation per coordinate, -> ()."""
    return x.var(0).mean().sqrt() if len(x) > 2 else torch.tensor(torch.nan)


def judge(x: Tensor) -> Tensor:
    """Share within 3 s of the rare mode and spread of those, a row a seed, (SEEDS * N, 2) -> (SEEDS, 2)."""
    return torch.stack([torch.stack([near(one).double().mean(), spread(one[near(one)])]) for one in x.split(N)])


def recorded(run, z: Tensor, iterations: int, **options) -> tuple[Tensor, Tensor]:
    """Samples at every iteration (T, n, 2), and their losses (T, n)."""
    xs = []

    def watched(x: Tensor) -> Tensor:
        xs.append(x.detach())
        return LOSS(x)

    found = seedselect(run, z, watched, iterations, **options)
    return torch.stack(xs), found.history


def best_so_far(xs: Tensor, losses: Tensor) -> list[Tensor]:
    """The sample of the lowest loss up to each iteration, T times (n, 2)."""
    best, low, found = xs[0], losses[0], []
    for x, loss in zip(xs, losses):
        better = loss < low
        best, low = torch.where(better[:, None], x, best), torch.minimum(loss, low)
        found.append(best)
    return found


def over_iterations() -> dict:
    """Success and spread after 1 to 300 iterations, for the best seed and for the last, and at first arrival."""
    results = {}
    run = sampler(RING, SIGMAS)
    xs, losses = recorded(run, STARTS, 300)
    results["best"] = torch.stack([judge(x) for x in best_so_far(xs, losses)], 1)  # (SEEDS, 300, 2)
    results["last"] = torch.stack([judge(x) for x in xs], 1)
    there = near(xs.flatten(0, 1)).view(xs.shape[:2])[:100]
    first = torch.where(there.any(0), there.double().argmax(0), 99)
    results["early"] = judge(xs[first, torch.arange(len(first))])
    results["early_iterations"] = (first + 1).double().view(SEEDS, N)
    narrow = recorded(sampler(RING, trailing(20)), STARTS, 100)
    results["trailing_best"], results["trailing_last"] = judge(best_so_far(*narrow)[-1]), judge(narrow[0][-1])
    half = seedselect(run, STARTS, LOSS, 4)
    results["published_schedule"] = judge(run(seedselect(run, half.z, LOSS, 26, lr=0.01).z).detach())
    return results


def random_search(run, iterations: int, lr: float = 0.1) -> Tensor:
    """The same steps as Adam's largest, lr in every coordinate, in random directions; the best seed is kept."""
    g, z = generator(7), STARTS.clone()
    best, low = z, LOSS(run(z).detach())
    for _ in range(iterations - 1):
        z = z + lr * torch.randn(z.shape, generator=g).sign()
        loss = LOSS(run(z).detach())
        better = loss < low
        best, low = torch.where(better[:, None], z, best), torch.minimum(loss, low)
    return best


def variants() -> dict:
    """Other losses and other ways to hold the length, 100 iterations: (SEEDS, 3) with the longest seed."""
    results = {}
    run, last = sampler(RING, SIGMAS), sampler(RING, SIGMAS, keep=3)
    angle = lambda x: x / x.norm(dim=1, keepdim=True)  # noqa: E731
    other = RING.means[4].expand(len(STARTS), 2)
    ways = {
        "last_three": lambda: seedselect(last, STARTS, over_last(LOSS, (0.05, 0.25, 0.7)), 100).z,
        "chi": lambda: seedselect(run, STARTS, LOSS, 100, prior=seeds.chi_nll, weight=0.1).z,
        "renormalised": lambda: seedselect(run, STARTS, LOSS, 100, renormalise=True).z,
        "contrastive": lambda: seedselect(run, STARTS, contrastive(lambda x: x, RING.means, 0), 100).z,
        "angle": lambda: seedselect(run, STARTS, semantic(angle, angle(RARE)[0]), 100).z,
        "wrong_centroid": lambda: seedselect(run, STARTS, appearance(other), 100).z,
        "random": lambda: random_search(run, 100),
        "start": lambda: STARTS,
    }
    for name, way in ways.items():
        z = way()
        longest = z.view(SEEDS, N, 2).norm(dim=2).amax(1)
        results[name] = torch.cat([judge(run(z).detach()), longest[:, None]], 1)
    return results


def gaussian_share(mixture: GaussianMixture, n: int = 500, reach: float = 0.4) -> Tensor:
    """Gaussian measure of the seeds that end on mode 0, a wedge around angle 0, by a grid of lengths and angles."""
    r, theta = (torch.arange(n) + 0.5) / n * 7, ((torch.arange(n) + 0.5) / n * 2 - 1) * reach
    r, theta = torch.meshgrid(r, theta, indexing="ij")
    z = torch.stack([r * theta.cos(), r * theta.sin()], -1).flatten(0, 1)
    there = near(torch.cat([sample(mixture, SIGMAS[0] * one, SIGMAS) for one in z.split(20_000)])).view(n, n)
    if there[:, [0, -1]].any():
        raise ValueError("gaussian_share: the wedge is wider than the grid; raise reach.")
    return (r * torch.exp(-(r**2) / 2) * there).sum() * (7 / n) * (2 * reach / n) / (2 * torch.pi)


def costs() -> dict:
    """For each weight of the rare mode: share by luck, and success, iterations and spread of two ways to select."""
    results = {}
    for weight in WEIGHTS:
        mixture = world(weight)
        run = sampler(mixture, SIGMAS)
        candidates = torch.randn(16, len(STARTS), 2, generator=generator(50))
        for name, start, iterations in (("hybrid", best_of(run, LOSS, candidates), 30), ("alone", STARTS, 100)):
            found = seedselect(run, start, LOSS, iterations, stop=near)
            spent = found.iterations.double().view(SEEDS, N).mean(1, keepdim=True)
            results[f"{name}_{weight:g}"] = torch.cat([judge(run(found.z).detach()), spent], 1)
        results[f"luck_{weight:g}"] = gaussian_share(mixture)
    g, x = generator(99), []
    for _ in range(25):  # 1,300 plain samples of the rare mode, for its spread
        x.append(sample(RING, SIGMAS[0] * torch.randn(4000, 2, generator=g), SIGMAS, ddim))
    x = torch.cat(x)
    results["plain_spread"] = torch.stack([spread(one[near(one)]) for one in x[: len(x) // SEEDS * SEEDS].chunk(SEEDS)])
    return results


def high_dimension(d: int = 256, n: int = 20) -> dict:
    """The ring in the first 2 of 256 coordinates: success, length in standard deviations, distance of pairs."""
    results = {}
    embed = lambda x: torch.cat([x, torch.zeros(len(x), d - 2)], 1)  # noqa: E731
    mixture = GaussianMixture(embed(RING.means), S, RING.weights)
    run, rows = sampler(mixture, SIGMAS), {}
    ways = {
        "plain": None,
        "none": {},
        "chi": {"prior": seeds.chi_nll, "weight": 0.1},
        "chi_1": {"prior": seeds.chi_nll, "weight": 1.0},
        "renormalised": {"renormalise": True},
        "kl": {"prior": seeds.gaussian_kl, "weight": 0.1},
        "early": {"stop": lambda x: nearest_mode(x, mixture.means) == 0},
    }
    for seed in range(SEEDS):
        g = generator(seed)
        loss = appearance((embed(RARE) + S * torch.randn(5, d, generator=g)).mean(0))
        z = torch.randn(n, d, generator=g)
        x = run(z).detach()
        mode = nearest_mode(x, mixture.means)
        due = torch.pdist(x[mode == mode.mode().values]).mean()  # of the plain sampler, within its commonest mode
        for name, way in ways.items():
            found = z if way is None else seedselect(run, z, loss, 100, **way).z
            x = run(found).detach()
            x = x[nearest_mode(x, mixture.means) == 0]
            apart = torch.pdist(x).mean() / due if len(x) > 1 else torch.tensor(torch.nan)
            row = torch.stack([torch.tensor(len(x) / n), seeds.chi_score(found).mean(), apart])
            rows.setdefault(name, []).append(row)
    results.update({f"d256_{name}": torch.stack(row) for name, row in rows.items()})
    return results


def jacobians() -> dict:
    """Quantiles .05, .5, .95 and 1 of the largest singular value of dx / dz, on leading and on trailing levels."""
    results = {}
    for name, sigmas in (("leading", SIGMAS), ("trailing", trailing(20))):
        rows = []
        for seed in range(SEEDS):
            z = torch.randn(4000, 2, generator=generator(seed)).requires_grad_()
            x = sigmas[0] * z
            for state in trajectory(RING, x, sigmas):
                x = state.x
            columns = [torch.autograd.grad(x[:, i].sum(), z, retain_graph=True)[0] for i in range(2)]
            largest = torch.linalg.svdvals(torch.stack(columns, 1))[:, 0]
            rows.append(torch.quantile(largest, torch.tensor([0.05, 0.5, 0.95, 1.0])))
        results[f"jacobian_{name}"] = torch.stack(rows)
    return results


def main() -> None:
    """Every part in turn."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    folder, results = folder_of(__file__), {}
    for part in (jacobians, over_iterations, variants, costs, high_dimension):
        results |= kept(folder, part.__name__, part)
    save("ch06_seedselect", results)


if __name__ == "__main__":
    main()
