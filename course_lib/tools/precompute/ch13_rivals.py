"""A GAN, a VAE, a diffusion model, and diffusion in the latents of two autoencoders, on the digits (chapter 13).

All are conditional on the digit, made of three hidden layers, see the same training part, and train for about the same
time, four seconds of one core, since a GAN's step costs more than twice a denoiser's; eight seeds each. A
reader that never saw the models says which digit a sample shows. Beside it: the spread within a digit, as a share of
the test part's. The rules, written before any run was made, for pairs of one seed, one-sided 1 %:

* diffusion obeys the asked digit more often than the GAN;
* diffusion spreads more within a digit than the GAN;
* latents whose autoencoder was regularised give samples that obey more often than those that were not.

About four minutes on one core.
"""

import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from course_lib.denoisers import MLPDenoiser
from course_lib.rivals import critic_loss, generator_loss, kl, mlp
from course_lib.samplers import karras, sample
from course_lib.small_pictures import digits, parts_of
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.training import denoising_loss, train

SEEDS, BATCH, WIDTH, D_Z, N, CHECKS = 8, 128, 128, 8, 500, 10
STEPS = {"GAN": 1000, "VAE": 1400, "diffusion": 2000, "autoencoder": 1000}  # about four seconds each
KL = {"plain": 0.0, "light": 0.001}  # weight beside the squared error of one number
PICTURES, LABELS = digits()
PARTS = parts_of(len(PICTURES), torch.Generator().manual_seed(0))
X, Y = PICTURES.flatten(1)[PARTS.train], LABELS[PARTS.train]
TEST_X, TEST_Y = PICTURES.flatten(1)[PARTS.test], LABELS[PARTS.test]
ASKED = torch.arange(N) % 10


def reader() -> nn.Module:
    """A classifier trained on the validation and the test part, which no model sees -> (N, 64) to (N, 10)."""
    torch.manual_seed(99)
    net, g = mlp(64, 10, 128, 2), torch.Generator().manual_seed(99)
    own = torch.cat([PARTS.validation, PARTS.test])
    x, y = PICTURES.flatten(1)[own], LABELS[own]

    def batches():
        for _ in range(600):
            i = torch.randint(len(x), (BATCH,), generator=g)
            yield x[i] + 0.2 * torch.randn(BATCH, 64, generator=g), y[i]

    for _ in train(lambda batch: cross_entropy(net(batch[0]), batch[1]), net.parameters(), batches()):
        pass
    return net.requires_grad_(False)


def judged(x: Tensor, read: nn.Module) -> list[float]:
    """Share read as asked, and the variance within a digit as a share of the test part's, of (500, 64)."""
    right = (read(x).argmax(1) == ASKED).double().mean()
    within = torch.stack([x[k == ASKED].var(0).sum() / TEST_X[k == TEST_Y].var(0).sum() for k in range(10)])
    return [float(right), float(within.mean())]


def drawn(g: torch.Generator) -> tuple[Tensor, Tensor]:
    i = torch.randint(len(X), (BATCH,), generator=g)
    return X[i], Y[i]


def with_label(z: Tensor, y: Tensor) -> Tensor:
    return torch.cat([z, one_hot(y, 10).to(z)], 1)


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def gan(seed: int, g: torch.Generator):
    """Steps of a conditional GAN's training, each -> a function that draws."""
    generator, critic = mlp(D_Z + 10, 64, WIDTH, 3), mlp(74, 1, WIDTH, 3)
    steps = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.999)) for net in (generator, critic)]

    def made(y):
        return with_label(generator(with_label(torch.randn(len(y), D_Z, generator=g), y)), y)

    for _ in range(STEPS["GAN"]):
        x, y = drawn(g)
        _descend(steps[1], critic_loss(critic(with_label(x, y)), critic(made(y).detach())))
        _descend(steps[0], generator_loss(critic(made(y))))
        yield lambda: made(ASKED)[:, :64].detach()


def vae(seed: int, g: torch.Generator):
    """Steps of a conditional VAE's training, its decoder's spread learned, each -> a function that draws."""
    encoder, decoder = mlp(74, 2 * D_Z, WIDTH, 3), mlp(D_Z + 10, 64, WIDTH, 3)
    log_s = nn.Parameter(torch.tensor(0.3).log())

    def loss_of(batch):
        x, y = batch
        mean, log_v = encoder(with_label(x, y)).chunk(2, 1)
        z = mean + (log_v / 2).exp() * torch.randn(mean.shape, generator=g)
        error = (decoder(with_label(z, y)) - x).square().sum(1)
        return (error / (2 * log_s.exp() ** 2) + 64 * log_s + kl(mean, log_v)).mean()

    parameters = [*encoder.parameters(), *decoder.parameters(), log_s]
    for _ in train(loss_of, parameters, (drawn(g) for _ in range(STEPS["VAE"]))):
        yield lambda: decoder(with_label(torch.randn(N, D_Z, generator=g), ASKED)).detach()


def diffusion(seed: int, g: torch.Generator, x: Tensor = X, scale: float = 0.75):
    """Steps of a denoiser's training with label dropout, each -> a function that draws in 20 calls."""
    net = MLPDenoiser(x.shape[1], WIDTH, 3, 10, scale)

    def batches():
        for _ in range(STEPS["diffusion"]):
            i = torch.randint(len(x), (BATCH,), generator=g)
            sigma = 10 * (0.02 / 10) ** torch.rand(BATCH, 1, generator=g)
            label = torch.where(torch.rand(BATCH, generator=g) < 0.1, 10, Y[i])
            yield x[i], sigma, torch.randn(x[i].shape, generator=g), label

    def loss_of(batch):
        x0, sigma, eps, label = batch
        return denoising_loss(lambda x, s: net(x, s, label), x0, sigma, eps, scale)

    def draw():
        start = 10 * torch.randn(N, x.shape[1], generator=g)
        return sample(lambda x, s: net(x, s, ASKED), start, karras(10.0, 0.02, 20))

    for _ in train(loss_of, net.parameters(), batches()):
        yield draw


def latent(weight: float):
    """Steps of a diffusion in eight latents of an autoencoder that is trained first, with a KL term of this weight."""

    def steps(seed: int, g: torch.Generator):
        encoder, decoder = mlp(64, 2 * D_Z, WIDTH, 2), mlp(D_Z, 64, WIDTH, 2)

        def loss_of(batch):
            mean, log_v = encoder(batch).chunk(2, 1)
            z = mean + (log_v / 2).exp() * torch.randn(mean.shape, generator=g) * (weight > 0)
            return (decoder(z) - batch).square().mean() + weight * kl(mean, log_v).mean() / 64

        networks = [*encoder.parameters(), *decoder.parameters()]
        for _ in train(loss_of, networks, (drawn(g)[0] for _ in range(STEPS["autoencoder"]))):
            pass
        with torch.no_grad():
            z = encoder(X)[:, :D_Z]
        mean, spread = z.mean(0), z.std(0).mean()  # one scale for all, as Stable Diffusion's factor
        for draw in diffusion(seed, g, (z - mean) / spread, 1.0):
            yield lambda draw=draw: decoder(draw() * spread + mean).detach()

    return steps


FAMILIES = {"GAN": gan, "VAE": vae, "diffusion": diffusion} | {f"latents, {k}": latent(w) for k, w in KL.items()}


def one_run(name: str, seed: int, read: nn.Module) -> dict:
    """-> numbers (10, 2), over the run; and the first twenty samples at the end."""
    torch.manual_seed(seed)
    rows, every = [], STEPS.get(name, STEPS["diffusion"]) // CHECKS
    for step, draw in enumerate(FAMILIES[name](seed, torch.Generator().manual_seed(seed)), 1):
        if step % every == 0:
            x = draw()
            rows.append(judged(x, read))
    return {"numbers": torch.tensor(rows), "pictures": x[:20].half()}


def main(seeds: range = range(SEEDS)) -> None:
    """numbers (families, seeds, 10, 2), pictures of the first seed (families, 20, 64), the reader's own accuracy."""
    torch.set_num_threads(1)
    read, folder, runs = reader(), folder_of(__file__), {}
    for seed in seeds:
        for name in FAMILIES:
            runs[name, seed] = kept(folder, f"{name}-{seed}", one_run, name, seed, read)
    if len(seeds) < SEEDS:
        return
    save("ch13_rivals", {
        "families": list(FAMILIES),
        "numbers": torch.stack([torch.stack([runs[name, s]["numbers"] for s in range(SEEDS)]) for name in FAMILIES]),
        "pictures": torch.stack([runs[name, 0]["pictures"] for name in FAMILIES]),
        "reader": (read(X).argmax(1) == Y).double().mean(),
    })  # fmt: skip


if __name__ == "__main__":
    main(*(range(int(first), SEEDS) for first in sys.argv[1:]))
