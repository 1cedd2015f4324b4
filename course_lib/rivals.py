"""Rivals of diffusion in the plane: a GAN, a VAE, and a diffusion whose few steps are made by a GAN.

The first two draw z from N(0, I) and turn it into a sample in a single call of a small network.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from course_lib.samplers import ddpm


def mlp(d_in: int, d_out: int, width: int = 64, depth: int = 3) -> nn.Sequential:
    """A network with `depth` hidden layers of `width` and MLPDenoiser's activation, (N, d_in) -> (N, d_out)."""
    layers = [nn.Linear(d_in, width)]
    for _ in range(depth - 1):
        layers += [nn.SiLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Linear(width, d_out))


def critic_loss(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """L_C = mean softplus(-C(x)) + mean softplus(C(G(z))) (2.7), (N,), (M,) -> ().

    Each term is minus the log of the chance that the critic gives to the right answer; 2 log 2 when it cannot tell.
    """
    return softplus(-on_real).mean() + softplus(on_fake).mean()


def generator_loss(on_fake: Tensor) -> Tensor:
    """L_G = mean softplus(-C(G(z))) (2.7): minus the log of the chance that a fake is taken for real, (M,) -> ().

    The form that does not saturate. Source: Goodfellow et al. (2014), section 3.
    """
    return softplus(-on_fake).mean()


class GAN(nn.Module):
    """A generator G(z) and a critic C(x), whose sigmoid is the believed chance that x is real (2.7).

    z has d_z dimensions, samples have d. Source: Goodfellow et al. (2014).
    """

    def __init__(self, d: int = 2, d_z: int = 2, width: int = 64, depth: int = 3):
        super().__init__()
        self.d_z = d_z
        self.generator, self.critic = mlp(d_z, d, width, depth), mlp(d, 1, width, depth)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n samples G(z), -> (n, d)."""
        return self.generator(_normal(n, self.d_z, self, generator))


def train_gan(
    gan: GAN,
    batches: Iterable[Tensor],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    generator: torch.Generator | None = None,
) -> Iterator[tuple[float, float]]:
    """One Adam step of the critic and one of the generator per batch (N, d); yields (L_C, L_G) of each (2.7).

    Raises FloatingPointError when a loss is not finite.
    """
    critic, generator_optimiser = (
        torch.optim.Adam(part.parameters(), lr=lr, betas=betas, foreach=True) for part in (gan.critic, gan.generator)
    )
    for real in batches:
        fake = gan.generator(_normal(len(real), gan.d_z, gan, generator)).detach()  # no gradient for the generator
        loss_c = _descend(critic, critic_loss(gan.critic(real), gan.critic(fake)))
        fake = gan.generator(_normal(len(real), gan.d_z, gan, generator))
        loss_g = _descend(generator_optimiser, generator_loss(gan.critic(fake)))
        yield loss_c, loss_g


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
    """One step of the optimiser, -> the loss before it."""
    if not loss.isfinite():
        raise FloatingPointError(f"train_gan: a loss became {loss.item()}; lower the learning rate.")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def _normal(n: int, d: int, network: nn.Module, generator: torch.Generator | None) -> Tensor:
    """z in the dtype and on the device of a network, -> (n, d)."""
    weight = next(network.parameters())
    return torch.randn(n, d, generator=generator, dtype=weight.dtype).to(weight.device)


class VAE(nn.Module):
    """An encoder q(z | x0) = N(E(x0), diag S(x0)**2) and a decoder p(x0 | z) = N(G(z), s_G**2 I), s_G learned.

    `s` is where the spread s_G starts; from a large one the encoder may never be used. Raises ValueError unless s > 0.
    Source: Kingma and Welling (2014), appendix C.2.
    """

    def __init__(self, d: int = 2, d_z: int = 2, width: int = 64, depth: int = 3, s: float = 0.3):
        super().__init__()
        if not s > 0:
            raise ValueError(f"VAE: s is a standard deviation and must be positive, got {s}.")
        self.d_z = d_z
        self.encoder, self.decoder = mlp(d, 2 * d_z, width, depth), mlp(d_z, d, width, depth)
        self.log_s = nn.Parameter(torch.tensor(float(s)).log())

    def loss(self, x0: Tensor, eps: Tensor) -> Tensor:
        """Minus the evidence bound per sample, reconstruction + KL (2.8), x0 (N, d), eps (N, d_z) -> ().

        -log p(x0 | z) at z = E + S eps, plus KL(q(z | x0) || N(0, I)), in nats. On average it is at least
        -log p(x0).
        """
        mean, log_v = self.encoder(x0).chunk(2, dim=1)
        z = mean + (log_v / 2).exp() * eps
        error = (x0 - self.decoder(z)).square().sum(1)
        constant = x0.shape[1] * (self.log_s + torch.tensor(2 * torch.pi).log() / 2)
        reconstruction = error / (2 * (2 * self.log_s).exp()) + constant
        return (reconstruction + kl(mean, log_v)).mean()

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None, noise: bool = True) -> Tensor:
        """n samples G(z) + s_G eps of the model's own law, or the decoder's means G(z) with noise=False, -> (n, d)."""
        mean = self.decoder(_normal(n, self.d_z, self, generator))
        eps = _normal(n, mean.shape[1], self, generator)
        return mean + self.log_s.exp() * eps if noise else mean


def kl(mean: Tensor, log_v: Tensor) -> Tensor:
    """KL(N(E, diag S**2) || N(0, I)) = 1/2 sum (E**2 + S**2 - 1 - log S**2) in (2.8), (N, d_z) twice -> (N,)."""
    return (mean.square() + log_v.exp() - 1 - log_v).sum(1) / 2


class DiffusionGAN(nn.Module):
    """A generator G(x, z, sigma) -> x0 and a critic C(x_next, x, sigma) of steps between few noise levels (5.21).

    `levels` are sigma_T > .. > 0. G draws one x0 that may lie behind x, where a denoiser returns their mean. Raises
    ValueError for levels that do not fall to 0. Source: Xiao, Kreis and Vahdat (2022).
    """

    def __init__(self, levels: Tensor, d: int = 2, d_z: int = 2, width: int = 64, depth: int = 3):
        super().__init__()
        levels = torch.as_tensor(levels)
        if levels.ndim != 1 or len(levels) < 2 or not (levels[1:] < levels[:-1]).all() or levels[-1] != 0:
            raise ValueError(f"DiffusionGAN: levels must decrease and end at 0, got {levels.tolist()}.")
        self.d_z = d_z
        self.register_buffer("levels", levels)
        self.generator, self.critic = mlp(d + d_z + 1, d, width, depth), mlp(2 * d + 1, 1, width, depth)

    def _seen(self, sigma: Tensor | float, x: Tensor) -> tuple[Tensor, Tensor]:
        """What brings x to about unit variance, and the level as the networks see it, (N, 1) each."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x), 1)
        return (1 + sigma**2).rsqrt(), sigma.log() / 4

    def x0(self, x: Tensor, z: Tensor, sigma: Tensor | float) -> Tensor:
        """One clean point for each x and z, (N, d), (N, d_z), () or (N, 1) -> (N, d)."""
        scale, level = self._seen(sigma, x)
        return self.generator(torch.cat([scale * x, z, level], 1))

    def judged(self, x_next: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        """The critic's logit that x_next is a true step from x, (N, d), (N, d), () or (N, 1) -> (N,)."""
        scale, level = self._seen(sigma, x)
        return self.critic(torch.cat([x_next, scale * x, level], 1))[:, 0]

    def denoiser(self, generator: torch.Generator | None = None):
        """A denoiser that draws its z, for `sample(.., self.levels, step=ddpm)`."""
        return lambda x, sigma: self.x0(x, _normal(len(x), self.d_z, self, generator), sigma)


def gradient_penalty(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """R1, the mean squared gradient of the critic at real points in (5.21), (N, d) -> ().

    Source: Mescheder et al. (2018).
    """
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()


def train_diffusion_gan(
    net: DiffusionGAN, batches: Iterable[Tensor], lr: float = 1e-3, penalty: float = 0.1,
    betas: tuple[float, float] = (0.5, 0.9), generator: torch.Generator | None = None,
) -> Iterator[tuple[float, float]]:  # fmt: skip
    """One Adam step of the critic and one of the generator per batch of x0 (N, d); yields (L_C, L_G) of each (5.21).

    The critic also pays penalty / 2 times `gradient_penalty`. Raises FloatingPointError when a loss is not finite.
    """
    critic = torch.optim.Adam(net.critic.parameters(), lr=lr, betas=betas)
    generator_optimiser = torch.optim.Adam(net.generator.parameters(), lr=lr, betas=betas)

    def randn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)

    for x0 in batches:
        i = torch.randint(len(net.levels) - 1, (len(x0), 1), generator=generator).to(x0.device)
        sigma, sigma_next = net.levels[i].to(x0), net.levels[i + 1].to(x0)
        x = x0 + sigma * randn(x0)
        real = ddpm(x, x0, sigma, sigma_next, randn)
        made = lambda: ddpm(x, net.x0(x, _normal(len(x), net.d_z, net, generator), sigma), sigma, sigma_next, randn)  # noqa: B023, E731
        judge = lambda x_next: net.judged(x_next, x, sigma)  # noqa: B023, E731
        loss_c = critic_loss(judge(real), judge(made().detach())) + penalty / 2 * gradient_penalty(judge, real)
        yield _descend(critic, loss_c), _descend(generator_optimiser, generator_loss(judge(made())))
