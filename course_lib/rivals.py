"""Two rivals of diffusion in the plane: a GAN and a VAE, each with its losses and its sampler.

Both draw z from N(0, I) and turn it into a sample in a single call of a small network.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


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
    critic = torch.optim.Adam(gan.critic.parameters(), lr=lr, betas=betas)
    maker = torch.optim.Adam(gan.generator.parameters(), lr=lr, betas=betas)
    for real in batches:
        fake = gan.generator(_normal(len(real), gan.d_z, gan, generator)).detach()  # no gradient for the generator
        loss_c = _descend(critic, critic_loss(gan.critic(real), gan.critic(fake)))
        fake = gan.generator(_normal(len(real), gan.d_z, gan, generator))
        loss_g = _descend(maker, generator_loss(gan.critic(fake)))
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
    """An encoder q(z | x) = N(m(x), diag v(x)) and a decoder p(x | z) = N(G(z), s**2 I) with a learned spread s.

    `s` is where the spread starts; from a large one the encoder may never be used. Raises ValueError unless s > 0.
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

        -log p(x0 | z) at z = m + sqrt(v) eps, plus KL(q(z | x0) || N(0, I)), in nats. On average it is at least
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
        """n samples G(z) + s eps of the model's own law, or the decoder's means G(z) with noise=False, -> (n, d)."""
        mean = self.decoder(_normal(n, self.d_z, self, generator))
        eps = _normal(n, mean.shape[1], self, generator)
        return mean + self.log_s.exp() * eps if noise else mean


def kl(mean: Tensor, log_v: Tensor) -> Tensor:
    """KL(N(mean, diag v) || N(0, I)) = 1/2 sum (mean**2 + v - 1 - log v) in (2.8), (N, d_z), (N, d_z) -> (N,)."""
    return (mean.square() + log_v.exp() - 1 - log_v).sum(1) / 2
