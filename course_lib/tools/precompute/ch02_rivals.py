"""Diffusion, GAN and VAE on the ring of ten modes: three learning rates, eight seeds each (chapter 2).

Every network that makes samples has three hidden layers of 64 and takes 4,000 Adam steps of 256 fresh samples. Seeds 0
to 4 are for the report; the learning rate is chosen on seeds 100 to 102, by the distance of the modes' shares to the
truth. About 25 minutes on one core.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from course_lib.denoisers import GaussianMixture, MLPDenoiser, ring
from course_lib.metrics import nearest_mode, on_mode
from course_lib.rivals import GAN, VAE, train_gan
from course_lib.samplers import geometric, sample
from course_lib.tools.precompute import save
from course_lib.training import denoising_loss, train

RATES, SEEDS = (0.001, 0.003, 0.01), (0, 1, 2, 3, 4, 100, 101, 102)
STEPS, BATCH, EVERY, N, CALLS = 4000, 256, 200, 2000, (1, 2, 5, 10, 20, 40)
HIGH, LOW, SIGMA_DATA = 5.0, 0.02, 0.71
RING = ring(10)
UNEQUAL = ring(10, weights=torch.tensor(5 * [0.02] + 5 * [0.18], dtype=torch.float64))


def counts(x: Tensor) -> Tensor:
    """Samples within 3 s of each mode, (N, 2) -> (10,); the rest is on none."""
    there = on_mode(x, RING.means, 3 * float(RING.s[0]))
    return torch.bincount(nearest_mode(x, RING.means)[there], minlength=10)


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
    """One run -> counts (checkpoints, 10), both losses averaged between checkpoints (checkpoints, 2), seconds, draw."""
    torch.manual_seed(seed)  # the first weights
    found, losses, sums, seconds, start = [], [], torch.zeros(2), 0.0, time.process_time()
    for step, (a, b, draw) in enumerate(family(law, rate, seed, **options), 1):
        sums += torch.tensor([a, b])
        if step % EVERY == 0:
            seconds += time.process_time() - start
            found.append(counts(draw(torch.Generator().manual_seed(seed))))
            losses.append(sums / EVERY)
            sums, start = torch.zeros(2), time.process_time()
    return {"counts": torch.stack(found), "losses": torch.stack(losses), "seconds": seconds, "draw": draw}


def main() -> None:
    """The sweep, then the extra runs at each family's best rate: unequal weights, controls, few calls."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    results, best = {"rates": RATES, "seeds": SEEDS, "calls": CALLS}, {}
    families = {
        "diffusion": (diffusion, {}),
        "gan": (gan, {}),
        "gan_momentum": (gan, {"betas": (0.9, 0.999)}),
        "vae": (vae, {}),
    }
    for name, (family, options) in families.items():
        runs = [[watch(family, RING, rate, seed, **options) for seed in SEEDS] for rate in RATES]
        for key in ("counts", "losses", "seconds"):
            results[f"{name}_{key}"] = torch.stack(
                [torch.stack([torch.as_tensor(r[key]) for r in row]) for row in runs]
            )
        best[name] = results[f"{name}_best"] = int(distance(results[f"{name}_counts"][:, 5:, -1]).mean(1).argmin())
        again = [watch(family, UNEQUAL, RATES[best[name]], seed, **options)["counts"][-1] for seed in SEEDS[:5]]
        results[f"{name}_unequal"] = torch.stack(again)
        if name == "diffusion":
            few = [
                [r["draw"](torch.Generator().manual_seed(s), T) for T in CALLS]
                for s, r in zip(SEEDS[:5], runs[best[name]])
            ]
            results["diffusion_calls"] = torch.stack([torch.stack([counts(x) for x in row]) for row in few])
    rate = RATES[best["diffusion"]]
    shuffled = [watch(diffusion, RING, rate, seed, shuffled=True)["counts"][-1] for seed in SEEDS[:5]]
    results["diffusion_shuffled"] = torch.stack(shuffled)
    wide = [watch(vae, RING, RATES[best["vae"]], seed, s=1.0) for seed in SEEDS[:5]]
    results["vae_wide"], results["vae_wide_losses"] = (
        torch.stack([r[k][-1] for r in wide]) for k in ("counts", "losses")
    )
    save("ch02_rivals", results)


if __name__ == "__main__":
    main()
