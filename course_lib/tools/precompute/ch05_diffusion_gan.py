"""A GAN that makes four diffusion steps, and a denoiser that takes the same four steps, eight seeds each (chapter 17).

The law is the circle of two unequal arcs. Both networks have three hidden layers of 64 and take 3,000 Adam steps of 256
fresh samples. About thirteen minutes on one idle core.
"""

import torch
from torch import Tensor

from course_lib.denoisers import MLPDenoiser
from course_lib.manifolds import Circle
from course_lib.rivals import DiffusionGAN, train_diffusion_gan
from course_lib.samplers import ddpm, sample
from course_lib.tools.precompute import folder_of, kept, save
from course_lib.training import denoising_loss, train

SEEDS, STEPS, BATCH, N, RATE = 8, 3000, 256, 2000, 1e-3
LAW = Circle((0.0, torch.pi), (8.0, 8.0), (0.86, 0.14))


def published_levels(T: int = 4) -> Tensor:
    """The levels of the published model: a variance-preserving process with beta from .1 to 20, at t = 1, .., 1 / T."""
    t = torch.linspace(1, 0, T + 1, dtype=torch.float64)
    integral = 0.1 * t + (20 - 0.1) * t**2 / 2
    return integral.expm1().sqrt()  # (1 - abar) / abar = exp(integral) - 1, exactly 0 at t = 0


def drawn(denoiser, levels: Tensor, seed: int) -> Tensor:
    """N samples by the ancestral step, -> (N, 2)."""
    g = torch.Generator().manual_seed(1000 + seed)
    normal = lambda like: torch.randn(like.shape, generator=g)  # noqa: E731
    return sample(denoiser(g), levels[0] * normal(torch.empty(N, 2)), levels, ddpm, randn_like=normal)


def adversarial(levels: Tensor, seed: int) -> Tensor:
    """Samples of a generator trained against a critic."""
    torch.manual_seed(seed)  # the first weights
    g, net = torch.Generator().manual_seed(seed), DiffusionGAN(levels)
    for _ in train_diffusion_gan(net, (LAW.sample(BATCH, g) for _ in range(STEPS)), RATE, generator=g):
        pass
    return drawn(net.denoiser, levels, seed)


def squared(levels: Tensor, seed: int) -> Tensor:
    """Samples of a denoiser trained by the squared error on the same levels."""
    torch.manual_seed(seed)
    g, net = torch.Generator().manual_seed(seed), MLPDenoiser(sigma_data=0.7)

    def batches():
        for _ in range(STEPS):
            i = torch.randint(len(levels) - 1, (BATCH, 1), generator=g)
            yield LAW.sample(BATCH, g), levels[i], torch.randn(BATCH, 2, generator=g)

    for _ in train(lambda b: denoising_loss(net, *b, 0.7), net.parameters(), batches(), 3 * RATE):
        pass
    return drawn(lambda g: net, levels, seed)


def main() -> None:
    """Samples of both for each seed -> (SEEDS, N, 2) in single precision, and the levels."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    levels = published_levels()
    folder, families = folder_of(__file__), {"squared": squared, "adversarial": adversarial}
    found = {
        name: torch.stack([kept(folder, f"{name}-{seed}", family, levels, seed) for seed in range(SEEDS)])
        for name, family in families.items()
    }
    save("ch05_diffusion_gan", {"levels": levels, **{name: x.float() for name, x in found.items()}})


if __name__ == "__main__":
    main()
