"""Diffusion, GAN and VAE on the ring of ten modes: a grid of learning rates, eleven seeds each (chapter 2).

Every network that makes samples has three hidden layers of 64 and takes 4,000 Adam steps of 256 fresh samples. Seeds 0
to 7 are for the report; the learning rate is chosen on seeds 100 to 102, by the distance of the modes' shares to the
truth. Each model's grid begins with three rates and grows by a factor of about three until its best lies inside. An
interrupted script goes on where it was. About forty minutes on one idle core.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from course_lib.denoisers import GaussianMixture, MLPDenoiser, ring
from course_lib.metrics import nearest_mode, on_mode
from course_lib.rivals import GAN, VAE, train_gan
from course_lib.samplers import geometric, sample
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.training import denoising_loss, train

LADDER, FIRST = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), slice(2, 5)  # all rates; those of every grid
REPORTED, CHOOSING = tuple(range(8)), (100, 101, 102)
SEEDS = REPORTED + CHOOSING
STEPS, BATCH, EVERY, N, CALLS = 4000, 256, 200, 2000, (1, 2, 5, 10, 20, 40)
HIGH, LOW, SIGMA_DATA = 5.0, 0.02, 0.71
RING = ring(10)
UNEQUAL = ring(10, weights=torch.tensor(5 * [0.02] + 5 * [0.18], dtype=torch.float64))


def counts(x: Tensor) -> Tensor:
    """Samples within 3 s of each mode, (N, 2) -> (10,); the rest is on none."""
    there = on_mode(x, RING.means, 3 * float(RING.s[0]))
    return torch.bincount(nearest_mode(x, RING.means)[there], minlength=10)


def in_gaps(x: Tensor) -> Tensor:
    """Share of samples more than 12 degrees from every mode, (N, 2) -> ()."""
    degrees = torch.atan2(x[:, 1], x[:, 0]).rad2deg()
    return (torch.remainder(degrees + 18, 36) - 18).abs().gt(12).double().mean()


def distance(found: Tensor) -> Tensor:
    """Total variation between the shares (mode 0, .., mode 9, none) and equal modes, (.., 10) -> (..,)."""
    share = torch.cat([found, N - found.sum(-1, keepdim=True)], -1) / N
    off = torch.exp(torch.tensor(-4.5))  # of a Gaussian in the plane beyond 3 s
    return (share - torch.cat([(1 - off).expand(10) / 10, off[None]])).abs().sum(-1) / 2


def diffusion(law: GaussianMixture, rate: float, seed: int, shuffled: bool = False, levels: int = 40) -> Iterator:
    """Steps of a denoiser's training, each -> (loss, loss, draw); `shuffled` pairs each x with another's x0."""
    g = torch.Generator().manual_seed(seed)
    net = MLPDenoiser(sigma_data=SIGMA_DATA)

    def batches():
        for _ in range(STEPS):
            u = torch.rand(BATCH, 1, generator=g)
            yield law.sample(BATCH, g), HIGH * (LOW / HIGH) ** u, torch.randn(BATCH, 2, generator=g)

    def loss_of(batch):
        x0, sigma, eps = batch
        if shuffled:
            return denoising_loss(lambda x, s: net(x.roll(1, 0), s), x0, sigma, eps, SIGMA_DATA)
        return denoising_loss(net, x0, sigma, eps, SIGMA_DATA)

    def draw(generator, T=levels):
        return sample(net, HIGH * torch.randn(N, 2, generator=generator), geometric(HIGH, LOW, T))

    for loss in train(loss_of, net.parameters(), batches(), rate):
        yield loss, loss, draw


def gan(law: GaussianMixture, rate: float, seed: int, betas: tuple[float, float] = (0.5, 0.999)) -> Iterator:
    """Steps of a GAN's training, each -> (L_C, L_G, draw)."""
    g = torch.Generator().manual_seed(seed)
    net = GAN()
    for loss_c, loss_g in train_gan(net, (law.sample(BATCH, g) for _ in range(STEPS)), rate, betas, generator=g):
        yield loss_c, loss_g, lambda generator: net.sample(N, generator)


def vae(law: GaussianMixture, rate: float, seed: int, s: float = 0.3) -> Iterator:
    """Steps of a VAE's training, each -> (loss, s, draw)."""
    g = torch.Generator().manual_seed(seed)
    net = VAE(s=s)
    batches = ((law.sample(BATCH, g), torch.randn(BATCH, 2, generator=g)) for _ in range(STEPS))
    for loss in train(lambda batch: net.loss(*batch), net.parameters(), batches, rate):
        yield loss, float(net.log_s.detach().exp()), lambda generator: net.sample(N, generator)


def watch(family: Callable, law: GaussianMixture, rate: float, seed: int, **options) -> dict:
    """One run: numbers at every checkpoint, seconds, draw.

    -> counts (checkpoints, 10) and gaps (checkpoints,), of a GAN also with other noise (counts_again, gaps_again);
    losses, both averaged between checkpoints, (checkpoints, 2).
    """
    torch.manual_seed(seed)  # the first weights
    noises = {"": seed, "_again": 10_000 + seed} if family is gan else {"": seed}
    found, sums, seconds, start = {"losses": []}, torch.zeros(2), 0.0, time.process_time()
    for step, (a, b, draw) in enumerate(family(law, rate, seed, **options), 1):
        sums += torch.tensor([a, b])
        if step % EVERY == 0:
            seconds += time.process_time() - start
            for again, noise in noises.items():
                x = draw(torch.Generator().manual_seed(noise))
                found.setdefault(f"counts{again}", []).append(counts(x))
                found.setdefault(f"gaps{again}", []).append(in_gaps(x))
            found["losses"].append(sums / EVERY)
            sums, start = torch.zeros(2), time.process_time()
    return {key: torch.stack(rows) for key, rows in found.items()} | {"seconds": seconds, "draw": draw}


FAMILIES = {
    "diffusion": (diffusion, {}),
    "gan": (gan, {}),
    "gan_momentum": (gan, {"betas": (0.9, 0.999)}),
    "vae": (vae, {}),
}


def run(name: str, rate: float, seed: int, law: GaussianMixture = RING, **options) -> dict[str, Tensor]:
    """What `watch` returns, with the samples behind its last counts, and a denoiser's counts after few CALLS."""
    family, own = FAMILIES[name]
    found = watch(family, law, rate, seed, **own, **options)
    draw, found["seconds"] = found.pop("draw"), torch.tensor(found["seconds"])
    found["samples"] = draw(torch.Generator().manual_seed(seed)).float()
    if name == "diffusion":
        found["calls"] = torch.stack([counts(draw(torch.Generator().manual_seed(seed), T)) for T in CALLS])
    return found


def runs(name: str, rate: float, seeds: tuple[int, ...] = SEEDS, kind: str = "", **options) -> dict[str, Tensor]:
    """`run` for each seed, stacked; `kind` names the files of runs with options."""
    folder = folder_of(__file__)
    made = [kept(folder, f"{name}-{kind}{rate:g}-{seed}", run_with, name, rate, seed, options) for seed in seeds]
    return {key: torch.stack([one[key] for one in made]) for key in made[0]}


def run_with(name: str, rate: float, seed: int, options: dict) -> dict[str, Tensor]:
    """`run` in double precision on one thread, however it is called."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    return run(name, rate, seed, **options)


def grid(name: str) -> tuple[list[float], int]:
    """A model's rates, and the place of its best among them: inside, unless the ladder ends."""
    low, high = FIRST.start, FIRST.stop
    while True:
        rates = LADDER[low:high]
        totals = [distance(runs(name, rate, CHOOSING)["counts"][:, -1]).mean() for rate in rates]
        best = int(torch.stack(totals).argmin())
        if best == 0 and low > 0:
            low -= 1
        elif best == len(rates) - 1 and high < len(LADDER):
            high += 1
        else:
            return list(rates), best


def main() -> None:
    """Each model's grid, then the extra runs at its best rate: unequal weights, controls, few calls."""
    torch.set_default_dtype(torch.float64)
    results = {"seeds": SEEDS, "calls": CALLS}
    for name in FAMILIES:
        rates, best = grid(name)
        rows = [runs(name, rate) for rate in rates]
        results |= {f"{name}_rates": rates, f"{name}_best": best}
        for key in rows[0].keys() - {"samples", "calls"}:
            results[f"{name}_{key}"] = torch.stack([row[key] for row in rows])
        at = rates[best]
        results[f"{name}_unequal"] = runs(name, at, REPORTED, "unequal-", law=UNEQUAL)["counts"][:, -1]
        if name == "diffusion":
            results["diffusion_calls"] = rows[best]["calls"][: len(REPORTED)]
            shuffled = runs(name, at, REPORTED, "shuffled-", shuffled=True)
            results["diffusion_shuffled"] = shuffled["counts"][:, -1]
        if name == "vae":
            wide = runs(name, at, REPORTED, "wide-", s=1.0)
            results |= {"vae_wide": wide["counts"][:, -1], "vae_wide_losses": wide["losses"][:, -1]}
    save("ch02_rivals", results)


if __name__ == "__main__":
    main()
